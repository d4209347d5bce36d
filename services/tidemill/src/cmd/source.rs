//! `tidemill source`: folders and feeds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Deserialize;
use tidemill_proto::ingestion::v1::{
    CreateSourceRequest, DeleteSourceRequest, ListSourcesRequest, RunSourceRequest,
};
use tidemill_proto::scheduling::v1::GetTaskRequest;
use tidemill_proto::types::v1::{Source, SourceKind, Task, TaskState};

use super::label;
use crate::client::Client;
use crate::exit::{Exit, Hint};
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
    /// Its name: 1 to 63 of a-z, 0-9, dot, dash and underscore
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
            let request = DeleteSourceRequest { name: name.clone() };
            client.ingestion().delete_source(request).await.with_context(which)?;
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

/// What to do when there is no such source.
fn which() -> Hint {
    Hint("`tidemill source list` shows the sources of this tenant".to_owned())
}

/// The path from the root: the mesh may run in another folder, or on another machine that has it.
fn absolute(path: &Path) -> Result<String> {
    let full = match path.canonicalize() {
        Ok(full) => full,
        Err(_) => {
            let full =
                std::path::absolute(path).with_context(|| format!("the path {} is wrong", path.display()))?;
            output::note(&format!("{} is not there now; it must be when the source runs", full.display()));
            full
        }
    };
    Ok(full
        .to_str()
        .with_context(|| format!("the path {} is not UTF-8; rename it", path.display()))?
        .to_owned())
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
    let request = RunSourceRequest { name: name.clone() };
    let id = client.ingestion().run_source(request).await.with_context(which)?.into_inner().task_id;
    let spinner = ProgressBar::new_spinner().with_message(format!("reading {name} (task {id})"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    let task = finished(&id, client).await;
    spinner.finish_and_clear();
    let task = task?;
    if json {
        output::json_lines(std::slice::from_ref(&task))?;
    }
    if task.state != i32::from(TaskState::Succeeded) {
        let why = output::one_line(&task.error);
        output::note(&format!("{name}: the run is {}: {why}", label::state(task.state)));
        return Ok(Exit::Failed);
    }
    let report: Report = serde_json::from_str(&task.result).context("the run's report cannot be read")?;
    if !json {
        print(&name, &report)?;
    }
    Ok(if report.skipped_total > 0 { Exit::Refused } else { Exit::Done })
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

/// What a run says about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    stored: u64,
    duplicates: u64,
    matches: u64,
    not_modified: bool,
    skipped_total: u64,
    skipped: Vec<Skipped>,
}

/// What was left out.
#[derive(Debug, Deserialize)]
struct Skipped {
    what: String,
    why: String,
}

/// The counts on stdout, each thing that was skipped on stderr.
fn print(name: &str, report: &Report) -> Result<()> {
    for Skipped { what, why } in &report.skipped {
        output::note(&output::one_line(&format!("{}: {why}", what.trim())));
    }
    let shown = u64::try_from(report.skipped.len()).unwrap_or(u64::MAX);
    if report.skipped_total > shown {
        output::note(&format!("and {} more", report.skipped_total - shown));
    }
    let Report { stored, duplicates, matches, skipped_total, .. } = report;
    let same = if report.not_modified { " (not modified since the last run)" } else { "" };
    output::line(&format!(
        "{name}: {stored} stored, {duplicates} known already, {matches} matches, {skipped_total} refused{same}"
    ))
}
