//! A small async client of [Consul](https://developer.hashicorp.com/consul/api-docs)'s HTTP API, complete for what a
//! service needs: it registers itself with its agent, finds others, keeps a value and holds a lock.
//!
//! | what | calls |
//! |---|---|
//! | [`Client::agent`] | register, deregister, one's own entry, TTL reports, maintenance, who the agent is |
//! | [`Client::health`] | the instances of a service, once or followed by blocking queries ([`ServiceWatch`]) |
//! | [`Client::catalog`] | the names of all services |
//! | [`Client::kv`] | get, list, put, check-and-set, acquire and release, delete |
//! | [`Client::session`] | create, renew, read, destroy |
//! | [`Client::status`] | the leader |
//!
//! ```no_run
//! use std::time::Duration;
//! use tidemill_consul::{Check, Client, Config, HealthQuery, Registration};
//!
//! # async fn example() -> Result<(), tidemill_consul::Error> {
//! let client = Client::new(&Config::at("http://127.0.0.1:8500"))?;
//! let check = Check::grpc("10.0.0.7:7400", Duration::from_secs(1));
//! client.agent().register(&Registration::new("echo-1", "echo", "10.0.0.7", 7400).check(check)).await?;
//!
//! let mut watch = client.health().watch("echo", HealthQuery::passing(), Duration::from_secs(60));
//! loop {
//!     // After an error: wait a little longer each time, then call `next` again; it reads the whole set anew.
//!     let answer = watch.next().await?;
//!     for entry in &answer.entries {
//!         println!("{}:{}", entry.host(), entry.service.port);
//!     }
//! }
//! # }
//! ```
//!
//! Invariants:
//! - Never blocks a thread, starts no task and keeps no time: retries and waits between them are the caller's.
//! - A blocking query outlives its `wait` by Consul's own jitter (a sixteenth) and the client's timeout, no longer.
//! - An error says what failed and how to mend it, and never shows the token.
//! - TLS is rustls with ring, whatever provider the process has installed; plain HTTP needs no provider at all.
//! - No proxy of the environment is used: the agent is meant to be near.
//!
//! Source: Consul's API reference; proven against Consul 1.8.7. Fields that later versions added are ignored, and the
//! answers of theirs that differ (404 for an unknown service on deregistration) are handled alike.

mod agent;
mod catalog;
mod client;
mod config;
mod error;
mod health;
mod kv;
mod registration;
mod session;
mod tls;
mod watch;
mod wire;

pub use agent::{Agent, AgentService, Identity};
pub use catalog::{Catalog, Status};
pub use client::{Client, Indexed, Wait};
pub use config::{Config, Tls};
pub use error::Error;
pub use health::{CheckState, Health, HealthQuery, Node, Service, ServiceEntry, Weights};
pub use kv::{Entry, KeyValue};
pub use registration::{Check, CheckStatus, Probe, Registration};
pub use session::{Behavior, Session, SessionSpec, Sessions};
pub use watch::{Answer, ServiceWatch};
