//! Leases: which worker may work on which task until when, in memory.
//!
//! The store decides whether a result counts (its token is checked in the same transaction); this table knows without
//! asking which leases are about to end. Expired leases come out in the order of their ends, then of ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;
use tidemill_kernel::{Id, Timestamp};

use crate::Error;

/// A worker's right to run one attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub worker: Arc<str>,
    /// What its result must carry.
    pub token: Id,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
}

/// The leases that are held.
#[derive(Debug, Default)]
pub struct LeaseTable {
    leases: HashMap<Id, Lease>,
    ends: BTreeSet<(Timestamp, Id)>,
}

impl LeaseTable {
    /// Gives a task's lease; the one that it replaces ends.
    pub fn grant(&mut self, task: Id, lease: Lease) -> Option<Lease> {
        self.ends.insert((lease.until, task));
        let until = lease.until;
        let replaced = self.leases.insert(task, lease);
        if let Some(old) = replaced.as_ref().filter(|old| old.until != until) {
            self.ends.remove(&(old.until, task));
        }
        replaced
    }

    /// Moves the end of a lease.
    pub fn renew(&mut self, task: Id, token: Id, until: Timestamp) -> Result<(), Error> {
        let lease = self.leases.get_mut(&task).ok_or(Error::NotLeased(task))?;
        if lease.token != token {
            return Err(Error::StaleToken(task));
        }
        self.ends.remove(&(lease.until, task));
        self.ends.insert((until, task));
        lease.until = until;
        Ok(())
    }

    /// Ends a lease: its task is done, failed, cancelled or given back.
    pub fn release(&mut self, task: Id, token: Id) -> Result<Lease, Error> {
        let lease = self.leases.get(&task).ok_or(Error::NotLeased(task))?;
        if lease.token != token {
            return Err(Error::StaleToken(task));
        }
        self.ends.remove(&(lease.until, task));
        self.leases.remove(&task).ok_or(Error::NotLeased(task))
    }

    /// Takes out every lease that ends now or has ended.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(Id, Lease)> {
        let mut expired = Vec::new();
        while let Some(&(until, task)) = self.ends.first()
            && until <= now
        {
            self.ends.pop_first();
            expired.extend(self.leases.remove(&task).map(|lease| (task, lease)));
        }
        expired
    }

    /// When the next lease ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|end| end.0)
    }

    /// The lease of a task.
    pub fn get(&self, task: Id) -> Option<&Lease> {
        self.leases.get(&task)
    }

    /// How many leases are held.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    proptest! {
        /// The naive model is a plain map that is searched.
        #[test]
        fn it_behaves_as_a_plain_map(
            steps in prop::collection::vec((0_u8..4, 0_u8..5, 0_u8..3, 0_i64..40), 1..120),
        ) {
            let mut table = LeaseTable::default();
            let mut model: BTreeMap<Id, (Id, i64)> = BTreeMap::new();
            let mut now = 0;
            for (step, task, token, micros) in steps {
                let (task, token, until) = (id(task), id(100 + token), now + micros);
                let held = model.get(&task).copied();
                let expected = match held {
                    None => Err(Error::NotLeased(task)),
                    Some((holder, _)) if holder != token => Err(Error::StaleToken(task)),
                    Some(_) => Ok(()),
                };
                match step {
                    0 => {
                        let lease = Lease { worker: "w".into(), token, until: Timestamp::from_micros(until) };
                        let replaced = table.grant(task, lease).map(|old| (old.token, old.until.as_micros()));
                        prop_assert_eq!(replaced, model.insert(task, (token, until)));
                    }
                    1 => {
                        prop_assert_eq!(table.renew(task, token, Timestamp::from_micros(until)), expected.clone());
                        if expected.is_ok() {
                            model.insert(task, (token, until));
                        }
                    }
                    2 => {
                        prop_assert_eq!(table.release(task, token).map(|_| ()), expected.clone());
                        if expected.is_ok() {
                            model.remove(&task);
                        }
                    }
                    _ => {
                        now += micros / 4;
                        let expired = table.expire(Timestamp::from_micros(now));
                        let got: Vec<_> = expired.iter().map(|row| (row.1.until.as_micros(), row.0)).collect();
                        let mut due: Vec<_> =
                            model.iter().filter(|row| row.1.1 <= now).map(|row| (row.1.1, *row.0)).collect();
                        due.sort();
                        prop_assert_eq!(got, due);
                        model.retain(|_, lease| lease.1 > now);
                    }
                }
                prop_assert_eq!((table.len(), table.ends.len()), (model.len(), model.len()));
                let next = model.values().map(|lease| lease.1).min();
                prop_assert_eq!(table.next_end().map(Timestamp::as_micros), next);
                prop_assert_eq!(table.get(task).map(|lease| lease.token), model.get(&task).map(|lease| lease.0));
            }
        }
    }
}
