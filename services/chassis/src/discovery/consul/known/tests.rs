//! What is believed, by hand and against a model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::discovery::Address;

const GRACE: Duration = Duration::from_secs(10);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn set(ports: impl IntoIterator<Item = u16>) -> Vec<Instance> {
    ports.into_iter().map(|port| Instance::at(Address::of("a", port).unwrap())).collect()
}

fn used(known: &Known) -> Vec<u16> {
    let port = |instance: &Instance| instance.address.to_string()[2..].parse().unwrap();
    known.instances().unwrap().iter().map(port).collect()
}

/// Knows these, told at second 0.
fn knows(ports: &[u16]) -> Known {
    let mut known = Known::new(GRACE);
    known.answered(set(ports.iter().copied()), false, at(0));
    known
}

#[test]
fn nothing_is_known_before_the_first_word_and_an_empty_first_word_counts() {
    let mut known = Known::new(GRACE);
    known.away();
    assert_eq!(known.instances(), None);
    known.answered(Vec::new(), false, at(0));
    assert!(used(&known).is_empty());
    assert_eq!(known.settles_at(), None);
}

#[test]
fn who_leaves_while_others_stay_is_gone_at_once() {
    let mut known = knows(&[1, 2, 3]);
    known.answered(set([1, 3, 4]), false, at(1));
    assert_eq!(used(&known), [1, 3, 4]);
}

#[test]
fn the_last_instance_is_kept_for_a_while_and_then_given_up() {
    let mut known = knows(&[1]);
    known.answered(Vec::new(), false, at(1));
    known.answered(Vec::new(), false, at(5));
    known.settle(at(10));
    assert_eq!(used(&known), [1]);
    assert_eq!(known.settles_at(), Some(at(11)));
    known.settle(at(11));
    assert!(used(&known).is_empty());
}

#[test]
fn a_replacement_ends_the_doubt_about_an_empty_set() {
    let mut known = knows(&[1]);
    known.answered(Vec::new(), false, at(1));
    known.answered(set([2]), false, at(2));
    assert_eq!(used(&known), [2]);
    assert_eq!(known.settles_at(), None);
}

#[test]
fn a_consul_that_comes_back_empty_is_believed_only_after_the_grace_time() {
    for is_rewound in [true, false] {
        let mut known = knows(&[1, 2, 3]);
        if !is_rewound {
            known.away();
        }
        known.answered(Vec::new(), is_rewound, at(100));
        assert_eq!(used(&known), [1, 2, 3]);
        known.answered(set([1]), false, at(101));
        known.answered(set([1, 2]), false, at(102));
        assert_eq!(used(&known), [1, 2, 3]);
        known.answered(set([2]), false, at(103));
        assert_eq!(used(&known), [2, 3], "who had registered again and left is gone");
        known.settle(at(110));
        assert_eq!(used(&known), [2]);
    }
}

#[test]
fn the_grace_time_does_not_run_out_while_consul_is_away() {
    let mut known = knows(&[1]);
    known.answered(Vec::new(), true, at(1));
    known.away();
    known.settle(at(100));
    assert_eq!(used(&known), [1]);
    known.answered(Vec::new(), false, at(100));
    known.settle(at(109));
    assert_eq!(used(&known), [1]);
    known.settle(at(110));
    assert!(used(&known).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Away,
    Answer(BTreeSet<u16>, bool),
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = (prop::collection::btree_set(1_u16..6, 0..5), prop::bool::weighted(0.2));
    let step = prop_oneof![
        1 => Just(Step::Away),
        4 => answer.prop_map(|(set, is_rewound)| Step::Answer(set, is_rewound)),
        2 => (1_i64..12).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    /// The model: for each port that is missing, until when it may go on being used at most.
    #[test]
    fn who_is_told_is_used_and_who_is_missing_no_longer_than_the_grace_time(steps in steps()) {
        let (mut known, mut now) = (Known::new(GRACE), 0);
        known.answered(Vec::new(), false, at(0));
        let (mut told, mut until) = (BTreeSet::new(), BTreeMap::new());
        let (mut is_away, mut is_doubted) = (false, false);
        for step in steps {
            let before = used(&known);
            match step {
                Step::Away => {
                    known.away();
                    is_away = true;
                    prop_assert_eq!(&used(&known), &before);
                }
                Step::Wait(seconds) => {
                    now += seconds;
                    known.settle(at(now));
                    if is_away {
                        prop_assert_eq!(&used(&known), &before);
                    }
                }
                Step::Answer(set_told, is_rewound) => {
                    is_doubted = is_away || is_rewound || set_told.is_empty();
                    if is_away || is_rewound {
                        // A new doubt is about everybody who was in use.
                        until.values_mut().for_each(|limit| *limit = now + 10);
                    }
                    for gone in told.difference(&set_told) {
                        until.insert(*gone, now + if is_doubted { 10 } else { 0 });
                    }
                    until.retain(|port, _| !set_told.contains(port));
                    known.answered(set(set_told.iter().copied()), is_rewound, at(now));
                    (told, is_away) = (set_told, false);
                }
            }
            let now_used = used(&known);
            prop_assert!(told.iter().all(|port| now_used.contains(port)));
            prop_assert!(now_used.windows(2).all(|pair| pair[0] < pair[1]));
            for port in now_used.iter().filter(|port| !told.contains(port)) {
                prop_assert!(before.contains(port), "{port} comes from nowhere");
                prop_assert!(is_away || until[port] > now, "{port} is used too long");
            }
            if is_doubted && !is_away && told.is_empty() && before.is_empty() {
                prop_assert!(now_used.is_empty());
            }
        }
    }
}
