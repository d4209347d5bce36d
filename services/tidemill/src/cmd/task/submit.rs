//! `tidemill task submit`: one task, or a file of them.

use std::path::PathBuf;

use anyhow::Result;
use clap::ArgGroup;
use tidemill_kernel::{Id, Timestamp};
use tidemill_proto::scheduling::v1::SubmitTasksRequest;
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, NewTask, TaskOptions};

use super::stream;
use crate::client::Client;
use crate::cmd::label::Priority;
use crate::exit::Exit;
use crate::output;

/// A new task.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("waits").args(["depends_on", "after_group"]).multiple(true)))]
pub(crate) struct Submit {
    /// What has to be done: 1 to 63 of a-z, 0-9, dot, dash and underscore
    #[arg(required_unless_present = "file")]
    kind: Option<String>,
    /// Tasks to be streamed, a JSON object a line; `-` is stdin; what depends on others comes after them
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["kind", "payload", "priority", "idempotency_key", "run_at", "deadline", "max_attempts", "limit_keys", "cost", "order_key", "unique", "group", "depends_on", "after_group", "on_dependency_failure"]
    )]
    file: Option<PathBuf>,
    /// Print the counts of a file as JSON
    #[arg(long, requires = "file")]
    json: bool,
    /// What the worker needs to know
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    payload: String,
    /// How urgent it is
    #[arg(long, value_enum, default_value = "normal")]
    priority: Priority,
    /// Idempotency key: a second task with it is not made
    #[arg(long, default_value = "", hide_default_value = true, value_name = "KEY")]
    idempotency_key: String,
    /// Of the tasks with its idempotency key, count only those that have not ended
    #[arg(long, requires = "idempotency_key")]
    unique: bool,
    /// Not to be started before this moment: 2026-01-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    run_at: Option<Timestamp>,
    /// Dropped if it has not been started by this moment; of its tenant's tasks the earliest goes first
    #[arg(long, value_name = "TIME")]
    deadline: Option<Timestamp>,
    /// How many attempts it has, 5 when not said
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    max_attempts: i32,
    /// Limits that it counts against besides those of its tenant and kind
    #[arg(long = "limit-key", value_name = "KEY")]
    limit_keys: Vec<String>,
    /// What it takes of its tenant's share and of weighted limits
    #[arg(long, value_name = "N", default_value_t = 1)]
    cost: u32,
    /// Tasks with the same order key run one at a time, in order
    #[arg(long, default_value = "", hide_default_value = true, value_name = "KEY")]
    order_key: String,
    /// The group that it belongs to
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    group: String,
    /// A task that has to succeed before it is started: `id:ID`, `key:KEY`, or its id or else its idempotency key
    #[arg(long, value_name = "TASK")]
    depends_on: Vec<String>,
    /// A group whose tasks have to succeed before it is started
    #[arg(long, value_name = "NAME")]
    after_group: Vec<String>,
    /// What becomes of it when one of those that it waits for dies or is cancelled
    #[arg(long, value_enum, default_value = "die", requires = "waits")]
    on_dependency_failure: OnDependencyFailure,
}

/// What becomes of a task when one that it depends on fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OnDependencyFailure {
    /// It dies too
    Die,
    /// It runs when all have ended
    Run,
    /// It waits until that one is retried and succeeds
    Wait,
}

impl From<OnDependencyFailure> for DependencyFailure {
    fn from(policy: OnDependencyFailure) -> Self {
        match policy {
            // What is not said.
            OnDependencyFailure::Die => Self::Unspecified,
            OnDependencyFailure::Run => Self::Run,
            OnDependencyFailure::Wait => Self::Wait,
        }
    }
}

/// Submits it, or what the file has.
pub(super) async fn run(new: Submit, client: &Client) -> Result<Exit> {
    if let Some(file) = new.file {
        return stream::submit(file, new.json, client).await;
    }
    let request = SubmitTasksRequest { tasks: vec![task(new)] };
    let tasks = client.scheduling().submit_tasks(request).await?.into_inner().tasks;
    for task in tasks {
        output::line(&task.id)?;
        if task.duplicate {
            output::note("a task with this key was submitted before: this is its id");
        }
    }
    Ok(Exit::Done)
}

/// What is named: as it says itself, or by what it looks like.
fn dependency(name: &str) -> Dependency {
    let task = match (name.strip_prefix("id:"), name.strip_prefix("key:")) {
        (Some(id), _) => Named::Id(id.to_owned()),
        (_, Some(key)) => Named::Key(key.to_owned()),
        _ if name.parse::<Id>().is_ok() => Named::Id(name.to_owned()),
        _ => Named::Key(name.to_owned()),
    };
    Dependency { task: Some(task) }
}

fn task(new: Submit) -> NewTask {
    let moment = |moment: Option<Timestamp>| moment.map(|moment| from_micros(moment.as_micros()));
    let group = |name| Dependency { task: Some(Named::Group(name)) };
    let (tasks, groups) =
        (new.depends_on.iter().map(|name| dependency(name)), new.after_group.into_iter().map(group));
    let options = TaskOptions {
        deadline: moment(new.deadline),
        limit_keys: new.limit_keys,
        // One is what is not said.
        cost: if new.cost == 1 { 0 } else { new.cost },
        order_key: new.order_key,
        depends_on: tasks.chain(groups).collect(),
        on_dependency_failure: DependencyFailure::from(new.on_dependency_failure).into(),
        ..TaskOptions::default()
    };
    NewTask {
        kind: new.kind.unwrap_or_default(),
        payload: new.payload,
        priority: new.priority.into(),
        key: new.idempotency_key,
        unique: new.unique,
        run_at: moment(new.run_at),
        max_attempts: new.max_attempts,
        group: new.group,
        options: (options != TaskOptions::default()).then(|| Box::new(options)),
        ..NewTask::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_what_it_says_or_looks_like() {
        const UUID: &str = "01900000-0000-7000-8000-000000000001";
        let named = |name: &str| dependency(name).task.unwrap();
        for (given, task) in [
            (UUID.to_owned(), Named::Id(UUID.into())),
            ("resize-17".to_owned(), Named::Key("resize-17".into())),
            (format!("key:{UUID}"), Named::Key(UUID.into())),
            (format!("id:{UUID}"), Named::Id(UUID.into())),
            ("id:resize-17".to_owned(), Named::Id("resize-17".into())),
            ("key:id:1".to_owned(), Named::Key("id:1".into())),
        ] {
            assert_eq!(named(&given), task, "{given}");
        }
    }
}
