//! Ended attempts as arrays, and the statements that take them.

use sqlx::query_as;
use tidemill_kernel::{Id, Timestamp};
use tidemill_store::task::{Attempt, Completion, Failure, TaskState};

use super::statements::{AGAIN, END, END_RECORDED};
use crate::task::fence::Fences;
use crate::task::row::{placed, text};
use crate::writer::{Outcome, Step};

/// Tasks and what their latest attempts tell.
#[derive(Default)]
struct Attempts<'a> {
    ids: Vec<Id>,
    places: Vec<i64>,
    moments: Vec<i64>,
    numbers: Vec<i64>,
    started: Vec<i64>,
    workers: Vec<Option<&'a str>>,
}

impl<'a> Attempts<'a> {
    fn push(&mut self, attempt: &'a Attempt) {
        let (place, moment) = placed(attempt.task);
        self.ids.push(attempt.task);
        self.places.push(place);
        self.moments.push(moment);
        self.numbers.push(attempt.number.into());
        self.started.push(attempt.started_at.as_micros());
        self.workers.push(text(&attempt.worker));
    }

    /// Those that counted: all, or those of these numbers, from 1.
    fn counted(self, numbers: Option<Vec<i64>>) -> Vec<Id> {
        let Some(numbers) = numbers else { return self.ids };
        let id = |number: i64| self.ids.get(usize::try_from(number - 1).ok()?).copied();
        numbers.into_iter().filter_map(id).collect()
    }
}

/// Whether the fence held, which counted by their numbers (none for all), how many changes of counts there were.
type Saved = (bool, Option<Vec<i64>>, i64);

/// Attempts that were the last.
#[derive(Default)]
pub(super) struct Ended<'a> {
    attempts: Attempts<'a>,
    states: Vec<i32>,
    finished: Vec<i64>,
    /// None: the last one stays.
    errors: Vec<Option<&'a str>>,
    results: Vec<Option<&'a str>>,
}

impl<'a> Ended<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    pub(super) fn complete(&mut self, row: &'a Completion, now: Timestamp) {
        self.push(&row.attempt, TaskState::Succeeded, now, None, text(&row.result));
    }

    pub(super) fn give_up(&mut self, row: &'a Failure, now: Timestamp) {
        self.push(&row.attempt, TaskState::Dead, now, Some(&row.error), None);
    }

    fn push(
        &mut self,
        attempt: &'a Attempt,
        state: TaskState,
        now: Timestamp,
        error: Option<&'a str>,
        result: Option<&'a str>,
    ) {
        self.attempts.push(attempt);
        self.states.push(state.number());
        self.finished.push(now.as_micros());
        self.errors.push(error);
        self.results.push(result);
    }

    /// Ends them; those that counted. `locked`: their rows are, and what hangs on them is to go too.
    pub(super) async fn save(self, fences: &Fences, locked: bool, step: &mut Step<'_>) -> Outcome<Vec<Id>> {
        let Self { attempts, states, finished, errors, results } = self;
        let end = query_as::<_, Saved>(if locked { END_RECORDED } else { END });
        let end =
            end.bind(&fences.shards).bind(&fences.epochs).bind(&attempts.places).bind(&attempts.moments);
        let end = end.bind(states).bind(&attempts.numbers).bind(&attempts.started).bind(&attempts.workers);
        let saved = step.row(end.bind(finished).bind(errors).bind(results)).await?;
        take_in(saved, attempts, fences, step).await
    }
}

/// Attempts that are followed by another.
#[derive(Default)]
pub(super) struct Again<'a> {
    attempts: Attempts<'a>,
    run_at: Vec<i64>,
    errors: Vec<Option<&'a str>>,
}

impl<'a> Again<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.run_at.is_empty()
    }

    pub(super) fn push(&mut self, row: &'a Failure, retry_at: Timestamp) {
        self.attempts.push(&row.attempt);
        self.run_at.push(retry_at.as_micros());
        self.errors.push(text(&row.error));
    }

    /// Puts them back; those that counted.
    pub(super) async fn save(self, fences: &Fences, step: &mut Step<'_>) -> Outcome<Vec<Id>> {
        let Self { attempts, run_at, errors } = self;
        let again = query_as::<_, Saved>(AGAIN).bind(&fences.shards).bind(&fences.epochs);
        let again = again.bind(&attempts.places).bind(&attempts.moments).bind(&attempts.numbers);
        let again = again.bind(&attempts.started).bind(&attempts.workers).bind(run_at).bind(errors);
        let saved = step.row(again).await?;
        take_in(saved, attempts, fences, step).await
    }
}

async fn take_in(
    saved: Option<Saved>,
    attempts: Attempts<'_>,
    fences: &Fences,
    step: &mut Step<'_>,
) -> Outcome<Vec<Id>> {
    let (holds, numbers, changes) = saved.unwrap_or_default();
    if !holds {
        return Err(fences.broken(step).await?.into());
    }
    step.counted += changes.unsigned_abs();
    Ok(attempts.counted(numbers))
}
