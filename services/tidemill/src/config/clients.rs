//! `[client]`: how the parts of other processes are called; `[client.storage]` and so on say what is different for one.

use std::collections::BTreeMap;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tidemill_chassis::ClientConfig;

/// The parts that are called.
const PARTS: [&str; 4] = ["storage", "scheduling", "ingestion", "analysis"];

/// The settings for all parts, and those of parts that have some of their own.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Clients {
    #[serde(flatten)]
    all: ClientConfig,
    /// What is different, as it was written.
    #[serde(flatten)]
    differences: BTreeMap<&'static str, Dict>,
    /// The settings for all with the differences.
    #[serde(skip)]
    own: BTreeMap<&'static str, ClientConfig>,
}

impl Clients {
    /// How this part is called.
    pub(crate) fn of(&self, part: &str) -> &ClientConfig {
        self.own.get(part).unwrap_or(&self.all)
    }

    /// What cannot work, all of it, by key.
    pub(super) fn faults(&self) -> Vec<String> {
        let of_all: Vec<String> = self.all.faults();
        let of_parts = self.own.iter().flat_map(|(part, own)| {
            // What is wrong for all is said once.
            let own = own.faults().into_iter().filter(|fault| !of_all.contains(fault));
            own.map(move |fault| format!("client.{part}.{fault}"))
        });
        let of_parts: Vec<String> = of_parts.collect();
        of_all.iter().map(|fault| format!("client.{fault}")).chain(of_parts).collect()
    }
}

impl<'de> Deserialize<'de> for Clients {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut written = Dict::deserialize(deserializer)?;
        let mut differences = BTreeMap::new();
        for part in PARTS {
            match written.remove(part) {
                None => {}
                Some(Value::Dict(_, dict)) => drop(differences.insert(part, dict)),
                Some(_) => {
                    return Err(D::Error::custom(format!("client.{part}: expected a table of settings")));
                }
            }
        }
        let all = over("client", &ClientConfig::default(), &written).map_err(D::Error::custom)?;
        let own = differences.iter().map(|(part, dict)| {
            over(&format!("client.{part}"), &all, dict).map(|own| (*part, own)).map_err(D::Error::custom)
        });
        let own = own.collect::<Result<_, _>>()?;
        Ok(Self { all, differences, own })
    }
}

/// Settings with the differences of a table. Faults are told by their keys.
fn over(table: &str, settings: &ClientConfig, differences: &Dict) -> Result<ClientConfig, String> {
    let figment = Figment::from(Serialized::defaults(settings)).merge(Serialized::defaults(differences));
    figment.extract().map_err(|faults| {
        let one = |fault: figment::Error| {
            let key = [table].into_iter().chain(fault.path.iter().map(String::as_str)).collect::<Vec<_>>();
            format!("{}: {}", key.join("."), fault.kind)
        };
        faults.into_iter().map(one).collect::<Vec<_>>().join("; ")
    })
}

#[cfg(test)]
mod tests {
    use tidemill_chassis::balance::endpoints::Policy;

    use super::*;

    fn read(text: &str) -> Result<Clients, String> {
        toml::from_str(text).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_part_is_called_as_all_are_but_for_its_differences() {
        let text = "policy = \"round_robin\"\nzone = \"a\"\n[retry]\nattempts = 2\n\
                    [storage]\npolicy = \"weighted\"\n[storage.retry]\nbase_ms = 5\n";
        let clients = read(text).unwrap();
        let (storage, other) = (clients.of("storage"), clients.of("analysis"));
        assert_eq!((storage.policy, other.policy), (Policy::Weighted, Policy::RoundRobin));
        assert_eq!((storage.retry.attempts, storage.retry.base_ms), (2, 5));
        assert_eq!((other.retry.attempts, other.retry.base_ms), (2, 10));
        assert_eq!(storage.zone.as_deref(), Some("a"));
        let written = toml::to_string(&clients).unwrap();
        assert_eq!(read(&written).unwrap().of("storage"), storage);
    }

    #[test]
    fn what_is_unknown_or_wrong_is_named_with_its_table() {
        for (text, key) in [
            ("polcy = 1", "polcy"),
            ("[storage]\npolcy = 1", "client.storage"),
            ("storage = 1", "client.storage"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.contains(key), "{fault}");
        }
        let clients = read("retry.attempts = 0\n[storage]\nbreaker.probes = 0\n").unwrap();
        let faults = clients.faults();
        assert!(
            faults[0].starts_with("client.retry.attempts: ")
                && faults[1].starts_with("client.storage.breaker.probes: ")
        );
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
