//! Scopes: as tenants write them, as the policy knows them, and as names of settings.

use std::sync::Arc;

use tidemill_kernel::{Fault, Priority, TenantName};
use tidemill_policy::{Kind, QueueKey, Scope};
use tidemill_proto::scheduling::v1 as api;

/// The longest key, in bytes.
const MAX_KEY: usize = 128;

/// The scope of a message and the name of the settings that are made for it.
///
/// # Errors
/// [`Fault::invalid`] names the field and what would be right.
pub(crate) fn decode(tenant: &TenantName, scope: Option<&api::Scope>) -> Result<(Scope, String), Fault> {
    let none = api::Scope::default();
    let scope = scope.unwrap_or(&none);
    let priority = match scope.priority {
        0 => None,
        number => Some(Priority::from_number(number).ok_or_else(|| {
            Fault::invalid("scope.priority", format!("is {number}; use 1, 2 or 3, or leave it out"))
        })?),
    };
    if scope.all_tenants {
        let rule = "goes only with limits; leave it out, for the tenant's own tasks";
        return Err(Fault::invalid("scope.all_tenants", rule));
    }
    let kind = || Kind::new(&scope.kind);
    match (scope.kind.as_str(), scope.key.as_str(), priority) {
        ("", "", None) => Ok((Scope::Tenant(tenant.clone()), "all".to_owned())),
        ("", key, None) if key.len() <= MAX_KEY => {
            Ok((Scope::TenantKey(tenant.clone(), Arc::from(key)), format!("key:{key}")))
        }
        ("", key, None) => {
            Err(Fault::invalid("scope.key", format!("has {} bytes; at most {MAX_KEY}", key.len())))
        }
        (name, "", _) if !is_kind(name) => {
            let rule = format!("is `{name}`; use 1 to 63 of a-z, 0-9, `-`, `_` and `.`");
            Err(Fault::invalid("scope.kind", rule))
        }
        (name, "", None) => Ok((Scope::TenantKind(tenant.clone(), kind()), format!("kind:{name}"))),
        (name, "", Some(priority)) => {
            let queue = QueueKey { tenant: tenant.clone(), priority, kind: kind() };
            Ok((Scope::Queue(queue), format!("queue:{}:{name}", priority.name())))
        }
        ("", _, Some(_)) => {
            Err(Fault::invalid("scope.priority", "goes only with a kind; leave it out, or name a kind"))
        }
        (_, _, _) => Err(Fault::invalid("scope", "names a kind and a key; name one of them")),
    }
}

/// A scope of all tenants together, and the name of the settings that are made for it.
///
/// # Errors
/// [`Fault::invalid`] names the field and what would be right.
pub(crate) fn decode_shared(scope: &api::Scope) -> Result<(Scope, String), Fault> {
    let wrong = |field, rule: &str| Err(Fault::invalid(format!("scope.{field}"), rule));
    match (scope.kind.as_str(), scope.key.as_str()) {
        _ if !scope.all_tenants => wrong("all_tenants", "is not set; set it, for all tenants together"),
        _ if scope.priority != 0 => wrong("priority", "goes only with pauses; leave it out"),
        ("", "") => {
            wrong("kind", "is missing, and so is a key; name one of them: not everything is limited at once")
        }
        ("", key) if key.len() <= MAX_KEY => Ok((Scope::Key(Arc::from(key)), format!("key:{key}"))),
        ("", _) => wrong("key", "is longer than 128 bytes"),
        (kind, "") if is_kind(kind) => Ok((Scope::Kind(Kind::new(kind)), format!("kind:{kind}"))),
        (_, "") => wrong("kind", "is none; use 1 to 63 of a-z, 0-9, `-`, `_` and `.`"),
        (_, _) => wrong("key", "is named beside a kind; name one of them"),
    }
}

/// The message of a scope of all tenants together; none for another one.
pub(crate) fn encode_shared(scope: &Scope) -> Option<api::Scope> {
    let (kind, key) = match scope {
        Scope::Kind(kind) => (kind.as_str().to_owned(), String::new()),
        Scope::Key(key) => (String::new(), key.to_string()),
        _ => return None,
    };
    Some(api::Scope { kind, key, priority: 0, all_tenants: true })
}

/// A scope in words.
pub(crate) fn words(scope: &Scope) -> String {
    match scope {
        Scope::Tenant(tenant) => format!("all tasks of tenant {tenant}"),
        Scope::Kind(kind) => format!("tasks of kind {kind}, of all tenants,"),
        Scope::TenantKind(_, kind) => format!("the tenant's tasks of kind {kind}"),
        Scope::TenantKey(_, key) => format!("the tenant's tasks with key {key}"),
        Scope::Key(key) => format!("tasks with key {key}, of all tenants,"),
        Scope::Queue(queue) => format!("the tenant's {} tasks of kind {}", queue.priority.name(), queue.kind),
    }
}

fn is_kind(name: &str) -> bool {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    (1..=63).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(kind: &str, key: &str, priority: i32) -> api::Scope {
        api::Scope { kind: kind.to_owned(), key: key.to_owned(), priority, all_tenants: false }
    }

    #[test]
    fn a_scope_has_one_name_and_what_is_none_is_refused() {
        let acme: TenantName = "acme".parse().unwrap();
        let name = |given: api::Scope| decode(&acme, Some(&given)).map(|(_, name)| name);
        assert_eq!(name(scope("", "", 0)).unwrap(), "all");
        assert_eq!(name(scope("noop", "", 0)).unwrap(), "kind:noop");
        assert_eq!(name(scope("noop", "", 3)).unwrap(), "queue:background:noop");
        assert_eq!(name(scope("", "model:small", 0)).unwrap(), "key:model:small");
        for (wrong, field) in [
            (scope("Noop", "", 0), "scope.kind"),
            (scope("noop", "k", 0), "scope"),
            (scope("", "k", 1), "scope.priority"),
            (scope("", "", 9), "scope.priority"),
            (scope("", &"k".repeat(129), 0), "scope.key"),
        ] {
            let fault = name(wrong).unwrap_err();
            assert_eq!(fault.violations[0].field, field);
        }
    }

    #[test]
    fn a_scope_of_all_tenants_has_a_kind_or_a_key_and_goes_between_schedulers() {
        let acme: TenantName = "acme".parse().unwrap();
        for shared in [Scope::Kind(Kind::new("noop")), Scope::Key("k".into())] {
            let message = encode_shared(&shared).unwrap();
            assert_eq!(decode_shared(&message).unwrap().0, shared);
            assert_eq!(decode(&acme, Some(&message)).unwrap_err().violations[0].field, "scope.all_tenants");
        }
        assert_eq!(encode_shared(&Scope::Tenant(acme)), None);
        for (wrong, field) in [
            (scope("noop", "", 0), "scope.all_tenants"),
            (api::Scope { all_tenants: true, ..scope("noop", "", 1) }, "scope.priority"),
            (api::Scope { all_tenants: true, ..scope("", "", 0) }, "scope.kind"),
            (api::Scope { all_tenants: true, ..scope("No", "", 0) }, "scope.kind"),
            (api::Scope { all_tenants: true, ..scope("noop", "k", 0) }, "scope.key"),
            (api::Scope { all_tenants: true, ..scope("", &"k".repeat(129), 0) }, "scope.key"),
        ] {
            assert_eq!(decode_shared(&wrong).unwrap_err().violations[0].field, field);
        }
    }
}
