//! What tenants set for their queues: limits, pauses, schedules; and what the operator sets for all of them together. The store
//! keeps the bytes; the scheduler knows what they mean.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName, Timestamp};

use crate::Result;

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettingSort {
    /// How much of a scope may run.
    Limit = 1,
    /// A scope of which nothing starts.
    Pause = 2,
    /// Tasks at times.
    Schedule = 3,
    /// How far a schedule is.
    ScheduleState = 4,
}

impl SettingSort {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Limit, Self::Pause, Self::Schedule, Self::ScheduleState];

    /// The number that databases hold.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// The sort with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.number() == number)
    }
}

/// One setting of a tenant, or of all tenants together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it is about.
    pub sort: SettingSort,
    /// Unique among its owner's settings of its sort.
    pub name: String,
    /// What is set.
    pub value: Vec<u8>,
    /// When it was set last.
    pub updated_at: Timestamp,
}

/// The settings of tenants' queues. Where a tenant may be named and is not, they are those of all tenants together.
#[async_trait]
pub trait SettingStore: Send + Sync + 'static {
    /// Sets one, in place of the one that has its name. [`crate::Error::NotFound`] without the tenant.
    async fn put_setting(&self, tenant: Option<&TenantName>, setting: Setting) -> Result<()>;

    /// Removes one; whether it was there.
    async fn drop_setting(&self, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> Result<bool>;

    /// All settings of a tenant, by sort and name.
    async fn settings(&self, tenant: Option<&TenantName>) -> Result<Vec<Setting>>;

    /// All settings of the tenants of these shards, by tenant, sort and name.
    async fn shard_settings(&self, shards: &[Shard]) -> Result<Vec<(TenantName, Setting)>>;
}
