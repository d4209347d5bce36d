//! Logs: human-readable on a terminal, JSON otherwise; to standard error, so that output stays clean.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is in `tracing`'s filter syntax; the environment variable `TIDEMILL_LOG` wins over it.
/// A filter that cannot be read is an error that says which part.
pub fn init(filter: &str) -> Result<(), String> {
    let filter = std::env::var("TIDEMILL_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter =
        EnvFilter::try_new(&filter).map_err(|fault| format!("the log filter `{filter}`: {fault}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let result =
        if stderr().is_terminal() { builder.compact().try_init() } else { builder.json().try_init() };
    result.map_err(|fault| fault.to_string())
}
