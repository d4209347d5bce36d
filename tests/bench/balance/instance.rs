//! One instance: gRPC health behind the server's layers, each call delayed, on a runtime of its own, so that it can die
//! alone: its sockets closed, or everything still open and nobody at work, as a process that was stopped.

use std::convert::Infallible;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Request;
use hyper::body::Incoming;
use tidemill_chassis::discovery::Address;
use tidemill_chassis::layers::{Methods, ServerLimits, server_stack};
use tidemill_chassis::{server, sleep};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

/// How an instance dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its sockets are closed: connections break, new ones are refused.
    Refused,
    /// Its sockets stay open and say nothing.
    Silent,
}

/// A server that runs until it dies or is dropped.
pub(crate) struct Instance {
    pub(crate) address: Address,
    runtime: Option<Runtime>,
    /// What a silent instance waits for.
    silence: Option<mpsc::Sender<()>>,
}

impl Instance {
    /// Starts one that takes this long for a call.
    pub(crate) async fn start(delay: Duration) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.spawn(server::bind(([127, 0, 0, 1], 0).into())).await??;
        let address = listener.local_addr()?.to_string().parse()?;
        let (_, health) = tonic_health::server::health_reporter();
        let wire = server_stack("bench", Routes::new(health), ServerLimits::default(), Methods::default());
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let wire = wire.clone();
            async move {
                sleep(delay).await;
                let answer = wire.oneshot(request.map(Body::new)).await;
                Ok::<_, Infallible>(answer.unwrap_or_else(|fault| Status::from_error(fault).into_http()))
            }
        });
        runtime.spawn(server::serve(listener, service, CancellationToken::new()));
        Ok(Self { address, runtime: Some(runtime), silence: None })
    }

    /// It dies.
    pub(crate) fn die(&mut self, how: Death) -> Result<()> {
        match how {
            Death::Refused => self.runtime.take().context("it has died already")?.shutdown_background(),
            Death::Silent => {
                let (sender, receiver) = mpsc::channel::<()>();
                self.silence = Some(sender);
                // The only thread of the runtime waits: nothing is read, written or accepted any more.
                self.runtime
                    .as_ref()
                    .context("it has died already")?
                    .spawn(async move { receiver.recv().ok() });
            }
        }
        Ok(())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.silence = None;
        // Waiting for it is not allowed in async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
