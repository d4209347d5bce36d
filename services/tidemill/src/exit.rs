//! How a command ends: the exit code, and a failure told to a person: the fault, the fields, the mend.

use std::io::{self, Write};
use std::process::ExitCode;

use tidemill_chassis::fault;
use tidemill_kernel::ErrorKind;
use tonic::Status;

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// A part of the input was refused, and said so on stderr.
    Refused,
    /// Something did not succeed, and said so on stderr.
    Failed,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
            Self::Refused => ExitCode::from(2),
        }
    }
}

/// Says what went wrong on stderr. Output that nobody reads any more is no failure.
pub(crate) fn report(failure: &anyhow::Error) -> ExitCode {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe)
    };
    if failure.chain().any(broken) {
        return ExitCode::SUCCESS;
    }
    let (text, exit) = explain(failure);
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "error: {text}");
    exit.code()
}

/// The failure in words, and how the command ends.
fn explain(failure: &anyhow::Error) -> (String, Exit) {
    let Some(status) = failure.chain().find_map(|cause| cause.downcast_ref::<Status>()) else {
        return (chain(failure), Exit::Failed);
    };
    let text = words(status);
    let refused = fault::from_status(status).kind == ErrorKind::Invalid;
    (text, if refused { Exit::Refused } else { Exit::Failed })
}

/// The failure and its causes, but for those that the text has said already.
pub(crate) fn chain(failure: &anyhow::Error) -> String {
    failure.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.as_str() {
        "" => cause,
        said if said.contains(&cause) => text,
        said => format!("{said}: {cause}"),
    })
}

/// A status in words: its message, then each field at fault on a line of its own.
pub(crate) fn words(status: &Status) -> String {
    let fault = fault::from_status(status);
    let mut text = fault.message;
    for violation in fault.violations {
        let line = format!("{}: {}", violation.field, violation.description);
        if text != line {
            text.push_str("\n  ");
            text.push_str(&line);
        }
    }
    if let Some(wait) = fault.retry_after {
        text.push_str(&format!("\n  try again in {:.1} s", wait.as_secs_f64()));
    }
    match fault.kind {
        ErrorKind::Unavailable => text.push_str("\n  is the mesh still running? `tidemill up` starts one"),
        ErrorKind::Unauthenticated => text.push_str("\n  give the key by --key or TIDEMILL_KEY"),
        _ => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use tidemill_chassis::FaultExt;
    use tidemill_kernel::Fault;

    use super::*;

    #[test]
    fn a_refused_field_is_named_and_ends_with_two() {
        let status = Fault::invalid("expression", "column 3: a word is missing").into_status();
        let (text, exit) = explain(&anyhow::Error::new(status));
        assert!(text.contains("expression") && text.contains("column 3"), "{text}");
        assert_eq!(exit, Exit::Refused);
    }

    #[test]
    fn other_failures_end_with_one_and_say_their_causes() {
        let failure = anyhow::anyhow!("no room").context("cannot save");
        assert_eq!(explain(&failure), ("cannot save: no room".to_owned(), Exit::Failed));
        let twice = anyhow::anyhow!("in use").context("cannot listen: in use; stop the other");
        assert_eq!(chain(&twice), "cannot listen: in use; stop the other");
    }
}
