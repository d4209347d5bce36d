//! `TenantService`: tenants and keys, for operators.

use rand::CryptoRng;
use tidemill_chassis::Context;
use tidemill_kernel::{Clock, PageRequest, TenantName, Tier, Timestamp};
use tidemill_proto::storage::v1::tenant_service_server::TenantService;
use tidemill_proto::storage::v1::{
    CreateKeyRequest, CreateKeyResponse, CreateTenantRequest, CreateTenantResponse, ListTenantsRequest,
    ListTenantsResponse,
};
use tidemill_store::Store;
use tidemill_store::tenant::{Key, Tenant};
use tonic::{Request, Response, Status};

use crate::convert::rule;
use crate::convert::tenant::{decode_tier, encode_tenant};
use crate::{Deps, Error, Result, key};

/// The service.
pub(crate) struct Tenants(pub(crate) Deps);

/// Makes the tenant `default`, of tier pro, with an operator's key, if the store has no tenant yet. Returns that key:
/// the only time that it can be seen.
pub async fn ensure_default_tenant(
    store: &dyn Store,
    clock: &dyn Clock,
    rng: &mut (dyn CryptoRng + Send),
) -> Result<Option<String>> {
    let some = store.page_tenants(PageRequest { size: 1, token: String::new() }).await?;
    if !some.items.is_empty() {
        return Ok(None);
    }
    let name: TenantName = rule::tenant("name", TenantName::DEFAULT)?;
    let now = clock.now();
    let (text, key) = new_key(rng, name.clone(), true, now);
    let new = store.create_tenant(Tenant { name, tier: Tier::Pro, created_at: now }, Some(key)).await?;
    Ok(new.then_some(text))
}

/// A key as its owner sees it, and as it is stored.
fn new_key(
    rng: &mut (dyn CryptoRng + Send),
    tenant: TenantName,
    operator: bool,
    now: Timestamp,
) -> (String, Key) {
    let text = key::generate(rng);
    let hash = key::hash(&text);
    (text, Key { hash, tenant, operator, created_at: now })
}

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<CreateTenantRequest>,
    ) -> Result<Response<CreateTenantResponse>, Status> {
        Context::of(&request).require_operator()?;
        let request = request.into_inner();
        let name = rule::tenant("name", &request.name)?;
        let (tier, now) = (decode_tier("tier", request.tier)?, self.0.now());
        let (text, key) = new_key(&mut *self.0.rng(), name.clone(), false, now);
        let asked = Tenant { name: name.clone(), tier, created_at: now };
        let new = self.0.store.create_tenant(asked.clone(), Some(key)).await.map_err(Error::Store)?;
        let stands = self.0.store.tenants(&[name]).await.map_err(Error::Store)?.pop().unwrap_or(asked);
        let key = if new { text } else { String::new() };
        Ok(self.0.written(CreateTenantResponse { tenant: Some(encode_tenant(stands)), key }).await)
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let context = Context::of(&request);
        context.require_operator()?;
        let request = request.into_inner();
        let page = rule::page(request.page_size, request.page_token)?;
        let page =
            self.0.reading(&context)?.page_tenants(page).await.map_err(Error::Store)?.map(encode_tenant);
        Ok(Response::new(ListTenantsResponse { tenants: page.items, next_page_token: page.next_token }))
    }

    async fn create_key(
        &self,
        request: Request<CreateKeyRequest>,
    ) -> Result<Response<CreateKeyResponse>, Status> {
        Context::of(&request).require_operator()?;
        let request = request.into_inner();
        let tenant = rule::tenant("tenant", &request.tenant)?;
        let (text, key) = new_key(&mut *self.0.rng(), tenant, request.operator, self.0.now());
        self.0.store.add_key(key).await.map_err(Error::Store)?;
        Ok(self.0.written(CreateKeyResponse { key: text }).await)
    }
}
