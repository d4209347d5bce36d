//! OpenAI-compatible chat completions over HTTP: OpenAI, Groq, Ollama, vLLM, llama.cpp's server.
//!
//! The shell only: bytes and time limits. What the bytes mean is decided by [`ChatStream`], [`crate::sse`] and
//! [`crate::refusal::classify`].

mod chat_stream;
mod reader;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::time::{Instant, timeout_at};

pub use chat_stream::{ChatStream, Step};

use crate::usage::estimate_input;
use crate::{Completion, DeltaStream, Error, OpenAiConfig, Phase, Provider, Request, Usage, limits, refusal};

/// An answer larger than this is no answer of a language model.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// One OpenAI-compatible endpoint.
#[derive(Debug)]
pub struct OpenAi {
    config: OpenAiConfig,
    url: reqwest::Url,
    client: reqwest::Client,
}

impl OpenAi {
    /// A client of the endpoint; nothing is sent yet. The process must have a rustls provider installed.
    ///
    /// # Errors
    /// [`Error::Config`] names the field that cannot work.
    pub fn new(config: OpenAiConfig) -> Result<Self, Error> {
        let fault = |field, message: String| Error::Config { provider: config.name.clone(), field, message };
        if config.name.is_empty() {
            return Err(fault("name", "is empty: give it one, for results, errors and logs".into()));
        }
        let limits = [
            ("connect_timeout_ms", config.connect_timeout_ms),
            ("first_token_timeout_ms", config.first_token_timeout_ms),
            ("stall_timeout_ms", config.stall_timeout_ms),
        ];
        if let Some((field, _)) = limits.into_iter().find(|(_, limit)| *limit == 0) {
            return Err(fault(field, "is 0, so that every request would be late: set 1 or more".into()));
        }
        let address = format!("{}/chat/completions", config.base_url.trim_end_matches('/'));
        let url = reqwest::Url::parse(&address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| {
            fault("base_url", "must be an http or https URL such as https://api.openai.com/v1".into())
        })?;
        let mut headers = HeaderMap::new();
        if !config.api_key.is_empty() {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", config.api_key.reveal()))
                .map_err(|_| fault("api_key", "must consist of visible ASCII characters".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .build()
            .map_err(|error| fault("client", format!("cannot be built: {}", chain(&error))))?;
        Ok(Self { config, url, client })
    }

    /// Sends the request and gives the answer's head if it is a success.
    async fn open(&self, request: &Request, stream: bool) -> Result<reqwest::Response, Error> {
        let model = self.model(request)?;
        let body = wire::Body::new(request, &model, self.config.max_tokens_field, stream);
        let response = self.client.post(self.url.clone()).json(&body).send().await;
        let response = response.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // A refusal whose body breaks off is still that refusal.
        let body = self.read(response).await.unwrap_or_default();
        let refusal = refusal::classify(status, &headers, &String::from_utf8_lossy(&body));
        Err(self.refused(refusal))
    }

    fn model(&self, request: &Request) -> Result<String, Error> {
        let model = request.model.as_ref().unwrap_or(&self.config.model);
        if model.is_empty() {
            let message = "is empty and the request names no model: set it".to_owned();
            return Err(Error::Config { provider: self.config.name.clone(), field: "model", message });
        }
        Ok(model.clone())
    }

    async fn read(&self, response: reqwest::Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) =
            stream.try_next().await.map_err(|error| self.cut(&chain(&error.without_url())))?
        {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(self.malformed("it is larger than 16 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn read_completion(
        &self,
        body: &[u8],
        request: &Request,
        rest: Option<Duration>,
    ) -> Result<Completion, Error> {
        let answer: wire::Answer =
            serde_json::from_slice(body).map_err(|error| self.malformed(&error.to_string()))?;
        if let Some(error) = answer.error {
            return Err(self.refused(refusal::classify_event(&serde_json::json!({ "error": error }))));
        }
        let choice = answer.choices.into_iter().next().ok_or_else(|| self.malformed("it has no choices"))?;
        let (text, finish) = choice.into_text_and_finish();
        let finish = finish.ok_or_else(|| self.malformed("it has no finish_reason"))?;
        let usage = answer.usage.map_or_else(|| Usage::estimate(estimate_input(request), &text), Into::into);
        let model = answer.model.or_else(|| self.model(request).ok()).unwrap_or_default();
        Ok(Completion { text, provider: self.config.name.clone(), model, finish, usage, rest })
    }

    fn refused(&self, mut refusal: refusal::Refusal) -> Error {
        refusal.message = self.config.api_key.redact(&refusal.message);
        Error::Refused { provider: self.config.name.clone(), refusal }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { provider: self.config.name.clone(), message: chain(&error.without_url()) }
    }

    fn cut(&self, message: &str) -> Error {
        let usage = Usage::default();
        Error::Cut { provider: self.config.name.clone(), message: message.to_owned(), usage }
    }

    fn malformed(&self, message: &str) -> Error {
        Error::Malformed { provider: self.config.name.clone(), message: self.config.api_key.redact(message) }
    }

    fn timeout(&self, phase: Phase, limit: Duration, request: &Request) -> Error {
        let usage = Usage::estimate(estimate_input(request), "");
        Error::Timeout { provider: self.config.name.clone(), phase, limit, usage }
    }
}

#[async_trait]
impl Provider for OpenAi {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn complete(&self, request: &Request) -> Result<Completion, Error> {
        let answer = async {
            let response = self.open(request, false).await?;
            let rest = limits::rest(response.headers());
            self.read_completion(&self.read(response).await?, request, rest)
        };
        tokio::time::timeout(request.timeout, answer)
            .await
            .unwrap_or_else(|_| Err(self.timeout(Phase::Whole, request.timeout, request)))
    }

    async fn stream(&self, request: &Request) -> Result<DeltaStream, Error> {
        let start = Instant::now();
        let limits = reader::Limits {
            start,
            whole: request.timeout,
            first_token: Duration::from_millis(self.config.first_token_timeout_ms),
            stall: Duration::from_millis(self.config.stall_timeout_ms),
        };
        let (phase, limit) = limits.before_first_token();
        let response = timeout_at(start + limit, self.open(request, true))
            .await
            .unwrap_or_else(|_| Err(self.timeout(phase, limit, request)))?;
        let rest = limits::rest(response.headers());
        let chat = ChatStream::new(self.model(request)?, estimate_input(request), rest);
        let bytes = response.bytes_stream().map_err(|error| chain(&error.without_url())).boxed();
        Ok(reader::Reader::new(&self.config, limits, chat, bytes).into_stream())
    }
}

/// An error with its causes; reqwest's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
