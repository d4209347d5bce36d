//! Group commit across callers: the calls of one kind that wait share a transaction.
//!
//! While a group is made durable the next one gathers. It begins when the one before has ended, or when it is so large that
//! another connection is worth it ([`LARGE`]). Callers that were just answered often come back at once: a group that others
//! wait in already gives them a moment, a fraction of what a transaction takes, so that all of them share the next one
//! instead of taking turns with those that came meanwhile. A lone call never waits for company.
//!
//! A group with a call that is refused is run again call by call, so that only that one fails. A caller that goes away
//! while it waits changes nothing: its step runs to its end.

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tidemill_store::{Error, Result};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Write;
use crate::database::Database;

/// How many calls share a transaction at most.
const MAX_CALLS: usize = 512;
/// About how many bytes of rows share a transaction at most.
const MAX_BYTES: usize = 4 << 20;

/// A group of so many bytes does not wait for the one before.
const LARGE: usize = 64 << 10;
/// How long those that were answered are waited for at most, and which fraction of a transaction's time.
const MOMENT: Duration = Duration::from_micros(400);
const FRACTION: u32 = 4;

/// After so long without a call the connections go back to the pool.
const IDLE: Duration = Duration::from_millis(100);

type Call<W> = (W, oneshot::Sender<Result<<W as Write>::Output>>);
type Calls<W> = Arc<(Mutex<mpsc::Receiver<Call<W>>>, Turns)>;

/// Which groups are under way, and how the last one ended.
#[derive(Default)]
struct Turns {
    state: std::sync::Mutex<Turn>,
    ended: Notify,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    under_way: usize,
    /// How many callers were answered last, and until when they are waited for.
    answered: usize,
    until: Option<Instant>,
}

impl Turns {
    fn now(&self) -> Turn {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).under_way += 1;
    }

    fn end(&self, answered: usize, began: Instant) {
        let mut turn = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + (began.elapsed() / FRACTION).min(MOMENT);
        *turn = Turn { under_way: turn.under_way - 1, answered, until: Some(until) };
        drop(turn);
        self.ended.notify_waiters();
    }
}

/// The lanes of one kind of step.
pub(crate) struct Lanes<W: Write> {
    sender: std::sync::Mutex<Option<mpsc::Sender<Call<W>>>>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
}

impl<W: Write> Lanes<W> {
    /// Starts so many lanes. They end when this is closed or dropped and nothing waits.
    pub(crate) fn start(database: &Arc<Database>, count: u32) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_CALLS);
        let calls = Arc::new((Mutex::new(receiver), Turns::default()));
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
    while let Some(group) = gather(&database, &calls).await {
        let (writes, callers): (Vec<W>, Vec<_>) = group.into_iter().unzip();
        let began = Instant::now();
        let outcome = database.transact(&writes).await;
        calls.1.end(writes.len(), began);
        match outcome {
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

/// The calls that wait, or the next one; none when there will be no more. The group is under way then.
async fn gather<W: Write>(
    database: &Database,
    (calls, turns): &(Mutex<mpsc::Receiver<Call<W>>>, Turns),
) -> Option<Vec<Call<W>>> {
    let mut next = pin!(async {
        let mut calls = calls.lock().await;
        // Those that came before the last group ended: it was not they who were answered.
        let others = calls.len();
        let first = calls.recv().await;
        (calls, others, first)
    });
    let (mut calls, mut others, first) = tokio::select! {
        biased;
        next = &mut next => next,
        () = pause(database) => {
            // Nobody writes: the connections are free for others.
            database.let_go();
            next.await
        }
    };
    let first = first?;
    let mut group = Group { bytes: first.0.bytes(), calls: vec![first] };
    loop {
        while !group.is_full()
            && let Ok(next) = calls.try_recv()
        {
            group.push(next);
        }
        let ended = turns.ended.notified();
        let turn = turns.now();
        if group.is_full() || (turn.under_way > 0 && group.bytes >= LARGE) {
            break;
        }
        if turn.under_way > 0 {
            tokio::select! {
                next = calls.recv() => match next {
                    Some(next) => group.push(next),
                    None => break,
                },
                () = ended => others = group.calls.len(),
            }
            continue;
        }
        let is_over = turn.until.is_none_or(|until| until <= Instant::now());
        if is_over || group.calls.len() >= others + turn.answered {
            break;
        }
        tokio::task::yield_now().await;
    }
    turns.begin();
    Some(group.calls)
}

/// A while without calls, if a connection is kept meanwhile.
#[expect(clippy::disallowed_methods, reason = "what is waited for are the callers of this process")]
async fn pause(database: &Database) {
    if database.keeps_any() {
        tokio::time::sleep(IDLE).await;
    } else {
        std::future::pending::<()>().await;
    }
}

struct Group<W: Write> {
    calls: Vec<Call<W>>,
    bytes: usize,
}

impl<W: Write> Group<W> {
    fn is_full(&self) -> bool {
        self.calls.len() >= MAX_CALLS || self.bytes >= MAX_BYTES
    }

    fn push(&mut self, call: Call<W>) {
        self.bytes += call.0.bytes();
        self.calls.push(call);
    }
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
