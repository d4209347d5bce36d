//! Questions to the store that are under way, and what has ended since they were asked: their answers may not show it.
//!
//! Questions are numbered. A task that ends after question 7 was asked may be missed by the answers to 1 to 7, and is seen by
//! those to all later ones: the engine hears of an end after the store has it. So an end is remembered for as long as a
//! question is open that is no younger, and makes nobody ask more than once.

use std::collections::{BTreeSet, VecDeque};

use hashbrown::HashMap;
use tidemill_kernel::Id;

/// The most that are under way at once: what is to be asked meanwhile goes together into the next ones.
pub(super) const AT_ONCE: usize = 4;

/// Numbers of questions, and ends.
#[derive(Debug, Default)]
pub(super) struct Questions {
    /// Of the last one.
    last: u64,
    open: BTreeSet<u64>,
    ended: HashMap<Id, End>,
    /// The same by the question that was the last one then; an older entry of a task that has ended again counts no more.
    in_order: VecDeque<(u64, Id)>,
}

/// A task has ended.
#[derive(Debug)]
struct End {
    /// The last question that was asked before.
    after: u64,
    succeeded: bool,
}

impl Questions {
    /// Whether another one may be asked now.
    pub(super) fn have_room(&self) -> bool {
        self.open.len() < AT_ONCE
    }

    /// The number of the last one, if any is under way.
    pub(super) fn last_if_open(&self) -> Option<u64> {
        (!self.open.is_empty()).then_some(self.last)
    }

    /// The number of the oldest one that is under way; the largest there is if none is.
    pub(super) fn oldest(&self) -> u64 {
        self.open.first().copied().unwrap_or(u64::MAX)
    }

    /// The number of one that is asked now.
    pub(super) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.open.insert(self.last);
        self.last
    }

    /// One was answered: ends that only older ones can have missed are forgotten.
    pub(super) fn end(&mut self, number: u64) {
        self.open.remove(&number);
        let oldest = self.oldest();
        while let Some((after, task)) = self.in_order.pop_front_if(|(after, _)| *after < oldest) {
            if self.ended.get(&task).is_some_and(|end| end.after == after) {
                self.ended.remove(&task);
            }
        }
    }

    /// A task has ended. That it succeeded is final.
    pub(super) fn note_end(&mut self, task: Id, succeeded: bool) {
        if self.open.is_empty() {
            return;
        }
        let after = self.last;
        let before = self.ended.get(&task);
        let succeeded = succeeded || before.is_some_and(|end| end.succeeded);
        if before.is_none_or(|end| end.after != after) {
            self.in_order.push_back((after, task));
        }
        self.ended.insert(task, End { after, succeeded });
    }

    /// Whether a task succeeded, if it has ended since this question was asked.
    pub(super) fn ended_since(&self, number: u64, task: Id) -> Option<bool> {
        self.ended.get(&task).filter(|end| end.after >= number).map(|end| end.succeeded)
    }

    /// How much is remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.ended.len() + self.in_order.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_kernel::Timestamp;

    use super::*;

    fn id(number: i64) -> Id {
        Id::placed(Timestamp::from_micros(1_000), number)
    }

    /// What may happen: a question is asked, the open one of this number (modulo) is answered, a task ends.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Ask,
        Answer(usize),
        End(i64, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            Just(Step::Ask),
            (0..4_usize).prop_map(Step::Answer),
            (0..5_i64, any::<bool>()).prop_map(|(task, succeeded)| Step::End(task, succeeded)),
        ]
    }

    proptest! {
        /// Against a list of everything that has happened.
        #[test]
        fn an_open_question_knows_what_ended_since_it_was_asked(steps in prop::collection::vec(step(), 1..60)) {
            let (mut questions, mut open) = (Questions::default(), Vec::new());
            // Every end with the number of questions asked before it.
            let (mut asked, mut ends): (u64, Vec<(u64, i64, bool)>) = (0, Vec::new());
            for step in steps {
                match step {
                    Step::Ask if questions.have_room() => {
                        open.push(questions.begin());
                        asked += 1;
                    }
                    Step::Ask => prop_assert_eq!(open.len(), AT_ONCE),
                    Step::Answer(_) if open.is_empty() => {}
                    Step::Answer(place) => questions.end(open.remove(place % open.len())),
                    Step::End(task, succeeded) => {
                        questions.note_end(id(task), succeeded);
                        ends.push((asked, task, succeeded));
                    }
                }
                for (number, task) in open.iter().flat_map(|number| (0..5).map(move |task| (*number, task))) {
                    let since = ends.iter().filter(|(after, ended, _)| *after >= number && *ended == task);
                    let succeeded: Vec<bool> = since.map(|(.., succeeded)| *succeeded).collect();
                    let known = questions.ended_since(number, id(task));
                    prop_assert_eq!(known.is_some(), !succeeded.is_empty());
                    // What succeeded before the question was asked may be told as well: it is final.
                    prop_assert!(known != Some(false) || !succeeded.contains(&true));
                }
                let oldest = open.first().copied().unwrap_or(u64::MAX);
                let remembered = ends.iter().filter(|(after, ..)| *after >= oldest).count();
                prop_assert!(questions.in_order.len() <= remembered);
                prop_assert!(questions.ended.len() <= questions.in_order.len());
            }
        }
    }
}
