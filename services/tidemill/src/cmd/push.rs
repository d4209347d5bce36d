//! `tidemill push`: documents from NDJSON and CSV files and from folders, streamed.
//!
//! A file that was cut off goes on after the last document that the mesh acknowledged; a folder is read again, what is
//! known already is not stored twice.

mod checkpoint;
mod input;
mod sink;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tidemill_ingestion::document::ContentType;
use tidemill_ingestion::reader::{Format, Options};
use tidemill_proto::storage::v1::GetCountsRequest;

use crate::client::Client;
use crate::exit::{self, Exit};
use crate::output;
use checkpoint::Checkpoint;
pub(crate) use input::folder;
pub(crate) use sink::{Tally, send};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill push articles.jsonl\n  tidemill push --source wiki pages.csv ~/notes\n\nFields of a record: body (or text, content), title, id, url, published_at, source, content_type."
)]
pub(crate) struct Args {
    /// NDJSON (.jsonl, .ndjson) and CSV (.csv, with a header) files, and folders of text, Markdown and HTML
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The source of documents that name none
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    source: String,
    /// How bodies are written that do not say it: text, markdown or html
    #[arg(long, default_value = "text", value_name = "TYPE")]
    content_type: ContentType,
    /// Refuse records with unknown fields
    #[arg(long)]
    strict: bool,
    /// Begin at the start, also when an earlier push of the file was cut off
    #[arg(long)]
    restart: bool,
    /// Print the counts as JSON, one object a path
    #[arg(long)]
    json: bool,
}

/// Pushes each path; one that cannot be read does not keep the others out.
pub(crate) async fn run(args: Args, client: &Client) -> Result<Exit> {
    let store = client.results().get_counts(GetCountsRequest {}).await?.into_inner().store_id;
    let mut end = Exit::Done;
    for path in &args.paths {
        let tally = match push(path, &args, &store, client).await {
            Ok(tally) => tally,
            Err(fault) if fault.is::<tonic::Status>() => {
                output::note(&format!("{}: cut off; the same command goes on from there", path.display()));
                return Err(fault);
            }
            Err(fault) => {
                output::note(&format!("{}: {}", path.display(), exit::chain(&fault)));
                Tally { refused: 1, ..Tally::default() }
            }
        };
        if tally.refused > 0 {
            end = Exit::Refused;
        }
        print(path, &tally, args.json)?;
    }
    Ok(end)
}

fn print(path: &Path, tally: &Tally, json: bool) -> Result<()> {
    if json {
        let mut value = serde_json::to_value(tally)?;
        value["path"] = path.display().to_string().into();
        return output::json_lines(&[value]);
    }
    let Tally { stored, duplicates, matches, refused } = tally;
    let path = path.display();
    output::line(&format!(
        "{path}: {stored} stored, {duplicates} known already, {matches} matches, {refused} refused"
    ))
}

async fn push(path: &Path, args: &Args, store: &str, client: &Client) -> Result<Tally> {
    if path.is_dir() {
        let bar = counter("documents");
        let read = folder(path, &args.source)?;
        let tally = send(client, bar.clone(), read, |_| {}).await;
        bar.finish_and_clear();
        return tally;
    }
    let Some(format) = Format::of(path) else {
        bail!("is neither a folder nor named .jsonl, .ndjson or .csv; rename it, or name its folder");
    };
    let options = Options {
        strict: args.strict,
        source: args.source.clone(),
        content_type: args.content_type,
        ..Options::default()
    };
    let mut checkpoint = Checkpoint::open(path, &[store, client.identity(), &format!("{options:?}")])?;
    if args.restart {
        checkpoint.forget();
    }
    let from = checkpoint.position();
    if from.line > 1 {
        output::note(&format!("{}: going on at line {}; --restart begins anew", path.display(), from.line));
    }
    let bar = bytes(checkpoint.size());
    let read = input::file(path, format, from, options)?;
    let tally = send(client, bar.clone(), read, |next| checkpoint.reached(next)).await;
    bar.finish_and_clear();
    match &tally {
        Ok(_) => checkpoint.forget(),
        Err(_) => checkpoint.save(),
    }
    tally
}

/// A bar over the bytes of a file.
fn bytes(size: u64) -> ProgressBar {
    let bar = ProgressBar::new(size);
    let template = "{bar:30} {bytes}/{total_bytes} {msg} {eta}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A running count, where the end is not known.
pub(crate) fn counter(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_prefix(what);
    let template = "{spinner} {pos} {prefix} {msg}";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
