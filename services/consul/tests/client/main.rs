//! The client against the real agent, and against servers that misbehave.

mod acl;
mod agent;
mod faults;
mod health;
mod kv;
mod server;
mod tls;
