//! Schedules: which are due. Each time makes one task under a key of its own, so that a time that two owners act on makes
//! one task all the same.

use std::collections::BTreeMap;

use prost::Message;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::to_micros;

use super::{Effect, Engine};
use crate::schedule::Times;

/// A schedule that is run here.
#[derive(Debug)]
pub(super) struct Armed {
    spec: api::Schedule,
    times: Times,
    /// Everything up to this moment was acted on.
    last: Timestamp,
    last_task: String,
    next: Timestamp,
    /// Its tasks are being made.
    firing: bool,
}

/// What a schedule asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Firing {
    pub(crate) tenant: TenantName,
    pub(crate) spec: api::Schedule,
    /// The times, the earliest first.
    pub(crate) times: Vec<Timestamp>,
    /// Everything up to this moment is acted on with it.
    pub(crate) through: Timestamp,
    pub(crate) last_task: String,
}

impl Engine {
    /// Takes a tenant's schedules in, in place of those that were. One that is known goes on where it was.
    pub(super) fn arm(&mut self, tenant: &TenantName, settings: &[store::Setting]) {
        let mut before = self.schedules.remove(tenant).unwrap_or_default();
        let states: BTreeMap<&str, &store::Setting> = settings
            .iter()
            .filter(|setting| setting.sort() == store::SettingSort::ScheduleState)
            .map(|setting| (setting.name.as_str(), setting))
            .collect();
        let mut armed = BTreeMap::new();
        for setting in settings.iter().filter(|one| one.sort() == store::SettingSort::Schedule) {
            let Ok(spec) = api::Schedule::decode(setting.value.as_slice()) else { continue };
            let Ok(times) = Times::parse(&spec.cron, &spec.time_zone) else { continue };
            let made = Timestamp::from_micros(setting.updated_at.as_ref().map_or(0, to_micros));
            let state = states.get(setting.name.as_str());
            let state = state.and_then(|state| api::Schedule::decode(state.value.as_slice()).ok());
            let stored = state.as_ref().and_then(|state| state.last_at.as_ref());
            let stored = stored.map_or(made, |at| Timestamp::from_micros(to_micros(at)));
            let known = before.remove(&setting.name);
            let last = known.as_ref().map_or(stored, |known| known.last.max(stored));
            let last_task = match (&known, state) {
                (Some(known), _) => known.last_task.clone(),
                (None, Some(state)) => state.last_task_id,
                (None, None) => String::new(),
            };
            let Some(next) = times.next(last) else { continue };
            let firing = known.is_some_and(|known| known.firing);
            armed.insert(setting.name.clone(), Armed { spec, times, last, last_task, next, firing });
        }
        if !armed.is_empty() {
            self.schedules.insert(tenant.clone(), armed);
        }
    }

    /// Asks for the tasks of the schedules whose time has come.
    pub(super) fn fire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for (tenant, schedules) in &mut self.schedules {
            if !self.shards.is_held(Shard::of_tenant(tenant), now) {
                continue;
            }
            for armed in schedules.values_mut().filter(|armed| armed.next <= now && !armed.firing) {
                armed.firing = true;
                effects.push(Effect::Fire(Box::new(Firing {
                    tenant: tenant.clone(),
                    spec: armed.spec.clone(),
                    times: armed.times.due(armed.last, now, armed.spec.catch_up()),
                    through: now,
                    last_task: armed.last_task.clone(),
                })));
            }
        }
    }

    /// The tasks of a schedule were made, or could not be; then they are asked for again.
    pub(super) fn on_fired(&mut self, tenant: &TenantName, name: &str, done: Option<(Timestamp, String)>) {
        let armed = self.schedules.get_mut(tenant).and_then(|schedules| schedules.get_mut(name));
        let Some(armed) = armed else { return };
        armed.firing = false;
        if let Some((through, last_task)) = done {
            armed.last = through;
            if !last_task.is_empty() {
                armed.last_task = last_task;
            }
            // A schedule that never comes again is not looked at again.
            armed.next = armed.times.next(through).unwrap_or(Timestamp::from_micros(i64::MAX));
        }
    }
}
