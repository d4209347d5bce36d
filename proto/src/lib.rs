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
