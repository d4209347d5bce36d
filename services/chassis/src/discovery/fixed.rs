//! Discovery by configuration: a fixed list of `host:port` for each service. What a list says holds at once, an empty
//! one too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use tidemill_kernel::ErrorKind;
use tokio::sync::watch;

use super::address::{Address, AddressError};
use super::{Discovery, Follow, Instance, Instances, arrange};

/// Lists by service.
#[derive(Debug, Default)]
pub struct Fixed(Mutex<BTreeMap<String, watch::Sender<Option<Instances>>>>);

impl Fixed {
    /// These lists; a service without one has no instances.
    pub fn new(lists: impl IntoIterator<Item = (String, Vec<Address>)>) -> Self {
        let fixed = Self::default();
        for (service, addresses) in lists {
            fixed.set(&service, addresses.into_iter().map(Instance::at).collect());
        }
        fixed
    }

    /// Replaces the list of a service, as when a configuration is read again.
    pub fn set(&self, service: &str, instances: Vec<Instance>) {
        let told = Some(arrange(instances));
        self.with(service, |sender| {
            sender.send_if_modified(|current| {
                let is_new = *current != told;
                *current = told;
                is_new
            })
        });
    }

    fn with<T>(&self, service: &str, act: impl FnOnce(&watch::Sender<Option<Instances>>) -> T) -> T {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unlisted = || watch::Sender::new(Some(Instances::from([])));
        act(lists.entry(service.to_owned()).or_insert_with(unlisted))
    }
}

impl Discovery for Fixed {
    fn follow(&self, service: &str) -> Follow {
        Follow::new(self.with(service, watch::Sender::subscribe))
    }
}

/// Reads a list as a configuration has it. Every fault of the list is reported at once.
pub fn read(addresses: &[String]) -> Result<Vec<Address>, ListError> {
    let mut seen = BTreeSet::new();
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for text in addresses {
        match text.parse::<Address>() {
            Ok(address) if !seen.insert(address.clone()) => {
                faults.push(AddressError::of(&address, "it is listed twice: remove one"));
            }
            Ok(address) => good.push(address),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(ListError(faults)) }
}

/// What is wrong with a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ListError(Vec<AddressError>);

impl ListError {
    /// Always [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// The faults, in the order of the list.
    pub fn faults(&self) -> &[AddressError] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(addresses: &[&str]) -> Result<Vec<Address>, ListError> {
        read(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_numbers_with_a_port_are_addresses() {
        let read = list(&["Storage:7000", "10.0.0.1:80", "[::1]:65535"]).unwrap();
        let texts: Vec<_> = read.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["storage:7000", "10.0.0.1:80", "[::1]:65535"]);
    }

    #[test]
    fn every_fault_of_a_list_is_named_with_its_mend() {
        let wrong =
            ["http://a:1", "a", "a:0", "a:65536", ":1", "::1:80", "me@a:1", "", "a b:1", "ok:1", "OK:1"];
        let fault = list(&wrong).unwrap_err();
        assert_eq!(fault.faults().len(), wrong.len() - 1);
        let text = fault.to_string();
        for part in ["`http://a:1`", "leave out the scheme", "1 to 65535", "the user", "`ok:1`", "twice"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn a_list_is_told_at_once_and_a_new_one_replaces_it() {
        let fixed = Fixed::new([("echo".to_owned(), list(&["a:1", "b:2"]).unwrap())]);
        let mut follow = fixed.follow("echo");
        assert_eq!(follow.current().map(|all| all.len()), Some(2));
        fixed.set("echo", Vec::new());
        assert!(follow.changed().await);
        assert!(follow.current().is_some_and(|all| all.is_empty()), "a list means what it says");
        assert!(fixed.follow("other").current().is_some_and(|all| all.is_empty()));
    }
}

#[cfg(test)]
mod suite {
    use std::sync::Arc;

    use super::*;
    use crate::discovery::conformance::Stage;

    #[derive(Default)]
    struct Lists(Arc<Fixed>);

    impl Stage for Lists {
        fn discovery(&self) -> Arc<dyn Discovery> {
            self.0.clone()
        }

        async fn publish(&mut self, service: &'static str, instances: &[Instance]) {
            self.0.set(service, instances.to_vec());
        }
    }

    crate::discovery_suite!(async { Some((Lists::default(), ())) });
}
