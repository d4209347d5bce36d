//! What a policy knows of single tasks, and forgetting all that tenants have.

use tidemill_kernel::{Id, TenantName};

use super::Policy;

impl Policy {
    /// Whether a task waits in memory.
    pub fn waits(&self, id: Id) -> bool {
        self.places.get(&id).is_some_and(|place| !place.running)
    }

    /// Whether a task counts as running.
    pub fn runs(&self, id: Id) -> bool {
        self.places.get(&id).is_some_and(|place| place.running)
    }

    /// Drops everything of these tenants, waiting and running: others decide for them now.
    pub fn forget_tenants(&mut self, is_gone: impl Fn(&TenantName) -> bool) {
        let gone: Vec<(Id, bool)> = self
            .places
            .iter()
            .filter(|(_, place)| self.names.name(place.tenant).is_some_and(&is_gone))
            .map(|(id, place)| (*id, place.running))
            .collect();
        for (id, running) in gone {
            if running { self.finished(id) } else { self.remove(id) };
        }
    }
}
