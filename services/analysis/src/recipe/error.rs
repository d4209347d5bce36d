//! Why a recipe gave no result, and what can be done about it.

use std::time::Duration;

use tidemill_kernel::{ErrorKind, Fault};
use tidemill_llm::Usage;

/// Why a recipe gave no result.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecipeError {
    /// There is no such recipe.
    #[error("there is no recipe `{name}`; known are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is, with versions.
        known: Vec<String>,
    },
    /// The parameters break their schema.
    #[error("recipe {recipe}: the parameters are wrong: {reason}")]
    Parameters {
        /// The recipe's reference.
        recipe: String,
        /// Which field, and what would be right.
        reason: String,
    },
    /// The recipe needs a model and none is configured.
    #[error(
        "recipe {recipe} needs a language model and none is configured: set base_url, api_key and model under \
         [analysis.openai], or use the recipe `brief`, which needs none"
    )]
    NoProvider {
        /// The recipe's reference.
        recipe: String,
    },
    /// The provider gave no answer.
    #[error("recipe {recipe}: {source}")]
    Provider {
        /// The recipe's reference.
        recipe: String,
        /// The provider's error.
        source: Box<tidemill_llm::Error>,
        /// What was spent.
        usage: Usage,
    },
    /// The model or its provider's filter declined to answer.
    #[error("recipe {recipe}: the model declined: {reason}; change the content or use another model")]
    Declined {
        /// The recipe's reference.
        recipe: String,
        /// Its words, shortened; may be empty.
        reason: String,
        /// What was spent.
        usage: Usage,
    },
    /// The model's answer broke the output schema, and so did the mended one.
    #[error(
        "recipe {recipe}: the model's answer is not valid, even after one repair: {reason}; try a larger model"
    )]
    Answer {
        /// The recipe's reference.
        recipe: String,
        /// What was wrong with the second answer.
        reason: String,
        /// What was spent on both.
        usage: Usage,
    },
    /// The recipe itself is broken: its schema or its template.
    #[error("recipe {recipe} is broken: {reason}; correct its definition")]
    Definition {
        /// The recipe's reference.
        recipe: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl RecipeError {
    /// The kind that crosses a service boundary.
    ///
    /// An answer that stays invalid is `Unavailable`: models sample, so that a later attempt of the task can succeed;
    /// the task's limit on attempts bounds what that costs.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } => ErrorKind::NotFound,
            Self::Parameters { .. } | Self::Declined { .. } => ErrorKind::Invalid,
            Self::NoProvider { .. } => ErrorKind::Unsupported,
            Self::Provider { source, .. } => source.kind(),
            Self::Answer { .. } => ErrorKind::Unavailable,
            Self::Definition { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same task can succeed later with nothing changed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Provider { source, .. } => source.retryable(),
            Self::Answer { .. } => true,
            _ => false,
        }
    }

    /// When to come back, if the provider said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// What was spent in spite of the failure.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Provider { usage, .. } | Self::Declined { usage, .. } | Self::Answer { usage, .. } => {
                *usage
            }
            _ => Usage::default(),
        }
    }

    /// The failure as it crosses a service boundary.
    pub fn fault(&self) -> Fault {
        let fault = match self {
            Self::Unknown { .. } => Fault::invalid("recipe", self.to_string()),
            Self::Parameters { .. } => Fault::invalid("parameters", self.to_string()),
            _ => Fault::new(self.kind(), self.to_string()),
        };
        Fault { kind: self.kind(), message: self.to_string(), retry_after: self.retry_after(), ..fault }
    }
}
