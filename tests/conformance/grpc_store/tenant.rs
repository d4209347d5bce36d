//! Tenants and keys. The service makes keys itself, so a hash that the caller chose stands for the hash of the key that
//! the service made.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tidemill_chassis::Context;
use tidemill_kernel::{Page, PageRequest, TenantName};
use tidemill_proto::storage::v1 as api;
use tidemill_storage::convert::rule;
use tidemill_storage::convert::tenant::{decode_tenant, encode_tenant};
use tidemill_storage::key;
use tidemill_store::tenant::{Key, Tenant};
use tidemill_store::{Error, Result, TenantStore};
use tonic::Request;

use super::{GrpcStore, call, call_at, found, of, read, read_all};

/// By the hash that the caller chose.
#[derive(Default)]
pub(super) struct Keys(Mutex<HashMap<[u8; 32], Made>>);

/// A key that the service made for one that the caller described.
#[derive(Clone)]
struct Made {
    hash: [u8; 32],
    described: Key,
}

impl Keys {
    /// The service never makes a key twice, so what the port says of one that is taken is answered here.
    fn refuse_taken(&self, key: &Key) -> Result<()> {
        let known = self.0.lock().unwrap().get(&key.hash).map(|made| made.described.clone());
        match known {
            Some(known) if (&known.tenant, known.operator) != (&key.tenant, key.operator) => {
                Err(Error::Exists { what: "key", name: key.label() })
            }
            _ => Ok(()),
        }
    }

    fn note(&self, key: Key, made: &str) {
        let chosen = key.hash;
        self.0.lock().unwrap().insert(chosen, Made { hash: key::hash(made), described: key });
    }
}

/// A request of an operator.
fn operator<T>(message: T) -> Request<T> {
    Context { operator: true, ..Context::default() }.request(message)
}

impl GrpcStore {
    async fn make_key(&self, key: &Key) -> Result<String> {
        let request = api::CreateKeyRequest { tenant: key.tenant.to_string(), operator: key.operator };
        self.keys.refuse_taken(key)?;
        let mut operators = self.operators();
        let made = operators.create_key(operator(request));
        Ok(call_at(key.created_at, made).await?.key)
    }
}

#[async_trait]
impl TenantStore for GrpcStore {
    async fn store_id(&self) -> Result<String> {
        let tenant = TenantName::DEFAULT.parse().unwrap();
        Ok(call(self.results().get_counts(of(&tenant, api::GetCountsRequest {}))).await?.store_id)
    }

    async fn create_tenant(&self, tenant: Tenant, key: Option<Key>) -> Result<bool> {
        if let Some(key) = &key {
            self.keys.refuse_taken(key)?;
        }
        let now = tenant.created_at;
        let tenant = encode_tenant(tenant);
        let request = operator(api::CreateTenantRequest { name: tenant.name, tier: tenant.tier });
        let first = call_at(now, self.operators().create_tenant(request)).await?.key;
        let new = !first.is_empty();
        if let Some(key) = key.filter(|_| new) {
            // The service's first key is never an operator's.
            let made = if key.operator { self.make_key(&key).await? } else { first };
            self.keys.note(key, &made);
        }
        Ok(new)
    }

    async fn tenants(&self, names: &[TenantName]) -> Result<Vec<Tenant>> {
        let names = names.iter().map(ToString::to_string).collect();
        let answer = call(self.resolver().get_tenants(api::GetTenantsRequest { names })).await?;
        read_all(answer.tenants, decode_tenant)
    }

    async fn page_tenants(&self, page: PageRequest) -> Result<Page<Tenant>> {
        let request = api::ListTenantsRequest { page_size: page.size as i32, page_token: page.token };
        let answer = call(self.operators().list_tenants(operator(request))).await?;
        let items = read_all(answer.tenants, decode_tenant)?;
        Ok(Page { items, next_token: answer.next_page_token })
    }

    async fn add_key(&self, key: Key) -> Result<()> {
        let made = self.make_key(&key).await?;
        self.keys.note(key, &made);
        Ok(())
    }

    async fn find_key(&self, hash: [u8; 32]) -> Result<Option<(Key, Tenant)>> {
        let known = self.keys.0.lock().unwrap().get(&hash).cloned();
        let made = known.as_ref().map_or(hash, |made| made.hash);
        let request = api::ResolveKeyRequest { key_hash: made.to_vec() };
        let Some(answer) = found(call(self.resolver().resolve_key(request)).await)? else { return Ok(None) };
        let tenant = read(rule::present("tenant", answer.tenant).and_then(decode_tenant))?;
        let created_at = known.map_or(tenant.created_at, |made| made.described.created_at);
        let key = Key { hash, tenant: tenant.name.clone(), operator: answer.operator, created_at };
        Ok(Some((key, tenant)))
    }
}
