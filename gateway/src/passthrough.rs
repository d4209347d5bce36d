//! gRPC straight through: headers are checked and the caller's context is set, the bodies pass undecoded both ways.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use tidemill_chassis::context::{BAGGAGE, OPERATOR, TENANT, TRACE_PARENT};
use tonic::body::Body;
use tower::ServiceExt;

use crate::access::Access;
use crate::auth::{self, API_KEY, Caller};
use crate::error::Error;
use crate::service::Shared;
use crate::trace;

/// Whether this is a gRPC call, in any of its encodings.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    media_type.is_some_and(|media_type| {
        media_type
            .strip_prefix(b"application/grpc")
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    })
}

/// Answers one gRPC call.
pub(crate) async fn forward(
    shared: &Shared,
    mut request: Request<Body>,
    trace_parent: &str,
) -> Response<Body> {
    match admit(shared, &mut request, trace_parent).await {
        Ok(()) => {
            let Ok(response) = shared.switchboard.clone().oneshot(request).await;
            response
        }
        Err(error) => error.into_status().into_http(),
    }
}

/// Checks the call and sets its context, in place of what the caller wrote under those names.
async fn admit(shared: &Shared, request: &mut Request<Body>, trace_parent: &str) -> Result<(), Error> {
    if request.version() < Version::HTTP_2 {
        return Err(Error::Protocol("gRPC needs HTTP/2: trailers would be lost on the way"));
    }
    let service = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    let access = shared.catalogue.access(&service);
    let caller = if access == Access::Anybody {
        Caller { tenant: None, operator: false }
    } else {
        shared.check_origin(request)?;
        let mut caller = shared.caller(request.headers(), trace_parent).await?;
        access.allow(&caller, &service)?;
        if access == Access::Internal {
            // Tidemill's own services, called by its own workers: the call says whom it concerns, or nobody.
            caller = Caller { tenant: auth::named_tenant(request.headers())?, operator: true };
        }
        caller
    };
    trace::tell_tenant(caller.tenant.as_ref());
    set_context(request.headers_mut(), &caller, trace_parent);
    Ok(())
}

/// Leaves no credential in the headers, and no context but this.
fn set_context(headers: &mut HeaderMap, caller: &Caller, trace_parent: &str) {
    let baggage = trace::baggage(headers, caller.tenant.as_ref());
    for name in [TENANT, OPERATOR, BAGGAGE, API_KEY, "authorization", "host"] {
        headers.remove(name);
    }
    let mut insert = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    insert(TRACE_PARENT, trace_parent);
    if let Some(baggage) = &baggage {
        insert(BAGGAGE, baggage);
    }
    if let Some(tenant) = &caller.tenant {
        insert(TENANT, tenant.as_str());
    }
    if caller.operator {
        insert(OPERATOR, "true");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_from_grpc_web_and_the_rest() {
        let is =
            |value: &str| is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc;x=y"));
        assert!(!is("application/grpc-web") && !is("application/json") && !is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn what_the_caller_claims_to_be_is_dropped() {
        let claimed = [
            (TENANT, "evil"),
            (OPERATOR, "true"),
            (BAGGAGE, "x=1,tidemill.tenant=evil"),
            ("authorization", "Bearer k"),
            (API_KEY, "k"),
            ("a", "b"),
        ];
        let claimed =
            claimed.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::from_iter(claimed);
        set_context(&mut headers, &Caller { tenant: Some("acme".parse().unwrap()), operator: false }, "t");
        let seen: std::collections::BTreeMap<_, _> =
            headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let baggage = (BAGGAGE, "x=1,tidemill.tenant=acme");
        assert_eq!(seen, [("a", "b"), baggage, (TENANT, "acme"), (TRACE_PARENT, "t")].into());
    }
}
