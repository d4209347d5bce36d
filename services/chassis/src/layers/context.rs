//! Reads the caller's context out of the metadata once and lays it beside the request.

use http::Request;
use tidemill_kernel::Clock;
use tonic::body::Body;

use super::{Answer, refuse};
use crate::{Context, FaultExt, SystemClock};

/// Puts a [`Context`] into the request's extensions, or refuses a malformed one.
pub fn enter(mut request: Request<Body>, next: &mut dyn FnMut(Request<Body>) -> Answer) -> Answer {
    match Context::read(request.headers(), SystemClock.now()) {
        Ok(context) => {
            request.extensions_mut().insert(context);
            next(request)
        }
        Err(fault) => refuse(fault.into_status()),
    }
}
