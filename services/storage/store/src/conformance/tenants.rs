//! Tenants and keys.

use tidemill_kernel::Tier;

use super::fixture::{Shared, at, create, key, name, next, page, tenant};
use crate::Error;
use crate::tenant::Tenant;

/// The store's id is there and does not change.
pub async fn a_store_names_itself_always_the_same(store: Shared) {
    let id = store.store_id().await.unwrap();
    assert!(!id.is_empty());
    create(&store, "acme").await;
    assert_eq!(store.store_id().await.unwrap(), id);
}

/// The same again is no error and changes nothing; another tier is one.
pub async fn a_tenant_is_created_once(store: Shared) {
    assert!(store.create_tenant(tenant("acme"), None).await.unwrap());
    let later = Tenant { created_at: at(99), ..tenant("acme") };
    assert!(!store.create_tenant(later, Some(key("acme", 1))).await.unwrap());
    assert_eq!(store.tenants(&[name("acme")]).await.unwrap(), [tenant("acme")]);
    assert_eq!(store.find_key([1; 32]).await.unwrap(), None);
    let other = Tenant { tier: Tier::Pro, ..tenant("acme") };
    let refused = store.create_tenant(other, None).await;
    assert!(matches!(refused, Err(Error::Exists { what: "tenant", .. })), "{refused:?}");
}

/// Unknown names are left out; pages are in the order of names and go on although tenants are added.
pub async fn tenants_are_read_by_name_and_page_by_page(store: Shared) {
    for text in ["delta", "alpha", "echo", "bravo"] {
        create(&store, text).await;
    }
    let mut some = store.tenants(&[name("echo"), name("nobody"), name("alpha")]).await.unwrap();
    some.sort_by(|left, right| left.name.cmp(&right.name));
    assert_eq!(some, [tenant("alpha"), tenant("echo")]);
    assert!(store.tenants(&[]).await.unwrap().is_empty());

    let first = store.page_tenants(page(2)).await.unwrap();
    assert_eq!(first.items, [tenant("alpha"), tenant("bravo")]);
    create(&store, "aaa").await;
    create(&store, "charlie").await;
    let second = store.page_tenants(next(2, &first.next_token)).await.unwrap();
    assert_eq!(second.items, [tenant("charlie"), tenant("delta")]);
    let third = store.page_tenants(next(2, &second.next_token)).await.unwrap();
    assert_eq!((third.items, third.next_token), (vec![tenant("echo")], String::new()));
    let refused = store.page_tenants(next(2, "nonsense")).await;
    assert!(matches!(refused, Err(Error::PageToken(_))), "{refused:?}");
}

/// A key leads to its tenant; the same again is no error; another's key is one.
pub async fn keys_are_found_by_their_hash(store: Shared) {
    create(&store, "acme").await;
    create(&store, "beta").await;
    let operator = crate::tenant::Key { operator: true, ..key("beta", 2) };
    store.add_key(key("acme", 1)).await.unwrap();
    store.add_key(key("acme", 1)).await.unwrap();
    store.add_key(operator.clone()).await.unwrap();
    assert_eq!(store.find_key([1; 32]).await.unwrap(), Some((key("acme", 1), tenant("acme"))));
    assert_eq!(store.find_key([2; 32]).await.unwrap(), Some((operator, tenant("beta"))));
    assert_eq!(store.find_key([3; 32]).await.unwrap(), None);

    let refused = store.add_key(key("beta", 1)).await;
    assert!(matches!(refused, Err(Error::Exists { what: "key", .. })), "{refused:?}");
    let refused = store.add_key(key("nobody", 4)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "tenant", .. })), "{refused:?}");
}

/// A key that cannot be added refuses its tenant.
pub async fn a_tenant_and_its_key_come_together_or_not_at_all(store: Shared) {
    assert!(store.create_tenant(tenant("acme"), Some(key("acme", 1))).await.unwrap());
    assert_eq!(store.find_key([1; 32]).await.unwrap(), Some((key("acme", 1), tenant("acme"))));
    let refused = store.create_tenant(tenant("beta"), Some(key("beta", 1))).await;
    assert!(matches!(refused, Err(Error::Exists { what: "key", .. })), "{refused:?}");
    assert!(store.tenants(&[name("beta")]).await.unwrap().is_empty());
}
