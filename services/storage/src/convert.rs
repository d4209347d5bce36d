//! Messages to rows and back. `decode_*` checks every field and names the one that breaks its rule; `encode_*` cannot
//! fail, except where it meets JSON text that no service of this kind stored. Both directions are public: a client of
//! this service that wants rows (the conformance suite's) uses the same code the other way round.

pub mod content;
pub mod found;
pub mod json;
pub mod lease;
pub mod options;
pub mod reference;
pub mod rule;
pub mod selection;
pub mod setting;
pub mod shard;
pub mod task;
pub mod tenant;
pub mod time;

#[cfg(test)]
mod tests;
