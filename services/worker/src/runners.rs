//! Runs attempts: as many runners as the process has threads share a queue. A runner begins an attempt where it is: one
//! that is done at the first poll costs no spawn, one that is not is spawned. A runner that an attempt blocks holds nobody up,
//! the others go on with the queue.
//!
//! What ended gathers until the queue is empty, until it is many, or for half a millisecond: so results go out at once
//! while there is little to do, and in large batches under load.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, yield_now};

use crate::pool::{Ran, Ticket};

/// What waits for each other is handed on when it is so many.
const MANY: usize = 512;

/// After so many attempts in a row a runner lets others have the thread.
const TURN: u32 = 64;

/// An attempt, or several as one: its end is news of each.
pub(crate) type Work = Pin<Box<dyn Future<Output = End> + Send>>;

/// The end of one attempt without a list for it, or of several.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are single; a box each would cost more than the room"
)]
pub(crate) enum End {
    /// Of one.
    One(Ran),
    /// Of several.
    Many(Vec<Ran>),
}

/// The runners. Dropped, they end; what was spawned goes on unless it is stopped.
#[derive(Debug)]
pub(crate) struct Runners {
    queue: Arc<Queue>,
    running: Vec<AbortHandle>,
}

struct Queue {
    waiting: Mutex<VecDeque<(Option<Ticket>, Work)>>,
    idle: AtomicUsize,
    wake: Notify,
    news: Mutex<Vec<Ran>>,
    first: Notify,
    ready: Notify,
}

impl Runners {
    /// As many as the runtime has threads. Must be called within a tokio runtime.
    pub(crate) fn start() -> Self {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            idle: AtomicUsize::new(0),
            wake: Notify::new(),
            news: Mutex::default(),
            first: Notify::new(),
            ready: Notify::new(),
        });
        let threads = tokio::runtime::Handle::current().metrics().num_workers();
        let start = |_| tokio::spawn(Arc::clone(&queue).run()).abort_handle();
        let running = (0..threads).map(start).collect();
        Self { queue, running }
    }

    /// Queues these; those with a ticket can be taken out again.
    pub(crate) fn run(&self, work: impl Iterator<Item = (Option<Ticket>, Work)>) {
        lock(&self.queue.waiting).extend(work);
        self.queue.wake.notify_one();
    }

    /// Takes an attempt out that was not begun.
    pub(crate) fn take_out(&self, ticket: Ticket) {
        lock(&self.queue.waiting).retain(|(other, _)| *other != Some(ticket));
    }

    /// Waits for the first news after the last ones were taken.
    pub(crate) async fn first(&self) {
        self.queue.first.notified().await;
    }

    /// Waits until it is time to take the news, if they do not come to be old before.
    pub(crate) async fn ready(&self) {
        self.queue.ready.notified().await;
    }

    /// The news.
    pub(crate) fn news(&self) -> Vec<Ran> {
        let mut news = lock(&self.queue.news);
        let room = if news.len() < MANY { 0 } else { MANY };
        std::mem::replace(&mut *news, Vec::with_capacity(room))
    }
}

impl Drop for Runners {
    fn drop(&mut self) {
        self.running.iter().for_each(AbortHandle::abort);
    }
}

impl Queue {
    async fn run(self: Arc<Self>) {
        let mut turn = 0;
        loop {
            if let Some((ticket, work)) = self.next() {
                self.begin(ticket, work);
                turn += 1;
                if turn >= TURN {
                    turn = 0;
                    yield_now().await;
                }
            } else {
                turn = 0;
                self.hurry();
                self.idle.fetch_add(1, Ordering::SeqCst);
                let woken = self.wake.notified();
                // What came between the look and the wait would be seen by nobody.
                if lock(&self.waiting).is_empty() {
                    woken.await;
                }
                self.idle.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// The next attempt; another runner is woken if there are more.
    fn next(&self) -> Option<(Option<Ticket>, Work)> {
        let mut waiting = lock(&self.waiting);
        let next = waiting.pop_front()?;
        let has_more = !waiting.is_empty();
        drop(waiting);
        if has_more && self.idle.load(Ordering::SeqCst) > 0 {
            self.wake.notify_one();
        }
        Some(next)
    }

    fn begin(self: &Arc<Self>, ticket: Option<Ticket>, mut work: Work) {
        // Whoever awaits something is polled again at once where it is spawned, and then with a waker that counts.
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => self.note(end),
            Poll::Pending => {
                let queue = Arc::clone(self);
                let handle = tokio::spawn(async move {
                    let end = work.await;
                    queue.note(end);
                    if lock(&queue.waiting).is_empty() {
                        queue.hurry();
                    }
                })
                .abort_handle();
                if let Some(ticket) = ticket {
                    self.note(End::One(Ran::Begun(ticket, handle)));
                }
            }
        }
    }

    fn note(&self, end: End) {
        let mut news = lock(&self.news);
        let before = news.len();
        match end {
            End::One(one) => news.push(one),
            End::Many(many) => news.extend(many),
        }
        let now = news.len();
        drop(news);
        if before == 0 {
            self.first.notify_one();
        }
        if before < MANY && now >= MANY {
            self.ready.notify_one();
        }
    }

    /// There is nothing else to do: the news are wanted now.
    fn hurry(&self) {
        if !lock(&self.news).is_empty() {
            self.ready.notify_one();
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// No holder of a lock of this file can leave what it guards half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
