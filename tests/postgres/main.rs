//! PostgreSQL as it runs in the field: with replicas that lag, die and are promoted, restarted under load, behind a
//! pooler, over TLS. Each test has servers of its own.

#![expect(clippy::unwrap_used, reason = "what the tests share may fail them")]

mod harness;
