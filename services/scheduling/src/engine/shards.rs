//! The shards that this scheduler runs: which to renew, take and give up, and how far the log of each was read.
//!
//! Every scheduler that is alive runs its share of the shards, one more or less. One that is alone runs all. A shard is
//! taken when nobody holds it, or when its holder has not been heard of for a lease; it is given up when others have
//! too little, and at the end. What a scheduler believes of its shards may be wrong for a moment; the epoch in every
//! write makes that harmless (C. Gray and D. Cheriton, "Leases", SOSP 1989; fencing as in Chubby, OSDI 2006).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidemill_kernel::{Shard, Timestamp, shard::SHARDS};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::work_response::Message as Say;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::duration;

use super::{Effect, Engine, SessionId, intake::Log};

/// A shard at an epoch.
pub(crate) type Epoch = (Shard, i64);

/// How long a shard whose last owner was lost is run with care: a lease is recorded before its task is handed out, so
/// that a task that kills its scheduler's process loses an attempt each time.
const CAREFUL: Duration = Duration::from_secs(10);

/// What is owned, and how everything stood when the store was asked last.
#[derive(Debug)]
pub(crate) struct Shards {
    owner: String,
    address: String,
    lease: Duration,
    /// Nobody else can open the store: shards are taken without waiting.
    alone: bool,
    owned: BTreeMap<Shard, Owned>,
    board: Option<store::ClaimShardsResponse>,
    asking: bool,
    next: Timestamp,
}

/// A shard that is owned.
#[derive(Debug)]
pub(super) struct Owned {
    epoch: i64,
    /// Nothing is handed out after this moment, unless the lease is renewed.
    until: Timestamp,
    is_loaded: bool,
    /// It is to be given up to somebody else: nothing is handed out, and what runs is written down.
    is_leaving: bool,
    careful_until: Timestamp,
    pub(super) log: Log,
}

impl Shards {
    /// Owns nothing yet.
    pub(crate) fn new(owner: String, address: String, lease: Duration, alone: bool) -> Self {
        let (owned, board) = (BTreeMap::new(), None);
        Self { owner, address, lease, alone, owned, board, asking: false, next: Timestamp::default() }
    }

    /// Whether none is owned.
    pub(crate) fn is_empty(&self) -> bool {
        self.owned.is_empty()
    }

    /// How many are owned.
    pub(super) fn count(&self) -> usize {
        self.owned.len()
    }

