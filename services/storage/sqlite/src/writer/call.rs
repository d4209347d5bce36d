//! Calls that wait for the writer, with the way back to their callers.

use std::any::Any;

use tidemill_store::{Error, Result};
use tokio::sync::oneshot;

use super::Step;

/// A step of the port that writes.
pub(crate) trait Write: Sized + Send + Sync + 'static {
    /// What the caller gets.
    type Output: Send + 'static;
    /// Whether several calls can run as one. Only if running them together does what running them in turn does.
    const MERGES: bool = false;

    /// About how large its rows are.
    fn bytes(&self) -> usize {
        0
    }

    /// Runs the calls (more than one only if they merge): an output for each, in order, or an error of one of them.
    /// On an error everything is undone, and each is run alone.
    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<Self::Output>>;
}

/// Calls of one kind.
pub(super) trait Calls: Send {
    /// Takes in another call, or hands it back if it is of another kind.
    fn absorb(&mut self, next: Box<dyn Calls>) -> Option<Box<dyn Calls>>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn as_any(&self) -> &dyn Any;
    fn bytes(&self) -> usize;
    fn len(&self) -> usize;
    fn run(&mut self, step: &mut Step<'_>) -> Result<()>;
    fn run_one(&mut self, number: usize, step: &mut Step<'_>) -> Result<()>;
    fn refuse(&mut self, number: usize, error: Error);
    /// Answers the callers: each its own outcome, or the error that stopped them all.
    fn answer(self: Box<Self>, stopped: Option<&Error>);
}

/// Calls with the way back to their callers.
pub(super) struct Call<W: Write> {
    writes: Vec<W>,
    outcomes: Vec<Option<Result<W::Output>>>,
    callers: Vec<oneshot::Sender<Result<W::Output>>>,
}

impl<W: Write> Call<W> {
    /// One call and where its answer will come.
    pub(super) fn new(write: W) -> (Self, oneshot::Receiver<Result<W::Output>>) {
        let (caller, answer) = oneshot::channel();
        (Self { writes: vec![write], outcomes: vec![None], callers: vec![caller] }, answer)
    }
}

impl<W: Write> Calls for Call<W> {
    fn absorb(&mut self, next: Box<dyn Calls>) -> Option<Box<dyn Calls>> {
        if !W::MERGES || !next.as_any().is::<Self>() {
            return Some(next);
        }
        if let Ok(next) = next.into_any().downcast::<Self>() {
            self.writes.extend(next.writes);
            self.outcomes.extend(next.outcomes);
            self.callers.extend(next.callers);
        }
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn bytes(&self) -> usize {
        self.writes.iter().map(Write::bytes).sum()
    }

    fn len(&self) -> usize {
        self.writes.len()
    }

    fn run(&mut self, step: &mut Step<'_>) -> Result<()> {
        let outputs = W::run(&self.writes, step)?;
        self.outcomes = outputs.into_iter().map(|output| Some(Ok(output))).collect();
        Ok(())
    }

    fn run_one(&mut self, number: usize, step: &mut Step<'_>) -> Result<()> {
        let mut outputs = W::run(&self.writes[number..=number], step)?;
        self.outcomes[number] = outputs.pop().map(Ok);
        Ok(())
    }

    fn refuse(&mut self, number: usize, error: Error) {
        self.outcomes[number] = Some(Err(error));
    }

    fn answer(self: Box<Self>, stopped: Option<&Error>) {
        for (caller, outcome) in self.callers.into_iter().zip(self.outcomes) {
            let missing = || Err(Error::Internal("a step gave no answer".to_owned()));
            // A caller that has gone away needs no answer.
            let _ = caller.send(match stopped {
                Some(error) => Err(error.clone()),
                None => outcome.unwrap_or_else(missing),
            });
        }
    }
}
