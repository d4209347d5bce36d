//! What a provider's refusal means: a pure function of status, headers and body.
//!
//! Source: the error tables of OpenAI's and Groq's documents and the retry rules of their official clients: obey
//! `x-should-retry` first, then 408, 409, 429 and 5xx are worth a retry, unless the credit is spent.

use std::fmt;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tidemill_kernel::ErrorKind;

use crate::limits;

/// A wait longer than a day says nothing about when to come back.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Characters of a provider's message that are kept.
const MESSAGE_CHARS: usize = 300;

/// What a provider said instead of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What it means.
    pub reason: Reason,
    /// The provider's own words, shortened.
    pub message: String,
    /// How long to leave it alone: its `retry-after`, else the reset of a limit that is used up.
    pub retry_after: Option<Duration>,
    /// Whether the same request can succeed later with nothing changed.
    pub retryable: bool,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The API key is missing or wrong.
    BadKey,
    /// The key does not allow this.
    Forbidden,
    /// Too many requests or tokens at the moment.
    RateLimited,
    /// The credit or a spend limit is used up; waiting does not help.
    QuotaSpent,
    /// The request breaks a rule.
    Invalid,
    /// The prompt and the answer do not fit into the model's context.
    ContextTooLong,
    /// A filter stopped the request.
    ContentFiltered,
    /// There is no such model or path.
    NoSuchModel,
    /// The provider is overloaded or broken at the moment.
    Overloaded,
}

impl Reason {
    /// The kind that crosses a service boundary. A bad key of ours is `Denied`, not `Unauthenticated`: the caller's
    /// own credential is fine.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::BadKey | Self::Forbidden => ErrorKind::Denied,
            Self::RateLimited | Self::QuotaSpent => ErrorKind::Exhausted,
            Self::Invalid | Self::ContextTooLong | Self::ContentFiltered => ErrorKind::Invalid,
            Self::NoSuchModel => ErrorKind::NotFound,
            Self::Overloaded => ErrorKind::Unavailable,
        }
    }

    /// The mend, for whoever reads the message.
    fn mend(self) -> &'static str {
        match self {
            Self::BadKey => "set a valid api_key",
            Self::Forbidden => "give the api_key this right",
            Self::RateLimited => "wait, or raise the limit at the provider",
            Self::QuotaSpent => "add credit or raise the spend limit at the provider",
            Self::Invalid => "change the request",
            Self::ContextTooLong => "shorten the input or use a model with a larger context",
            Self::ContentFiltered => "change the content",
            Self::NoSuchModel => "check model and base_url",
            Self::Overloaded => "try again later",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}: {})", self.message, self.reason, self.reason.mend())
    }
}

/// Codes, types and status words of error bodies; they say more than the HTTP status.
const WORDS: [(&str, Reason); 14] = [
    ("insufficient_quota", Reason::QuotaSpent),
    ("credit_balance_exhausted", Reason::QuotaSpent),
    ("billing_hard_limit_reached", Reason::QuotaSpent),
    ("enforced_spend_limit_reached", Reason::QuotaSpent),
    ("billing_not_active", Reason::QuotaSpent),
    ("context_length_exceeded", Reason::ContextTooLong),
    ("exceed_context_size_error", Reason::ContextTooLong),
    ("content_filter", Reason::ContentFiltered),
    ("content_policy_violation", Reason::ContentFiltered),
    ("invalid_api_key", Reason::BadKey),
    ("model_not_found", Reason::NoSuchModel),
    ("rate_limit_exceeded", Reason::RateLimited),
    ("slow_down", Reason::RateLimited),
    ("server_is_overloaded", Reason::Overloaded),
];

/// What servers without such codes write when the context is too small.
const CONTEXT_PHRASES: [&str; 4] =
    ["context length", "context size", "context window", "maximum number of tokens"];

/// What an HTTP answer that is not a success means.
pub fn classify(status: u16, headers: &HeaderMap, body: &str) -> Refusal {
    let object = serde_json::from_str::<Value>(body).unwrap_or_default();
    let message = message(&object).unwrap_or(body.trim());
    let reason = by_words(&object, message, status).unwrap_or_else(|| by_status(status));
    let override_ = headers.get("x-should-retry").and_then(|value| value.to_str().ok()?.parse::<bool>().ok());
    let retryable = override_.unwrap_or(matches!(reason, Reason::RateLimited | Reason::Overloaded));
    let message = if message.is_empty() { format!("HTTP {status}") } else { shorten(message) };
    Refusal {
        reason,
        message,
        retry_after: retry_after(headers).or_else(|| limits::rest(headers)),
        retryable,
    }
}

/// What an error object inside a stream means; without a known code it is a fault of the provider.
pub fn classify_event(object: &Value) -> Refusal {
    let body = object.to_string();
    let code = object.pointer("/error/code").or_else(|| object.pointer("/error/status_code"));
    let status = code.and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    classify(status.filter(|code| (400..600).contains(code)).unwrap_or(500), &HeaderMap::new(), &body)
}

fn by_status(status: u16) -> Reason {
    match status {
        401 => Reason::BadKey,
        402 => Reason::QuotaSpent,
        403 => Reason::Forbidden,
        // A redirect is not followed (the key would go elsewhere): the address is wrong.
        300..=399 | 404 => Reason::NoSuchModel,
        413 => Reason::ContextTooLong,
        429 => Reason::RateLimited,
        // 498 is Groq's "no capacity".
        408 | 409 | 498 | 500.. => Reason::Overloaded,
        _ => Reason::Invalid,
    }
}

fn by_words(object: &Value, message: &str, status: u16) -> Option<Reason> {
    let field = |name: &str| object.pointer(&format!("/error/{name}")).and_then(Value::as_str);
    for word in [field("code"), field("type"), field("status")].into_iter().flatten() {
        if let Some((_, reason)) = WORDS.iter().find(|(known, _)| *known == word) {
            return Some(*reason);
        }
    }
    let message = message.to_ascii_lowercase();
    let too_long = matches!(status, 400 | 413 | 422 | 500)
        && CONTEXT_PHRASES.iter().any(|phrase| message.contains(phrase));
    too_long.then_some(Reason::ContextTooLong)
}

/// The words of `{"error":{"message"}}`, `{"error":"..."}`, `{"message"}` or `{"detail"}`.
fn message(object: &Value) -> Option<&str> {
    ["/error/message", "/error", "/message", "/detail"]
        .into_iter()
        .find_map(|path| object.pointer(path).and_then(Value::as_str))
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// `retry-after-ms`, else `retry-after` in seconds (fractions allowed) or as a date, which is read against the answer's
/// own `date` so that two clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |value: f64| Duration::try_from_secs_f64(value).ok();
    let wait = match text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        Some(ms) => seconds(ms / 1000.0),
        None => {
            let value = text(RETRY_AFTER.as_str())?;
            value.parse().map_or_else(|_| until(value, text(DATE.as_str())?), seconds)
        }
    };
    wait.filter(|wait| *wait <= LONGEST_WAIT)
}

fn until(date: &str, now: &str) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let now = jiff::fmt::rfc2822::parse(now).ok()?.timestamp();
    Duration::try_from(date.duration_since(now)).ok()
}

#[cfg(test)]
mod tests;
