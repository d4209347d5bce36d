//! `tidemill push`: documents from NDJSON and CSV files, from standard input, from texts and folders of them, streamed.
//!
//! A file that was cut off goes on after the last document that the mesh acknowledged; anything else is read again, and
//! what is known already is not stored twice.

mod checkpoint;
mod input;
mod sink;
mod voice;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::{ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use tidemill_ingestion::document::ContentType;
use tidemill_ingestion::folder::Options as TextOptions;
use tidemill_ingestion::reader::{self, Options};
use tidemill_proto::storage::v1::GetCountsRequest;

use crate::client::Client;
use crate::exit::{self, Exit, Hint};
use crate::output;
use checkpoint::Checkpoint;
use input::Kind;
pub(crate) use input::folder;
pub(crate) use input::unreadable;
use sink::{Cut, Read};
pub(crate) use sink::{Tally, send};
pub(crate) use voice::Voice;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill push articles.jsonl\n  tidemill push --source wiki pages.csv README.md ~/notes\n  zcat more.jsonl.gz | tidemill push -\n\nFields of a record: body (or text, content), title, id, url, published_at, source, content_type.\n\nWhat is wrong with a record is said on stderr as FILE:LINE, and the others are pushed; the exit code is then 2. A file\nthat was cut off goes on where the mesh acknowledged it, by the same command."
)]
pub(crate) struct Args {
    /// NDJSON (.jsonl, .ndjson) and CSV (.csv, with a header) files, texts (.txt, .md, .html) and folders of them; `-` is
    /// stdin
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// How files and stdin are written; by their names when not said, and NDJSON for stdin
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The source of documents that name none
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    source: String,
    /// How bodies are written that do not say it: text, markdown or html
    #[arg(long, default_value = "text", value_name = "TYPE")]
    content_type: ContentType,
    /// Refuse records with unknown fields
    #[arg(long)]
    strict: bool,
    /// The longest record or text in bytes; 4 MiB and 8 MiB when not said. The mesh has its own limits, see the settings
    /// `ingestion.document` and `ingestion.max_message_bytes`
    #[arg(long, value_name = "BYTES", value_parser = value_parser!(u32).range(1..))]
    max_record: Option<u32>,
    /// Begin at the start, also when an earlier push of the file was cut off
    #[arg(long)]
    restart: bool,
    /// Say at most this many faults of each path; 0 says all
    #[arg(long, value_name = "N", default_value_t = 50)]
    faults: usize,
    /// Print the counts as JSON, one object a path
    #[arg(long)]
    json: bool,
}

impl Args {
    /// How records and how texts are read.
    fn options(&self) -> (Options, TextOptions) {
        let (mut records, mut texts) = (Options::default(), TextOptions::default());
        (records.strict, records.content_type) = (self.strict, self.content_type);
        (records.source, texts.source) = (self.source.clone(), self.source.clone());
        texts.setting = Some("--max-record");
        if let Some(bytes) = self.max_record {
            records.max_record = usize::try_from(bytes).unwrap_or(usize::MAX);
            texts.max_file = u64::from(bytes);
        }
        (records, texts)
    }
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line
    Ndjson,
    /// Comma-separated, with a header
    Csv,
}

impl From<Format> for reader::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Ndjson => Self::Ndjson,
            Format::Csv => Self::Csv,
        }
    }
}

/// Pushes each path; one that cannot be read does not keep the others out.
pub(crate) async fn run(args: Args, client: &Client) -> Result<Exit> {
    tokio::select! {
        pushed = Box::pin(all(&args, client)) => pushed,
        _ = tokio::signal::ctrl_c() => {
            output::note("\nstopped; what was acknowledged is stored, and the same command sends the rest");
            Ok(Exit::Interrupted)
        }
    }
}

async fn all(args: &Args, client: &Client) -> Result<Exit> {
    let store = client.results().get_counts(GetCountsRequest {}).await?.into_inner().store_id;
    let mut end = Exit::Done;
    for path in &args.paths {
        let tally = match push(path, args, &store, client).await {
            Ok(tally) => tally,
            Err(fault) if fault.is::<Cut>() => {
                return Err(cut_off(path, fault, args.json)?);
            }
            Err(fault) => {
                output::note(&output::one_line(&format!("{}: {}", path.display(), exit::chain(&fault))));
                Tally { refused: 1, ..Tally::default() }
            }
        };
        if tally.refused > 0 {
            end = Exit::Refused;
        }
        print(path, &tally, true, args.json)?;
    }
    Ok(end)
}

