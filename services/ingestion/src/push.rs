//! Documents that clients push: one by one, or as a stream that is acknowledged after every commit.
//!
//! The stream is pulled, not pushed: nothing is read unless its answer is wanted, so memory stays flat and a client
//! that stops reading acknowledgements only stalls itself. A batch is what has arrived while the ones before were
//! being stored; a bounded number is under way at once, and they are acknowledged in their order. When the process is
//! to stop, a stream takes nothing more, acknowledges what it took, and ends with a fault that says so.

use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};
use tidemill_chassis::{Context, FaultExt};
use tidemill_kernel::{Fault, Violation};
use tidemill_proto::ingestion::v1::{
    NewDocument, PushDocumentRequest, PushDocumentResponse, PushDocumentsRequest, PushDocumentsResponse,
    Rejection,
};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::batch::{Bounds, ready_batches};
use crate::convert::decode_document;
use crate::document::{self, Document, Limits};
use crate::pipeline::{Pipeline, Stored};
use crate::{Config, Error};

/// How a stream ends when the process is to stop.
const STOPPING: &str = "this mesh is stopping: what it acknowledged is stored; once it runs again, push again, it goes on \
                        where it was acknowledged";

/// Takes pushed documents in.
#[derive(Debug, Clone)]
pub(crate) struct Push {
    pipeline: Arc<Pipeline>,
    limits: Limits,
    bounds: Bounds,
    in_flight: usize,
    stop: CancellationToken,
}

impl Push {
    /// Pushes into this pipeline; streams end when the token is cancelled.
    pub(crate) fn new(pipeline: Arc<Pipeline>, config: &Config, stop: CancellationToken) -> Self {
        let bounds = Bounds { items: config.batch_documents, bytes: config.batch_bytes };
        let (limits, in_flight) = (config.document.clone(), config.batches_in_flight);
        Self { pipeline, limits, bounds, in_flight, stop }
    }

    /// Stores one document.
    pub(crate) async fn one(
        &self,
        context: &Context,
        request: PushDocumentRequest,
    ) -> Result<Response<PushDocumentResponse>, Status> {
        let message = request.document.ok_or_else(|| missing().into_status())?;
        let limits = self.limits.clone();
        let prepared = spawn_blocking(move || prepare(message, &limits)).await;
        let prepared = prepared.map_err(|_| Error::Stopped("reading the document"))?;
        let document = prepared.map_err(|violation| {
            Fault::invalid(format!("document.{}", violation.field), violation.description).into_status()
        })?;
        let document_id = document.id.to_string();
        let (mut stored, written) = self.pipeline.append(context, vec![document]).await?;
        let Stored { duplicate, queries, .. } = stored.pop().ok_or(Error::Stopped("storing the document"))?;
        Ok(written.on(PushDocumentResponse { document_id, duplicate, queries }))
    }

    /// Stores a stream of documents. Ends after the last acknowledgement, or with the fault that ended it after the
    /// acknowledgements of all that came before.
    pub(crate) fn stream<S>(
        self,
        context: Context,
        requests: S,
    ) -> impl Stream<Item = Result<PushDocumentsResponse, Status>> + Send + 'static
    where
        S: Stream<Item = Result<PushDocumentsRequest, Status>> + Send + Unpin + 'static,
    {
        let in_flight = self.in_flight;
        let mut totals = Totals::default();
        let requests = until_stopped(requests, self.stop.clone()).boxed();
        ready_batches(numbered(requests), self.bounds, size)
            .map(move |batch| self.clone().store(context.clone(), batch))
            .buffered(in_flight)
            .flat_map(move |outcome| stream::iter(totals.answer(outcome)))
    }

    async fn store(self, context: Context, batch: Vec<Result<Numbered, Status>>) -> Outcome {
        let limits = self.limits.clone();
        let Ok(mut sorted) = spawn_blocking(move || sort(batch, &limits)).await else {
            return Outcome::failed(Error::Stopped("reading the documents").into());
        };
        match self.pipeline.append(&context, std::mem::take(&mut sorted.documents)).await {
            Ok((stored, _)) => Outcome { stored, ..sorted.outcome },
            Err(status) => Outcome::failed(status),
        }
    }
}

fn missing() -> Fault {
    Fault::invalid("document", "is missing; send the document beside its sequence number")
}

/// The field that a fault names.
fn only(mut fault: Fault) -> Violation {
    let named = fault.violations.pop();
    named.unwrap_or(Violation { field: "document".to_owned(), description: fault.message })
}

