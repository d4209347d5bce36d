//! The tasks that are without an answer, in their order: what waits to be sent (again), what was sent.
//!
//! Invariants: every order is answered exactly once, or its caller has gone; a task is in one place; only the stream that was
//! opened last takes tasks out.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use tidemill_proto::scheduling::v1::{SubmitTaskStreamRequest, SubmitTaskStreamResponse, SubmittedTask};
use tidemill_proto::types::v1::NewTask;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::Error;

/// A task and whoever waits for its answer.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) task: NewTask,
    pub(crate) answer: oneshot::Sender<Result<SubmittedTask, Error>>,
}

impl Order {
    fn answer(self, answer: Result<SubmittedTask, Error>) {
        // A caller that has gone away needs no answer.
        let _ = self.answer.send(answer);
    }
}

/// The tasks that are without an answer.
#[derive(Debug)]
pub(crate) struct Line {
    /// What callers ask for.
    orders: mpsc::UnboundedReceiver<Order>,
    /// What a cut gave back, to be sent before the others.
    again: VecDeque<Order>,
    /// What was sent and not answered, by rising sequence number.
    sent: VecDeque<(u64, Order)>,
    /// The number of the last one that was sent over the stream.
    last: u64,
    /// Which stream takes tasks out.
    stream: u64,
    /// The mesh has said that what it did not acknowledge is not queued.
    is_final: bool,
}

impl Line {
    pub(crate) fn new(orders: mpsc::UnboundedReceiver<Order>) -> Self {
        Self { orders, again: VecDeque::new(), sent: VecDeque::new(), last: 0, stream: 0, is_final: false }
    }

    /// Begins a stream; its number. No other one is given tasks from now on.
    pub(crate) fn begin(&mut self) -> u64 {
        (self.last, self.is_final) = (0, false);
        self.stream += 1;
        self.stream
    }

    /// The next task to send over this stream; none when there will be no more.
    pub(crate) fn poll_next(
        &mut self,
        stream: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<SubmitTaskStreamRequest>> {
        while stream == self.stream {
            let order = match self.again.pop_front() {
                Some(order) => order,
                None => match ready!(self.orders.poll_recv(context)) {
                    Some(order) => order,
                    None => break,
                },
            };
            if order.answer.is_closed() {
                continue;
            }
            self.last += 1;
            let task = Some(order.task.clone());
            self.sent.push_back((self.last, order));
            return Poll::Ready(Some(SubmitTaskStreamRequest { sequence: self.last, task }));
        }
        Poll::Ready(None)
    }

    /// Answers those that an acknowledgement tells of.
    pub(crate) fn acknowledge(&mut self, answer: SubmitTaskStreamResponse) {
        self.is_final |= answer.r#final;
        let (mut queued, mut rejections) = (answer.tasks.into_iter(), answer.rejections);
        while self.sent.front().is_some_and(|(sequence, _)| *sequence <= answer.acknowledged) {
            let Some((sequence, order)) = self.sent.pop_front() else { return };
            let rejection = rejections.iter().position(|rejection| rejection.sequence == sequence);
            let answer = match rejection.map(|place| rejections.swap_remove(place)) {
                Some(rejection) => {
                    Err(Error::Refused { field: rejection.field, description: rejection.description })
                }
                None => queued.next().ok_or_else(|| Error::Lost(Status::internal("its id was not told"))),
            };
            order.answer(answer);
        }
    }

    /// The stream was cut: what can be sent again without being made twice is kept for the next one. That is all of it where
    /// nothing was stored.
    pub(crate) fn cut(&mut self, why: &Status, is_nothing_stored: bool) {
        self.stream += 1;
        let mut again = VecDeque::with_capacity(self.sent.len() + self.again.len());
        for (_, order) in self.sent.drain(..) {
            if is_nothing_stored || self.is_final || !order.task.key.is_empty() {
                again.push_back(order);
            } else {
                order.answer(Err(Error::Lost(why.clone())));
            }
        }
        again.append(&mut self.again);
        self.again = again;
    }

    /// Nobody is waited for any longer: all that is here is answered with this.
    pub(crate) fn give_up(&mut self, why: &Status) {
        for order in self.again.drain(..) {
            order.answer(Err(Error::Away(why.clone())));
        }
        while let Ok(order) = self.orders.try_recv() {
            order.answer(Err(Error::Away(why.clone())));
        }
    }

    /// Whether no caller is left and none can come.
    pub(crate) fn is_over(&self) -> bool {
        self.sent.is_empty() && self.again.is_empty() && self.orders.is_closed() && self.orders.is_empty()
    }
}

#[cfg(test)]
mod tests;
