//! What an operator can set.

use serde::{Deserialize, Serialize};
use tidemill_llm::OpenAiConfig;
use tidemill_llm::router::SET_ASIDE;

use crate::{Error, Result};

/// Settings of the analysis service: `[analysis]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a provider is left alone that refused its key or whose credit is spent, in milliseconds; 1 or more.
    pub set_aside_ms: u64,
    /// How many tasks it takes at once: `[analysis.worker]`.
    pub worker: tidemill_worker::Config,
    /// The language model: `[analysis.openai]`. Without it, recipes that need a model say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openai: Option<OpenAiConfig>,
}

impl Default for Config {
    /// No language model; a key that was mended is found within five minutes.
    fn default() -> Self {
        let set_aside_ms = u64::try_from(SET_ASIDE.as_millis()).unwrap_or(u64::MAX);
        Self { set_aside_ms, worker: tidemill_worker::Config::default(), openai: None }
    }
}

impl Config {
    /// Refuses what cannot work, all of it at once; what a provider's section must hold, its provider checks.
    ///
    /// # Errors
    /// [`Error::Config`] names each key and what would be right.
    pub fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        if self.set_aside_ms == 0 {
            let fault = "[analysis] `set_aside_ms` is 0, so that a wrong key would be tried without end: set 1 or more";
            faults.push(fault.to_owned());
        }
        faults.extend(self.worker.check().err().map(|fault| format!("[analysis.worker] {fault}")));
        if self.openai.as_ref().is_some_and(|openai| openai.model.is_empty()) {
            let fault =
                "[analysis.openai] `model` is empty, and recipes name none: set the model to be asked";
            faults.push(fault.to_owned());
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults)) }
    }
}
