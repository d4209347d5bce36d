//! What was seen of a run, as events in any order.

use std::time::Duration;

use tidemill_kernel::Id;

/// A time since the run began, on one clock for all observers.
pub type Moment = Duration;

/// Tasks that are first come first served among themselves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// Whose they are.
    pub tenant: String,
    /// How urgent they are, as their tenant said.
    pub priority: i32,
    /// What has to be done.
    pub kind: String,
}

/// How a worker says that an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With a result, and so many tasks that follow.
    Completed(u32),
    /// Without one.
    Failed,
    /// Put off.
    Snoozed,
}

/// Who had a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The scheduler of this name: killed, stopped, cut off, its clock moved.
    Scheduler(String),
    /// The worker of this name: killed, stopped, or a stream of it broken.
    Worker(String),
    /// Everybody, by the store.
    Everybody,
}

/// How the store says that a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// With a result, which names the lease's token.
    Succeeded(Id),
    /// Given up.
    Dead,
    /// Cancelled.
    Cancelled,
    /// Not yet.
    Unfinished,
}

/// What becomes of a task when one that it depends on fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It dies too.
    Die,
    /// It runs when all have ended.
    Run,
    /// It waits until that one is put back and succeeds.
    Wait,
}

/// How many tasks of a group there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub total: i64,
    /// Those with a result.
    pub succeeded: i64,
    /// Those that were given up.
    pub dead: i64,
    /// Those that were cancelled.
    pub cancelled: i64,
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asked for a task, and was told that it is stored.
    Submitted {
        /// The task that he was told.
        task: Id,
        /// Its queue.
        queue: Queue,
        /// Its key; empty for none.
        key: String,
        /// When he asked, the first time.
        asked: Moment,
        /// When he was told.
        at: Moment,
        /// Whether it had to wait for a time of its own.
        delayed: bool,
        /// How many attempts it may spend.
        max_attempts: u32,
    },
    /// A client said that a task runs only when another has succeeded.
    Depends {
        /// The task.
        task: Id,
        /// The other.
        on: Id,
        /// What becomes of the task when that fails.
        on_failure: OnFailure,
    },
    /// A client said that a task belongs to a group of its tenant.
    Joins {
        /// The task.
        task: Id,
        /// The group.
        group: String,
    },
    /// A client said that a task runs only when a group of its tenant is over.
    Awaits {
        /// The task.
        task: Id,
        /// The group.
        group: String,
        /// What becomes of the task when one of the group has failed.
        on_failure: OnFailure,
    },
    /// A worker was given a lease.
    Started {
        /// The task.
        task: Id,
        /// The lease's token.
        token: Id,
        /// Its queue.
        queue: Queue,
        /// Which attempt it is.
        attempt: u32,
        /// The worker.
        worker: String,
        /// Who gave it.
        scheduler: String,
        /// When.
        at: Moment,
    },
    /// A worker runs an attempt no longer.
    Stopped {
        /// The lease's token.
        token: Id,
        /// When.
        at: Moment,
    },
    /// A worker sent a result, once or again.
    Sent {
        /// The lease's token.
        token: Id,
        /// Which.
        ending: Ending,
    },
    /// A worker said that what follows from its result belongs to a group.
    Follows {
        /// The lease's token.
        token: Id,
        /// The group.
        group: String,
    },
    /// A worker was told what became of a result.
    Answered {
        /// The lease's token.
        token: Id,
        /// Whether it counted.
        accepted: bool,
        /// When.
        at: Moment,
    },
    /// A task was cancelled or put back by hand.
    Steered {
        /// The task.
        task: Id,
        /// When it was asked for.
        at: Moment,
    },
    /// Something was wrong for a while.
    Disturbed {
        /// With whom.
        who: Who,
        /// Since when.
        from: Moment,
        /// Until when, at least.
        until: Moment,
    },
    /// What the store holds of a task at the end.
    Ended {
        /// The task.
        task: Id,
        /// How it ended.
        found: Found,
        /// The token of the attempt whose result brought it, if one did.
        parent: Option<Id>,
        /// When it ended, if the store's clock is that of the observers.
        at: Option<Moment>,
    },
    /// What the store says of a group at the end.
    Counted {
        /// Whose it is.
        tenant: String,
        /// Its name.
        group: String,
        /// Its tasks.
        counts: Counts,
    },
}

/// What was seen of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// In any order.
    pub events: Vec<Event>,
}
