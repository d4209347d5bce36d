//! The port: what a request to a language model is and what comes back, whoever answers it.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{Error, Usage};

/// A language-model endpoint.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The name it is configured under; appears in errors, results and metrics.
    fn name(&self) -> &str;

    /// Answers in one piece, within the request's timeout.
    ///
    /// # Errors
    /// [`Error`]; whether the same request can succeed later or elsewhere is a property of the error.
    async fn complete(&self, request: &Request) -> Result<Completion, Error>;

    /// Answers as it is written. The stream ends with exactly one [`Delta::Done`] or one error, never without.
    ///
    /// # Errors
    /// [`Error`] if the stream does not open; later faults are items of the stream.
    async fn stream(&self, request: &Request) -> Result<DeltaStream, Error>;
}

/// An answer on its way.
pub type DeltaStream = BoxStream<'static, Result<Delta, Error>>;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The model's name at the provider; the provider's configured one if absent.
    pub model: Option<String>,
    /// Instructions that stand above the conversation.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The answer's greatest length in tokens; the provider's own limit if absent.
    pub max_tokens: Option<u32>,
    /// Sampling temperature; not sent if absent, as some models refuse the field.
    pub temperature: Option<f32>,
    /// The JSON schema that the answer should follow, where the provider can enforce one.
    pub response_schema: Option<ResponseSchema>,
    /// The time for the whole answer, streamed or not.
    pub timeout: Duration,
}

impl Request {
    /// A request of one user message, with a minute to answer and everything else left to the provider.
    pub fn of(content: impl Into<String>) -> Self {
        Self {
            model: None,
            system: None,
            messages: vec![Message::user(content)],
            max_tokens: None,
            temperature: None,
            response_schema: None,
            timeout: Duration::from_secs(60),
        }
    }
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What the asking side says.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// What the model said.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The asking side.
    User,
    /// The model.
    Assistant,
}

/// A JSON schema under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseSchema {
    /// Letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// The schema itself.
    pub schema: serde_json::Value,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The answer.
    pub text: String,
    /// The name of the provider that gave it.
    pub provider: String,
    /// The model that gave it, as the provider calls it.
    pub model: String,
    /// Why it ends where it ends.
    pub finish: Finish,
    /// What it cost, in tokens.
    pub usage: Usage,
    /// How long the provider wants to be left alone after it: a limit is used up.
    pub rest: Option<Duration>,
}

/// Why an answer ends where it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// The model had said all it wanted to.
    Stop,
    /// The limit on tokens cut it.
    Length,
    /// The provider's filter cut it.
    ContentFilter,
    /// The model declined; the text is its reason.
    Refused,
    /// The model wants a tool called.
    ToolCalls,
    /// A word this crate does not know.
    Other(String),
}

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More text; never empty.
    Text(String),
    /// The end.
    Done {
        /// The model that answered, as the provider calls it.
        model: String,
        /// Why it ends here.
        finish: Finish,
        /// What the answer cost.
        usage: Usage,
        /// How long the provider wants to be left alone after it: a limit is used up.
        rest: Option<Duration>,
    },
}

/// Reads a stream to its end into one completion.
///
/// # Errors
/// The stream's own error, or [`Error::Cut`] if it ends without a [`Delta::Done`].
pub async fn collect(provider: &str, mut stream: DeltaStream) -> Result<Completion, Error> {
    let mut text = String::new();
    while let Some(delta) = stream.next().await {
        match delta? {
            Delta::Text(more) => text.push_str(&more),
            Delta::Done { model, finish, usage, rest } => {
                return Ok(Completion { text, provider: provider.to_owned(), model, finish, usage, rest });
            }
        }
    }
    let message = "the stream ended without saying so".to_owned();
    Err(Error::Cut { provider: provider.to_owned(), message, usage: Usage::default() })
}
