//! `collect` tasks: read a source once, and put what it holds through the pipeline.
//!
//! A thread of its own reads and prepares, and waits while the store is busy: memory is bounded whatever the source
//! holds. Running again after a crash stores nothing twice, as equal content is one document; what the collector
//! remembers is saved only after everything is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::{Clock, ErrorKind, Fault, TenantName, Timestamp};
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::storage::v1::{GetSourceRequest, SaveCursorRequest};
use tidemill_proto::time::from_micros;
use tidemill_proto::types::v1::{Source, SourceKind, Task};
use tidemill_worker::{Attempt, Done, Failed, Handler};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use crate::batch::{Bounds, ready_batches};
use crate::convert::bounded;
use crate::document::{Document, Limits, NewDocument, prepare};
use crate::feed::fetch::{FeedCursor, FetchOptions, Fetched, Fetcher, fetch_file};
use crate::pipeline::Pipeline;
use crate::report::{Report, Skipped};
use crate::{Error, feed, folder};

/// The kind of these tasks.
pub(crate) const COLLECT: &str = "collect";
/// How many prepared documents wait for the store.
const AHEAD: usize = 32;

/// What a `collect` task says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// The source's name.
    pub(crate) source: String,
}

impl Payload {
    /// As JSON.
    pub(crate) fn encode(&self) -> String {
        // One text field: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Runs `collect` tasks.
pub(crate) struct Collector {
    pub(crate) content: ContentStoreServiceClient<Wire>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) fetcher: Fetcher,
    pub(crate) fetch: FetchOptions,
    pub(crate) limits: Limits,
    pub(crate) bounds: Bounds,
    pub(crate) local_sources: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What the reading thread hands over.
enum Read {
    Document(Document),
    Skipped(Skipped),
}

fn size(read: &Read) -> usize {
    match read {
        Read::Document(document) => document.body.len(),
        Read::Skipped(_) => 0,
    }
}

#[async_trait]
impl Handler for Collector {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        let report = self.collect(&attempt.task).await.map_err(|error| failed(&error, self.clock.now()))?;
        Ok(Done { result: report.encode(), ..Done::default() })
    }
}

/// Whether another attempt can help, and not before when, if the feed's server has said so.
fn failed(error: &Error, now: Timestamp) -> Failed {
    match error {
        Error::Fetch(fault) if fault.kind().is_transient() => {
            let not_before = fault.retry_after().map(|wait| now + wait);
            Failed { not_before, ..Failed::for_now(error.to_string()) }
        }
        Error::Call(status) => Failed::from_status(status),
        error if error.kind().is_transient() || error.kind() == ErrorKind::Internal => {
            Failed::for_now(error.to_string())
        }
        error => Failed::for_good(error.to_string()),
    }
}

impl Collector {
    async fn collect(&self, task: &Task) -> Result<Report, Error> {
        let Payload { source } = serde_json::from_str(&task.payload).map_err(|fault| {
            let fault = format!("{fault}; it must be {{\"source\": the name of a source}}");
            Fault::invalid("payload", fault)
        })?;
        let context = context(task)?;
        let request = context.request(GetSourceRequest { name: source });
        let found = self.content.clone().get_source(request).await?.into_inner();
        let source = found.source.ok_or(Error::Stopped("reading the source"))?;
        let (report, cursor) = match source.kind() {
            SourceKind::Folder => (self.folder(&context, &source).await?, found.cursor),
            SourceKind::Feed => self.feed(&context, &source, found.cursor).await?,
            SourceKind::Unspecified => {
                let fault = "is not known to this program; run a newer one, or make the source again";
                return Err(Fault::invalid("source.kind", fault).into());
            }
        };
        let collected_at = Some(from_micros(self.clock.now().as_micros()));
        let save = SaveCursorRequest { name: source.name, cursor, collected_at };
        self.content.clone().save_cursor(context.request(save)).await?;
        Ok(report)
    }