    /// The owned shards whose contents are in memory.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Epoch> {
        self.owned.iter().filter(|(_, owned)| owned.is_loaded).map(|(shard, owned)| (*shard, owned.epoch))
    }

    /// The epoch at which a shard is owned and loaded.
    pub(super) fn epoch(&self, shard: Shard) -> Option<i64> {
        self.owned.get(&shard).filter(|owned| owned.is_loaded).map(|owned| owned.epoch)
    }

    /// Whether a shard is owned, loaded or not.
    pub(super) fn is_owned(&self, shard: Shard) -> bool {
        self.owned.contains_key(&shard)
    }

    /// The log of a shard at this epoch.
    pub(super) fn log(&mut self, (shard, epoch): Epoch) -> Option<&mut Log> {
        let owned = self.owned.get_mut(&shard).filter(|owned| owned.epoch == epoch && owned.is_loaded)?;
        Some(&mut owned.log)
    }

    /// The epochs of these shards, as far as they are owned.
    pub(super) fn fence(&self, shards: impl Iterator<Item = Shard>) -> Vec<Epoch> {
        let shards: BTreeSet<Shard> = shards.collect();
        shards.into_iter().filter_map(|shard| Some((shard, self.owned.get(&shard)?.epoch))).collect()
    }

    /// Whether tasks of this shard may be handed out now.
    pub(super) fn is_held(&self, shard: Shard, now: Timestamp) -> bool {
        self.owned.get(&shard).is_some_and(|owned| owned.is_loaded && !owned.is_leaving && now < owned.until)
    }

    /// Whether leases of this shard are to be recorded before their tasks are handed out.
    pub(super) fn is_careful(&self, shard: Shard, now: Timestamp) -> bool {
        self.owned.get(&shard).is_some_and(|owned| now < owned.careful_until)
    }

    /// Where the owner of a shard that is another's is reached.
    pub(super) fn address_of(&self, shard: Shard) -> Option<&str> {
        self.other(shard).map(|lease| lease.address.as_str())
    }

    /// Who runs a shard, if that is known: the epoch, and where he is reached, which is nowhere for this scheduler.
    pub(super) fn runner_of(&self, shard: Shard, now: Timestamp) -> Option<(i64, String)> {
        if let Some(epoch) = self.epoch(shard).filter(|_| self.is_held(shard, now)) {
            return Some((epoch, String::new()));
        }
        self.other(shard).map(|lease| (lease.epoch, lease.address.clone()))
    }

    fn other(&self, shard: Shard) -> Option<&store::ShardLease> {
        let number = u32::from(shard.number());
        let lease = self.board.as_ref()?.shards.iter().find(|lease| lease.shard == number)?;
        Some(lease).filter(|lease| !lease.address.is_empty() && lease.owner != self.owner)
    }

    /// All other schedulers that are believed alive: their names, and where they are reached.
    pub(super) fn others(&self) -> impl Iterator<Item = (String, String)> {
        let all = self.board.iter().flat_map(|board| &board.schedulers);
        let others = all.filter(|one| one.owner != self.owner && !one.address.is_empty());
        others.map(|one| (one.owner.clone(), one.address.clone()))
    }

    /// The owner's name.
    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether nobody else can own a shard.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The message for workers.
    fn message(&self) -> Say {
        Say::Shards(api::Shards { numbers: self.loaded().map(|(shard, _)| shard.number().into()).collect() })
    }

    /// What to ask for, given how everything stood. Gives up all when draining; of what others should have, that of which
    /// nothing is unwritten.
    fn claim(&mut self, draining: bool, unwritten: &BTreeSet<Shard>) -> store::ClaimShardsRequest {
        let epoch = |shard: &Shard, epoch: i64| store::ShardEpoch { shard: shard.number().into(), epoch };
        let mut claim = store::ClaimShardsRequest {
            owner: self.owner.clone(),
            address: self.address.clone(),
            lease: Some(duration(if draining { Duration::ZERO } else { self.lease })),
            force: self.alone,
            ..store::ClaimShardsRequest::default()
        };
        let keep = if draining { 0 } else { self.share() };
        for (index, (shard, owned)) in self.owned.iter_mut().enumerate() {
            // First nothing more is handed out, then it is waited for what is to be written, then it is given up.
            let was_leaving = std::mem::replace(&mut owned.is_leaving, index >= keep);
            let leaves = draining || (was_leaving && owned.is_leaving && !unwritten.contains(shard));
            let list = if leaves { &mut claim.leave } else { &mut claim.renew };
            list.push(epoch(shard, owned.epoch));
        }
        let room = keep.saturating_sub(self.owned.len());
        let free = |lease: &&store::ShardLease| {
            (self.alone || lease.owner.is_empty() || lease.left_over.is_none()) && lease.owner != self.owner
        };
        let shards = self.board.iter().flat_map(|board| &board.shards).filter(free).take(room);
        claim.take =
            shards.map(|lease| store::ShardEpoch { shard: lease.shard, epoch: lease.epoch }).collect();
        claim
    }

    /// How many shards are this scheduler's part: the first few of the live schedulers have one more.
    fn share(&self) -> usize {
        let others = self.board.iter().flat_map(|board| &board.schedulers).map(|one| one.owner.as_str());
        let mut alive: BTreeSet<&str> = others.collect();
        alive.insert(&self.owner);
        let (all, count) = (usize::from(SHARDS), alive.len());
        let place = alive.iter().position(|owner| *owner == self.owner).unwrap_or(0);
        all / count + usize::from(place < all % count)
    }
}

impl Engine {
    /// The next claim need not wait: a stopping process is waited for.
    pub(super) fn claim_soon(&mut self) {
        self.shards.next = Timestamp::default();
    }

    /// Asks for shards, four times per lease, more often when draining. A draining scheduler gives its shards up when
    /// nothing of them runs here, or when others are there to take them and everything that runs is recorded.
    pub(super) fn claim(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.shards.asking || now < self.shards.next {
            return;
        }
        let others = self.shards.board.iter().flat_map(|board| &board.schedulers).count() > 1;
        let unwritten = self.records.unwritten(&self.held);
        let quiet = self.held.is_empty() || (others && unwritten.is_empty());
        let leaving = self.draining && self.fetching == 0 && quiet;
        self.shards.asking = true;
        let pace = if self.draining { 40 } else { 4 };
        self.shards.next = now + self.shards.lease / pace;
        effects.push(Effect::Claim(self.shards.claim(leaving, &unwritten)));
    }

