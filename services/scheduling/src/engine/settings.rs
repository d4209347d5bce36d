//! Settings of tenants' queues in the engine: limits and pauses go into the policy, schedules are kept here.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_policy::{Limit, Scope, TenantLimits};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;

use super::{Effect, Engine, Epoch};
use crate::steering::{limit, scope};

/// What is in force for one tenant.
#[derive(Debug, Default)]
pub(super) struct InForce {
    pub(super) limits: BTreeSet<Scope>,
    pauses: BTreeSet<Scope>,
}

impl Engine {
    /// Puts what was read in force, in place of what was. Of all tenants' the last reading counts.
    pub(super) fn on_settings(
        &mut self,
        reading: u64,
        epochs: &[Epoch],
        settings: Vec<store::Setting>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let (shared, own): (Vec<_>, Vec<_>) =
            settings.into_iter().partition(|setting| setting.tenant.is_empty());
        if self.shared.is_news(reading) {
            self.put_shared(&shared, now, effects);
        }
        self.put_own(epochs, own, now);
    }

    /// The same for a shard that has just come.
    pub(super) fn on_first_settings(
        &mut self,
        epoch: Epoch,
        settings: Vec<store::Setting>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        // Later readings are told from one another by number, and this one has none.
        self.on_settings(0, &[epoch], settings, now, effects);
    }

    fn put_own(&mut self, epochs: &[Epoch], settings: Vec<store::Setting>, now: Timestamp) {
        let owned: BTreeSet<Shard> =
            epochs.iter().filter(|epoch| self.shards.log(**epoch).is_some()).map(|epoch| epoch.0).collect();
        let is_own = |tenant: &TenantName| owned.contains(&Shard::of_tenant(tenant));
        let mut tenants: BTreeMap<TenantName, Vec<store::Setting>> = BTreeMap::new();
        for setting in settings {
            if let Some(tenant) = self.words.tenant(&setting.tenant).filter(is_own) {
                tenants.entry(tenant).or_default().push(setting);
            }
        }
        let before = self.settings.keys().filter(|tenant| is_own(tenant));
        for tenant in before.cloned().collect::<Vec<_>>() {
            tenants.entry(tenant).or_default();
        }
        for (tenant, settings) in tenants {
            self.put_in_force(&tenant, &settings, now);
        }
    }

    /// Takes in the weights of tenants.
    pub(super) fn on_tenants(&mut self, weights: Vec<(TenantName, u32)>) {
        for (tenant, weight) in weights {
            let limits = TenantLimits { weight, concurrency: self.config.tenant_concurrency };
            self.policy.set_tenant(&tenant, limits);
        }
    }

    /// Asks for the settings of the shard of a tenant that changed some; its owner is told if that is another, and all are told of
    /// what concerns all tenants.
    pub(super) fn on_settings_changed(&mut self, tenant: Option<&TenantName>, effects: &mut Vec<Effect>) {
        let Some(tenant) = tenant else {
            self.load_settings(effects);
            effects.extend(self.shards.others().map(|(_, address)| Effect::TellSettings { address }));
            return;
        };
        let shard = Shard::of_tenant(tenant);
        match self.shards.epoch(shard) {
            Some(epoch) => {
                effects
                    .push(Effect::LoadSettings { reading: self.shared.read(), epochs: vec![(shard, epoch)] });
            }
            None => {
                let address = self.shards.address_of(shard).map(str::to_owned);
                effects.extend(address.map(|address| Effect::TellSettings { address }));
            }
        }
    }

    /// Asks for all settings.
    pub(super) fn load_settings(&mut self, effects: &mut Vec<Effect>) {
        let epochs = self.shards.loaded().collect();
        effects.push(Effect::LoadSettings { reading: self.shared.read(), epochs });
    }

    /// Lifts everything that was set for the tenants of a shard that is run elsewhere now.
    pub(super) fn lift(&mut self, shard: Shard) {
        let of_shard = |tenant: &&TenantName| Shard::of_tenant(tenant) == shard;
        let tenants: Vec<_> = self.settings.keys().filter(of_shard).cloned().collect();
        for tenant in tenants {
            self.put_in_force(&tenant, &[], Timestamp::default());
        }
        self.schedules.retain(|tenant, _| Shard::of_tenant(tenant) != shard);
    }

    fn put_in_force(&mut self, tenant: &TenantName, settings: &[store::Setting], now: Timestamp) {
        let mut limits: BTreeMap<Scope, Limit> = BTreeMap::new();
        let mut pauses = BTreeSet::new();
        for setting in settings {
            match setting.sort() {
                store::SettingSort::Limit => limits.extend(read_limit(tenant, setting)),
                store::SettingSort::Pause => pauses.extend(read_pause(tenant, setting)),
                _ => {}
            }
        }
        self.arm(tenant, settings);
        let before = self.settings.remove(tenant).unwrap_or_default();
        for gone in before.limits.iter().filter(|scope| !limits.contains_key(*scope)) {
            self.policy.set_limit(gone, Limit::default(), now);
        }
        for (scope, limit) in &limits {
            self.policy.set_limit(scope, *limit, now);
        }
        for gone in before.pauses.difference(&pauses) {
            self.policy.resume(gone);
        }
        for new in pauses.difference(&before.pauses) {
            self.policy.pause(new);
        }
        if !limits.is_empty() || !pauses.is_empty() {
            let limits = limits.into_keys().collect();
            self.settings.insert(tenant.clone(), InForce { limits, pauses });
        }
    }

    /// Lets none of a tenant's tasks under a key start before a moment, as a worker that runs one of them says.
    pub(super) fn on_close_key(&mut self, close: api::CloseKey, now: Timestamp) {
        let Some((task, token)) = super::held::lease(&close.task_id, &close.token) else { return };
        let Some(held) = self.held.get(&task).filter(|held| held.token == token) else { return };
        let until = close.until.as_ref().map_or(0, tidemill_proto::time::to_micros);
        let scope = Scope::TenantKey(held.candidate.tenant.clone(), close.key.as_str().into());
        self.policy.close(&scope, Timestamp::from_micros(until), now);
    }
}

/// A stored limit; none if a newer version wrote it.
fn read_limit(tenant: &TenantName, setting: &store::Setting) -> Option<(Scope, Limit)> {
    let message = api::Limit::decode(setting.value.as_slice()).ok()?;
    let (scope, _) = scope::decode(tenant, message.scope.as_ref()).ok()?;
    let limit = limit::decode(&message, &scope).ok()?;
    Some((scope, limit))
}

/// A stored pause.
fn read_pause(tenant: &TenantName, setting: &store::Setting) -> Option<Scope> {
    let message = api::Scope::decode(setting.value.as_slice()).ok()?;
    Some(scope::decode(tenant, Some(&message)).ok()?.0)
}
