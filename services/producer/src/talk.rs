//! Holds the stream: opens it, reads its acknowledgements, opens it again after a cut.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Wire, sleep};
use tidemill_kernel::ErrorKind;
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_proto::scheduling::v1::SubmitTaskStreamRequest;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tokio::time::Instant;
use tonic::{Code, Request, Status};
use tracing::{debug, warn};

use crate::Config;
use crate::line::Line;

/// Between tries of a mesh that is away.
const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(2), jitter: Jitter::Equal };

/// The line as the stream's two ends share it.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Line>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What goes out: taken from the line only when there is room on the connection.
struct Outgoing {
    line: Shared,
    stream: u64,
}

impl Stream for Outgoing {
    type Item = SubmitTaskStreamRequest;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.line.lock().poll_next(self.stream, context)
    }
}

/// Talks until the last producer is gone and everything is answered.
pub(crate) async fn talk(wire: Wire, config: Config, line: Line) {
    let line = Shared(Arc::new(Mutex::new(line)));
    let client = SchedulingServiceClient::new(wire);
    let (mut rng, mut failures, mut last_heard) = (seeded_rng(), 0, Instant::now());
    loop {
        let mut heard = Heard::Nothing;
        let end = converse(client.clone(), &config, &line, &mut heard).await;
        if line.lock().is_over() {
            return;
        }
        if heard == Heard::Acknowledgement {
            failures = 0;
        }
        if heard != Heard::Nothing {
            last_heard = Instant::now();
        }
        failures += 1;
        let is_refused = !passes(&end);
        // What was refused before it began has stored nothing.
        line.lock().cut(&end, is_refused && heard == Heard::Nothing);
        if is_refused || last_heard.elapsed() >= config.patience {
            warn!(fault = end.message(), "the mesh takes no tasks");
            line.lock().give_up(&end);
        } else {
            debug!(fault = end.message(), "the stream was cut");
        }
        sleep(BACKOFF.delay(failures, &mut rng)).await;
    }
}

/// What a stream has heard of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Opened,
    Acknowledgement,
}

/// One stream, until it ends; why it did.
async fn converse(
    mut client: SchedulingServiceClient<Wire>,
    config: &Config,
    line: &Shared,
    heard: &mut Heard,
) -> Status {
    let stream = line.lock().begin();
    let mut request = Request::new(Outgoing { line: line.clone(), stream });
    *request.metadata_mut() = config.metadata.clone();
    let mut answers = match client.submit_task_stream(request).await {
        Ok(answer) => answer.into_inner(),
        Err(fault) => return fault,
    };
    *heard = Heard::Opened;
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                *heard = Heard::Acknowledgement;
                line.lock().acknowledge(answer);
            }
            Ok(None) => return Status::unavailable("the mesh has ended the stream"),
            Err(fault) => return fault,
        }
    }
}

/// Whether another try can help: not where the mesh has refused this caller. A connection that broke is Unknown, Internal or
/// Cancelled, as it happens.
fn passes(fault: &Status) -> bool {
    let kind = ErrorKind::from_grpc_code(u16::try_from(i32::from(fault.code())).unwrap_or(2));
    kind.is_transient()
        || matches!(fault.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Aborted)
}
