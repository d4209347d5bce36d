//! Language-model providers behind one port, and what chooses between them.
//!
//! Invariants:
//! - Knows no tenant, no task, no recipe and no gRPC: text goes in, text and usage come out.
//! - An answer is either whole (a finish reason was seen) or an error; a cut stream never looks like an ending.
//! - Usage is always reported; when the provider does not count, it is estimated and says so.
//! - An API key appears in no error, no log line and no `Debug` output.
//! - Decisions are pure functions with table tests: what a refusal means ([`refusal::classify`]), what a stream says
//!   ([`openai::ChatStream`]), whom to try ([`router::order`]).
//!
//! To add a provider: one file with its `Config` and a type that implements [`Provider`], one pure file that reads its
//! stream, a table of its refusals, and the wire tests of `openai` against its own shapes.

pub mod config;
pub mod error;
pub mod limits;
mod metrics;
pub mod openai;
pub mod pool;
pub mod provider;
pub mod refusal;
pub mod router;
pub mod scripted;
pub mod sse;
pub mod usage;

pub use config::{ApiKey, MaxTokensField, OpenAiConfig};
pub use error::{Error, Phase};
pub use openai::OpenAi;
pub use pool::Pool;
pub use provider::{
    Completion, Delta, DeltaStream, Finish, Message, Provider, Request, ResponseSchema, Role, collect,
};
pub use refusal::{Reason, Refusal};
pub use scripted::Scripted;
pub use usage::Usage;
