//! The gateway in front of canned services, over real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail them")]

mod auth;
mod errors;
mod fakes;
mod grpc;
mod mesh;
mod streams;
mod unary;
