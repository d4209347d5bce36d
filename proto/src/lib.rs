//! The contracts of Tidemill and the code generated from them: messages, clients, servers, their JSON, the
//! descriptors, and the table of HTTP routes. A folder below `proto/tidemill` is a package and a version.
//!
//! Invariants: no domain logic; public rpcs carry a `google.api.http` option; nothing here is written per rpc.
//! To add an rpc: write it in its `.proto` with comments; clients, servers, JSON and route follow by themselves.

pub mod route;
pub mod time;

pub use route::{Body, ROUTES, Route};

/// The encoded `FileDescriptorSet` of everything here, with comments and options, for reflection and documentation.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// Includes one generated package.
macro_rules! package {
    ($name:literal) => {
        tonic::include_proto!($name);
        include!(concat!(env!("OUT_DIR"), "/", $name, ".serde.rs"));
    };
}

/// The words that several services share.
pub mod types {
    /// Version 1.
    pub mod v1 {
        package!("tidemill.types.v1");
    }
}

/// Documents in, standing queries, sources.
pub mod ingestion {
    /// Version 1.
    pub mod v1 {
        package!("tidemill.ingestion.v1");
    }
}

/// The queue.
pub mod scheduling {
    /// Version 1.
    pub mod v1 {
        package!("tidemill.scheduling.v1");
    }
}

/// KEDA's protocol for external scalers, whose names are not ours.
pub mod keda {
    tonic::include_proto!("externalscaler");
}

/// Recipes.
pub mod analysis {
    /// Version 1.
    pub mod v1 {
        package!("tidemill.analysis.v1");
    }
}

/// What is stored.
pub mod storage {
    /// Version 1.
    pub mod v1 {
        package!("tidemill.storage.v1");
    }
}

/// Whether the method at this gRPC path (`/package.Service/Method`) is unary and may be called twice with the effect of
/// once: its contract says so by `idempotency_level`.
pub fn is_idempotent(path: &str) -> bool {
    IDEMPOTENT.binary_search(&path).is_ok()
}

/// Whether the method at this gRPC path is unary and changes nothing, by its contract.
pub fn is_safe(path: &str) -> bool {
    SAFE.binary_search(&path).is_ok()
}

/// Whether the method at this gRPC path has a stream of requests or of answers.
pub fn is_streaming(path: &str) -> bool {
    STREAMING.binary_search(&path).is_ok()
}

/// The full names of the services of a part: those of its packages, `tidemill.<part>.v*`, and those of foreign protocols that
/// it serves.
pub fn services_of(part: &str) -> impl Iterator<Item = &'static str> {
    let package = format!("tidemill.{part}.");
    let foreign: &[&str] = if part == "scheduling" { &["externalscaler.ExternalScaler"] } else { &[] };
    SERVICES.iter().copied().filter(move |name| name.starts_with(&package)).chain(foreign.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_methods_that_change_nothing_the_second_time_may_be_called_twice() {
        assert!(is_idempotent("/tidemill.storage.v1.TaskStoreService/ReadTask"));
        assert!(is_idempotent("/tidemill.storage.v1.ContentStoreService/AppendDocuments"));
        for path in [
            "/tidemill.storage.v1.TaskStoreService/SettleTasks",
            "/tidemill.storage.v1.ResultService/ExportResults",
            "/tidemill.scheduling.v1.WorkerService/Work",
            "/no.Such/Method",
        ] {
            assert!(!is_idempotent(path), "{path}");
        }
    }

    #[test]
    fn only_reads_are_safe_and_streams_are_known() {
        assert!(is_safe("/tidemill.storage.v1.TaskStoreService/ReadTask"));
        assert!(!is_safe("/tidemill.storage.v1.ContentStoreService/AppendDocuments"));
        assert!(SAFE.iter().all(|path| is_idempotent(path) && !is_streaming(path)));
        assert!(is_streaming("/tidemill.scheduling.v1.WorkerService/Work"));
        assert!(is_streaming("/tidemill.storage.v1.ResultService/ExportResults"));
        assert!(!is_streaming("/no.Such/Method"));
    }

    #[test]
    fn a_part_has_the_services_of_its_packages() {
        let of_scheduling: Vec<_> = services_of("scheduling").collect();
        assert_eq!(
            of_scheduling,
            [
                "tidemill.scheduling.v1.ScalingService",
                "tidemill.scheduling.v1.SchedulingService",
                "tidemill.scheduling.v1.SteeringService",
                "tidemill.scheduling.v1.TallyService",
                "tidemill.scheduling.v1.WorkerService",
                "externalscaler.ExternalScaler",
            ]
        );
        assert_eq!(services_of("sched").count(), 0);
    }
}
