//! The store behind the storage service: the port's conformance suite run through gRPC, and what the service adds to
//! the port.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod grpc_store;
mod service;

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_store::conformance::history;
use tidemill_store::{MemoryStore, Store};

/// An empty store in memory.
fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new("memory"))
}

/// The storage service over this store, seen as a store.
fn through_grpc(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(grpc_store::GrpcStore::over(store))
}

mod memory_through_grpc {
    use super::{memory, through_grpc};

    tidemill_store::conformance_suite!((through_grpc(memory()), ()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_store_answers_through_grpc_as_it_does_itself(steps in history::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history::check_history(memory(), through_grpc(memory()), &steps));
    }
}
