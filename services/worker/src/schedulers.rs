//! Where the schedulers are: one that is given, those at a list of addresses, or those that discovery tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_chassis::Wire;
use tidemill_chassis::discovery::{Address, Follow, Instance};
use tidemill_chassis::remote::{self, RemoteConfig};
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;

use crate::pool::LinkId;

/// The largest message between a worker and a scheduler, in bytes: leases and results with their payloads.
const MAX_MESSAGE: usize = 64 << 20;

type Connect = Arc<dyn Fn(&Address) -> Option<Wire> + Send + Sync>;

/// Where the schedulers are. Cheap to clone.
#[derive(Clone)]
pub struct Schedulers {
    /// The one in this process, or the only one there is.
    near: Option<WorkerServiceClient<Wire>>,
    far: Option<(Follow, Connect)>,
}

impl Schedulers {
    /// Those at these addresses, without TLS. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An address that no URI can have.
    pub fn at(addresses: &[Address]) -> Result<Self, remote::Error> {
        for address in addresses {
            remote::wire("scheduling", std::slice::from_ref(address), RemoteConfig::default())?;
        }
        let instances = addresses.iter().cloned().map(Instance::at).collect();
        let connect = |address: &Address| {
            remote::wire("scheduling", std::slice::from_ref(address), RemoteConfig::default()).ok()
        };
        Ok(Self::following(Follow::always(instances), connect))
    }

    /// Those that discovery tells, each reached as `connect` does it; one for which it has no wire is left out.
    pub fn following(
        follow: Follow,
        connect: impl Fn(&Address) -> Option<Wire> + Send + Sync + 'static,
    ) -> Self {
        Self { near: None, far: Some((follow, Arc::new(connect))) }
    }

    /// The same, and one in this process, which may be among the others too: the worker knows it by its name.
    pub fn and_near(self, near: Wire) -> Self {
        Self { near: Some(client(near)), ..self }
    }
}

impl From<WorkerServiceClient<Wire>> for Schedulers {
    fn from(only: WorkerServiceClient<Wire>) -> Self {
        Self { near: Some(only), far: None }
    }
}

impl From<Wire> for Schedulers {
    fn from(only: Wire) -> Self {
        client(only).into()
    }
}

impl std::fmt::Debug for Schedulers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedulers").field("near", &self.near.is_some()).finish_non_exhaustive()
    }
}

fn client(wire: Wire) -> WorkerServiceClient<Wire> {
    WorkerServiceClient::new(wire)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// What became of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Found(LinkId),
    Gone(LinkId),
}

/// The set as a worker follows it: each scheduler has a number for as long as the worker runs.
pub(crate) struct Roll {
    far: Option<(Follow, Connect)>,
    clients: BTreeMap<LinkId, WorkerServiceClient<Wire>>,
    numbers: BTreeMap<Address, LinkId>,
    next: LinkId,
}

impl Roll {
    /// With nobody but the near one, whose number is 0.
    pub(crate) fn of(schedulers: Schedulers) -> Self {
        let clients = schedulers.near.into_iter().map(|near| (0, near)).collect();
        Self { far: schedulers.far, clients, numbers: BTreeMap::new(), next: 1 }
    }

    /// The client of a scheduler.
    pub(crate) fn client(&self, link: LinkId) -> Option<WorkerServiceClient<Wire>> {
        self.clients.get(&link).cloned()
    }

    /// Who is there to begin with.
    pub(crate) fn first(&mut self) -> Vec<Change> {
        let mut changes: Vec<_> = self.clients.keys().map(|link| Change::Found(*link)).collect();
        changes.extend(self.compare());
        changes
    }

    /// Waits for the set to change, for ever if it never does.
    pub(crate) async fn changed(&mut self) -> Vec<Change> {
        if let Some((follow, _)) = &mut self.far
            && follow.changed().await
        {
            return self.compare();
        }
        std::future::pending().await
    }

    /// What is different from what was known.
    fn compare(&mut self) -> Vec<Change> {
        let Some((follow, connect)) = &self.far else { return Vec::new() };
        // While nothing is heard, what was known is kept.
        let Some(instances) = follow.current() else { return Vec::new() };
        let mut changes = Vec::new();
        let is_listed = |address: &Address| instances.iter().any(|instance| instance.address == *address);
        let gone: Vec<_> = self.numbers.keys().filter(|address| !is_listed(address)).cloned().collect();
        for address in gone {
            changes.extend(self.numbers.remove(&address).map(Change::Gone));
        }
        for instance in instances.iter() {
            if !self.numbers.contains_key(&instance.address)
                && let Some(wire) = connect(&instance.address)
            {
                self.numbers.insert(instance.address.clone(), self.next);
                self.clients.insert(self.next, client(wire));
                changes.push(Change::Found(self.next));
                self.next += 1;
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {

    use tidemill_chassis::discovery::Instances;
    use tokio::sync::watch;

    use super::*;

    fn instances(addresses: &[&str]) -> Option<Instances> {
        Some(addresses.iter().map(|text| Instance::at(text.parse().unwrap())).collect::<Vec<_>>().into())
    }

    #[tokio::test]
    async fn schedulers_come_and_go_with_discovery_and_the_near_one_stays() {
        let (tell, told) = watch::channel(None);
        let schedulers = Schedulers::following(Follow::new(told), |_| Some(Wire::absent("scheduling")))
            .and_near(Wire::absent("scheduling"));
        let mut roll = Roll::of(schedulers);
        assert_eq!(roll.first(), [Change::Found(0)]);
        tell.send_replace(instances(&["a:1", "b:2"]));
        assert_eq!(roll.changed().await, [Change::Found(1), Change::Found(2)]);
        tell.send_replace(instances(&["b:2", "c:3"]));
        assert_eq!(roll.changed().await, [Change::Gone(1), Change::Found(3)]);
        assert!((0..4).all(|link| roll.client(link).is_some()), "what runs over a stream that lasts goes on");
    }
}
