//! The words of enumerations on the command line and in tables.

use clap::ValueEnum;
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1;

/// How urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Priority {
    /// Somebody waits for it
    Interactive,
    /// The ordinary case
    Normal,
    /// Whenever there is room
    Background,
}

impl From<Priority> for i32 {
    fn from(priority: Priority) -> Self {
        let priority = match priority {
            Priority::Interactive => v1::Priority::Interactive,
            Priority::Normal => v1::Priority::Normal,
            Priority::Background => v1::Priority::Background,
        };
        priority.into()
    }
}

/// A tenant's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tier {
    /// Weight 1
    Free,
    /// Weight 4
    Pro,
    /// Weight 16
    Enterprise,
}

impl From<Tier> for i32 {
    fn from(tier: Tier) -> Self {
        let tier = match tier {
            Tier::Free => v1::Tier::Free,
            Tier::Pro => v1::Tier::Pro,
            Tier::Enterprise => v1::Tier::Enterprise,
        };
        tier.into()
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// In the queue
    Waiting,
    /// Held by a worker
    Running,
    /// Done
    Succeeded,
    /// Given up
    Dead,
    /// Cancelled by its tenant
    Cancelled,
}

impl From<State> for i32 {
    fn from(state: State) -> Self {
        let state = match state {
            State::Waiting => v1::TaskState::Waiting,
            State::Running => v1::TaskState::Running,
            State::Succeeded => v1::TaskState::Succeeded,
            State::Dead => v1::TaskState::Dead,
            State::Cancelled => v1::TaskState::Cancelled,
        };
        state.into()
    }
}

/// The word of a priority.
pub(crate) fn priority(value: i32) -> String {
    word(v1::Priority::try_from(value).map(|priority| priority.as_str_name()).ok(), "PRIORITY_")
}

/// The word of a tier.
pub(crate) fn tier(value: i32) -> String {
    word(v1::Tier::try_from(value).map(|tier| tier.as_str_name()).ok(), "TIER_")
}

/// The word of a task's state.
pub(crate) fn state(value: i32) -> String {
    word(v1::TaskState::try_from(value).map(|state| state.as_str_name()).ok(), "TASK_STATE_")
}

/// The word of a source's kind.
pub(crate) fn source_kind(value: i32) -> String {
    word(v1::SourceKind::try_from(value).map(|kind| kind.as_str_name()).ok(), "SOURCE_KIND_")
}

fn word(name: Option<&'static str>, prefix: &str) -> String {
    name.map_or_else(|| "unknown".to_owned(), |name| name.trim_start_matches(prefix).to_ascii_lowercase())
}

/// A moment in UTC to the second; a dash when there is none.
pub(crate) fn time(time: Option<&pbjson_types::Timestamp>) -> String {
    let text =
        |time| tidemill_kernel::Timestamp::from_micros(to_micros(time) / 1_000_000 * 1_000_000).to_string();
    time.map_or_else(|| "-".to_owned(), text)
}

/// A duration as people read it; a dash when there is none.
pub(crate) fn wait(wait: Option<&pbjson_types::Duration>) -> String {
    let Some(wait) = wait.map(tidemill_proto::time::length) else { return "-".to_owned() };
    match wait.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1_000.0),
        seconds if seconds < 120.0 => format!("{seconds:.1} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_contracts_names_without_their_prefix() {
        assert_eq!(priority(Priority::Background.into()), "background");
        assert_eq!(tier(Tier::Pro.into()), "pro");
        assert_eq!(state(State::Dead.into()), "dead");
        assert_eq!(state(99), "unknown");
    }
}
