//! `TenantStoreService`: tenants and keys as the gateway and the scheduler need them.

use tidemill_proto::storage::v1::tenant_store_service_server::TenantStoreService;
use tidemill_proto::storage::v1::{
    GetTenantsRequest, GetTenantsResponse, ResolveKeyRequest, ResolveKeyResponse,
};
use tidemill_store as store;
use tonic::{Request, Response, Status};

use crate::convert::rule;
use crate::convert::tenant::encode_tenant;
use crate::error::Within;
use crate::{Deps, Error, Result};

/// The service.
pub(crate) struct Keys(pub(crate) Deps);

#[tonic::async_trait]
impl TenantStoreService for Keys {
    async fn resolve_key(
        &self,
        request: Request<ResolveKeyRequest>,
    ) -> Result<Response<ResolveKeyResponse>, Status> {
        let hash = rule::hash("key_hash", &request.into_inner().key_hash)?;
        let found = self.0.store.find_key(hash).await.map_err(Error::Store)?;
        // Enough of the hash to find the call in a log, and nothing of the key.
        let name = || format!("sha256:{:02x}{:02x}{:02x}{:02x}...", hash[0], hash[1], hash[2], hash[3]);
        let absent = || Error::Store(store::Error::NotFound { what: "key", name: name() });
        let (key, tenant) = found.ok_or_else(absent)?;
        Ok(Response::new(ResolveKeyResponse { tenant: Some(encode_tenant(tenant)), operator: key.operator }))
    }

    async fn get_tenants(
        &self,
        request: Request<GetTenantsRequest>,
    ) -> Result<Response<GetTenantsResponse>, Status> {
        let names = request.into_inner().names;
        rule::at_most("names", names.len(), rule::MAX_BATCH)?;
        let names = names
            .iter()
            .enumerate()
            .map(|(index, name)| rule::tenant("name", name).within_item("names", index));
        let names = names.collect::<Result<Vec<_>>>()?;
        let tenants = self.0.store.tenants(&names).await.map_err(Error::Store)?;
        Ok(Response::new(GetTenantsResponse { tenants: tenants.into_iter().map(encode_tenant).collect() }))
    }
}
