//! How a command ends: the exit code, and a failure told to a person: the fault, the fields, the mend.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use tidemill_chassis::fault;
use tidemill_kernel::ErrorKind;
use tonic::Status;

/// The exit codes as `--help` and the reference page tell them.
pub(crate) const CODES: &str = "\
  0    done
  1    failed; stderr says why
  2    a part of the input was refused and the rest done, or the command line is wrong
  3    no mesh answers, or it went away; the same command may succeed later
  130  stopped by Ctrl-C";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done,
    /// Something did not succeed, and said so on stderr.
    Failed,
    /// A part of the input was refused, and said so on stderr.
    Refused,
    /// No mesh answers, or it went away.
    Unreachable,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
            Self::Refused => ExitCode::from(2),
            Self::Unreachable => ExitCode::from(3),
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

/// A failure that this program found by itself, with how the command is to end.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit: Exit,
}

impl Failure {
    /// What the caller gave is wrong.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit: Exit::Refused }
    }

    /// No mesh answers.
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { text: text.into(), exit: Exit::Unreachable }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}

/// What to do about a failure, as its context: told on a line of its own after everything else.
#[derive(Debug)]
pub(crate) struct Hint(pub(crate) String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what went wrong on stderr. Output that nobody reads any more is no failure.
pub(crate) fn report(failure: &anyhow::Error) -> ExitCode {
    if is_unread(failure) {
        return ExitCode::SUCCESS;
    }
    let (text, exit) = explain(failure);
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "error: {text}");
    exit.code()
}

/// Whether a reader of the output is gone. A socket breaks with the same fault of the system, but as the cause of another.
fn is_unread(failure: &anyhow::Error) -> bool {
    let own = failure.downcast_ref::<io::Error>();
    own.is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe) && status(failure).is_none()
}

/// The failure in words, and how the command ends.
fn explain(failure: &anyhow::Error) -> (String, Exit) {
    let (mut text, exit) = match status(failure) {
        Some(status) => (words(status), after(status)),
        None => {
            let exit = failure.downcast_ref::<Failure>().map_or(Exit::Failed, |own| own.exit);
            (chain(failure), exit)
        }
    };
    if let Some(Hint(hint)) = failure.downcast_ref::<Hint>() {
        text.push_str("\n  ");
        text.push_str(hint);
    }
    (text, exit)
}

/// The failure and its causes, but for those that the text has said already.
pub(crate) fn chain(failure: &anyhow::Error) -> String {
    // Commands say what they read; a bare fault of the system comes from writing what they print.
    if failure.is::<io::Error>() && failure.chain().count() == 1 {
        return format!("cannot write the output: {failure}");
    }
    let causes = failure.chain().map(ToString::to_string);
    let hint = failure.downcast_ref::<Hint>().map(|hint| hint.0.as_str());
    causes.filter(|cause| Some(cause.as_str()) != hint).fold(String::new(), |text, cause| {
        match text.as_str() {
            "" => cause,
            said if said.contains(&cause) => text,
            said => format!("{said}: {cause}"),
        }
    })
}

/// How a command ends that the mesh answered so.
fn after(status: &Status) -> Exit {
    match fault::from_status(status).kind {
        _ if is_lost(status) => Exit::Unreachable,
        ErrorKind::Invalid => Exit::Refused,
        ErrorKind::Unavailable => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// What the mesh answered, if this is its answer.
pub(crate) fn status(failure: &anyhow::Error) -> Option<&Status> {
    failure.chain().find_map(|cause| cause.downcast_ref::<Status>())
}

/// Whether the same may succeed later: the mesh is away, or has no room now.
pub(crate) fn passes(failure: &anyhow::Error) -> bool {
    let full = |status: &Status| fault::from_status(status).kind == ErrorKind::Exhausted;
    status(failure).is_some_and(|status| full(status) || after(status) == Exit::Unreachable)
}

/// Whether the connection broke: an answer of the mesh has no cause on this side.
fn is_lost(status: &Status) -> bool {
    status.source().is_some()
}

/// A status in words: its message, then each field at fault on a line of its own.
pub(crate) fn words(status: &Status) -> String {
    if is_lost(status) {
        return "the mesh went away, or the way to it broke; see that it runs (`tidemill up` starts one)"
            .to_owned();
    }
    let fault = fault::from_status(status);
    let mut text = fault.message;
    for violation in fault.violations {
        let line = format!("{}: {}", violation.field, violation.description);
        if text == violation.description {
            text = line;
        } else if text != line {
            text.push_str("\n  ");
            text.push_str(&line);
        }
    }
    match fault.retry_after {
        Some(wait) => text.push_str(&format!("\n  try again in {:.1} s", wait.as_secs_f64())),
        None if fault.kind == ErrorKind::Unavailable => {
            text.push_str("\n  is the mesh still running? `tidemill up` starts one");
        }
        None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use tidemill_chassis::FaultExt;
    use tidemill_kernel::Fault;

    use super::*;

    #[test]
    fn a_refused_field_is_named_and_ends_with_two() {
        let status = Fault::invalid("expression", "column 3: a word is missing").into_status();
        let (text, exit) = explain(&anyhow::Error::new(status));
        assert!(text.contains("expression") && text.contains("column 3"), "{text}");
        assert_eq!(exit, Exit::Refused);
        let mut fault = Fault::invalid("recipe", "there is no recipe");
        fault.message = "there is no recipe".to_owned();
        assert_eq!(words(&fault.into_status()), "recipe: there is no recipe");
    }

    #[test]
    fn output_that_nobody_reads_is_no_failure_and_a_broken_connection_is_one() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_unread(&anyhow::Error::new(broken())));
        let lost = Status::from_error(Box::new(broken()));
        assert!(!is_unread(&anyhow::Error::new(lost).context("cannot read the status")));
        assert!(!is_unread(&anyhow::Error::new(io::Error::other("full"))));
    }

    #[test]
    fn other_failures_end_with_one_and_say_their_causes() {
        let failure = anyhow::anyhow!("no room").context("cannot save");
        assert_eq!(explain(&failure), ("cannot save: no room".to_owned(), Exit::Failed));
        let twice = anyhow::anyhow!("in use").context("cannot listen: in use; stop the other");
        assert_eq!(chain(&twice), "cannot listen: in use; stop the other");
    }

    #[test]
    fn a_hint_stands_last_and_is_said_once() {
        let status = Err::<(), _>(Status::not_found("there is no query `a`"));
        let failure = status.context(Hint("list them".to_owned())).unwrap_err();
        assert_eq!(explain(&failure), ("there is no query `a`\n  list them".to_owned(), Exit::Failed));
        let own = Err::<(), _>(Failure::refused("no")).context(Hint("do it".to_owned())).unwrap_err();
        assert_eq!(explain(&own), ("no\n  do it".to_owned(), Exit::Refused));
    }

    #[test]
    fn a_broken_connection_ends_with_three_and_without_its_protocols_words() {
        let cause = io::Error::new(io::ErrorKind::ConnectionReset, "h2 protocol error");
        let (text, exit) = explain(&anyhow::Error::new(Status::from_error(Box::new(cause))));
        assert!(exit == Exit::Unreachable && !text.contains("h2"), "{text}");
        let busy = anyhow::Error::new(Status::unavailable("busy"));
        assert!(explain(&busy).1 == Exit::Unreachable && passes(&busy));
        assert!(!passes(&anyhow::Error::new(Status::not_found("there is no tenant"))));
    }

    #[test]
    fn output_that_cannot_be_written_is_said_to_be_that() {
        let failure = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull));
        assert!(chain(&failure).starts_with("cannot write the output: "), "{failure}");
    }
}
