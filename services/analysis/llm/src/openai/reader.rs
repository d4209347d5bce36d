//! A streamed answer's bytes as deltas, under its three time limits.
//!
//! Once a finish reason was seen the answer is whole: a connection that then breaks or stalls ends it well.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::{Instant, timeout_at};

use super::{ChatStream, Step};
use crate::sse::{Decoder, Event};
use crate::{ApiKey, Delta, DeltaStream, Error, OpenAiConfig, Phase, Refusal};

/// The time limits of one stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) start: Instant,
    pub(super) whole: Duration,
    pub(super) first_token: Duration,
    pub(super) stall: Duration,
}

impl Limits {
    /// The limit that binds before the first token, counted from the start.
    pub(super) fn before_first_token(&self) -> (Phase, Duration) {
        if self.first_token < self.whole {
            (Phase::FirstToken, self.first_token)
        } else {
            (Phase::Whole, self.whole)
        }
    }

    /// The moment by which the next chunk must be there, and the limit that says so.
    fn next(&self, last_progress: Option<Instant>) -> (Instant, Phase, Duration) {
        let end = self.start + self.whole;
        match last_progress {
            None => {
                let (phase, limit) = self.before_first_token();
                (self.start + limit, phase, limit)
            }
            Some(moment) if moment + self.stall < end => (moment + self.stall, Phase::NextChunk, self.stall),
            Some(_) => (end, Phase::Whole, self.whole),
        }
    }
}

/// The state between two deltas.
pub(super) struct Reader {
    provider: String,
    api_key: ApiKey,
    limits: Limits,
    chat: ChatStream,
    bytes: BoxStream<'static, Result<Bytes, String>>,
    decoder: Decoder,
    events: VecDeque<Event>,
    last_progress: Option<Instant>,
    over: bool,
}

impl Reader {
    pub(super) fn new(
        config: &OpenAiConfig,
        limits: Limits,
        chat: ChatStream,
        bytes: BoxStream<'static, Result<Bytes, String>>,
    ) -> Self {
        Self {
            provider: config.name.clone(),
            api_key: config.api_key.clone(),
            limits,
            chat,
            bytes,
            decoder: Decoder::default(),
            events: VecDeque::new(),
            last_progress: None,
            over: false,
        }
    }

    pub(super) fn into_stream(self) -> DeltaStream {
        futures::stream::unfold(self, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<Delta, Error>> {
        while !self.over {
            while let Some(event) = self.events.pop_front() {
                match self.chat.event(&event.data) {
                    Step::Text(text) => {
                        self.last_progress = Some(Instant::now());
                        return Some(Ok(Delta::Text(text)));
                    }
                    Step::Working => self.last_progress = Some(Instant::now()),
                    Step::Nothing => {}
                    Step::Unreadable => {
                        tracing::warn!(provider = self.provider, "skipped an unreadable event of a stream");
                    }
                    Step::End => return Some(self.finish("no finish_reason came before [DONE]")),
                    Step::Failed(refusal) => return Some(Err(self.fail(refusal))),
                }
            }
            if let Some(ending) = self.receive().await {
                return Some(ending);
            }
        }
        None
    }

    /// Waits for more bytes; gives the ending if there will be none.
    async fn receive(&mut self) -> Option<Result<Delta, Error>> {
        let (moment, phase, limit) = self.limits.next(self.last_progress);
        match timeout_at(moment, self.bytes.next()).await {
            Ok(Some(Ok(chunk))) => match self.decoder.push(&chunk) {
                Ok(events) => {
                    self.events.extend(events);
                    None
                }
                Err(too_long) => Some(self.finish(&too_long.to_string())),
            },
            Ok(Some(Err(message))) => Some(self.finish(&message)),
            Ok(None) => Some(self.finish("the connection was closed before the answer's end")),
            Err(_) => {
                self.over = true;
                let (provider, usage) = (self.provider.clone(), self.chat.usage());
                Some(self.chat.end().ok_or(Error::Timeout { provider, phase, limit, usage }))
            }
        }
    }

    /// The ending now that nothing follows: whole, or cut with this message.
    fn finish(&mut self, message: &str) -> Result<Delta, Error> {
        self.over = true;
        self.chat.end().ok_or_else(|| Error::Cut {
            provider: self.provider.clone(),
            message: message.to_owned(),
            usage: self.chat.usage(),
        })
    }

    /// An error event: a refusal before anything was written, a cut afterwards (so that its spend is kept).
    fn fail(&mut self, mut refusal: Refusal) -> Error {
        self.over = true;
        refusal.message = self.api_key.redact(&refusal.message);
        let provider = self.provider.clone();
        if self.last_progress.is_none() {
            return Error::Refused { provider, refusal };
        }
        Error::Cut { provider, message: refusal.to_string(), usage: self.chat.usage() }
    }
}
