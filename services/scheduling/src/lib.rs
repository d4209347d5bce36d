//! The scheduling service: a durable, fair task queue over the store.