/// Prints what a push that was cut off has done; the failure, with the way to go on where there is one.
fn cut_off(path: &Path, fault: anyhow::Error, json: bool) -> Result<anyhow::Error> {
    if let Some(Cut { tally, .. }) = fault.downcast_ref() {
        print(path, tally, false, json)?;
    }
    let hint = || Hint("what was acknowledged is stored; the same command sends the rest".to_owned());
    Ok(if exit::passes(&fault) { fault.context(hint()) } else { fault })
}

fn print(path: &Path, tally: &Tally, complete: bool, json: bool) -> Result<()> {
    if json {
        let mut value = serde_json::to_value(tally)?;
        value["path"] = path.display().to_string().into();
        value["complete"] = complete.into();
        return output::json_lines(&[value]);
    }
    if tally.total() == 0 && complete {
        let texts = if path.is_dir() { " (.txt, .md, .html; files of records are to be named)" } else { "" };
        output::note(&format!("{}: holds no documents{texts}", path.display()));
    }
    let Tally { stored, duplicates, matches, refused } = tally;
    let cut = if complete { "" } else { "; cut off" };
    let path = path.display();
    output::line(&format!(
        "{path}: {stored} stored, {duplicates} known already, {matches} matches, {refused} refused{cut}"
    ))
}

async fn push(path: &Path, args: &Args, store: &str, client: &Client) -> Result<Tally> {
    let (options, texts) = args.options();
    match Kind::of(path, args.format.map(Into::into))? {
        Kind::Folder => counted(client, input::texts(path, texts)?, args).await,
        Kind::Text => counted(client, input::text(path, texts), args).await,
        Kind::Stream(format) => counted(client, input::stream(path, format, options), args).await,
        Kind::File(format) => resumable(path, format, options, args, store, client).await,
    }
}

/// What is read once, from its beginning.
async fn counted(client: &Client, read: Read, args: &Args) -> Result<Tally> {
    speaking(counter("documents {wide_msg}"), args, async |voice| send(client, voice, read, |_| {}).await)
        .await
}

/// A file, from where an earlier push of it was cut off.
async fn resumable(
    path: &Path,
    format: reader::Format,
    options: Options,
    args: &Args,
    store: &str,
    client: &Client,
) -> Result<Tally> {
    let mut checkpoint = Checkpoint::open(path, &[store, client.identity(), &format!("{options:?}")])
        .map_err(|fault| unreadable(&fault))?;
    if args.restart {
        checkpoint.forget();
    }
    let from = checkpoint.position();
    if from.line > 1 {
        output::note(&format!("{}: going on at line {}; --restart begins anew", path.display(), from.line));
    }
    let read = input::file(path, format, from, options)?;
    let bar = bytes(checkpoint.size(), from.offset);
    let tally =
        speaking(bar, args, async |voice| send(client, voice, read, |next| checkpoint.reached(next)).await);
    let tally = tally.await?;
    checkpoint.forget();
    Ok(tally)
}

/// Does it with a bar that vanishes at its end, and says how many faults were not said.
async fn speaking(
    bar: ProgressBar,
    args: &Args,
    push: impl AsyncFnOnce(Voice) -> Result<Tally>,
) -> Result<Tally> {
    let voice = Voice::new(bar.clone(), args.faults);
    let tally = push(voice.clone()).await;
    bar.finish_and_clear();
    if let Some(rest) = voice.rest() {
        output::note(&format!("and {rest} more; --faults 0 says all"));
    }
    tally
}

/// A bar over the bytes of a file.
fn bytes(size: u64, from: u64) -> ProgressBar {
    let bar = ProgressBar::new(size).with_position(from);
    let template = "{bar:20} {bytes}/{total_bytes} {eta} {wide_msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A running count, where the end is not known. `rest` is the template of what stands behind the number.
pub(crate) fn counter(rest: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template(&format!("{{spinner}} {{pos}} {rest}"));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
