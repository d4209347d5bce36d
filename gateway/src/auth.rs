//! Whose request it is, from its key. Keys are compared by their SHA-256 only; whose a hash is, storage knows, and its
//! word is kept for a while. Many requests with one new key ask once.
//!
//! A key that is given must be known, in open mode too: a mistyped one must not turn its holder into the default
//! tenant's operator.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use moka::Expiry;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tidemill_chassis::context::TENANT;
use tidemill_chassis::telemetry::metrics::CacheFigures;
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::{Clock, TenantName, Timestamp};
use tidemill_proto::storage::v1::ResolveKeyRequest;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tonic::{Code, Request, Status};

use crate::BuildError;
use crate::config::{Auth, Config};
use crate::error::Error;

/// The header of a key for those who cannot set `authorization`.
pub(crate) const API_KEY: &str = "x-api-key";

/// Keys that are remembered at once; more are asked for again.
const REMEMBERED: u64 = 10_000;

/// Storage is given up on after this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose call it is.
    pub(crate) tenant: Option<TenantName>,
    /// Whether the caller may do what operators do.
    pub(crate) operator: bool,
}

/// Finds out who calls.
#[derive(Debug)]
pub(crate) struct Authenticator {
    auth: Auth,
    default_tenant: TenantName,
    keys: TenantStoreServiceClient<Wire>,
    /// Callers by the hash of their key; none for keys that nobody has.
    known: Cache<[u8; 32], Option<Caller>>,
    figures: CacheFigures,
}

/// How long a caller is believed.
struct Lifetimes {
    known: Duration,
    unknown: Duration,
}

impl Expiry<[u8; 32], Option<Caller>> for Lifetimes {
    fn expire_after_create(&self, _: &[u8; 32], caller: &Option<Caller>, _: Instant) -> Option<Duration> {
        Some(if caller.is_some() { self.known } else { self.unknown })
    }
}

impl Authenticator {
    pub(crate) fn new(config: &Config, keys: TenantStoreServiceClient<Wire>) -> Result<Self, BuildError> {
        let lifetimes = Lifetimes {
            known: Duration::from_millis(config.key_ttl_ms),
            unknown: Duration::from_millis(config.unknown_key_ttl_ms),
        };
        Ok(Self {
            auth: config.auth,
            default_tenant: config.default_tenant.parse().map_err(BuildError::DefaultTenant)?,
            keys,
            known: Cache::builder().max_capacity(REMEMBERED).expire_after(lifetimes).build(),
            figures: CacheFigures::of("keys"),
        })
    }

    /// Who sent these headers.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        clock: &dyn Clock,
        trace_parent: &str,
    ) -> Result<Caller, Error> {
        match (key(headers)?, self.auth) {
            (Some(key), _) => self.holder(key, clock, trace_parent).await,
            (None, Auth::Open) => {
                let tenant = named_tenant(headers)?.unwrap_or_else(|| self.default_tenant.clone());
                Ok(Caller { tenant: Some(tenant), operator: true })
            }
            (None, Auth::Key) => Err(Error::Credential(
                "this needs an API key: send it as `authorization: Bearer KEY` or as `x-api-key: KEY`",
            )),
        }
    }

    /// Whether the one who knows the keys answers: nobody's key is looked up, past what is remembered.
    pub(crate) async fn answers(&self, context: &Context, now: Timestamp) -> Result<(), Status> {
        let mut request = Request::new(ResolveKeyRequest { key_hash: vec![0; 32] });
        context.write(request.metadata_mut(), now);
        resolve(self.keys.clone(), request).await.map(drop)
    }

    /// Who holds this key.
    async fn holder(&self, key: &[u8], clock: &dyn Clock, trace_parent: &str) -> Result<Caller, Error> {
        let hash: [u8; 32] = Sha256::digest(key).into();
        let caller = self.known.entry(hash).or_try_insert_with(async {
            let context = Context {
                deadline: Some(clock.now() + PATIENCE),
                trace_parent: Some(trace_parent.to_owned()),
                ..Context::default()
            };
            let mut request = Request::new(ResolveKeyRequest { key_hash: hash.to_vec() });
            context.write(request.metadata_mut(), clock.now());
            resolve(self.keys.clone(), request).await
        });
        let caller = caller.await.inspect_err(|_| self.figures.asked(false));
        let caller = caller.map_err(|status: Arc<Status>| Error::from(Status::clone(&status)))?;
        self.figures.asked(!caller.is_fresh());
        caller
            .into_value()
            .ok_or(Error::Credential("nobody has this API key: check it, or ask an operator for a new one"))
    }
}

