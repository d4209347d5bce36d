//! Schedulers that were overtaken: what they say late, and what they leave unanswered.

use super::*;

#[test]
fn a_result_that_a_lost_scheduler_did_not_answer_goes_to_who_runs_the_shard_by_now() {
    let (mut world, _) = leased();
    world.step(Step::End(1));
    world.step(Step::Move(0, 2));
    world.step(Step::Deliver(2, 1));
    let results = |world: &World| {
        let sent = &world.schedulers[&2].from_worker;
        sent.iter().filter(|message| matches!(message, Say::Results(_))).count()
    };
    assert_eq!(results(&world), 0, "the other one may still answer");
    world.step(Step::Break(1));
    assert_eq!(results(&world), 1);
}
