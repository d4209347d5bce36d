//! Group commit across callers: the calls of one kind that wait share a transaction.
//!
//! A few lanes take turns at the queue of calls: while one lane's transaction is made durable, the next lane takes in
//! what came meanwhile. So a lone call never waits for company, and under load the size of a group follows the time
//! of a commit. A group with a call that is refused is run again call by call, so that only that one fails.
//!
//! A caller that goes away while it waits changes nothing: its step runs to its end.

use std::sync::{Arc, PoisonError};

use tidemill_store::{Error, Result};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Write;
use crate::database::Database;

/// How many calls share a transaction at most.
const MAX_CALLS: usize = 512;
/// About how many bytes of rows share a transaction at most.
const MAX_BYTES: usize = 4 << 20;

type Call<W> = (W, oneshot::Sender<Result<<W as Write>::Output>>);
type Calls<W> = Arc<Mutex<mpsc::Receiver<Call<W>>>>;

/// The lanes of one kind of step.
pub(crate) struct Lanes<W: Write> {
    sender: std::sync::Mutex<Option<mpsc::Sender<Call<W>>>>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Write> Lanes<W> {
    /// Starts so many lanes. They end when this is closed or dropped and nothing waits.
    pub(crate) fn start(database: &Arc<Database>, count: u32) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_CALLS);
        let calls = Arc::new(Mutex::new(receiver));
        let lane = |_| tokio::spawn(run(Arc::clone(database), Arc::clone(&calls)));
        let lanes = Mutex::new((0..count).map(lane).collect());
        Self { sender: std::sync::Mutex::new(Some(sender)), lanes }
    }

    /// Runs a step and answers when it is durable.
    pub(crate) async fn call(&self, write: W) -> Result<W::Output> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (caller, answer) = oneshot::channel();
        sender.ok_or_else(closed)?.send((write, caller)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Runs what waits, then ends.
    pub(crate) async fn close(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        for lane in self.lanes.lock().await.drain(..) {
            // It ends by itself: nobody can send any more.
            let _ = lane.await;
        }
    }
}

fn closed() -> Error {
    Error::Unavailable("it was closed".to_owned())
}

async fn run<W: Write>(database: Arc<Database>, calls: Calls<W>) {
    while let Some(group) = gather(&calls).await {
        let (writes, callers): (Vec<W>, Vec<_>) = group.into_iter().unzip();
        match database.transact(&writes).await {
            Ok(outputs) => {
                for (caller, output) in callers.into_iter().zip(outputs) {
                    // A caller that has gone away needs no answer.
                    let _ = caller.send(Ok(output));
                }
            }
            Err(error) if writes.len() == 1 || is_of_all(&error) => {
                for caller in callers {
                    let _ = caller.send(Err(error.clone()));
                }
            }
            Err(_) => run_apart(&database, writes, callers).await,
        }
    }
}

/// The calls that wait, or the next one; none when there will be no more.
async fn gather<W: Write>(calls: &Calls<W>) -> Option<Vec<Call<W>>> {
    let mut calls = calls.lock().await;
    let first = calls.recv().await?;
    let mut bytes = first.0.bytes();
    let mut group = vec![first];
    while group.len() < MAX_CALLS && bytes < MAX_BYTES {
        let Ok(next) = calls.try_recv() else { break };
        bytes += next.0.bytes();
        group.push(next);
    }
    Some(group)
}

/// Whether the error is no single call's.
fn is_of_all(error: &Error) -> bool {
    matches!(error, Error::Unavailable(_) | Error::Full(_))
}

/// Runs calls one by one, so that only those fail that must.
async fn run_apart<W: Write>(
    database: &Arc<Database>,
    writes: Vec<W>,
    callers: Vec<oneshot::Sender<Result<W::Output>>>,
) {
    for (write, caller) in writes.into_iter().zip(callers) {
        let _ = caller.send(database.write(write).await);
    }
}
