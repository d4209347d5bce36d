//! One push stream: a thread reads, a bounded channel keeps it in step with the mesh, acknowledgements say what is safe.
//!
//! Invariant: memory is bounded by the channel, the connection's window, and one small entry for each document that is
//! sent and not yet acknowledged.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde::Serialize;
use tidemill_ingestion::reader::Position;
use tidemill_proto::ingestion::v1::{NewDocument, PushDocumentsRequest, PushDocumentsResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::voice::Voice;
use crate::client::Client;

/// Documents that are read ahead of the connection.
const AHEAD: usize = 64;

/// What became of the documents of one push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// New documents.
    pub(crate) stored: u64,
    /// Documents that the tenant had already.
    pub(crate) duplicates: u64,
    /// New matches.
    pub(crate) matches: u64,
    /// Documents that were left out, by the reader or by the mesh.
    pub(crate) refused: u64,
}

impl Tally {
    /// How many documents were looked at.
    pub(crate) fn total(&self) -> u64 {
        self.stored + self.duplicates + self.refused
    }
}

/// A push that ended before its input did: what was acknowledged by then, and why.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) tally: Tally,
    pub(crate) status: Status,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the push was cut off")
    }
}

impl std::error::Error for Cut {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.status)
    }
}

/// Reads an input to its end, or until nobody takes what it reads.
pub(crate) type Read = Box<dyn FnOnce(&Sink) + Send>;

/// A document on its way.
struct Sent {
    sequence: u64,
    /// Where it stands, as `file:line` or a path.
    place: String,
    next: Option<Position>,
}

/// What reader and receiver share.
#[derive(Default)]
struct Shared {
    waiting: VecDeque<Sent>,
    last: u64,
    refused: u64,
}

/// Where the reading thread puts what it reads.
pub(crate) struct Sink {
    requests: mpsc::Sender<PushDocumentsRequest>,
    shared: Arc<Mutex<Shared>>,
    voice: Voice,
}

impl Sink {
    /// Sends a document; waits while the mesh is behind. False when nobody takes any more.
    pub(crate) fn document(&self, document: NewDocument, place: String, next: Option<Position>) -> bool {
        let sequence = {
            let mut shared = lock(&self.shared);
            shared.last += 1;
            let sequence = shared.last;
            shared.waiting.push_back(Sent { sequence, place, next });
            sequence
        };
        self.requests.blocking_send(PushDocumentsRequest { sequence, document: Some(document) }).is_ok()
    }

    /// Says that something was left out.
    pub(crate) fn refuse(&self, text: &str) {
        lock(&self.shared).refused += 1;
        self.warn(text);
    }

    /// Says something about the input.
    pub(crate) fn warn(&self, text: &str) {
        self.voice.say(text);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The state is whole after every step, whoever panicked beside it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Streams what `read` reads, on a thread of its own. `safe` is told the place after which nothing is lost.
pub(crate) async fn send(
    client: &Client,
    voice: Voice,
    read: Read,
    mut safe: impl FnMut(Position),
) -> Result<Tally> {
    let (requests, stream) = mpsc::channel(AHEAD);
    let shared = Arc::new(Mutex::new(Shared::default()));
    let sink = Sink { requests, shared: shared.clone(), voice: voice.clone() };
    let (end, ended) = oneshot::channel();
    // Not a task of the runtime: that would wait at its end for a read of a pipe that nobody writes to.
    let reader = move || {
        read(&sink);
        // The receiver is gone when the push was cut off.
        let _ = end.send(());
    };
    std::thread::Builder::new().name("reader".to_owned()).spawn(reader).context("cannot start a thread")?;

    let (mut tally, mut rejected, mut before) = (Tally::default(), 0, 0);
    let outcome = async {
        let mut answers = client.ingestion().push_documents(ReceiverStream::new(stream)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            rejected += u64::try_from(answer.rejections.len()).unwrap_or(u64::MAX);
            complain(&answer, &shared, &voice);
            tally = Tally {
                stored: answer.stored,
                duplicates: answer.duplicates,
                matches: answer.matches,
                refused: 0,
            };
            advance(&voice, &answer, reached(answer.acknowledged, &shared), &mut before, &mut safe);
        }
        match lock(&shared).waiting.len() {
            0 => Ok(()),
            open => Err(Status::unavailable(format!(
                "the mesh ended the stream with {open} documents not acknowledged"
            ))),
        }
    };
    let outcome: Result<(), Status> = outcome.await;
    if outcome.is_ok() {
        ended.await.context("the reader ended before its input did; push again")?;
    }
    tally.refused = lock(&shared).refused + rejected;
    match outcome {
        Ok(()) => Ok(tally),
        Err(status) => Err(Cut { tally, status }.into()),
    }
}

/// Shows how far an answer brings the push, and hands on the place that is safe.
fn advance(
    voice: &Voice,
    answer: &PushDocumentsResponse,
    next: Option<Position>,
    before: &mut u64,
    safe: &mut impl FnMut(Position),
) {
    let bar = voice.bar();
    if let Some(next) = next {
        bar.set_position(next.offset);
        safe(next);
    } else if bar.length().is_none() {
        // Others may count on the same bar.
        bar.inc(answer.acknowledged.saturating_sub(*before));
    }
    *before = answer.acknowledged.max(*before);
    let PushDocumentsResponse { stored, duplicates, matches, .. } = answer;
    bar.set_message(format!("{stored} stored, {duplicates} known already, {matches} matches"));
}

/// Tells each rejection with the place of its document.
fn complain(answer: &PushDocumentsResponse, shared: &Mutex<Shared>, voice: &Voice) {
    for rejection in &answer.rejections {
        let place = {
            let waiting = &lock(shared).waiting;
            let found = waiting.binary_search_by_key(&rejection.sequence, |sent| sent.sequence);
            found.ok().and_then(|index| waiting.get(index)).map(|sent| sent.place.clone())
        };
        let place = place.unwrap_or_else(|| format!("document {}", rejection.sequence));
        let (field, description) = (&rejection.field, &rejection.description);
        // Many descriptions begin with the field's name.
        let field = if description.starts_with(field) { String::new() } else { format!("{field}: ") };
        voice.say(&format!("{place}: {field}{description}"));
    }
}

/// Forgets what is acknowledged; the place after the last of it.
fn reached(acknowledged: u64, shared: &Mutex<Shared>) -> Option<Position> {
    let mut shared = lock(shared);
    let mut next = None;
    while shared.waiting.front().is_some_and(|sent| sent.sequence <= acknowledged) {
        next = shared.waiting.pop_front().and_then(|sent| sent.next);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_forgotten_and_names_the_place_after_it() {
        let mut state = Shared::default();
        for sequence in 1..=4 {
            let next = Some(Position { offset: sequence * 10, line: sequence + 1 });
            state.waiting.push_back(Sent { sequence, place: String::new(), next });
        }
        let shared = Mutex::new(state);
        assert_eq!(reached(0, &shared), None);
        assert_eq!(reached(3, &shared).map(|next| next.offset), Some(30));
        assert_eq!(lock(&shared).waiting.len(), 1);
    }
}
