//! The HTTP client of the scenarios.

/// A client without TLS; the library asks for a crypto provider all the same.
pub(crate) fn http() -> reqwest::Client {
    // Fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
