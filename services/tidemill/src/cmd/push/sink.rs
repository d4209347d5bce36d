//! One push stream: a thread reads, a bounded channel keeps it in step with the mesh, acknowledgements say what is safe.
//!
//! Invariant: memory is bounded by the channel, the connection's window, and one small entry for each document that is
//! sent and not yet acknowledged.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use tidemill_ingestion::reader::Position;
use tidemill_proto::ingestion::v1::{NewDocument, PushDocumentsRequest, PushDocumentsResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::output;

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
    bar: ProgressBar,
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
        self.bar.suspend(|| output::note(text));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // The state is whole after every step, whoever panicked beside it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Streams what `read` reads, on a thread of its own. `safe` is told the place after which nothing is lost.
pub(crate) async fn send<R>(
    client: &Client,
    bar: ProgressBar,
    read: R,
    mut safe: impl FnMut(Position),
) -> Result<Tally>
where
    R: FnOnce(&Sink) + Send + 'static,
{
    let (requests, stream) = mpsc::channel(AHEAD);
    let shared = Arc::new(Mutex::new(Shared::default()));
    let sink = Sink { requests, shared: shared.clone(), bar: bar.clone() };
    let reader = tokio::task::spawn_blocking(move || read(&sink));
    let answers = client.ingestion().push_documents(ReceiverStream::new(stream)).await;
    let mut answers = answers?.into_inner();
    let (mut tally, mut acknowledged, mut rejected) = (Tally::default(), 0, 0);
    while let Some(answer) = answers.message().await? {
        acknowledged = answer.acknowledged.max(acknowledged);
        rejected += u64::try_from(answer.rejections.len()).unwrap_or(u64::MAX);
        tally = Tally {
            stored: answer.stored,
            duplicates: answer.duplicates,
            matches: answer.matches,
            refused: 0,
        };
        complain(&answer, &shared, &bar);
        match reached(acknowledged, &shared) {
            Some(next) => {
                bar.set_position(next.offset);
                safe(next);
            }
            None if bar.length().is_none() => bar.set_position(acknowledged),
            None => {}
        }
        bar.set_message(format!("{} stored, {} matches", tally.stored, tally.matches));
    }
    reader.await?;
    let shared = lock(&shared);
    if !shared.waiting.is_empty() {
        bail!(
            "the mesh ended the stream with {} documents not acknowledged; push again",
            shared.waiting.len()
        );
    }
    tally.refused = shared.refused + rejected;
    Ok(tally)
}

/// Tells each rejection with the place of its document.
fn complain(answer: &PushDocumentsResponse, shared: &Mutex<Shared>, bar: &ProgressBar) {
    for rejection in &answer.rejections {
        let place = {
            let waiting = &lock(shared).waiting;
            let found = waiting.binary_search_by_key(&rejection.sequence, |sent| sent.sequence);
            found.ok().and_then(|index| waiting.get(index)).map(|sent| sent.place.clone())
        };
        let place = place.unwrap_or_else(|| format!("document {}", rejection.sequence));
        let text = format!("{place}: {}: {}", rejection.field, rejection.description);
        bar.suspend(|| output::note(&output::one_line(&text)));
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
