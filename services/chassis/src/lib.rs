//! What a process needs to be a good service, whatever the service does: the real clock, faults as gRPC statuses, the
//! context of a call, wires, layers, parts, lifecycle, server, discovery, telemetry.
//!
//! Invariants:
//! - Knows no Tidemill service and none of its messages, and no SQL.
//! - A policy is a layer; the mechanism under it is a pure state machine in `tidemill-kernel`.
//! - A call passes the same layers whether the other part is in this process or behind a socket.
//!
//! To add a layer: one file in `layers/` with its reason, one line in the list of [`layers::server_stack`]
//! or [`layers::client_stack`].

pub mod balance;
pub mod client;
pub mod clock;
pub mod context;
pub mod discovery;
pub mod fault;
pub mod layers;
pub mod lifecycle;
pub mod meta;
pub mod pages;
pub mod part;
pub mod reads;
pub mod remote;
pub mod server;
pub mod switchboard;
pub mod telemetry;
pub mod tls;
pub mod wire;

pub use client::ClientConfig;
pub use clock::{SystemClock, sleep};
pub use context::Context;
pub use fault::FaultExt;
pub use lifecycle::Shutdown;
pub use part::{Background, Part};
pub use reads::{Reads, Written};
pub use switchboard::Switchboard;
pub use wire::Wire;
