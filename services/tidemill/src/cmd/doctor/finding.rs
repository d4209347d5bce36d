//! What a check found, as a person and as a program read it.

use std::fmt;

use serde::Serialize;

use crate::output::one_line;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Right.
    Ok,
    /// It works, but not as it should, or not for long.
    Warn,
    /// It does not work.
    Fail,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at.
    pub(super) check: &'static str,
    /// What was seen.
    pub(super) says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, says: says.into(), mend: None }
    }

    pub(super) fn warn(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Warn, check, says: says.into(), mend: Some(mend.into()) }
    }

    pub(super) fn fail(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level: Level::Fail, check, says: says.into(), mend: Some(mend.into()) }
    }

    /// A fault whose text says already how to mend it.
    pub(super) fn told(check: &'static str, fault: &dyn std::error::Error) -> Self {
        Self { level: Level::Fail, check, says: fault.to_string(), mend: None }
    }
}

impl fmt::Display for Finding {
    /// One line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        write!(f, "{level:<5} {:<14} {}", self.check, one_line(&self.says))?;
        match &self.mend {
            Some(mend) => write!(f, "; {}", one_line(mend)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_one_object() {
        let finding = Finding::warn("ports", "taken\nby another", "stop it");
        assert_eq!(finding.to_string(), "warn  ports          taken by another; stop it");
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["level"], "warn");
        assert!(serde_json::to_value(Finding::ok("a", "b")).unwrap().get("mend").is_none());
    }
}
