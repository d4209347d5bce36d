//! Following a service by blocking queries: keeps the index as Consul's guide asks for.
//!
//! The index is passed back as it came; one that went backwards starts anew from 0, because Consul has lost or restored
//! its state and would hold the query until it catches up; one below 1 counts as 1, because a query from 0 is answered
//! at once and would turn in circles. After an error too the next query is from 0: behind the same address there may
//! be another Consul, whose lower index would otherwise be waited for in vain.
//!
//! Source: "Blocking Queries" in Consul's API reference, section on implementation details.

use std::time::Duration;

use crate::{Client, Error, HealthQuery, ServiceEntry, Wait};

/// The instances of a service, followed. Made by [`Health::watch`](crate::Health::watch).
#[derive(Debug)]
pub struct ServiceWatch {
    client: Client,
    name: String,
    query: HealthQuery,
    wait: Duration,
    cursor: Cursor,
}

/// What the catalog says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All instances that the query selects.
    pub entries: Vec<ServiceEntry>,
    /// The index is lower than the one before: Consul has lost its state or restored an older one, so that instances
    /// may be missing which have only not registered again yet.
    pub is_rewound: bool,
}

impl ServiceWatch {
    pub(crate) fn new(client: Client, name: String, query: HealthQuery, wait: Duration) -> Self {
        Self { client, name, query, wait, cursor: Cursor::default() }
    }

    /// Waits for the next answer: the first one comes at once, the others when something changed or the wait is over, so
    /// that an answer can equal the one before. Can be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// Those of [`Health::service`](crate::Health::service). Wait a while, longer each time, before calling it again.
    pub async fn next(&mut self) -> Result<Answer, Error> {
        let wait = Some(Wait { index: self.cursor.next, at_most: self.wait }).filter(|wait| wait.index > 0);
        match self.client.health().service(&self.name, &self.query, wait).await {
            Ok(answer) => {
                let is_rewound = self.cursor.advance(answer.index);
                Ok(Answer { entries: answer.value, is_rewound })
            }
            Err(fault) => {
                self.cursor.next = 0;
                Err(fault)
            }
        }
    }
}

/// The index to ask from, and the last one seen.
#[derive(Debug, Default)]
struct Cursor {
    next: u64,
    seen: u64,
}

impl Cursor {
    /// Takes in the index of an answer; returns whether it went backwards.
    fn advance(&mut self, index: u64) -> bool {
        let is_rewound = index < self.seen;
        // Within one series of queries a step back means: read anew. After an error it was read anew already.
        self.next = if index < self.next { 0 } else { index.max(1) };
        self.seen = index;
        is_rewound
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_query_asks_for_more_than_was_answered_or_turns_in_circles(
            steps in prop::collection::vec(prop::option::of(0_u64..20), 1..50),
        ) {
            let mut cursor = Cursor::default();
            let mut last = None;
            for step in steps {
                let asked = cursor.next;
                let Some(index) = step else {
                    cursor.next = 0;
                    continue;
                };
                prop_assert_eq!(cursor.advance(index), last.is_some_and(|last| index < last));
                if index < asked {
                    prop_assert_eq!(cursor.next, 0, "a step back starts anew");
                } else {
                    prop_assert_eq!(cursor.next, index.max(1), "the next query waits for news");
                }
                last = Some(index);
            }
        }
    }
}
