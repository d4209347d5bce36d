//! `tidemill status`: what is stored, and the state of the queue.

use std::io::{self, Write};

use anyhow::Result;
use tidemill_proto::scheduling::v1::{GetQueueRequest, QueueState};
use tidemill_proto::storage::v1::GetCountsRequest;

use super::label;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill status --json")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let counts = client.results().get_counts(GetCountsRequest {}).await?.into_inner();
    let queue =
        client.scheduling().get_queue(GetQueueRequest {}).await?.into_inner().queue.unwrap_or_default();
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &serde_json::json!({"counts": counts, "queue": queue}))?;
        return Ok(Exit::Done);
    }
    let (documents, queries, sources) = (counts.documents, counts.queries, counts.sources);
    writeln!(out, "documents {documents}   queries {queries}   sources {sources}")?;
    writeln!(out, "matches {}   analyses {}   store {}\n", counts.matches, counts.analyses, counts.store_id)?;
    table(&queue).write(&mut out, 0)?;
    Ok(Exit::Done)
}

/// The queue by priority.
pub(crate) fn table(queue: &QueueState) -> Table<8> {
    let heading =
        ["PRIORITY", "WAITING", "RUNNING", "DONE", "DEAD", "CANCELLED", "WAIT (MEDIAN)", "WAIT (99%)"];
    let mut table = Table::new(heading);
    for row in &queue.priorities {
        table.row([
            label::priority(row.priority),
            row.waiting.to_string(),
            row.running.to_string(),
            row.succeeded.to_string(),
            row.dead.to_string(),
            row.cancelled.to_string(),
            label::wait(row.wait_p50.as_ref()),
            label::wait(row.wait_p99.as_ref()),
        ]);
    }
    table
}
