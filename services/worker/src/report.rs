//! What an attempt says while it runs: progress, checkpoints, keys to be closed. It says it to the pool, which sends it to
//! whoever runs the task's shard.

use tidemill_kernel::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use crate::pool::Ticket;

/// One attempt's way to the pool. Without one, for tests of handlers, nothing is heard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Option<(Ticket, UnboundedSender<Report>)>);

/// What an attempt says.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ticket: Ticket,
    pub(crate) news: News,
}

/// The news of an attempt.
#[derive(Debug)]
pub(crate) enum News {
    /// How far it has come, with a note.
    Progress(f32, String),
    /// From where the next attempt can go on.
    Checkpoint(Vec<u8>),
    /// A key that is closed until a moment, and why.
    CloseKey(String, Timestamp, String),
}

impl Reports {
    pub(crate) fn of(ticket: Ticket, to: UnboundedSender<Report>) -> Self {
        Self(Some((ticket, to)))
    }

    pub(crate) fn progress(&self, percent: f32, note: String) {
        self.say(News::Progress(percent, note));
    }

    pub(crate) fn save(&self, checkpoint: Vec<u8>) {
        self.say(News::Checkpoint(checkpoint));
    }

    pub(crate) fn close_key(&self, key: String, until: Timestamp, reason: String) {
        self.say(News::CloseKey(key, until, reason));
    }

    /// After the worker has ended, nobody hears it.
    fn say(&self, news: News) {
        if let Some((ticket, to)) = &self.0 {
            let _ = to.send(Report { ticket: *ticket, news });
        }
    }
}
