//! The context of a call: whose it is, until when it matters, which trace it belongs to, how fresh its reads are. It
//! travels as metadata and is handed on explicitly; nothing is hidden in task locals.
//!
//! Trust: the gateway sets tenant and operator after it checked the credential and drops what a client sent under
//! these names; services behind it believe them.

use std::str::FromStr;
use std::time::Duration;

use http::HeaderMap;
use tidemill_kernel::deadline::{format_grpc_timeout, parse_grpc_timeout};
use tidemill_kernel::{Clock, ErrorKind, Fault, TenantName, Timestamp};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};

use crate::{FaultExt, Reads, SystemClock};

/// Metadata key of the tenant's name.
pub const TENANT: &str = "tidemill-tenant";
/// Metadata key that marks an operator's call; its value is `true`.
pub const OPERATOR: &str = "tidemill-operator";
/// Metadata key of the W3C trace context.
pub const TRACE_PARENT: &str = "traceparent";
/// Metadata key of the W3C baggage.
pub const BAGGAGE: &str = "baggage";
/// Metadata key of the time left, as gRPC writes it.
pub const TIMEOUT: &str = "grpc-timeout";

/// What a call carries besides its message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Whose call it is; none for calls between services that concern all tenants.
    pub tenant: Option<TenantName>,
    /// Whether the caller may do what operators do.
    pub operator: bool,
    /// After this moment nobody waits for the answer.
    pub deadline: Option<Timestamp>,
    /// W3C `traceparent` of the caller's span.
    pub trace_parent: Option<String>,
    /// W3C `baggage` of the caller: for whoever reads traces, never for a decision.
    pub baggage: Option<String>,
    /// How fresh its reads have to be.
    pub reads: Reads,
}

/// The most baggage that is handed on, in bytes (W3C Baggage, section 3.3.2: at least so much).
const MOST_BAGGAGE: usize = 8_192;
/// The most members of it.
const MOST_MEMBERS: usize = 64;
/// How the names of members begin that nobody else may set.
const OWN_BAGGAGE: &str = "tidemill.";

/// The baggage of a call for this tenant: what its caller gave, but for what only Tidemill says, and the tenant.
pub fn baggage(tenant: &TenantName, given: Option<&str>) -> String {
    let own = format!("{OWN_BAGGAGE}tenant={tenant}");
    let given = given.filter(|given| given.len() + own.len() < MOST_BAGGAGE).unwrap_or_default();
    let members = given.split(',').map(str::trim);
    let others = members.filter(|member| !member.is_empty() && !member.starts_with(OWN_BAGGAGE));
    others.take(MOST_MEMBERS - 1).chain([own.as_str()]).collect::<Vec<_>>().join(",")
}

impl Context {
    /// The context of a call for this tenant.
    pub fn for_tenant(tenant: TenantName) -> Self {
        Self { baggage: Some(baggage(&tenant, None)), tenant: Some(tenant), ..Self::default() }
    }

    /// Reads the context of an incoming call. A malformed tenant or timeout is an invalid request.
    pub fn read(headers: &HeaderMap, now: Timestamp) -> Result<Self, Fault> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let tenant = text(TENANT).map(TenantName::from_str).transpose();
        let timeout = text(TIMEOUT).map(parse_grpc_timeout).transpose();
        Ok(Self {
            tenant: tenant.map_err(|fault| Fault::invalid(TENANT, fault.to_string()))?,
            operator: text(OPERATOR) == Some("true"),
            deadline: timeout
                .map_err(|fault| Fault::invalid(TIMEOUT, fault.to_string()))?
                .map(|left| now + left),
            trace_parent: text(TRACE_PARENT).map(str::to_owned),
            baggage: text(BAGGAGE).filter(|baggage| baggage.len() <= MOST_BAGGAGE).map(str::to_owned),
            reads: Reads::read(headers)?,
        })
    }

    /// The context that the server's layer put into this request.
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_default()
    }

    /// The tenant, or the status that says there is none.
    pub fn tenant(&self) -> Result<&TenantName, Status> {
        self.tenant.as_ref().ok_or_else(|| {
            let message =
                format!("the call names no tenant: send an API key, or the `{TENANT}` header in open mode");
            Fault::new(ErrorKind::Unauthenticated, message).into_status()
        })
    }

    /// Refuses callers that are not operators.
    pub fn require_operator(&self) -> Result<(), Status> {
        if self.operator {
            return Ok(());
        }
        Err(Fault::new(ErrorKind::Denied, "this needs an operator's key").into_status())
    }

    /// A request for the next service that carries this context; the deadline shrinks by the time already spent.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.write(request.metadata_mut(), SystemClock.now());
        request
    }

    /// Writes this context into metadata.
    pub fn write(&self, metadata: &mut MetadataMap, now: Timestamp) {
        let mut insert = |name: &'static str, value: &str| {
            if let Ok(value) = MetadataValue::try_from(value) {
                metadata.insert(name, value);
            }
        };
        if let Some(tenant) = &self.tenant {
            insert(TENANT, tenant.as_str());
        }
        if self.operator {
            insert(OPERATOR, "true");
        }
        if let Some(deadline) = self.deadline {
            insert(TIMEOUT, &format_grpc_timeout(deadline.since(now).max(Duration::from_micros(1))));
        }
        if let Some(trace_parent) = &self.trace_parent {
            insert(TRACE_PARENT, trace_parent);
        }
        if let Some(baggage) = &self.baggage {
            insert(BAGGAGE, baggage);
        }
        self.reads.write(metadata);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_metadata_and_its_deadline_shrinks() {
        let start = Timestamp::from_micros(1_000_000);
        let context = Context {
            tenant: Some("acme".parse().unwrap()),
            operator: true,
            deadline: Some(start + Duration::from_secs(5)),
            trace_parent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            baggage: Some("tidemill.tenant=acme".into()),
            reads: Reads::After("0000000000000001".into()),
        };
        let mut metadata = MetadataMap::new();
        context.write(&mut metadata, start + Duration::from_secs(2));
        let read = Context::read(&metadata.into_headers(), start + Duration::from_secs(2)).unwrap();
        assert_eq!(read, context);
    }

    #[test]
    fn baggage_goes_on_with_the_tenant_that_the_credential_gave() {
        let tenant: TenantName = "acme".parse().unwrap();
        assert_eq!(baggage(&tenant, None), "tidemill.tenant=acme");
        let given = "user=7;p=1 , tidemill.tenant=evil,,tidemill.operator=true,b=%20";
        assert_eq!(baggage(&tenant, Some(given)), "user=7;p=1,b=%20,tidemill.tenant=acme");
        let many = vec!["a=1"; 100].join(",");
        assert_eq!(baggage(&tenant, Some(&many)).split(',').count(), MOST_MEMBERS);
        assert_eq!(baggage(&tenant, Some(&"a".repeat(9_000))), "tidemill.tenant=acme");
    }

    #[test]
    fn a_malformed_tenant_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(TENANT, "No Such".parse().unwrap());
        assert_eq!(Context::read(&headers, Timestamp::default()).unwrap_err().violations[0].field, TENANT);
    }
}
