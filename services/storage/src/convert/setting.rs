//! Settings of queues.

use tidemill_kernel::{TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_store::setting::{Setting, SettingSort};

use super::{rule, time};
use crate::{Error, Result};

/// The longest name, in bytes.
const MAX_NAME: usize = 512;
/// The largest value, in bytes: a schedule has a task with its payload.
const MAX_VALUE: usize = 512 << 10;

/// The message of a setting; of all tenants together where none is named.
pub fn encode_setting(tenant: Option<&TenantName>, setting: Setting) -> api::Setting {
    api::Setting {
        tenant: tenant.map(ToString::to_string).unwrap_or_default(),
        sort: setting.sort.number(),
        name: setting.name,
        value: setting.value,
        updated_at: Some(time::encode(setting.updated_at)),
    }
}

/// The setting of a message, and whose it is, all tenants' together if nobody's; one that does not say when it was set is set `now`.
pub fn decode_setting(message: api::Setting, now: Timestamp) -> Result<(Option<TenantName>, Setting)> {
    let setting = Setting {
        sort: decode_sort("sort", message.sort)?,
        name: rule::filled("name", message.name, MAX_NAME)?,
        value: rule::bytes("value", message.value, MAX_VALUE)?,
        updated_at: time::decode_or("updated_at", message.updated_at, now)?,
    };
    Ok((decode_owner("tenant", &message.tenant)?, setting))
}

/// Whose settings are meant: all tenants' together where none is named.
pub fn decode_owner(field: &str, tenant: &str) -> Result<Option<TenantName>> {
    if tenant.is_empty() { Ok(None) } else { rule::tenant(field, tenant).map(Some) }
}

/// What a setting is about.
pub fn decode_sort(field: &str, number: i32) -> Result<SettingSort> {
    let last = SettingSort::ALL.len();
    SettingSort::from_number(number)
        .ok_or_else(|| Error::field(field, format!("is {number}; use 1 to {last}")))
}
