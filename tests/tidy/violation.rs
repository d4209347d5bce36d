//! A broken rule, said so that it can be mended: where, what, and what would be right.

use std::fmt;

use anyhow::bail;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    fault: String,
    mend: String,
}

impl Violation {
    /// `line` counts from 1; a violation of a whole file is on line 1.
    pub(crate) fn new(path: &str, line: usize, fault: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { path: path.into(), line, fault: fault.into(), mend: mend.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.fault, self.mend)
    }
}

/// Fails with all `violations`, one a line, when there is any.
pub(crate) fn expect_none(rule: &str, violations: &[Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = violations.iter().map(|v| format!("  {v}")).collect();
    bail!("{rule}: {} violations\n{}", violations.len(), list.join("\n"));
}

/// What a fixture expects: where the violations are, in order.
pub(crate) fn places(violations: &[Violation]) -> Vec<(&str, usize)> {
    violations.iter().map(|v| (v.path.as_str(), v.line)).collect()
}

#[test]
fn a_report_names_every_place_with_its_mend() {
    let both = [Violation::new("a.rs", 3, "is wrong", "do x"), Violation::new("b.rs", 1, "is bad", "do y")];
    let report = expect_none("rule", &both).map_err(|e| e.to_string());
    assert_eq!(report, Err("rule: 2 violations\n  a.rs:3: is wrong; do x\n  b.rs:1: is bad; do y".into()));
    assert!(expect_none("rule", &[]).is_ok());
}
