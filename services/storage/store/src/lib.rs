//! The port of the store: traits, rows, and the in-memory store.
