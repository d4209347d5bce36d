//! Tenants and their keys.

use async_trait::async_trait;
use tidemill_kernel::{Page, PageRequest, TenantName, Tier, Timestamp};

use crate::Result;

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Unique.
    pub name: TenantName,
    /// Its class.
    pub tier: Tier,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key, known by its hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// Whose it is.
    pub tenant: TenantName,
    /// Whether it may do what operators do.
    pub operator: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Key {
    /// The start of its hash, to name it by.
    pub fn label(&self) -> String {
        self.hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Tenants and keys.
#[async_trait]
pub trait TenantStore: Send + Sync + 'static {
    /// Names this store: made once, with the store, and never again the same.
    async fn store_id(&self) -> Result<String>;

    /// Adds a tenant, with its first key if one is given, in one step. Returns whether it was new; the same tenant
    /// again changes nothing (the key is not added). [`crate::Error::Exists`] if its tier differs, or as for
    /// [`Self::add_key`].
    async fn create_tenant(&self, tenant: Tenant, key: Option<Key>) -> Result<bool>;

    /// The tenants of these names; unknown ones are left out.
    async fn tenants(&self, names: &[TenantName]) -> Result<Vec<Tenant>>;

    /// A page of tenants by name.
    async fn page_tenants(&self, page: PageRequest) -> Result<Page<Tenant>>;

    /// Adds a key; the same again changes nothing. [`crate::Error::NotFound`] without its tenant,
    /// [`crate::Error::Exists`] if the key is another tenant's or has another role.
    async fn add_key(&self, key: Key) -> Result<()>;

    /// The key with this hash and its tenant.
    async fn find_key(&self, hash: [u8; 32]) -> Result<Option<(Key, Tenant)>>;
}
