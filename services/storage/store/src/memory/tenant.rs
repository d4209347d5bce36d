//! Tenants and keys in memory.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use tidemill_kernel::{Page, PageRequest, TenantName};

use super::{Content, MemoryStore, State};
use crate::tenant::{Key, Tenant, TenantStore};
use crate::{Error, Result, token};

#[async_trait]
impl TenantStore for MemoryStore {
    async fn store_id(&self) -> Result<String> {
        Ok(self.id.clone())
    }

    async fn create_tenant(&self, tenant: Tenant, key: Option<Key>) -> Result<bool> {
        let mut state = self.state();
        if let Some(present) = state.content(&tenant.name) {
            if present.tenant.tier != tenant.tier {
                return Err(Error::Exists { what: "tenant", name: tenant.name.to_string() });
            }
            return Ok(false);
        }
        if let Some(key) = key {
            state.add_key(key)?;
        }
        state.tenants.insert(tenant.name.clone(), Content::new(tenant));
        Ok(true)
    }

    async fn tenants(&self, names: &[TenantName]) -> Result<Vec<Tenant>> {
        let state = self.state();
        Ok(state
            .tenants
            .values()
            .filter(|row| names.contains(&row.tenant.name))
            .map(|row| row.tenant.clone())
            .collect())
    }

    async fn page_tenants(&self, page: PageRequest) -> Result<Page<Tenant>> {
        let after: Option<String> = token::decode(&["tenants"], &page.token)?;
        let state = self.state();
        let behind = |row: &&Content| after.as_deref().is_none_or(|after| row.tenant.name.as_str() > after);
        let rows = state.tenants.values().filter(behind).take(page.size as usize + 1);
        let rows = rows.map(|row| row.tenant.clone()).collect();
        Ok(Page::cut(rows, page.size, |last: &Tenant| token::encode(&["tenants"], &last.name)))
    }

    async fn add_key(&self, key: Key) -> Result<()> {
        let mut state = self.state();
        state.has_tenant(&key.tenant)?;
        state.add_key(key)
    }

    async fn find_key(&self, hash: [u8; 32]) -> Result<Option<(Key, Tenant)>> {
        let state = self.state();
        let key = state.keys.get(&hash);
        Ok(key.and_then(|key| Some((key.clone(), state.content(&key.tenant)?.tenant.clone()))))
    }
}

impl State {
    fn add_key(&mut self, key: Key) -> Result<()> {
        let present = self.keys.entry(key.hash).or_insert_with(|| key.clone());
        if (&present.tenant, present.operator) != (&key.tenant, key.operator) {
            return Err(Error::Exists { what: "key", name: key.label() });
        }
        Ok(())
    }
}

impl Content {
    fn new(tenant: Tenant) -> Self {
        Self {
            tenant,
            query_version: 0,
            queries: BTreeMap::new(),
            sources: BTreeMap::new(),
            documents: Vec::new(),
            document_ids: HashMap::new(),
            matches: BTreeMap::new(),
            match_ids: HashMap::new(),
            last_match: 0,
        }
    }
}
