//! Calls at a fixed rate, whatever becomes of those before, each timed from when it was due; and who got them.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::Result;
use http::{Request, Response};
use tidemill_chassis::balance::Balance;
use tidemill_chassis::discovery::{Address, Follow, Instance};
use tidemill_chassis::layers::{Methods, client_stack};
use tidemill_chassis::{ClientConfig, Wire, sleep};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::Service;

/// When each call to one address was sent.
pub(crate) type Log = Arc<Mutex<Vec<Instant>>>;

/// A connection that notes the calls which are sent over it.
#[derive(Debug, Clone)]
struct Noted {
    channel: Channel,
    log: Option<Log>,
}

impl Service<Request<Body>> for Noted {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = tonic::transport::channel::ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
        self.channel.call(request)
    }
}

/// A wire over these instances as a client with these settings has it; the calls to one of them are noted.
pub(crate) fn wire(config: &ClientConfig, instances: Vec<Instance>, noted: &Address) -> (Wire, Log) {
    let (log, noted) = (Log::default(), noted.clone());
    let (noting, settings) = (Arc::clone(&log), config.clone());
    let connect = move |address: &Address| {
        let mut endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?.tcp_nodelay(true);
        if let Some(keep_alive) = settings.keep_alive() {
            endpoint = endpoint
                .http2_keep_alive_interval(keep_alive.interval)
                .keep_alive_timeout(keep_alive.timeout)
                .keep_alive_while_idle(keep_alive.while_idle);
        }
        let log = (*address == noted).then(|| Arc::clone(&noting));
        Some(Noted { channel: endpoint.connect_lazy(), log })
    };
    let patience = Duration::from_secs(1);
    let balance = Balance::new("bench", Follow::always(instances), connect, config.rules(), patience);
    // Health checks change nothing: they may be tried again and hedged, where the settings say so.
    let methods = Methods { idempotent: |_| true, safe: |_| true, streaming: |_| false };
    (client_stack("bench", balance, config.retry_policy(methods)), log)
}

/// What became of the calls.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How long the answered ones took, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// How many were not answered.
    pub(crate) failed: usize,
}

impl Outcome {
    /// What this share of the answered calls took at most.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// Makes so many calls a second for so long.
pub(crate) async fn run(wire: &Wire, rate: f64, length: Duration, deadline: Duration) -> Result<Outcome> {
    let (begun, count) = (Instant::now(), (rate * length.as_secs_f64()) as usize);
    let mut calls = JoinSet::new();
    for turn in 0..count {
        let due = begun + Duration::from_secs_f64(turn as f64 / rate);
        sleep(due.saturating_duration_since(Instant::now())).await;
        let mut client = HealthClient::new(wire.clone());
        calls.spawn(async move {
            let mut request = tonic::Request::new(HealthCheckRequest::default());
            request.set_timeout(deadline);
            client.check(request).await.ok().map(|_| due.elapsed())
        });
    }
    let mut outcome = Outcome::default();
    while let Some(answer) = calls.join_next().await {
        match answer? {
            Some(latency) => outcome.latencies.push(latency),
            None => outcome.failed += 1,
        }
    }
    outcome.latencies.sort_unstable();
    Ok(outcome)
}