fn prepare(message: NewDocument, limits: &Limits) -> Result<Document, Violation> {
    let new = decode_document(message).map_err(only)?;
    document::prepare(new, limits).map_err(|error| error.violation())
}

/// A message of the stream with the sequence number that counts.
struct Numbered {
    sequence: u64,
    document: Option<NewDocument>,
}

fn size(item: &Result<Numbered, Status>) -> usize {
    item.as_ref()
        .ok()
        .and_then(|item| item.document.as_ref())
        .map_or(0, |new| new.body.len() + new.title.len())
}

/// The requests up to the moment when the process is to stop, then the fault that tells it.
fn until_stopped<S>(
    requests: S,
    stop: CancellationToken,
) -> impl Stream<Item = Result<PushDocumentsRequest, Status>> + Send
where
    S: Stream<Item = Result<PushDocumentsRequest, Status>> + Send + Unpin,
{
    stream::unfold(Some(requests), move |requests| {
        let stop = stop.clone();
        async move {
            let mut requests = requests?;
            tokio::select! {
                biased;
                () = stop.cancelled() => Some((Err(Status::unavailable(STOPPING)), None)),
                request = requests.next() => request.map(|request| (request, Some(requests))),
            }
        }
    })
}

/// Gives every message its number; the first fault, of the stream or of its numbers, is the last item.
fn numbered<S>(requests: S) -> impl Stream<Item = Result<Numbered, Status>> + Send + Unpin
where
    S: Stream<Item = Result<PushDocumentsRequest, Status>> + Send + Unpin,
{
    requests.scan(Some(0), |last, request| {
        let numbered = last.map(|before| request.and_then(|request| number(before, request)));
        *last = numbered.as_ref().and_then(|item| item.as_ref().ok()).map(|item| item.sequence);
        std::future::ready(numbered)
    })
}

fn number(before: u64, request: PushDocumentsRequest) -> Result<Numbered, Status> {
    let sequence = match request.sequence {
        0 => before.saturating_add(1),
        given => given,
    };
    if sequence <= before {
        let rule =
            format!("is {sequence} after {before}; number the documents upwards, or send 0 throughout");
        return Err(Fault::invalid("sequence", rule).into_status());
    }
    Ok(Numbered { sequence, document: request.document })
}

/// A batch, read: what can be stored, and what is known of the outcome before it is.
struct Sorted {
    documents: Vec<Document>,
    outcome: Outcome,
}

fn sort(batch: Vec<Result<Numbered, Status>>, limits: &Limits) -> Sorted {
    let mut sorted = Sorted { documents: Vec::with_capacity(batch.len()), outcome: Outcome::default() };
    for item in batch {
        let Numbered { sequence, document } = match item {
            Ok(numbered) => numbered,
            Err(status) => {
                sorted.outcome.end = Some(status);
                break;
            }
        };
        sorted.outcome.last = Some(sequence);
        match document.ok_or_else(|| only(missing())).and_then(|message| prepare(message, limits)) {
            Ok(document) => sorted.documents.push(document),
            Err(Violation { field, description }) => {
                sorted.outcome.rejections.push(Rejection { sequence, field, description });
            }
        }
    }
    sorted
}

/// What became of a batch.
#[derive(Default)]
struct Outcome {
    /// The last sequence number in it.
    last: Option<u64>,
    stored: Vec<Stored>,
    rejections: Vec<Rejection>,
    /// The fault that ends the stream after this batch.
    end: Option<Status>,
}

impl Outcome {
    /// Nothing of the batch was stored.
    fn failed(status: Status) -> Self {
        Self { end: Some(status), ..Self::default() }
    }
}

/// Counts since the stream began.
#[derive(Default)]
struct Totals {
    stored: u64,
    duplicates: u64,
    matches: u64,
    ended: bool,
}

impl Totals {
    /// The acknowledgement of a batch, then the fault that ends the stream, if there is one. After a fault nothing.
    fn answer(&mut self, outcome: Outcome) -> Vec<Result<PushDocumentsResponse, Status>> {
        if self.ended {
            return Vec::new();
        }
        self.ended = outcome.end.is_some();
        for stored in &outcome.stored {
            *(if stored.duplicate { &mut self.duplicates } else { &mut self.stored }) += 1;
            self.matches += stored.new_matches;
        }
        let acknowledgement = outcome.last.map(|acknowledged| {
            Ok(PushDocumentsResponse {
                acknowledged,
                stored: self.stored,
                duplicates: self.duplicates,
                matches: self.matches,
                rejections: outcome.rejections,
            })
        });
        acknowledgement.into_iter().chain(outcome.end.map(Err)).collect()
    }
}
