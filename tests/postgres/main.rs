//! PostgreSQL as it runs in the field: with replicas that lag, die and are promoted, restarted under load, behind a
//! pooler, over TLS. Each test has servers of its own.

#![expect(clippy::unwrap_used, reason = "what the tests share may fail them")]

mod doctor;
mod harness;
mod pooler;
mod sessions;
mod survival;
mod tls;

/// An HTTP client for a mesh on loopback; the library asks for a crypto provider all the same.
fn http() -> reqwest::Client {
    // Fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
