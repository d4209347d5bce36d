//! Limits that hold for all tenants together, as the operator writes them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tidemill_kernel::{Fault, Violation};
use tidemill_policy::{Limit, Scope};
use tidemill_proto::scheduling::v1 as api;

use crate::steering::{limit, scope};

/// How much of one kind, or of what has one limit key, may run at once and start in a second, of all tenants together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SharedLimit {
    /// Tasks of this kind.
    pub kind: String,
    /// Tasks with this limit key; not together with a kind.
    pub limit_key: String,
    /// How many may run at once, 1 or more; none for any number.
    pub concurrency: Option<u32>,
    /// What may start in a second, in cost, 1 or more; none for any number.
    pub per_second: Option<u64>,
    /// What gathers while nothing starts and may start at once, in cost; a second's worth when unset.
    pub burst: Option<u64>,
}

impl SharedLimit {
    /// As the policy knows it.
    ///
    /// # Errors
    /// [`Fault::invalid`] names the field and what would be right.
    pub(crate) fn read(&self) -> Result<(Scope, Limit), Fault> {
        let named = api::Scope {
            kind: self.kind.clone(),
            key: self.limit_key.clone(),
            all_tenants: true,
            ..api::Scope::default()
        };
        let rule = "names no kind and no limit key, or both, or one that no task can have; name one of them";
        let scope = scope::decode_shared(&named).map_err(|_| Fault::invalid("limits", rule))?.0;
        let message = api::Limit {
            concurrency: self.concurrency,
            per_second: self.per_second,
            burst: self.burst,
            ..api::Limit::default()
        };
        let limit = limit::decode(&message, &scope)?;
        Ok((scope, limit))
    }
}

/// What is wrong with them, in words.
pub(super) fn faults(limits: &[SharedLimit]) -> Vec<String> {
    let (mut faults, mut known) = (Vec::new(), BTreeSet::new());
    for (index, limit) in limits.iter().enumerate() {
        match limit.read() {
            Ok((scope, _)) if known.insert(scope.clone()) => {}
            Ok(_) => {
                faults.push(format!("`limits[{index}]` limits what another one limits: leave one of them"))
            }
            Err(fault) => {
                let of = |violation: &Violation| {
                    // A message's `limit.burst` is the configuration's `burst` of this limit.
                    let field =
                        violation.field.split_once('.').map_or(String::new(), |(_, name)| format!(".{name}"));
                    format!("`limits[{index}]{field}` {}", violation.description)
                };
                faults.extend(fault.violations.iter().map(of));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_names_one_thing_once_and_limits_it() {
        let kind = |kind: &str, concurrency| SharedLimit {
            kind: kind.into(),
            concurrency,
            ..SharedLimit::default()
        };
        let key = SharedLimit { limit_key: "k".into(), per_second: Some(5), ..SharedLimit::default() };
        assert_eq!(faults(&[kind("a", Some(1)), kind("b", Some(1)), key.clone()]), Vec::<String>::new());
        for (wrong, word) in [
            (vec![kind("", Some(1))], "name one of them"),
            (vec![SharedLimit { kind: "a".into(), ..key.clone() }], "name one of them"),
            (vec![SharedLimit { burst: Some(0), ..key }], "`limits[0].burst` is 0"),
            (vec![kind("a", None)], "limits nothing"),
            (vec![kind("b", Some(1)), kind("a", Some(0))], "`limits[1].concurrency` is 0"),
            (vec![kind("a", Some(1)), kind("a", Some(2))], "another one"),
        ] {
            assert!(faults(&wrong).concat().contains(word), "{:?}", faults(&wrong));
        }
    }
}
