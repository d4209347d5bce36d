//! Tenants.

use tidemill_kernel::Tier;
use tidemill_proto::types::v1 as types;
use tidemill_store::tenant::Tenant;

use super::{rule, time};
use crate::{Error, Result};

/// The message of a tenant.
pub fn encode_tenant(tenant: Tenant) -> types::Tenant {
    types::Tenant {
        name: tenant.name.to_string(),
        tier: tenant.tier.number(),
        created_at: Some(time::encode(tenant.created_at)),
    }
}

/// The tenant of a message.
pub fn decode_tenant(message: types::Tenant) -> Result<Tenant> {
    Ok(Tenant {
        name: rule::tenant("name", &message.name)?,
        tier: decode_tier("tier", message.tier)?,
        created_at: time::decode_required("created_at", message.created_at)?,
    })
}

/// A tier; free when not said.
pub fn decode_tier(field: &str, number: i32) -> Result<Tier> {
    if number == 0 {
        return Ok(Tier::Free);
    }
    Tier::from_number(number)
        .ok_or_else(|| Error::field(field, format!("is {number}; use 1 (free), 2 (pro) or 3 (enterprise)")))
}
