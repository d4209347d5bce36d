//! The one writer: takes the steps that wait, runs them in one transaction, commits, and only then answers.
//!
//! Group commit: while one transaction is made durable, the next steps gather; they share the next one. Steps of one
//! kind that follow each other run as one (see [`Write::run`]). One that fails is undone alone: the transaction begins
//! anew, and each step runs inside a savepoint. A commit that fails (no room, a failing disk) is the answer to every step
//! in it, and nothing of them stays.
//!
//! A caller that goes away while it waits changes nothing: its step runs to its end.

mod call;
mod step;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tidemill_store::{Connections, Error, Result};
use tokio::sync::{mpsc, oneshot};

pub(crate) use call::Write;
use call::{Call, Calls};
pub(crate) use step::{Limit, Memo, Step, encode};

use crate::checkpoint::Checkpointer;
use crate::error::closed;
use crate::statement::query;

/// How many calls share a transaction at most.
const MAX_CALLS: usize = 256;
/// About how many bytes of rows share a transaction at most.
const MAX_BYTES: usize = 4 << 20;

/// The handle to the writer.
pub(crate) struct Writer {
    /// The data folder, for who has to make room in it.
    folder: PathBuf,
    sender: Mutex<Option<mpsc::Sender<Box<dyn Calls>>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    commits: Arc<AtomicU64>,
    busy: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the writer. It holds the lock until its connection is closed.
    pub(crate) fn start(
        folder: &Path,
        connection: Connection,
        checkpointer: Checkpointer,
        lock: File,
    ) -> std::io::Result<Self> {
        let (sender, calls) = mpsc::channel(MAX_CALLS);
        let (commits, busy) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let looped = Loop {
            connection,
            checkpointer,
            memo: Memo::default(),
            calls,
            commits: Arc::clone(&commits),
            busy: Arc::clone(&busy),
            lock,
        };
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || {
            looped.run();
            // Nobody has to wait for the end.
            let _ = end.send(());
        })?;
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let (sender, ended) = (Mutex::new(Some(sender)), Mutex::new(Some(ended)));
        Ok(Self { folder, sender, ended, commits, busy })
    }

    /// Runs a step and answers when it is durable.
    pub(crate) async fn call<W: Write>(&self, write: W) -> Result<W::Output> {
        let (call, answer) = Call::new(write);
        let sender = lock(&self.sender).clone().ok_or_else(closed)?;
        sender.send(Box::new(call)).await.map_err(|_| closed())?;
        drop(sender);
        answer.await.map_err(|_| closed())?.map_err(|error| match error {
            Error::Full(reason) => Error::Full(format!("{} in {}", reason, self.folder.display())),
            other => other,
        })
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> Connections {
        let used = usize::from(self.busy.load(Ordering::Relaxed));
        Connections { pool: "writer", idle: 1 - used, used }
    }

    pub(crate) async fn close(&self) {
        drop(lock(&self.sender).take());
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            // It ends by itself: nobody can send any more.
            let _ = ended.await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a transaction came to nothing.
enum Refused {
    /// A step failed; the others need not.
    Step(Error),
    /// It could not begin, or was not made durable.
    All(Error),
}

struct Loop {
    connection: Connection,
    checkpointer: Checkpointer,
    memo: Memo,
    calls: mpsc::Receiver<Box<dyn Calls>>,
    commits: Arc<AtomicU64>,
    busy: Arc<AtomicBool>,
    lock: File,
}

impl Loop {
    fn run(mut self) {
        while let Some(first) = self.calls.blocking_recv() {
            let groups = self.gather(first);
            self.busy.store(true, Ordering::Relaxed);
            self.transact(groups);
            self.busy.store(false, Ordering::Relaxed);
        }
        // The last connection to be closed copies what is left of the log.
        drop(self.checkpointer);
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        drop(self.lock);
    }

    /// The calls that wait, those of one kind that follow each other as one.
    fn gather(&mut self, first: Box<dyn Calls>) -> Vec<Box<dyn Calls>> {
        let (mut calls, mut bytes) = (1, first.bytes());
        let mut groups = vec![first];
        while calls < MAX_CALLS && bytes < MAX_BYTES {
            let Ok(next) = self.calls.try_recv() else { break };
            calls += 1;
            bytes += next.bytes();
            let next = match groups.last_mut() {
                Some(last) => last.absorb(next),
                None => Some(next),
            };
            groups.extend(next);
        }
        groups
    }

    fn transact(&mut self, mut groups: Vec<Box<dyn Calls>>) {
        let mut outcome = self.together(&mut groups);
        if matches!(outcome, Err(Refused::Step(_)))
            && groups.iter().map(|group| group.len()).sum::<usize>() > 1
        {
            self.roll_back();
            outcome = self.apart(&mut groups).map_err(Refused::All);
        }
        match &outcome {
            Ok(()) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.checkpointer.committed();
            }
            Err(_) => self.roll_back(),
        }
        let stopped = outcome.err().map(|(Refused::Step(error) | Refused::All(error))| error);
        for group in groups {
            group.answer(stopped.as_ref());
        }
    }

    /// All groups in one transaction, as long as none fails: most often none does, and savepoints would cost a copy of
    /// every page that is written.
    fn together(&mut self, groups: &mut [Box<dyn Calls>]) -> Result<(), Refused> {
        self.begin().map_err(Refused::All)?;
        for group in groups {
            let mut step = Step { connection: &self.connection, memo: &mut self.memo };
            group.run(&mut step).map_err(Refused::Step)?;
        }
        self.execute("COMMIT").map_err(Refused::All)
    }

    /// Each group in a savepoint of its own, so that those which fail are undone alone.
    fn apart(&mut self, groups: &mut [Box<dyn Calls>]) -> Result<()> {
        self.begin()?;
        self.execute("SAVEPOINT step")?;
        for group in groups {
            let mut step = Step { connection: &self.connection, memo: &mut self.memo };
            match group.run(&mut step) {
                Ok(()) => self.keep()?,
                Err(error) => {
                    self.undo(&error)?;
                    if group.len() == 1 {
                        group.refuse(0, error);
                    } else {
                        self.run_apart(group)?;
                    }
                }
            }
        }
        self.execute("COMMIT")
    }

    fn begin(&mut self) -> Result<()> {
        self.execute("BEGIN IMMEDIATE")?;
        if self.memo.is_empty() {
            self.memo.load(&self.connection)?;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        // Often there is none any more: SQLite ends a transaction itself when the disk fails.
        let _ = self.execute("ROLLBACK");
        self.memo.forget();
    }

    /// Runs the calls of a group that failed one by one, so that only those fail that must.
    fn run_apart(&mut self, group: &mut Box<dyn Calls>) -> Result<()> {
        for number in 0..group.len() {
            let mut step = Step { connection: &self.connection, memo: &mut self.memo };
            match group.run_one(number, &mut step) {
                Ok(()) => self.keep()?,
                Err(error) => {
                    self.undo(&error)?;
                    group.refuse(number, error);
                }
            }
        }
        Ok(())
    }

    /// Keeps what was done since the savepoint, as far as the transaction is kept.
    fn keep(&mut self) -> Result<()> {
        self.execute("RELEASE step")?;
        self.execute("SAVEPOINT step")
    }

    /// Undoes what was done since the savepoint. When even that fails the transaction is gone, which SQLite does when
    /// the disk is full or fails: then the step's error stops everybody.
    fn undo(&mut self, cause: &Error) -> Result<()> {
        self.execute("ROLLBACK TO step").map_err(|_| cause.clone())?;
        self.memo.load(&self.connection)
    }

    fn execute(&self, statement: &'static str) -> Result<()> {
        query(statement).execute(&self.connection).map(|_| ())
    }
}
