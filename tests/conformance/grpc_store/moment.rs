//! The moment of a call and the ids that it makes, beside the call in a task local, from which the shell's clock and
//! rng are fed.
//!
//! An id is made of a moment and ten random bytes, in this order. So the first look at the clock in a call tells the
//! call's moment, and each later one, while ids are left, that of the next id.

use std::cell::RefCell;
use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{CryptoRng, RngCore};
use tidemill_kernel::{Clock, Id, Timestamp};

struct Call {
    now: Timestamp,
    begun: bool,
    ids: VecDeque<Id>,
}

tokio::task_local! {
    static CALL: RefCell<Call>;
}

/// Runs a call at this moment that makes these ids, in this order.
pub(super) async fn at<T>(now: Timestamp, ids: Vec<Id>, call: impl Future<Output = T>) -> T {
    CALL.scope(RefCell::new(Call { now, begun: false, ids: ids.into() }), call).await
}

/// The milliseconds at the front of a UUID of version 7.
fn moment(id: Id) -> Timestamp {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&id.as_bytes()[..6]);
    Timestamp::from_micros(i64::from_be_bytes(bytes) * 1_000)
}

/// Stands at the moment of the call that reads it.
pub(super) struct CallClock;

impl Clock for CallClock {
    fn now(&self) -> Timestamp {
        let read = |call: &RefCell<Call>| {
            let mut call = call.borrow_mut();
            let first = !std::mem::replace(&mut call.begun, true);
            call.ids.front().filter(|_| !first).map_or(call.now, |id| moment(*id))
        };
        CALL.try_with(read).unwrap_or_default()
    }
}

/// Gives the bytes of the ids of the call, and otherwise those of the generator.
pub(super) struct CallRng(pub(super) StdRng);

impl RngCore for CallRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        let next = CALL.try_with(|call| call.borrow_mut().ids.pop_front()).ok().flatten();
        match next {
            Some(id) if bytes.len() == 10 => bytes.copy_from_slice(&id.as_bytes()[6..]),
            _ => self.0.fill_bytes(bytes),
        }
    }
}

impl CryptoRng for CallRng {}