/// Asks storage; none when nobody has the key.
async fn resolve(
    mut keys: TenantStoreServiceClient<Wire>,
    request: Request<ResolveKeyRequest>,
) -> Result<Option<Caller>, Status> {
    let answer = match keys.resolve_key(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) if matches!(status.code(), Code::NotFound | Code::Unauthenticated) => return Ok(None),
        Err(status) => return Err(status),
    };
    let name = answer.tenant.map(|tenant| tenant.name).unwrap_or_default();
    let tenant = TenantName::from_str(&name).map_err(|fault| Status::internal(fault.to_string()))?;
    Ok(Some(Caller { tenant: Some(tenant), operator: answer.operator }))
}

/// The tenant that the headers name; to be believed only of those who may speak for any.
pub(crate) fn named_tenant(headers: &HeaderMap) -> Result<Option<TenantName>, Error> {
    let Some(name) = headers.get(TENANT) else { return Ok(None) };
    let name = String::from_utf8_lossy(name.as_bytes());
    let tenant = TenantName::from_str(&name);
    tenant.map(Some).map_err(|fault| Error::Parameter { field: TENANT.to_owned(), rule: fault.to_string() })
}

/// The key in these headers.
fn key(headers: &HeaderMap) -> Result<Option<&[u8]>, Error> {
    let key = match headers.get(header::AUTHORIZATION) {
        Some(credential) => {
            let (scheme, key) = credential.as_bytes().split_at_checked(7).unwrap_or_default();
            if !scheme.eq_ignore_ascii_case(b"bearer ") {
                return Err(Error::Credential("the authorization header must be `Bearer KEY`"));
            }
            Some(key)
        }
        None => headers.get(API_KEY).map(http::HeaderValue::as_bytes),
    };
    let key = key.map(<[u8]>::trim_ascii);
    if key.is_some_and(<[u8]>::is_empty) {
        return Err(Error::Credential("the API key is empty"));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_read_from_either_header() {
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(key(&with("authorization", "bearer  k ")).unwrap(), Some(&b"k"[..]));
        assert_eq!(key(&with("x-api-key", "k")).unwrap(), Some(&b"k"[..]));
        for wrong in ["Basic abc", "Bearer ", "k", ""] {
            assert!(key(&with("authorization", wrong)).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn in_open_mode_the_header_names_the_tenant() {
        let keys = TenantStoreServiceClient::new(Wire::absent("storage"));
        let open = Authenticator::new(&Config::default(), keys).unwrap();
        let clock = tidemill_kernel::ManualClock::default();
        let seen = open.caller(&HeaderMap::new(), &clock, "").await.unwrap();
        assert_eq!(seen, Caller { tenant: Some("default".parse().unwrap()), operator: true });
        let seen = open.caller(&with(TENANT, "acme"), &clock, "").await.unwrap();
        assert_eq!(seen.tenant, Some("acme".parse().unwrap()));
        assert_eq!(open.caller(&with(TENANT, "A B"), &clock, "").await.unwrap_err().http_status(), 400);
        // A key cannot be looked up while storage is away: that is no reason to let its holder in, or to say no for good.
        assert_eq!(open.caller(&with(API_KEY, "k"), &clock, "").await.unwrap_err().http_status(), 503);
    }
}