    async fn folder(&self, context: &Context, source: &Source) -> Result<Report, Error> {
        let root = PathBuf::from(self.local(&source.location)?);
        let largest = self.limits.max_markup.max(self.limits.max_body);
        let options = folder::Options {
            max_file: u64::try_from(largest).unwrap_or(u64::MAX),
            setting: Some("ingestion.document.max_markup"),
            source: source.name.clone(),
        };
        let limits = self.limits.clone();
        self.store(context, move |out| {
            for item in folder::walk(&root, options)? {
                let read = match item {
                    Ok(new) => read(new, &limits),
                    Err(fault) => {
                        let why = format!("{}; {}", fault.message, fault.mend);
                        Read::Skipped(Skipped::new(fault.path.display().to_string(), why))
                    }
                };
                if out.blocking_send(read).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    async fn feed(
        &self,
        context: &Context,
        source: &Source,
        cursor: String,
    ) -> Result<(Report, String), Error> {
        // What cannot be read is as if there were none: the feed is read in full.
        let known: FeedCursor = serde_json::from_str(&cursor).unwrap_or_default();
        let place = &source.location;
        let fetched = if place.starts_with("http://") || place.starts_with("https://") {
            self.fetcher.fetch(place, &known).await?
        } else {
            fetch_file(Path::new(self.local(place)?), self.fetch.max_bytes, &known).await?
        };
        let Fetched::Modified { bytes, url, cursor: next } = fetched else {
            return Ok((Report { not_modified: true, ..Report::default() }, cursor));
        };
        let (limits, name, now) = (self.limits.clone(), source.name.clone(), self.clock.now());
        let report = self.store(context, move |out| {
            for entry in feed::parse(&bytes, &url, now)?.entries {
                let read = match entry {
                    Ok(new) => read(NewDocument { source: name.clone(), ..new }, &limits),
                    Err(fault) => Read::Skipped(Skipped::new(
                        fault.what(),
                        format!("{}; {}", fault.message, fault.mend),
                    )),
                };
                if out.blocking_send(read).is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok((report.await?, serde_json::to_string(&next).unwrap_or_default()))
    }

    /// The place, if reading this machine's disk is allowed.
    fn local<'a>(&self, place: &'a str) -> Result<&'a str, Error> {
        if self.local_sources {
            return Ok(place);
        }
        let mend = "sources on the server's own disk are turned off; set `ingestion.local_sources`, or use a feed by http";
        Err(Fault::new(ErrorKind::Denied, mend).into())
    }

    /// Stores what `produce` hands over, in batches of what is ready.
    async fn store<P>(&self, context: &Context, produce: P) -> Result<Report, Error>
    where
        P: FnOnce(&mpsc::Sender<Read>) -> Result<(), Error> + Send + 'static,
    {
        let (out, read) = mpsc::channel(AHEAD);
        // Dropped with this future, the receiver ends the thread at its next document.
        let thread = spawn_blocking(move || produce(&out));
        let mut batches = std::pin::pin!(ready_batches(ReceiverStream::new(read), self.bounds, size));
        let mut report = Report::default();
        while let Some(batch) = batches.next().await {
            let mut documents = Vec::with_capacity(batch.len());
            for read in batch {
                match read {
                    Read::Document(document) => documents.push(document),
                    Read::Skipped(skipped) => report.skip(skipped),
                }
            }
            report.count(&self.pipeline.append(context, documents).await?.0);
        }
        thread.await.map_err(|_| Error::Stopped("reading the source"))??;
        Ok(report)
    }
}

fn read(new: NewDocument, limits: &Limits) -> Read {
    let what = if new.external_id.is_empty() { new.url.clone() } else { new.external_id.clone() };
    match bounded(new).map_err(Error::from).and_then(|new| Ok(prepare(new, limits)?)) {
        Ok(document) => Read::Document(document),
        Err(fault) => Read::Skipped(Skipped::new(what, fault.to_string())),
    }
}

/// The context of calls for the task's tenant.
fn context(task: &Task) -> Result<Context, Error> {
    let tenant: TenantName =
        task.tenant.parse().map_err(|fault| Fault::invalid("tenant", format!("{fault}")))?;
    let trace_parent = Some(task.trace_parent.clone()).filter(|parent| !parent.is_empty());
    Ok(Context { trace_parent, ..Context::for_tenant(tenant) })
}
