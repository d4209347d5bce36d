//! Many tasks steered at once in memory.

use tidemill_kernel::{Id, Shard, TenantName, Timestamp};

use crate::memory::State;
use crate::task::{Selection, Steered, Steering};

impl State {
    pub(super) fn steer(&mut self, tenant: &TenantName, selection: &Selection, now: Timestamp) -> Steered {
        let filter = selection.filter.clone().cleaned();
        let states: Vec<_> = selection.states().collect();
        let limit = selection.limit as usize;
        let after = selection.after.max(*Shard::of_tenant(tenant).places().start());
        let mut looked_at = self.tasks.range_mut(after.saturating_add(1)..).filter_map(|(place, row)| {
            let shown = row.shown();
            (shown.tenant == *tenant && states.contains(&shown.state)).then_some((*place, row, shown))
        });
        let mut steered = Steered::default();
        let mut last = None;
        let mut changed = Vec::new();
        for (place, row, shown) in looked_at.by_ref().take(limit) {
            last = Some(place);
            if filter.fits(&shown) {
                steered.tasks.push(Id::placed(shown.created_at(), place));
                match selection.steering {
                    _ if selection.is_dry => {}
                    Steering::Cancel => {
                        row.cancel(now);
                        changed.push((row.shown(), shown.state));
                    }
                    Steering::Revive => {
                        row.revive(now);
                        changed.push((row.shown(), shown.state));
                    }
                }
            }
        }
        steered.through = last.filter(|_| looked_at.next().is_some());
        for (task, before) in changed {
            self.shift_group(&task, before, now);
        }
        steered
    }
}
