//! What can go wrong here: a configuration that cannot be met, a lease that is not held.

use tidemill_kernel::{ErrorKind, Id, Priority};

/// A refusal of the policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A share out of range.
    #[error("the share of {priority} tasks is {share}; use 0 to less than 1")]
    Share {
        /// Whose share.
        priority: Priority,
        /// What was given.
        share: f64,
    },
    /// Shares that leave nothing to order by priority.
    #[error("the shares of the priorities add up to {sum}; lower them to less than 1")]
    ShareSum {
        /// Their sum.
        sum: f64,
    },
    /// A window of nothing.
    #[error("the window of a queue is 0; use at least 1")]
    Window,
    /// Fractions that would shed the more urgent first.
    #[error(
        "background tasks are shed from {background} of the bound on, normal ones from {normal}; use 0 < background <= normal <= 1"
    )]
    Shedding {
        /// The fraction for background tasks.
        background: f64,
        /// The fraction for normal tasks.
        normal: f64,
    },
    /// Nobody holds a lease of this task.
    #[error("task {0} is not leased: its lease has ended; take a new one")]
    NotLeased(Id),
    /// The lease was given to somebody else since.
    #[error("task {0} is leased under another token: this lease has ended; drop its result")]
    StaleToken(Id),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Share { .. } | Self::ShareSum { .. } | Self::Window | Self::Shedding { .. } => {
                ErrorKind::Invalid
            }
            Self::NotLeased(_) | Self::StaleToken(_) => ErrorKind::Conflict,
        }
    }
}
