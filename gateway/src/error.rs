//! What the gateway itself refuses, each with its mend, and how it is answered: kind, HTTP status, `google.rpc`
//! details. What services refuse passes through as [`Error::Service`].

use tidemill_chassis::FaultExt;
use tidemill_kernel::{ErrorKind, Fault};
use tonic::Status;

use crate::frame::FrameError;
use crate::json::JsonError;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// No route has this path.
    #[error("there is nothing at {path}{hint}")]
    NoRoute { path: String, hint: String },
    /// The path has other methods.
    #[error("{path} does not take {method}, but {allow}")]
    Method { path: String, method: String, allow: String },
    /// The body is of another type.
    #[error("a body of type `{got}` is not understood: send it with `content-type: {want}`")]
    MediaType { got: String, want: &'static str },
    /// The answer comes in no type that the caller takes.
    #[error("the answer comes as {offered}, and the `accept` header takes none of it")]
    NotAcceptable { offered: &'static str },
    /// The body is longer than the limit.
    #[error("the body is larger than {limit} bytes: send less at once, or raise the gateway's body_limit")]
    BodyTooLarge { limit: usize },
    /// The client went away or broke its own framing.
    #[error("the body could not be read: {0}")]
    BodyUnreadable(String),
    /// There is a body where none belongs.
    #[error("this call takes no body: send its fields as query parameters")]
    UnexpectedBody,
    /// The JSON is not the request's.
    #[error("{0}")]
    Json(JsonError),
    /// A line of an upload is not a message.
    #[error("line {line}: {fault}; the lines before it were taken, the rest was not read")]
    Line { line: u64, fault: JsonError },
    /// A line of an upload is longer than the limit.
    #[error(
        "line {line} is longer than {limit} bytes: split it, or raise the gateway's line_limit; the lines before it \
         were taken, the rest was not read"
    )]
    LineTooLong { line: u64, limit: usize },
    /// A path or query parameter is wrong.
    #[error("{field}: {rule}")]
    Parameter { field: String, rule: String },
    /// No credential where one is needed, or one that nobody has.
    #[error("{0}")]
    Credential(&'static str),
    /// The caller is no operator.
    #[error("{service} is for operators: use an operator's key")]
    OperatorsOnly { service: String },
    /// A web page or a rebound name is behind the request.
    #[error("{0}")]
    Foreign(String),
    /// gRPC over HTTP/1.1, or gRPC-Web.
    #[error("{0}")]
    Protocol(&'static str),
    /// The answer did not come in time.
    #[error("the answer took longer than {0} ms; the work may still be done")]
    Late(u64),
    /// The service refused, or could not be reached.
    #[error("{}", .0.message())]
    Service(Box<Status>),
    /// The service's answer is not framed as it should be.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A stream that would outlast this gateway.
    #[error(
        "this gateway is stopping: what was acknowledged is stored; send the rest again, it goes on from there"
    )]
    Stopping,
    /// A defect of ours.
    #[error("the gateway met a defect of its own: {0}")]
    Defect(String),
}

impl Error {
    /// What kind of failure this is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::NoRoute { .. } => ErrorKind::NotFound,
            Self::Method { .. } | Self::Protocol(_) => ErrorKind::Unsupported,
            Self::MediaType { .. }
            | Self::NotAcceptable { .. }
            | Self::BodyTooLarge { .. }
            | Self::BodyUnreadable(_)
            | Self::UnexpectedBody
            | Self::Json(_)
            | Self::Line { .. }
            | Self::LineTooLong { .. }
            | Self::Parameter { .. } => ErrorKind::Invalid,
            Self::Credential(_) => ErrorKind::Unauthenticated,
            Self::OperatorsOnly { .. } | Self::Foreign(_) => ErrorKind::Denied,
            Self::Late(_) => ErrorKind::Timeout,
            Self::Stopping => ErrorKind::Unavailable,
            Self::Service(status) => {
                ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(13))
            }
            Self::Frame(_) | Self::Defect(_) => ErrorKind::Internal,
        }
    }

    /// The HTTP status: the kind's, but for what only HTTP knows.
    pub(crate) fn http_status(&self) -> u16 {
        match self {
            Self::Method { .. } => 405,
            Self::NotAcceptable { .. } => 406,
            Self::BodyTooLarge { .. } | Self::LineTooLong { .. } => 413,
            Self::MediaType { .. } => 415,
            Self::Protocol(_) => 426,
            _ => self.kind().http_status(),
        }
    }

    /// The gRPC status with its details.
    pub(crate) fn into_status(self) -> Status {
        let field = match &self {
            Self::Service(_) => None,
            Self::Json(fault) | Self::Line { fault, .. } => fault.field().map(|field| (field, fault.rule())),
            Self::Parameter { field, rule } => Some((field.clone(), rule.clone())),
            _ => None,
        };
        let fault = match (field, self) {
            (_, Self::Service(status)) => return *status,
            (None, error) => Fault::new(error.kind(), error.to_string()),
            (Some((field, rule)), error) => {
                let message = error.to_string();
                Fault { message, ..Fault::invalid(field, rule) }
            }
        };
        fault.into_status()
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Service(Box::new(status))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn a_parameter_at_fault_is_a_field_violation() {
        let error = Error::Parameter { field: "page_size".into(), rule: "is not a number".into() };
        assert_eq!(error.http_status(), 400);
        let status = error.into_status();
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "page_size: is not a number"));
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "page_size");
    }

    #[test]
    fn a_service_s_own_status_passes_unchanged() {
        let status = Fault::new(ErrorKind::Conflict, "stale").into_status();
        let error = Error::from(status.clone());
        assert_eq!(error.http_status(), ErrorKind::Conflict.http_status());
        assert_eq!(error.into_status().details(), status.details());
    }
}
