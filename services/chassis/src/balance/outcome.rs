//! What an answer, or none, says about the endpoint, and what the caller is told.

use std::error::Error as StdError;
use std::iter;

use http::{Response, StatusCode};
use tidemill_kernel::{ErrorKind, Fault};
use tonic::{Code, TimeoutExpired};

use super::endpoints::Ending;
use crate::discovery::Address;

/// What an answer says about who gave it. Only a status without a message (trailers-only) is looked at.
pub(crate) fn judge<B>(response: &Response<B>) -> Ending {
    let code = response.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    match (code, response.status()) {
        (Some(Code::Unavailable), _)
        // A proxy in between that finds nobody behind it.
        | (None, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
            Ending::Failed
        }
        (Some(Code::ResourceExhausted), _) => Ending::Overloaded,
        (Some(Code::DeadlineExceeded), _) => Ending::TimedOut,
        (Some(Code::Internal | Code::Unknown | Code::DataLoss), _) => Ending::Faulty,
        _ => Ending::Answered,
    }
}

/// A failed connection or exchange as what it means for the endpoint and for the caller.
pub(super) fn explain(name: &str, address: &Address, error: &(dyn StdError + 'static)) -> (Ending, Fault) {
    let chain: Vec<_> = iter::successors(Some(error), |&error| error.source()).collect();
    if chain.iter().any(|error| error.is::<TimeoutExpired>()) {
        let message = format!("the {name} service at {address} did not answer before the caller's deadline");
        return (Ending::TimedOut, Fault::new(ErrorKind::Timeout, message));
    }
    let mut reasons: Vec<String> = chain.iter().map(ToString::to_string).collect();
    reasons.dedup();
    let reasons = reasons.join(": ");
    let message = format!(
        "cannot reach the {name} service at {address}: {reasons}; check that it runs and that the address is right"
    );
    (Ending::Failed, Fault::new(ErrorKind::Unavailable, message))
}
