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
        store.put_setting(Some(&acme), put.clone()).await.unwrap();
    }
    assert_eq!(store.settings(Some(&acme)).await.unwrap(), [limit.clone(), second]);
    assert!(store.drop_setting(Some(&acme), SettingSort::Pause, "kind:x").await.unwrap());
    assert!(!store.drop_setting(Some(&acme), SettingSort::Pause, "kind:x").await.unwrap());
    assert_eq!(store.settings(Some(&acme)).await.unwrap(), [limit]);
    let refused = store.put_setting(Some(&name("nobody")), first).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
    assert_eq!(store.settings(Some(&name("nobody"))).await.unwrap(), []);
}

/// Each shard's owner reads those of its tenants, and no others.
pub async fn settings_are_read_by_shard(store: Shared) {
    let names = ["acme", "umbra", "t1", "t2", "t3", "t4"];
    for tenant in names {
        let tenant = create(&store, tenant).await;
        store.put_setting(Some(&tenant), setting(SettingSort::Schedule, "b", b"1")).await.unwrap();
        store
            .put_setting(Some(&tenant), setting(SettingSort::Schedule, "a", tenant.as_str().as_bytes()))
            .await
            .unwrap();
    }
    store.put_setting(None, setting(SettingSort::Schedule, "c", b"of all")).await.unwrap();
    let all: Vec<Shard> = Shard::all().collect();
    let few = [all.clone(), all[2..9].to_vec(), Vec::new()];
    for shards in all.iter().map(|shard| vec![*shard]).chain(few) {
        let mut tenants: Vec<_> =
            names.map(name).into_iter().filter(|name| shards.contains(&Shard::of_tenant(name))).collect();
        tenants.sort();
        let expected: Vec<_> = tenants
            .into_iter()
            .flat_map(|tenant| {
                let a = setting(SettingSort::Schedule, "a", tenant.as_str().as_bytes());
                [(tenant.clone(), a), (tenant, setting(SettingSort::Schedule, "b", b"1"))]
            })
            .collect();
        assert_eq!(store.shard_settings(&shards).await.unwrap(), expected);
    }
}

/// What is set for all tenants together is nobody's in particular.
pub async fn settings_of_all_tenants_stand_beside_those_of_each(store: Shared) {
    let acme = create(&store, "acme").await;
    let (of_all, of_one) =
        (setting(SettingSort::Limit, "kind:x", b"all"), setting(SettingSort::Limit, "kind:x", b"one"));
    store.put_setting(Some(&acme), of_one.clone()).await.unwrap();
    assert_eq!(store.settings(None).await.unwrap(), []);
    store.put_setting(None, setting(SettingSort::Limit, "kind:x", b"old")).await.unwrap();
    let other = setting(SettingSort::Limit, "key:y", &[0, 255]);
    for put in [&of_all, &other] {
        store.put_setting(None, put.clone()).await.unwrap();
    }
    assert_eq!(store.settings(None).await.unwrap(), [other.clone(), of_all]);
    assert!(store.drop_setting(None, SettingSort::Limit, "kind:x").await.unwrap());
    assert!(!store.drop_setting(None, SettingSort::Limit, "kind:x").await.unwrap());
    assert_eq!(store.settings(None).await.unwrap(), [other]);
    assert_eq!(store.settings(Some(&acme)).await.unwrap(), [of_one]);
}
