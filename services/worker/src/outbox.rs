//! Results on their way: those for the same scheduler in one message, as long as it does not get too large.

use prost::Message;
use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1::{Results, Snooze};
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{Completion, Failure};

use crate::handler::{Done, Failed};
use crate::pool::LinkId;

/// A message is closed at so many results, or at about so many bytes.
const RESULTS: usize = 4_096;
const BYTES: usize = 2 << 20;

/// Messages that are being filled.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    open: Vec<Filling>,
    closed: Vec<(LinkId, Results)>,
}

#[derive(Debug)]
struct Filling {
    link: LinkId,
    results: Results,
    count: usize,
    bytes: usize,
}

impl Outbox {
    /// Adds the result of an attempt for this scheduler.
    pub(crate) fn add(&mut self, link: LinkId, task: Id, token: &str, result: &Result<Done, Failed>) {
        let index = self.open.iter().position(|filling| filling.link == link).unwrap_or_else(|| {
            self.open.push(Filling { link, results: Results::default(), count: 0, bytes: 0 });
            self.open.len() - 1
        });
        let Some(filling) = self.open.get_mut(index) else { return };
        filling.count += 1;
        filling.bytes += size(result);
        put(&mut filling.results, task.to_string(), token.to_owned(), result);
        if filling.count >= RESULTS || filling.bytes >= BYTES {
            let Filling { link, results, .. } = self.open.swap_remove(index);
            self.closed.push((link, results));
        }
    }

    /// The messages.
    pub(crate) fn into_messages(self) -> impl Iterator<Item = (LinkId, Results)> {
        self.closed.into_iter().chain(self.open.into_iter().map(|filling| (filling.link, filling.results)))
    }
}

/// About how many bytes a result takes.
fn size(result: &Result<Done, Failed>) -> usize {
    128 + match result {
        Ok(Done { result, analysis, follow_ups }) => {
            let analysis = analysis.as_ref().map_or(0, Message::encoded_len);
            result.len() + analysis + follow_ups.iter().map(|task| 128 + task.payload.len()).sum::<usize>()
        }
        Err(Failed { error, .. }) => error.len(),
    }
}

fn put(results: &mut Results, task_id: String, token: String, result: &Result<Done, Failed>) {
    match result {
        Ok(Done { result, analysis, follow_ups }) => results.completions.push(Completion {
            task_id,
            token,
            result: result.clone(),
            analysis: analysis.clone().map(Box::new),
            follow_ups: follow_ups.clone(),
        }),
        Err(Failed { error, not_before: Some(until), snoozed: true, .. }) => {
            let until = Some(from_micros(until.as_micros()));
            results.snoozes.push(Snooze { task_id, token, until, reason: error.clone() });
        }
        Err(Failed { error, retryable, not_before, kind, .. }) => results.failures.push(Failure {
            kind: kind.clone(),
            task_id,
            token,
            error: error.clone(),
            retryable: *retryable,
            not_before: not_before.map(|moment| from_micros(moment.as_micros())),
        }),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_kernel::Timestamp;

    use super::*;

    #[test]
    fn results_share_a_message_by_scheduler_until_it_is_full() {
        let mut outbox = Outbox::default();
        let task = Id::from_bytes([7; 16]);
        for index in 0..RESULTS + 1 {
            outbox.add(u32::from(index == 3), task, "t", &Ok(Done::default()));
        }
        outbox.add(2, task, "t", &Ok(Done::with("x".repeat(BYTES))));
        outbox.add(2, task, "t", &Err(Failed::for_now("no")));
        outbox.add(2, task, "t", &Err(Failed::snooze(Timestamp::from_micros(5), "busy")));
        let mut sizes: Vec<_> = outbox
            .into_messages()
            .map(|(link, all)| (link, all.completions.len(), all.failures.len(), all.snoozes.len()))
            .collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [(0, RESULTS, 0, 0), (1, 1, 0, 0), (2, 0, 1, 1), (2, 1, 0, 0)]);
    }
}
