//! Tasks cancelled and retried by filter: call after call until the mesh has looked at all.

use anyhow::Result;
use serde::Serialize;
use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1::{CancelTasksRequest, RetryTasksRequest};
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::TaskFilter;

use crate::client::Client;
use crate::cmd::label::State;
use crate::output;

/// One task, or those that fit a filter.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The id of one task; without it, all tasks that fit what is said
    #[arg(
        required_unless_present_any = ["state", "kind", "group", "error", "failure_kind", "from", "until", "all"],
        conflicts_with_all = ["state", "kind", "group", "error", "failure_kind", "from", "until", "all", "dry_run"]
    )]
    pub(super) id: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Only count them
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which tasks.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those of this kind, for example analyze
    #[arg(long)]
    kind: Option<String>,
    /// Only those of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only those whose last error has this text in it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only those whose last attempt failed in this way, as its worker named it: what is before the colon of the error
    #[arg(long, value_name = "KIND")]
    failure_kind: Option<String>,
    /// Only those that ended (or were submitted, if they have not) at this moment or later: 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Only those that ended (or were submitted) before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// All that can be
    #[arg(long)]
    all: bool,
}

impl Filter {
    fn message(&self) -> TaskFilter {
        let moment = |moment: Option<Timestamp>| moment.map(|moment| from_micros(moment.as_micros()));
        TaskFilter {
            state: self.state.map_or(0, i32::from),
            kind: self.kind.clone().unwrap_or_default(),
            group: self.group.clone().unwrap_or_default(),
            error: self.error.clone().unwrap_or_default(),
            failure_kind: self.failure_kind.clone().unwrap_or_default(),
            from: moment(self.from),
            until: moment(self.until),
        }
    }
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Steering {
    Cancel,
    Retry,
}

impl Steering {
    fn word(self, is_dry: bool) -> &'static str {
        match (self, is_dry) {
            (Self::Cancel, false) => "cancelled",
            (Self::Cancel, true) => "would be cancelled",
            (Self::Retry, false) => "put back into the queue",
            (Self::Retry, true) => "would be put back into the queue",
        }
    }
}

/// How many there were.
#[derive(Serialize)]
struct Total {
    count: i64,
    dry_run: bool,
}

/// Cancels or retries all that fit.
pub(super) async fn steer(steering: Steering, which: Which, client: &Client) -> Result<()> {
    let (filter, dry_run) = (Some(which.filter.message()), which.dry_run);
    let (mut count, mut page_token) = (0, String::new());
    loop {
        let filter = filter.clone();
        let (more, next) = match steering {
            Steering::Cancel => {
                let request = CancelTasksRequest { filter, dry_run, page_token };
                let answer = client.scheduling().cancel_tasks(request).await?.into_inner();
                (answer.count, answer.next_page_token)
            }
            Steering::Retry => {
                let request = RetryTasksRequest { filter, dry_run, page_token };
                let answer = client.scheduling().retry_tasks(request).await?.into_inner();
                (answer.count, answer.next_page_token)
            }
        };
        (count, page_token) = (count + more, next);
        if page_token.is_empty() {
            break;
        }
        output::note(&format!("{count} {} so far", steering.word(dry_run)));
    }
    if which.json {
        return output::json_lines(&[Total { count, dry_run }]);
    }
    output::line(&format!("{count} {}", steering.word(dry_run)))
}
