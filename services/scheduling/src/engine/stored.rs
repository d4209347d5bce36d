//! Limits of all tenants that change while the scheduler runs: what the operator has stored, each in place of the configuration's
//! of the same scope.
//!
//! Schedulers hear of a change one after the other. A limit whose value changes is divided on as it is: the divider's value
//! counts, whatever the others know. Of one that is lowered a scheduler keeps what runs, until the divider has said more. A limit that is new, or that limits something more than before, begins anew, here and at its
//! divider: nothing of it is held, and nobody is given any before every shard was named by a scheduler; those that
//! have not heard of it say that they may use all of it.

use std::collections::BTreeMap;

use prost::Message;
use tidemill_kernel::Timestamp;
use tidemill_policy::{Limit, Scope, Share};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;

use super::{Effect, Engine};
use crate::config::SharedLimit;
use crate::steering::{limit, scope};

impl Engine {
    /// Puts the limits of the configuration in force. Nothing of them may be used yet, unless nobody else is there.
    pub(super) fn begin_shared(mut self) -> Self {
        self.put_shared(&[], Timestamp::default(), &mut Vec::new());
        self
    }

    /// Puts these limits of all tenants in force, beside those of the configuration, and no others.
    pub(super) fn put_shared(
        &mut self,
        settings: &[store::Setting],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let limits = in_force(&self.config.limits, settings);
        let gone: Vec<Scope> =
            self.shared.scopes().filter(|scope| !limits.contains_key(*scope)).cloned().collect();
        for scope in gone {
            self.shared.parts.remove(&scope);
            self.policy.set_limit(&scope, Limit::default(), now);
            self.policy.set_share(&scope, Share::ALL, now);
        }
        let mut is_changed = false;
        for (scope, limit) in limits {
            let before = self.shared.parts.get(&scope).map(|part| part.limit);
            if before == Some(limit) {
                continue;
            }
            is_changed = true;
            if before.is_none_or(|before| limits_more(before, limit)) {
                self.shared.begin(&scope, limit);
            }
            let running = self.policy.running_under(&scope);
            let Some(part) = self.shared.parts.get_mut(&scope) else { continue };
            part.change(limit, running);
            self.policy.set_share(&scope, part.in_force(&self.shards), now);
            self.policy.set_limit(&scope, limit, now);
        }
        if is_changed {
            self.ask_shares(now, effects);
        }
    }
}

/// Whether a limit limits something that it did not limit before.
fn limits_more(before: Limit, after: Limit) -> bool {
    (before.concurrency.is_none() && after.concurrency.is_some())
        || (before.rate.is_none() && after.rate.is_some())
}

/// The limits of all tenants: those that are stored, and those of the configuration whose scope none of these has.
fn in_force(configured: &[SharedLimit], settings: &[store::Setting]) -> BTreeMap<Scope, Limit> {
    let configured = configured.iter().filter_map(|limit| limit.read().ok());
    let stored = settings.iter().filter(|setting| setting.sort() == store::SettingSort::Limit);
    configured.chain(stored.filter_map(read)).collect()
}

/// A stored limit; none if a newer version wrote it.
fn read(setting: &store::Setting) -> Option<(Scope, Limit)> {
    let message = api::Limit::decode(setting.value.as_slice()).ok()?;
    let (scope, _) = scope::decode_shared(message.scope.as_ref()?).ok()?;
    let limit = limit::decode(&message, &scope).ok()?;
    Some((scope, limit))
}
