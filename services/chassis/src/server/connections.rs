//! One connection from its first request to its end: how long it may live, and how a silent peer is noticed.
//!
//! A connection that has reached its greatest age is asked to end: its client is told to make another one (GOAWAY), what
//! runs goes on for a grace time. So clients behind something that balances connections, not calls, find instances that
//! came later. The ages are spread by a tenth up and down, so that connections made together do not end together.
//!
//! Source: gRPC's proposal A9 (server-side connection management); RFC 9113, sections 6.7 and 6.8.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::debug;

use crate::sleep;

/// How connections to a server live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// After how many milliseconds, give or take a tenth, a connection is asked to end; 0: never. Worth setting where
    /// something in between spreads connections: clients of this mesh spread calls, and need it not.
    pub max_age_ms: u64,
    /// For how many milliseconds after that what runs goes on, long-lived streams too; then it is cut.
    pub max_age_grace_ms: u64,
    /// After how many milliseconds a connection is asked whether its client is still there; 0: never.
    pub keep_alive_interval_ms: u64,
    /// How many milliseconds the client may take to say so.
    pub keep_alive_timeout_ms: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max_age_ms: 0,
            max_age_grace_ms: 30_000,
            keep_alive_interval_ms: 30_000,
            keep_alive_timeout_ms: 20_000,
        }
    }
}

impl Connections {
    /// Every setting that cannot work, by its key.
    ///
    /// # Errors
    /// One text for all of them.
    pub fn check(&self) -> Result<(), String> {
        let mut faults = Vec::new();
        if (1..1_000).contains(&self.max_age_ms) {
            faults.push("connections.max_age_ms: connections would hardly live: expected 1000 or more, or 0 for no end");
        }
        if self.keep_alive_timeout_ms == 0 {
            faults.push("connections.keep_alive_timeout_ms: no answer comes in 0 ms: expected 1 or more");
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }

    /// The greatest age of a new connection.
    pub(super) fn max_age(&self, rng: &mut impl RngCore) -> Option<Duration> {
        let spread = rng.random_range(0.9..=1.1);
        (self.max_age_ms > 0).then(|| Duration::from_millis(self.max_age_ms).mul_f64(spread))
    }
}

/// Serves the requests of a connection until it ends, is too old, or the server stops; what runs then is finished.
pub(super) async fn drive<I, S, B>(
    stream: I,
    service: S,
    settings: Connections,
    max_age: Option<Duration>,
    stop: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let builder = builder(settings);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service)));
    let is_old = tokio::select! {
        ended = &mut connection => return tell(ended),
        () = after(max_age) => true,
        () = stop.cancelled() => false,
    };
    connection.as_mut().graceful_shutdown();
    let grace = is_old.then(|| Duration::from_millis(settings.max_age_grace_ms));
    tokio::select! {
        ended = connection => tell(ended),
        () = after(grace) => debug!("an old connection is cut: what ran on it did not end in time"),
    }
}

fn tell(ended: Result<(), Box<dyn StdError + Send + Sync>>) {
    if let Err(fault) = ended {
        debug!(%fault, "a connection ended badly");
    }
}

/// Waits so long, or for ever.
async fn after(duration: Option<Duration>) {
    match duration {
        Some(duration) => sleep(duration).await,
        None => std::future::pending().await,
    }
}

fn builder(settings: Connections) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that sends its head a byte at a time is cut off; large windows keep bulk pushes streaming.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(15));
    let interval = Duration::from_millis(settings.keep_alive_interval_ms);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval((!interval.is_zero()).then_some(interval))
        .keep_alive_timeout(Duration::from_millis(settings.keep_alive_timeout_ms))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(1_024);
    builder
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn ages_are_spread_by_a_tenth(max_age_ms in 1_000_u64..100_000_000, seed: u64) {
            let settings = Connections { max_age_ms, ..Connections::default() };
            let age = settings.max_age(&mut StdRng::seed_from_u64(seed)).unwrap().as_millis() as u64;
            prop_assert!(max_age_ms * 9 / 10 <= age + 1 && age <= max_age_ms * 11 / 10 + 1);
        }
    }

    #[test]
    fn without_an_age_connections_live_on_and_what_cannot_work_is_named() {
        assert_eq!(Connections::default().max_age(&mut StdRng::seed_from_u64(1)), None);
        Connections::default().check().unwrap();
        let wrong = Connections { max_age_ms: 5, keep_alive_timeout_ms: 0, ..Connections::default() };
        let fault = wrong.check().unwrap_err();
        assert!(
            fault.contains("connections.max_age_ms: ")
                && fault.contains("connections.keep_alive_timeout_ms: ")
        );
    }
}