    pub(super) fn on_board(
        &mut self,
        board: Option<store::ClaimShardsResponse>,
        asked_at: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.shards.asking = false;
        let Some(board) = board else { return };
        let is_first = self.shards.board.is_none();
        let mine: BTreeMap<Shard, i64> = board
            .shards
            .iter()
            .filter(|lease| lease.owner == self.shards.owner)
            .filter_map(|lease| Some((Shard::new(u16::try_from(lease.shard).ok()?)?, lease.epoch)))
            .collect();
        let lost: Vec<Shard> = self
            .shards
            .owned
            .iter()
            .filter(|(shard, owned)| mine.get(shard) != Some(&owned.epoch))
            .map(|(shard, _)| *shard)
            .collect();
        lost.into_iter().for_each(|shard| self.lose(shard, now, effects));
        let left = |shard: Shard| {
            let before = self.shards.board.as_ref();
            let number = u32::from(shard.number());
            before.is_none_or(|board| {
                board.shards.iter().any(|lease| lease.shard == number && (lease.left || lease.epoch == 0))
            })
        };
        let clean: BTreeMap<Shard, bool> = mine.keys().map(|shard| (*shard, left(*shard))).collect();
        for (shard, epoch) in mine {
            // A clock that was set back meanwhile does not say when it was asked: then the old time holds.
            let until = if asked_at > now { Timestamp::default() } else { asked_at + self.shards.lease };
            if let Some(owned) = self.shards.owned.get_mut(&shard) {
                owned.until = owned.until.max(until);
                continue;
            }
            let careful_until = if clean.get(&shard) == Some(&true) { now } else { now + CAREFUL };
            let (is_loaded, is_leaving) = (false, false);
            let owned = Owned { epoch, until, is_loaded, is_leaving, careful_until, log: Log::default() };
            self.shards.owned.insert(shard, owned);
            effects.push(Effect::Load((shard, epoch)));
        }
        self.shards.board = Some(board);
        if is_first {
            // What is free is known now.
            self.shards.next = now;
            self.claim(now, effects);
        }
    }

    pub(super) fn on_load_failed(&mut self, (shard, epoch): Epoch, effects: &mut Vec<Effect>) {
        if self.shards.owned.get(&shard).is_some_and(|owned| owned.epoch == epoch) {
            effects.push(Effect::Load((shard, epoch)));
        }
    }

    /// Marks a shard as loaded, with its log read up to this place. False if it is not owned at this epoch any more.
    pub(super) fn begin_shard(&mut self, (shard, epoch): Epoch, last_place: i64) -> bool {
        let Some(owned) = self.shards.owned.get_mut(&shard).filter(|owned| owned.epoch == epoch) else {
            return false;
        };
        owned.is_loaded = true;
        owned.log = Log::read_through(last_place);
        true
    }

    /// The clock was set back by this much.
    pub(super) fn set_back(&mut self, by: Duration) {
        let shards = &mut self.shards;
        shards.next = shards.next - by;
        for owned in shards.owned.values_mut() {
            (owned.until, owned.careful_until) = (owned.until - by, owned.careful_until - by);
        }
    }

    /// Tells all workers which shards are run here.
    pub(super) fn say_shards(&self, effects: &mut Vec<Effect>) {
        for session in self.sessions.keys() {
            effects.push(Effect::Say { session: *session, message: self.shards.message() });
        }
    }

    /// Tells one worker.
    pub(super) fn say_shards_to(&self, session: SessionId, effects: &mut Vec<Effect>) {
        effects.push(Effect::Say { session, message: self.shards.message() });
    }

    /// The store refused an epoch. An old request may be refused after the shard has come back at a later one: that stays.
    pub(super) fn on_fenced(&mut self, (shard, epoch): Epoch, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.shards.owned.get(&shard).is_some_and(|owned| owned.epoch == epoch) {
            self.lose(shard, now, effects);
        }
    }

    /// Forgets everything of a shard: another scheduler runs it, or nobody yet.
    pub(super) fn lose(&mut self, shard: Shard, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.shards.owned.remove(&shard).is_none() {
            return;
        }
        let running = self.shared_running();
        self.policy.forget_tenants(|name| Shard::of_tenant(name) == shard);
        self.lose_shares(&running, now);
        let mut waiting = Vec::new();
        self.held.retain(|id, held| {
            let stays = Shard::of_place(id.place()) != shard;
            if !stays && held.waiting.is_some() {
                waiting.extend(held.session);
            }
            stays
        });
        waiting.into_iter().for_each(|session| self.on_credits(session, 1));
        self.due.retain(|id, _| Shard::of_place(id.place()) != shard);
        self.delayed.retain(|(_, place, _), _| Shard::of_place(*place) != shard);
        self.dependents.lose(shard);
        self.bodies.retain(|id| Shard::of_place(id.place()) != shard);
        self.changed.retain(|id, _| Shard::of_place(id.place()) != shard);
        self.beyond.remove(&shard);
        self.lift(shard);
        self.losses.retain(|id, _| Shard::of_place(id.place()) != shard);
        self.records.forget(shard);
        self.unsettle_shard(shard, effects);
        self.say_shards(effects);
    }
}
