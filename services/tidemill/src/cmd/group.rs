//! `tidemill group`: how far groups of tasks are.

use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use tidemill_proto::scheduling::v1::{GetGroupRequest, ListGroupsRequest, WatchGroupRequest};
use tidemill_proto::types::v1::TaskGroup;

use super::label;
use crate::client::Client;
use crate::exit::{Exit, Hint};
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show how far a group is
    #[command(after_help = "Example:\n  tidemill group show import-7")]
    Show(One),
    /// List groups by name
    #[command(after_help = "Example:\n  tidemill group list")]
    List(List),
    /// Tell how far a group is, a line whenever that changed, until it has no open task
    #[command(
        after_help = "Example:\n  tidemill group watch import-7\n\nIt ends with 0 when all tasks succeeded, with 1 when some died or were cancelled."
    )]
    Watch(One),
}

/// Which group.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How many groups.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
    /// Print JSON, one group a line
    #[arg(long)]
    json: bool,
}

/// Shows, lists, watches.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    match action {
        Action::Show(One { name, json }) => {
            let request = GetGroupRequest { name };
            let answer = client.scheduling().get_group(request).await.with_context(which)?.into_inner();
            let group = answer.group.unwrap_or_default();
            if json {
                output::json_lines(&[group])?
            } else {
                table(vec![group]).print()?
            }
            Ok(Exit::Done)
        }
        Action::List(List { limit, json }) => {
            let request = ListGroupsRequest { page_size: limit, page_token: String::new() };
            let page = client.scheduling().list_groups(request).await?.into_inner();
            output::note_more(&page.next_page_token);
            if json {
                output::json_lines(&page.groups)?
            } else {
                table(page.groups).print()?
            }
            Ok(Exit::Done)
        }
        Action::Watch(One { name, json }) => watch(name, json, client).await,
    }
}

/// What to do when there is no such group.
fn which() -> Hint {
    Hint("`tidemill group list` shows the groups of this tenant".to_owned())
}

async fn watch(name: String, json: bool, client: &Client) -> Result<Exit> {
    let request = WatchGroupRequest { name };
    let mut states = client.scheduling().watch_group(request).await?.into_inner();
    while let Some(state) = states.message().await.with_context(which)? {
        let group = state.group.unwrap_or_default();
        if json {
            output::json_lines(std::slice::from_ref(&group))?;
        } else {
            output::line(&progress(&group))?;
        }
        if group.open == 0 {
            return Ok(end(&group));
        }
    }
    Err(anyhow!("the mesh ended the watch before the group was complete; give the same command again"))
}

/// How far it is, on a line.
fn progress(group: &TaskGroup) -> String {
    let TaskGroup { name, total, open, succeeded, dead, cancelled, .. } = group;
    let ended = total - open;
    let share = if *total > 0 { ended * 100 / total } else { 100 };
    let name = output::one_line(name);
    format!(
        "{name}: {ended} of {total} ended ({share} %): {succeeded} succeeded, {dead} dead, {cancelled} cancelled"
    )
}

/// How the command ends when the group has.
fn end(group: &TaskGroup) -> Exit {
    if group.dead == 0 && group.cancelled == 0 {
        return Exit::Done;
    }
    let name = output::one_line(&group.name);
    output::note(&format!(
        "group `{name}` has ended with {} dead and {} cancelled tasks; `tidemill task retry --group '{name}'` puts them back",
        group.dead, group.cancelled
    ));
    Exit::Failed
}

fn table(groups: Vec<TaskGroup>) -> Table<8> {
    let mut table =
        Table::new(["GROUP", "TASKS", "OPEN", "SUCCEEDED", "DEAD", "CANCELLED", "BEGAN", "CHANGED"]);
    for group in groups {
        let counts = [group.total, group.open, group.succeeded, group.dead, group.cancelled];
        let [total, open, succeeded, dead, cancelled] = counts.map(|count| count.to_string());
        let (began, changed) =
            (label::time(group.first_submitted_at.as_ref()), label::time(group.changed_at.as_ref()));
        table.row([group.name, total, open, succeeded, dead, cancelled, began, changed]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_group_tells_how_it_went() {
        let group = |dead, cancelled| TaskGroup {
            name: "g".into(),
            total: 4,
            succeeded: 4 - dead - cancelled,
            dead,
            cancelled,
            ..TaskGroup::default()
        };
        assert_eq!(
            [group(0, 0), group(1, 0), group(0, 1)].map(|group| end(&group)),
            [Exit::Done, Exit::Failed, Exit::Failed]
        );
        let half = TaskGroup { open: 2, succeeded: 1, ..group(1, 0) };
        assert_eq!(progress(&half), "g: 2 of 4 ended (50 %): 1 succeeded, 1 dead, 0 cancelled");
    }
}
