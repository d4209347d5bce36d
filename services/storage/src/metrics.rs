//! The figures of storage: how long its steps take, what its connections do, how many tasks each tenant stores. Names
//! follow OpenTelemetry's semantic conventions for databases.

use std::sync::{Arc, Weak};

use tidemill_chassis::telemetry::metrics::{Histogram, KeyValue, SECONDS, meter, seconds};
use tidemill_chassis::telemetry::top::TopCounter;
use tidemill_store::Store;

/// The figures.
#[derive(Debug)]
pub(crate) struct Figures {
    system: &'static str,
    duration: Histogram<f64>,
    /// Tasks stored, by tenant.
    pub(crate) tasks: TopCounter,
}

impl Figures {
    /// The figures of this store; the `tenants` busiest tenants are told one by one.
    pub(crate) fn of(store: &Arc<dyn Store>, tenants: usize) -> Self {
        let meter = meter("tidemill.storage");
        observe_connections(Arc::downgrade(store));
        let description = "Tasks stored, by tenant: the busiest by name, the others together.";
        Self {
            system: store.system(),
            duration: seconds(
                &meter,
                "db.client.operation.duration",
                "Time of a step of the store, with its wait for its turn and its commit.",
                &SECONDS,
            ),
            tasks: TopCounter::new(&meter, "tidemill.tenant.tasks", description, "tenant", tenants),
        }
    }

    /// A step of this name took so many seconds, and failed with this kind of error if it did.
    pub(crate) fn took(&self, operation: &'static str, seconds: f64, failed: Option<&'static str>) {
        let system = KeyValue::new("db.system.name", self.system);
        let operation = KeyValue::new("db.operation.name", operation);
        match failed {
            None => self.duration.record(seconds, &[system, operation]),
            Some(kind) => {
                self.duration.record(seconds, &[system, operation, KeyValue::new("error.type", kind)]);
            }
        }
    }
}

/// Tells of the store's connections for as long as it lives.
fn observe_connections(store: Weak<dyn Store>) {
    let _observed = meter("tidemill.storage")
        .u64_observable_gauge("db.client.connection.count")
        .with_description("Connections to the database, by pool and state.")
        .with_callback(move |gauge| {
            for pool in store.upgrade().map(|store| store.connections()).into_iter().flatten() {
                for (state, count) in [("idle", pool.idle), ("used", pool.used)] {
                    let attributes = [
                        KeyValue::new("db.client.connection.pool.name", pool.pool),
                        KeyValue::new("db.client.connection.state", state),
                    ];
                    gauge.observe(u64::try_from(count).unwrap_or(u64::MAX), &attributes);
                }
            }
        })
        .build();
}
