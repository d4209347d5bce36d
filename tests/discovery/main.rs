//! Discovery, registration and balancing with a real Consul.

mod calls;
mod outage;
mod registration;
mod server;
#[cfg(test)]
mod stage;
