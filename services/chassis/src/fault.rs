//! Faults as gRPC statuses and back, with `google.rpc` details: `ErrorInfo` always, `BadRequest` for fields at fault,
//! `RetryInfo` where a retry makes sense.

use std::collections::HashMap;

use tidemill_kernel::{ErrorKind, Fault, Violation};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of our reasons in `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "tidemill";

/// Turns faults into statuses and reads them back.
pub trait FaultExt {
    /// The status to answer with.
    fn into_status(self) -> Status;
}

impl FaultExt for Fault {
    fn into_status(self) -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info(self.kind.reason(), DOMAIN, HashMap::new());
        for violation in self.violations {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        Status::with_error_details(Code::from_i32(self.kind.grpc_code().into()), self.message, details)
    }
}

/// Reads a status, ours or anybody's, back into a fault.
pub fn from_status(status: &Status) -> Fault {
    let kind = ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2));
    let details = status.get_error_details();
    let violations = details.bad_request().map(|request| {
        let fields = request.field_violations.iter();
        fields
            .map(|field| Violation { field: field.field.clone(), description: field.description.clone() })
            .collect()
    });
    Fault {
        kind,
        message: status.message().to_owned(),
        violations: violations.unwrap_or_default(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fault_survives_the_wire() {
        let fault = Fault::invalid("name", "is empty").retry_after(Duration::from_secs(2));
        let status = fault.clone().into_status();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(from_status(&status), fault);
    }
}
