//! `tidemill task`: tasks of the queue.

mod many;
mod stream;
mod submit;

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::Subcommand;
use tidemill_proto::scheduling::v1::{
    CancelTaskRequest, ExplainTaskRequest, GetTaskRequest, ListTasksRequest, PrioritiseTaskRequest,
    RetryTaskRequest,
};
use tidemill_proto::types::v1::Task;

use super::label::{self, Priority, State};
use crate::client::Client;
use crate::exit::{Exit, Hint};
use crate::output::{self, Table};
use many::{Steering, Which};
use submit::Submit;

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List tasks, newest first
    #[command(after_help = "Example:\n  tidemill task list --state dead")]
    List(List),
    /// Show one task
    #[command(after_help = "Example:\n  tidemill task show 0198c0de-0000-7000-8000-000000000000")]
    Show(One),
    /// Submit a task of a kind that a worker of yours runs, or a file of tasks
    #[command(
        after_help = "Examples:\n  tidemill task submit resize --payload '{\"image\": 17}' --idempotency-key resize-17 --limit-key model:small\n  tidemill task submit --file tasks.jsonl\n\nA line of a file is a task: {\"kind\": \"resize\", \"payload\": {\"image\": 17}, \"priority\": \"PRIORITY_BACKGROUND\"}, with the\nfields of the contract (key, run_at, max_attempts, options and so on). A line without a key gets one that is made of the\nline and its number: a command that was cut off goes on when it is given again, and a file is not queued twice."
    )]
    Submit(Submit),
    /// Say why a task waits and when it should start
    #[command(after_help = "Example:\n  tidemill task explain 0198c0de-0000-7000-8000-000000000000")]
    Explain(One),
    /// Cancel a task that is not finished, or all that fit a filter
    #[command(
        after_help = "Examples:\n  tidemill task cancel 0198c0de-0000-7000-8000-000000000000\n  tidemill task cancel --state waiting --kind resize --dry-run"
    )]
    Cancel(Which),
    /// Put a dead or cancelled task back into the queue, or all that fit a filter
    #[command(
        after_help = "Examples:\n  tidemill task retry 0198c0de-0000-7000-8000-000000000000\n  tidemill task retry --state dead --kind analyze --error timeout --from 2026-01-31T09:00:00Z\n\nWhat was done before an interruption stays; the same command does the rest."
    )]
    Retry(Which),
    /// Move a task that is not finished to another priority
    #[command(
        after_help = "Example:\n  tidemill task prioritise 0198c0de-0000-7000-8000-000000000000 interactive"
    )]
    Prioritise(Prioritise),
}

/// Which tasks.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those of this kind, for example analyze
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
    /// Print JSON, one task a line
    #[arg(long)]
    json: bool,
}

/// Which task.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its id
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which task, and how urgent it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Prioritise {
    /// Its id
    id: String,
    /// How urgent it is
    #[arg(value_enum)]
    priority: Priority,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists, shows, submits, explains, cancels, retries, prioritises.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    let mut queue = client.scheduling();
    let (task, json) = match action {
        Action::List(args) => {
            list(args, client).await?;
            return Ok(Exit::Done);
        }
        Action::Show(One { id, json }) => {
            (queue.get_task(GetTaskRequest { id }).await.with_context(which)?.into_inner().task, json)
        }
        Action::Submit(new) => return submit::run(new, client).await,
        Action::Explain(One { id, json }) => {
            explain(id, json, client).await?;
            return Ok(Exit::Done);
        }
        Action::Cancel(which) if which.id.is_none() => {
            many::steer(Steering::Cancel, which, client).await?;
            return Ok(Exit::Done);
        }
        Action::Retry(which) if which.id.is_none() => {
            many::steer(Steering::Retry, which, client).await?;
            return Ok(Exit::Done);
        }
        Action::Cancel(Which { id, json, .. }) => {
            let id = id.unwrap_or_default();
            (queue.cancel_task(CancelTaskRequest { id }).await.with_context(which)?.into_inner().task, json)
        }
        Action::Retry(Which { id, json, .. }) => {
            let id = id.unwrap_or_default();
            (queue.retry_task(RetryTaskRequest { id }).await.with_context(which)?.into_inner().task, json)
        }
        Action::Prioritise(Prioritise { id, priority, json }) => {
            let request = PrioritiseTaskRequest { id, priority: priority.into() };
            (queue.prioritise_task(request).await.with_context(which)?.into_inner().task, json)
        }
    };
    let task = task.unwrap_or_default();
    if json {
        output::json_lines(&[task])?
    } else {
        show(&task)?
    }
    Ok(Exit::Done)
}

/// What to do when there is no such task, or not in the state that is needed.
fn which() -> Hint {
    Hint("`tidemill task list` shows the tasks of this tenant with their states".to_owned())
}

async fn explain(id: String, json: bool, client: &Client) -> Result<()> {
    let request = ExplainTaskRequest { id };
    let answer = client.steering().explain_task(request).await.with_context(which)?.into_inner();
    if json {
        return output::json_lines(&[answer]);
    }
    if answer.reasons.is_empty() {
        let state = answer.task.as_ref().map_or_else(String::new, |task| label::state(task.state));
        return output::line(&format!("it does not wait: it is {state}"));
    }
    for reason in &answer.reasons {
        output::line(reason)?;
    }
    match answer.expected_at {
        Some(at) => output::line(&format!("expected to start at {}", label::time(Some(&at)))),
        None => output::line("when it will start cannot be told"),
    }
}

async fn list(args: List, client: &Client) -> Result<()> {
    let request = ListTasksRequest {
        state: args.state.map_or(0, i32::from),
        kind: args.kind,
        page_size: args.limit,
        page_token: String::new(),
    };
    let page = client.scheduling().list_tasks(request).await?.into_inner();
    output::note_more(&page.next_page_token);
    if args.json {
        return output::json_lines(&page.tasks);
    }
    let mut table = Table::new(["ID", "KIND", "PRIORITY", "STATE", "TRIES", "CREATED", "ERROR"]);
    for task in page.tasks {
        let tries = format!("{}/{}", task.attempt, task.max_attempts);
        let created = label::time(task.created_at.as_ref());
        let (priority, state) = (label::priority(task.priority), label::state(task.state));
        table.row([task.id, task.kind, priority, state, tries, created, output::short(&task.error, 60)]);
    }
    table.print()
}

fn show(task: &Task) -> Result<()> {
    let rows = [
        ("id", task.id.clone()),
        ("kind", task.kind.clone()),
        ("state", label::state(task.state)),
        ("priority", label::priority(task.priority)),
        ("tries", format!("{} of {}", task.attempt, task.max_attempts)),
        ("created", label::time(task.created_at.as_ref())),
        ("started", label::time(task.started_at.as_ref())),
        ("finished", label::time(task.finished_at.as_ref())),
        ("worker", task.worker.clone()),
        ("progress", task.progress.clone()),
        ("key", task.key.clone()),
        ("group", task.group.clone()),
        ("payload", task.payload.clone()),
        ("result", task.result.clone()),
        ("error", task.error.clone()),
    ];
    let mut out = io::stdout().lock();
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{name:<9} {}", output::one_line(&value))?;
    }
    Ok(())
}
