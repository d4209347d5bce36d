//! `tidemill source`: folders and feeds.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use indicatif::ProgressBar;
use tidemill_proto::ingestion::v1::{
    CreateSourceRequest, DeleteSourceRequest, ListSourcesRequest, RunSourceRequest,
};
use tidemill_proto::scheduling::v1::GetTaskRequest;
use tidemill_proto::types::v1::{Source, SourceKind, Task, TaskState};

use super::label;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Add a folder or a feed
    #[command(
        after_help = "Examples:\n  tidemill source add notes --folder ~/notes\n  tidemill source add news --feed https://example.org/feed.xml"
    )]
    Add(Add),
    /// List the sources
    #[command(after_help = "Example:\n  tidemill source list --json")]
    List {
        /// Print JSON, one source a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a source; its documents stay
    #[command(after_help = "Example:\n  tidemill source remove news")]
    Remove {
        /// Its name
        name: String,
    },
    /// Read a source once, wait for the end, and print the report
    #[command(after_help = "Example:\n  tidemill source run news")]
    Run {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A new source.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Its name: 1 to 63 of a-z 0-9 - _ .
    name: String,
    #[command(flatten)]
    location: Location,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where its documents are.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Location {
    /// A folder of text, Markdown and HTML files, on the mesh's machine
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// An RSS, Atom or JSON feed: its URL or file
    #[arg(long, value_name = "URL|FILE")]
    feed: Option<String>,
}

/// Adds, lists, removes, runs.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    match action {
        Action::Add(new) => add(new, client).await?,
        Action::List { json } => list(json, client).await?,
        Action::Remove { name } => {
            client.ingestion().delete_source(DeleteSourceRequest { name: name.clone() }).await?;
            output::line(&format!("removed {name}"))?;
        }
        Action::Run { name, json } => return run_once(name, json, client).await,
    }
    Ok(Exit::Done)
}

async fn add(new: Add, client: &Client) -> Result<()> {
    let (kind, location) = match (new.location.folder, new.location.feed) {
        (Some(folder), _) => (SourceKind::Folder, absolute(&folder)?),
        (None, Some(feed)) if feed.contains("://") => (SourceKind::Feed, feed),
        (None, feed) => (SourceKind::Feed, absolute(Path::new(&feed.unwrap_or_default()))?),
    };
    let request = CreateSourceRequest { name: new.name, kind: kind.into(), location };
    let source = client.ingestion().create_source(request).await?.into_inner().source.unwrap_or_default();
    if new.json {
        return output::json_lines(&[source]);
    }
    output::line(&format!("{}: {} {}", source.name, label::source_kind(source.kind), source.location))
}

/// The path from the root: the mesh may run in another folder.
fn absolute(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("the path {} is wrong", path.display()))?;
    Ok(path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))?.to_owned())
}

async fn list(json: bool, client: &Client) -> Result<()> {
    let (mut sources, mut page_token) = (Vec::<Source>::new(), String::new());
    loop {
        let request = ListSourcesRequest { page_size: 500, page_token };
        let page = client.ingestion().list_sources(request).await?.into_inner();
        sources.extend(page.sources);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if json {
        return output::json_lines(&sources);
    }
    let mut table = Table::new(["NAME", "KIND", "LAST RUN", "LOCATION"]);
    for source in sources {
        let ran = label::time(source.collected_at.as_ref());
        table.row([source.name, label::source_kind(source.kind), ran, source.location]);
    }
    table.print()
}

async fn run_once(name: String, json: bool, client: &Client) -> Result<Exit> {
    let id =
        client.ingestion().run_source(RunSourceRequest { name: name.clone() }).await?.into_inner().task_id;
    let spinner = ProgressBar::new_spinner().with_message(format!("reading {name} (task {id})"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    let task = finished(&id, client).await;
    spinner.finish_and_clear();
    let task = task?;
    let done = task.state == i32::from(TaskState::Succeeded);
    if json {
        output::json_lines(std::slice::from_ref(&task))?;
    } else if done {
        report(&task)?;
    }
    if !done {
        output::note(&format!("{name}: the run is {}: {}", label::state(task.state), task.error));
        return Ok(Exit::Failed);
    }
    Ok(if skipped(&task) { Exit::Refused } else { Exit::Done })
}

/// Whether the run left something out.
fn skipped(task: &Task) -> bool {
    let report: serde_json::Value = serde_json::from_str(&task.result).unwrap_or_default();
    report["skipped_total"].as_u64().is_some_and(|count| count > 0)
}

/// The task once it has ended.
async fn finished(id: &str, client: &Client) -> Result<Task> {
    let ended = [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled].map(i32::from);
    loop {
        let request = GetTaskRequest { id: id.to_owned() };
        let task = client.scheduling().get_task(request).await?.into_inner().task.unwrap_or_default();
        if ended.contains(&task.state) {
            return Ok(task);
        }
        tidemill_chassis::sleep(Duration::from_millis(150)).await;
    }
}

/// The counts on one line, then each thing that was skipped.
fn report(task: &Task) -> Result<()> {
    let mut out = io::stdout().lock();
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&task.result) else {
        return Ok(writeln!(out, "{}", output::one_line(&task.result))?);
    };
    let counts = fields.iter().filter(|(_, value)| !value.is_array() && !value.is_object());
    let counts = counts.map(|(name, value)| {
        format!("{name} {}", output::one_line(value.as_str().unwrap_or(&value.to_string())))
    });
    writeln!(out, "{}", counts.collect::<Vec<_>>().join("   "))?;
    for (name, value) in &fields {
        for item in value.as_array().into_iter().flatten() {
            let text = match (item["what"].as_str(), item["why"].as_str()) {
                (Some(what), Some(why)) => format!("{what}: {why}"),
                _ => item.to_string(),
            };
            writeln!(out, "{name}: {}", output::one_line(&text))?;
        }
    }
    Ok(())
}
