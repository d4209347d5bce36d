//! Time that jumps. The engine is told the time by a wall clock, which may be set, and by a process that may stand still; leases
//! are lengths of time. So it looks at how far the clock moved since it was heard last: it ticks forty times a second, and a
//! leap is no time that went by for anybody who could be heard.

use std::time::Duration;

use tidemill_kernel::Timestamp;

use super::Engine;

/// Between two ticks of an engine that runs there is less.
const LEAP: Duration = Duration::from_secs(1);

impl Engine {
    /// Notes the time. After a leap forward (the clock was set, or the process stood still) the leases of workers last
    /// as much longer, since nobody listened to their heartbeats; the leases of shards do not, because the store's clock went on. A
    /// clock that was set back takes everything that lasts until a moment back with it.
    pub(super) fn keep_time(&mut self, now: Timestamp) {
        let Some(last) = self.heard_at.replace(now) else { return };
        if now < last {
            self.go_back(last.since(now));
        } else if now.since(last) > LEAP {
            let leap = now.since(last);
            self.held.values_mut().for_each(|held| held.until = held.until + leap);
        }
    }

    fn go_back(&mut self, by: Duration) {
        self.held.values_mut().for_each(|held| held.until = held.until - by);
        self.records.set_back(by);
        self.set_back(by);
        self.shared.set_back(by);
        for next in [&mut self.next_read, &mut self.next_expiry, &mut self.next_count, &mut self.next_audit] {
            *next = *next - by;
        }
    }
}
