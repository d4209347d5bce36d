//! `tidemill schedule`: tasks at times.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::types::v1::NewTask;

use super::label::{self, Priority};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Make a schedule, or change the one of the same name
    #[command(
        after_help = "Example:\n  tidemill schedule set nightly '30 2 * * *' collect --time-zone Europe/Berlin --payload '{\"source\": \"news\"}'"
    )]
    Set(Set),
    /// List the schedules with their next times
    #[command(after_help = "Example:\n  tidemill schedule list")]
    List {
        /// Print JSON, one schedule a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a schedule; tasks that it made stay
    #[command(after_help = "Example:\n  tidemill schedule remove nightly")]
    Remove {
        /// Its name
        name: String,
    },
}

/// A schedule.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// Its name: 1 to 63 of a-z, 0-9, dot, dash and underscore
    name: String,
    /// When: minute, hour, day of month, month, day of week; six fields begin with the second
    cron: String,
    /// The kind of the task that is made each time
    kind: String,
    /// The IANA name of the time zone; UTC when not said
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    time_zone: String,
    /// What the task's worker needs to know
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    payload: String,
    /// How urgent the task is
    #[arg(long, value_enum, default_value = "normal")]
    priority: Priority,
    /// What becomes of times that were missed
    #[arg(long, value_enum, default_value = "last", value_name = "WHICH")]
    catch_up: CatchUp,
    /// Pass over a time that finds the last task unfinished
    #[arg(long)]
    skip_overlap: bool,
}

/// Which missed times are made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CatchUp {
    /// The last one
    Last,
    /// None
    None,
    /// All, a hundred at most
    All,
}

/// Makes, lists, removes.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    let mut queue = client.steering();
    match action {
        Action::Set(set) => {
            let request = api::PutScheduleRequest { schedule: Some(schedule(set)) };
            let schedule = queue.put_schedule(request).await?.into_inner().schedule.unwrap_or_default();
            let next = label::time(schedule.next_at.as_ref());
            output::line(&format!("{}: next at {next}", schedule.name))?;
        }
        Action::List { json } => {
            let schedules = queue.list_schedules(api::ListSchedulesRequest {}).await?.into_inner().schedules;
            if json { output::json_lines(&schedules)? } else { table(schedules).print()? }
        }
        Action::Remove { name } => {
            queue.remove_schedule(api::RemoveScheduleRequest { name: name.clone() }).await?;
            output::line(&format!("removed {name}"))?;
        }
    }
    Ok(Exit::Done)
}

fn schedule(set: Set) -> api::Schedule {
    let catch_up = match set.catch_up {
        CatchUp::Last => api::CatchUp::Last,
        CatchUp::None => api::CatchUp::None,
        CatchUp::All => api::CatchUp::All,
    };
    let overlap = if set.skip_overlap { api::Overlap::Skip } else { api::Overlap::Allow };
    let priority = set.priority.into();
    api::Schedule {
        name: set.name,
        cron: set.cron,
        time_zone: set.time_zone,
        task: Some(NewTask { kind: set.kind, payload: set.payload, priority, ..NewTask::default() }),
        catch_up: catch_up.into(),
        overlap: overlap.into(),
        ..api::Schedule::default()
    }
}

fn table(schedules: Vec<api::Schedule>) -> Table<6> {
    let mut table = Table::new(["NAME", "CRON", "TIME ZONE", "KIND", "LAST", "NEXT"]);
    for schedule in schedules {
        let zone = if schedule.time_zone.is_empty() { "UTC".to_owned() } else { schedule.time_zone };
        let (last, next) = (label::time(schedule.last_at.as_ref()), label::time(schedule.next_at.as_ref()));
        let kind = schedule.task.unwrap_or_default().kind;
        table.row([schedule.name, schedule.cron, zone, kind, last, next]);
    }
    table
}
