//! The trace a request belongs to: the caller's, or a new one, so that every task can be found from the request that
//! caused it. Source: W3C Trace Context, §3.2.

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use rand::RngCore;
use rand::rngs::StdRng;
use tidemill_chassis::context::{self, BAGGAGE, TRACE_PARENT};
use tidemill_kernel::TenantName;
use tracing::Span;

/// Gives requests their trace.
#[derive(Debug)]
pub(crate) struct Traces(Mutex<StdRng>);

impl Traces {
    /// New traces have ids from this generator.
    pub(crate) fn new(rng: StdRng) -> Self {
        Self(Mutex::new(rng))
    }

    /// The `traceparent` of these headers if there is a good one.
    pub(crate) fn given(&self, headers: &HeaderMap) -> Option<String> {
        let given = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok());
        given.filter(|given| is_trace_parent(given)).map(str::to_owned)
    }

    /// A new one.
    pub(crate) fn fresh(&self) -> String {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // All zeros mean "none" in either id.
        let trace = (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())).max(1);
        format!("00-{trace:032x}-{:016x}-01", rng.next_u64().max(1))
    }
}

/// The baggage of the request with these headers, for a caller of this tenant.
pub(crate) fn baggage(headers: &HeaderMap, tenant: Option<&TenantName>) -> Option<String> {
    let given = headers.get(BAGGAGE).and_then(|value| value.to_str().ok());
    tenant.map(|tenant| context::baggage(tenant, given))
}

/// Tells the present span whose request it is.
pub(crate) fn tell_tenant(tenant: Option<&TenantName>) {
    if let Some(tenant) = tenant {
        Span::current().record("tidemill.tenant", tenant.as_str());
    }
}

fn is_trace_parent(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let id = |part: &str, length| hex(part, length) && part.bytes().any(|b| b != b'0');
    matches!(parts[..], [version, trace, span, flags]
        if version == "00" && id(trace, 32) && id(span, 16) && hex(flags, 2))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_good_trace_goes_on_and_anything_else_begins_a_new_one() {
        let traces = Traces::new(StdRng::seed_from_u64(1));
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let given = |value: &str| {
            let headers = [(http::HeaderName::from_static(TRACE_PARENT), value.parse().unwrap())];
            traces.given(&HeaderMap::from_iter(headers))
        };
        assert_eq!(given(good).as_deref(), Some(good));
        let zeros = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        for bad in ["", "x", zeros, &good.to_uppercase(), &good[1..]] {
            assert_eq!(given(bad), None, "{bad}");
        }
        let (one, two) = (traces.fresh(), traces.fresh());
        assert!(one != two && is_trace_parent(&one), "{one} {two}");
    }
}
