//! How an OpenAI-compatible endpoint is configured. Durations are in milliseconds, as everywhere in the file.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One OpenAI-compatible endpoint: OpenAI, Groq, Ollama, vLLM, llama.cpp and their like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAiConfig {
    /// The name it goes by in results, errors and metrics.
    pub name: String,
    /// Where `/chat/completions` is found below, such as `https://api.openai.com/v1` or `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// The bearer token; empty for servers that want none.
    pub api_key: ApiKey,
    /// The model asked for when a request names none.
    pub model: String,
    /// The time to reach the server.
    pub connect_timeout_ms: u64,
    /// The time from sending a streamed request to its first token (a chunk with only a role is none).
    pub first_token_timeout_ms: u64,
    /// The longest silence between two chunks of a stream after the first token.
    pub stall_timeout_ms: u64,
    /// How the limit on the answer's length is spelled on the wire.
    pub max_tokens_field: MaxTokensField,
}

impl Default for OpenAiConfig {
    fn default() -> Self {
        Self {
            name: "openai".to_owned(),
            base_url: "https://api.openai.com/v1".to_owned(),
            api_key: ApiKey::default(),
            model: String::new(),
            connect_timeout_ms: 5_000,
            first_token_timeout_ms: 30_000,
            stall_timeout_ms: 30_000,
            max_tokens_field: MaxTokensField::default(),
        }
    }
}

/// How the limit on the answer's length is spelled on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// OpenAI's present name.
    #[default]
    MaxCompletionTokens,
    /// The older name, which some compatible servers still want.
    MaxTokens,
}

/// A secret that neither `Debug` nor serialisation shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key itself, for the one place that sends it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The text without the key, for messages that a server may have echoed it into.
    pub(crate) fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "***") }
    }

    fn mask(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "***" }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.mask())
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.mask())
    }
}

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_nowhere() {
        let config = OpenAiConfig { api_key: ApiKey::new("sk-secret"), ..OpenAiConfig::default() };
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("sk-secret") && shown.contains("***"), "{shown}");
        assert_eq!(config.api_key.redact("wrong key sk-secret!"), "wrong key ***!");
        assert_eq!(ApiKey::default().redact("nothing to hide"), "nothing to hide");
    }

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let config: OpenAiConfig = serde_json::from_str(r#"{"model":"m","api_key":"k"}"#).unwrap();
        assert_eq!((config.model.as_str(), config.api_key.reveal()), ("m", "k"));
        assert_eq!(config.base_url, "https://api.openai.com/v1");
        let error = serde_json::from_str::<OpenAiConfig>(r#"{"modle":"m"}"#).unwrap_err();
        assert!(error.to_string().contains("modle"), "{error}");
    }
}
