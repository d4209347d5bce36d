//! Limits set, listed and removed: a tenant's own by itself, those of all tenants together by the operator.

use std::collections::BTreeMap;

use prost::Message;
use tidemill_chassis::{Context, FaultExt};
use tidemill_kernel::{ErrorKind, Fault, TenantName};
use tidemill_policy::Scope;
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;
use tonic::{Response, Status};

use super::{Steering, limit, passed_on, scope};
use crate::engine::{Answer, Question};

/// Whose limit is meant (all tenants' together if nobody's), what it applies to, and its name.
type Meant<'a> = (Option<&'a TenantName>, Scope, String);

impl Steering {
    pub(super) async fn set_limit(
        &self,
        context: &Context,
        tenant: &TenantName,
        limit: Option<api::Limit>,
    ) -> Result<Response<api::PutLimitResponse>, Status> {
        let limit = limit.ok_or_else(|| Fault::invalid("limit", "is missing").into_status())?;
        let (owner, scope, name) = meant(context, tenant, limit.scope.as_ref())?;
        limit::decode(&limit, &scope).map_err(FaultExt::into_status)?;
        self.put(owner, store::SettingSort::Limit, name, limit.encode_to_vec()).await?;
        Ok(Response::new(api::PutLimitResponse {}))
    }

    pub(super) async fn lift_limit(
        &self,
        context: &Context,
        tenant: &TenantName,
        scope: Option<api::Scope>,
    ) -> Result<Response<api::RemoveLimitResponse>, Status> {
        let (owner, scope, name) = meant(context, tenant, scope.as_ref())?;
        let was_there = self.drop(owner, store::SettingSort::Limit, &name).await?;
        let is_configured =
            || self.configured.iter().any(|limit| limit.read().is_ok_and(|row| row.0 == scope));
        if owner.is_none() && !was_there && is_configured() {
            let why = "this limit is set by the configuration: remove it from `[[scheduling.limits]]` of every scheduler, or \
                       set another one of the same scope, which takes its place";
            return Err(Fault::new(ErrorKind::Conflict, why).into_status());
        }
        Ok(Response::new(api::RemoveLimitResponse {}))
    }

    pub(super) async fn limits(
        &self,
        context: &Context,
        tenant: &TenantName,
        is_passed_on: bool,
    ) -> Result<Response<api::ListLimitsResponse>, Status> {
        let states = match self.handle.ask(Question::Limits(tenant.clone())).await? {
            Answer::Limits(states) => states,
            Answer::Elsewhere(address) => {
                let mut owner = self.elsewhere(&address, is_passed_on)?;
                return owner.list_limits(passed_on(context, api::ListLimitsRequest {})).await;
            }
            _ => Vec::new(),
        };
        let (own, shared) = (self.load(Some(tenant)).await?, self.load(None).await?);
        let of = |scope: &Scope| states.iter().find(|state| state.scope == *scope);
        let own = own.iter().filter_map(read).filter_map(|limit| {
            let (scope, _) = scope::decode(tenant, limit.scope.as_ref()).ok()?;
            Some(limit::state(limit, of(&scope), false))
        });
        let shared = self
            .shared(&shared)
            .into_iter()
            .map(|(scope, (limit, is_configured))| limit::state(limit, of(&scope), is_configured));
        Ok(Response::new(api::ListLimitsResponse { limits: own.chain(shared).collect() }))
    }

    /// The limits of all tenants together, and whether they are the configuration's.
    fn shared(&self, stored: &[store::Setting]) -> BTreeMap<Scope, (api::Limit, bool)> {
        let configured = self.configured.iter().filter_map(|limit| {
            let (scope, limit) = limit.read().ok()?;
            let message = limit::encode_shared(&scope, limit)?;
            Some((scope, (message, true)))
        });
        let stored = stored.iter().filter_map(read).filter_map(|limit| {
            let (scope, _) = scope::decode_shared(limit.scope.as_ref()?).ok()?;
            Some((scope, (limit, false)))
        });
        configured.chain(stored).collect()
    }
}

/// Reads what is meant; only operators may mean all tenants.
fn meant<'a>(
    context: &Context,
    tenant: &'a TenantName,
    scope: Option<&api::Scope>,
) -> Result<Meant<'a>, Status> {
    let Some(shared) = scope.filter(|scope| scope.all_tenants) else {
        let (scope, name) = scope::decode(tenant, scope).map_err(FaultExt::into_status)?;
        return Ok((Some(tenant), scope, name));
    };
    if !context.operator {
        let why = "limits of all tenants together are the operator's: use an operator's key (`tidemill tenant key NAME \
                   --operator` makes one), or leave out `all_tenants`, to limit the tenant's own tasks";
        return Err(Fault::new(ErrorKind::Denied, why).into_status());
    }
    let (scope, name) = scope::decode_shared(shared).map_err(FaultExt::into_status)?;
    Ok((None, scope, name))
}

fn read(setting: &store::Setting) -> Option<api::Limit> {
    let is_limit = setting.sort() == store::SettingSort::Limit;
    is_limit.then(|| api::Limit::decode(setting.value.as_slice()).ok()).flatten()
}
