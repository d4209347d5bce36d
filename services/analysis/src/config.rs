//! What an operator can set.

use serde::{Deserialize, Serialize};
use tidemill_llm::OpenAiConfig;

/// Settings of the analysis service: `[analysis]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tasks it takes at once: `[analysis.worker]`.
    pub worker: tidemill_worker::Config,
    /// The language model: `[analysis.openai]`. Without it, recipes that need a model say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiConfig>,
}
