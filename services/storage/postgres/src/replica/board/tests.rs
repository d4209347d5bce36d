//! The promise of the board against the true state of a primary and its replicas, and each reason to leave one out.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const LAG: Duration = Duration::from_millis(1_000);
const LOG: Log = Log { system: 7, timeline: 1 };

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn seen(replayed: u64) -> Seen {
    Seen { follows: true, paused: false, replayed, system: LOG.system, timeline: None }
}

/// What happens to a primary with two replicas, or what is asked of them, after so many milliseconds.
#[derive(Debug, Clone)]
enum Event {
    Write(u64),
    Replay(usize, u64),
    AskPrimary,
    Ask(usize),
    Fail(usize),
    Read(u64),
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let event = prop_oneof![
        3 => (1_u64..50).prop_map(Event::Write),
        3 => (0_usize..2, 1_u64..80).prop_map(|(index, places)| Event::Replay(index, places)),
        3 => Just(Event::AskPrimary),
        4 => (0_usize..2).prop_map(Event::Ask),
        1 => (0_usize..2).prop_map(Event::Fail),
        4 => (0_u64..40).prop_map(Event::Read),
    ];
    (0_u64..300, event)
}

proptest! {
    /// Against the true state: a read misses nothing that was acknowledged longer ago than the bound, and shows the
    /// place that it must show.
    #[test]
    fn a_picked_replica_is_as_fresh_as_promised(events in prop::collection::vec(event(), 1..120), seed: u64) {
        let mut board = Board::new(2, LAG, at(0));
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut now, mut written, mut replayed) = (at(0), vec![(at(0), 0_u64)], [0_u64; 2]);
        for (pause, event) in events {
            now = now + Duration::from_millis(pause);
            let present = written.last().unwrap().1;
            match event {
                Event::Write(places) => written.push((now, present + places)),
                Event::Replay(index, places) => replayed[index] = (replayed[index] + places).min(present),
                Event::AskPrimary => board.primary(now, LOG, present),
                Event::Ask(index) => drop(board.answered(index, Ok(seen(replayed[index])), now)),
                Event::Fail(index) => drop(board.answered(index, Err("gone".to_owned()), now)),
                Event::Read(back) => {
                    let place = present.saturating_sub(back);
                    let Some(pick) = board.pick(place, &[], now, &mut rng) else { continue };
                    let truth = replayed[pick.index];
                    prop_assert!(truth >= place);
                    let old = written.iter().rev().find(|(at, _)| now.since(*at) > LAG).map_or(0, |(_, place)| *place);
                    prop_assert!(truth >= old, "{truth} shown, {old} were acknowledged before the bound");
                    board.ended(&pick, Outcome::Success, now);
                }
            }
        }
    }
}

/// Two replicas that are up to date at 0 ms with place 10.
fn fresh() -> (Board, StdRng) {
    let mut board = Board::new(2, LAG, at(0));
    board.primary(at(0), LOG, 10);
    for index in 0..2 {
        assert_eq!(board.answered(index, Ok(seen(10)), at(0)), Some(Ok(())));
    }
    (board, StdRng::seed_from_u64(1))
}

#[test]
fn an_idle_primary_makes_no_lag_and_silence_does() {
    let (mut board, mut rng) = fresh();
    for second in 1..100 {
        board.primary(at(second * 1_000), LOG, 10);
        assert!(board.standing(0, at(second * 1_000 + 500)).is_ok(), "what is there is all replayed");
    }
    assert_eq!(board.standing(0, at(100_100)), Err(Left::Behind), "nobody knows what was written since");
    assert!(board.pick(0, &[], at(100_100), &mut rng).is_none());
}

#[test]
fn each_reason_to_be_left_out_is_told_and_none_stays_longer_than_it_holds() {
    let (mut board, _) = fresh();
    let mut told = |seen: Result<Seen, String>| {
        drop(board.answered(0, seen, at(1)));
        let standing = board.standing(0, at(1));
        assert_eq!(board.answered(0, Ok(super::tests::seen(10)), at(2)), Some(Ok(())), "it comes back");
        standing.unwrap_err()
    };
    assert_eq!(told(Err("refused".to_owned())), Left::Away("refused".to_owned()));
    assert_eq!(told(Ok(Seen { follows: false, ..seen(10) })), Left::NoReplica);
    assert_eq!(told(Ok(Seen { paused: true, ..seen(10) })), Left::Paused);
    assert_eq!(told(Ok(Seen { system: 8, ..seen(10) })), Left::Elsewhere);
    assert_eq!(told(Ok(Seen { timeline: Some(2), ..seen(10) })), Left::OtherTimeline);
    assert_eq!(told(Ok(seen(9))), Left::Behind);
}

#[test]
fn a_replica_that_shows_what_the_primary_never_wrote_is_of_another_timeline() {
    let (mut board, _) = fresh();
    drop(board.answered(0, Ok(seen(30)), at(5)));
    board.primary(at(6), LOG, 20);
    assert_eq!(board.standing(0, at(6)), Err(Left::OtherTimeline));
    drop(board.answered(0, Ok(seen(30)), at(7)));
    assert_eq!(board.standing(0, at(7)), Err(Left::OtherTimeline), "asking again does not help");
    // The primary was asked before it wrote what the replica shows already.
    drop(board.answered(1, Ok(seen(25)), at(8)));
    assert!(board.standing(1, at(8)).is_ok());
    // After a promotion its places are of another log.
    board.primary(at(9), Log { timeline: 2, ..LOG }, 40);
    assert_eq!(board.standing(1, at(9)), Err(Left::Behind));
}

#[test]
fn reads_go_to_the_quicker_one_and_leave_one_that_fails_alone() {
    let (mut board, mut rng) = fresh();
    let mut chosen = [0; 2];
    for _ in 0..50 {
        let pick = board.pick(0, &[], at(10), &mut rng).unwrap();
        chosen[pick.index] += 1;
        let took = if pick.index == 0 { 5 } else { 50 };
        board.ended(&pick, Outcome::Success, at(10 + took));
    }
    assert!(chosen[0] > chosen[1], "{chosen:?}");
    for _ in 0..5 {
        let pick = board.pick(0, &[1], at(60), &mut rng).unwrap();
        assert_eq!(pick.index, 0, "the other one was tried");
        board.ended(&pick, Outcome::Failure, at(60));
    }
    assert!(board.pick(0, &[1], at(60), &mut rng).is_none(), "its breaker is open");
    board.primary(at(1_100), LOG, 10);
    let probe = board.pick(0, &[1], at(1_100), &mut rng).unwrap();
    board.ended(&probe, Outcome::Success, at(1_100));
    assert!(board.pick(0, &[1], at(1_100), &mut rng).is_some(), "it is back");
}

#[test]
fn a_new_connection_that_shows_less_is_not_used() {
    let (board, _) = fresh();
    assert!(board.still_shows(0, &seen(10)) && board.still_shows(0, &seen(11)));
    assert!(!board.still_shows(0, &seen(9)), "restarted");
    assert!(!board.still_shows(0, &Seen { follows: false, ..seen(12) }), "promoted");
}
