//! Settings of tenants' queues.

use tidemill_kernel::Shard;

use super::fixture::{Shared, at, create, name};
use crate::Error;
use crate::setting::{Setting, SettingSort};

fn setting(sort: SettingSort, name: &str, value: &[u8]) -> Setting {
    Setting { sort, name: name.to_owned(), value: value.to_vec(), updated_at: at(7) }
}

/// The last word counts; a name is one thing in each sort.
pub async fn a_setting_is_replaced_by_its_name(store: Shared) {
    let acme = create(&store, "acme").await;
    let first = setting(SettingSort::Pause, "kind:x", &[0, 255, b'"']);
    let second = Setting { value: Vec::new(), updated_at: at(8), ..first.clone() };
    let limit = setting(SettingSort::Limit, "kind:x", b"l");
    for put in [&first, &limit, &second] {
        store.put_setting(&acme, put.clone()).await.unwrap();
    }
    assert_eq!(store.settings(&acme).await.unwrap(), [limit.clone(), second]);
    assert!(store.drop_setting(&acme, SettingSort::Pause, "kind:x").await.unwrap());
    assert!(!store.drop_setting(&acme, SettingSort::Pause, "kind:x").await.unwrap());
    assert_eq!(store.settings(&acme).await.unwrap(), [limit]);
    let refused = store.put_setting(&name("nobody"), first).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
    assert_eq!(store.settings(&name("nobody")).await.unwrap(), []);
}

/// Each shard's owner reads those of its tenants, and no others.
pub async fn settings_are_read_by_shard(store: Shared) {
    let names = ["acme", "umbra", "t1", "t2", "t3", "t4"];
    for tenant in names {
        let tenant = create(&store, tenant).await;
        store.put_setting(&tenant, setting(SettingSort::Schedule, "b", b"1")).await.unwrap();
        store
            .put_setting(&tenant, setting(SettingSort::Schedule, "a", tenant.as_str().as_bytes()))
            .await
            .unwrap();
    }
    for shard in Shard::all() {
        let mut tenants: Vec<_> =
            names.map(name).into_iter().filter(|name| Shard::of_tenant(name) == shard).collect();
        tenants.sort();
        let expected: Vec<_> = tenants
            .into_iter()
            .flat_map(|tenant| {
                let a = setting(SettingSort::Schedule, "a", tenant.as_str().as_bytes());
                [(tenant.clone(), a), (tenant, setting(SettingSort::Schedule, "b", b"1"))]
            })
            .collect();
        assert_eq!(store.shard_settings(shard).await.unwrap(), expected);
    }
}
