//! What the decisions promise.

use proptest::prelude::*;
use tidemill_proto::types::v1::TaskOptions;

use super::*;

fn on_key(key: &str) -> Dependency {
    Dependency { task: Some(Named::Key(key.into())) }
}

fn keyed(key: &str, depends_on: &[&str]) -> NewTask {
    let depends_on = depends_on.iter().map(|key| on_key(key)).collect();
    let options = Some(Box::new(TaskOptions { depends_on, ..TaskOptions::default() }));
    NewTask { key: key.into(), options, ..NewTask::default() }
}

fn stands(number: i64, state: TaskState) -> FoundTask {
    FoundTask { id: id(number).to_string(), state: state.into(), open: 0 }
}

fn id(number: i64) -> Id {
    Id::placed(tidemill_kernel::Timestamp::from_micros(1_000), number)
}

fn waits<const COUNT: usize>(numbers: [i64; COUNT]) -> Verdict {
    Verdict::Wait(Open { tasks: numbers.map(id).into(), ..Open::default() })
}

/// What becomes of a task that depends on a group that stands so.
fn decide_group(state: TaskState, open: i64, on_failure: DependencyFailure) -> Verdict {
    let found = [FoundTask { id: String::new(), state: state.into(), open }];
    judge(&stands(99, TaskState::Waiting), &[Name::Group("g".into())], &found, on_failure, &BTreeSet::new())
}

fn on_group(group: &str) -> Dependency {
    Dependency { task: Some(Named::Group(group.into())) }
}

fn member(key: &str, group: &str, depends_on: Vec<Dependency>) -> NewTask {
    let options = Some(Box::new(TaskOptions { depends_on, ..TaskOptions::default() }));
    NewTask { key: key.into(), group: group.into(), options, ..NewTask::default() }
}

fn decide(found: &[FoundTask], on_failure: DependencyFailure) -> Verdict {
    let depends_on: Vec<_> = found.iter().map(|_| Name::Key("x".into())).collect();
    judge(&stands(99, TaskState::Waiting), &depends_on, found, on_failure, &BTreeSet::new())
}

#[test]
fn a_task_runs_when_all_have_succeeded_kept_or_not() {
    let gone = FoundTask { id: id(2).to_string(), ..FoundTask::default() };
    let found = [stands(1, TaskState::Succeeded), gone];
    assert_eq!(decide(&found, DependencyFailure::Die), Verdict::Run);
    assert_eq!(
        unknown_by_id(DependencyFailure::Unspecified, &[]),
        Verdict::Run,
        "what was not kept has succeeded"
    );
}

/// What becomes of one that depends on task 3, which is known no more, after these have failed.
fn unknown_by_id(on_failure: DependencyFailure, failed: &[Id]) -> Verdict {
    let (own, unknown) = (stands(99, TaskState::Waiting), [FoundTask::default()]);
    judge(&own, &[Name::Id(id(3))], &unknown, on_failure, &failed.iter().copied().collect())
}

#[test]
fn one_that_waits_for_a_failure_to_be_mended_goes_on_waiting_when_that_is_known_no_more() {
    assert_eq!(unknown_by_id(DependencyFailure::Wait, &[id(3)]), waits([]));
    assert_eq!(unknown_by_id(DependencyFailure::Wait, &[id(4)]), Verdict::Run);
    assert_eq!(unknown_by_id(DependencyFailure::Run, &[id(3)]), Verdict::Run);
}

#[test]
fn it_waits_for_those_that_have_not_ended_whatever_it_does_about_failures() {
    let found =
        [stands(1, TaskState::Succeeded), stands(2, TaskState::Waiting), stands(3, TaskState::Running)];
    for on_failure in [DependencyFailure::Die, DependencyFailure::Run, DependencyFailure::Wait] {
        assert_eq!(decide(&found, on_failure), waits([2, 3]));
    }
}

#[test]
fn a_failure_kills_it_lets_it_run_or_makes_it_wait() {
    for state in [TaskState::Dead, TaskState::Cancelled] {
        let found = [stands(1, state), stands(2, TaskState::Waiting)];
        for on_failure in [DependencyFailure::Die, DependencyFailure::Unspecified] {
            let Verdict::Die(error) = decide(&found, on_failure) else { panic!("{on_failure:?}") };
            assert!(error.starts_with("dependency: ") && error.contains(&id(1).to_string()), "{error}");
        }
        assert_eq!(decide(&found, DependencyFailure::Run), waits([2]));
        assert_eq!(decide(&found[..1], DependencyFailure::Run), Verdict::Run);
        assert_eq!(decide(&found, DependencyFailure::Wait), waits([1, 2]));
    }
}

#[test]
fn a_key_that_nobody_has_kills_it_unless_it_waits_or_does_not_mind() {
    let nobody = [FoundTask::default()];
    assert!(
        matches!(decide(&nobody, DependencyFailure::Die), Verdict::Die(error) if error.contains("key `x`"))
    );
    assert_eq!(decide(&nobody, DependencyFailure::Run), Verdict::Run);
    assert_eq!(decide(&nobody, DependencyFailure::Wait), waits([]));
}

#[test]
fn a_group_is_waited_for_until_none_is_open_whatever_has_failed() {
    let waits = |open| Verdict::Wait(Open { groups: [("g".to_owned(), open)].into(), ..Open::default() });
    for on_failure in [DependencyFailure::Die, DependencyFailure::Run, DependencyFailure::Wait] {
        assert_eq!(decide_group(TaskState::Waiting, 3, on_failure), waits(3));
        assert_eq!(decide_group(TaskState::Succeeded, 0, on_failure), Verdict::Run);
        assert_eq!(decide_group(TaskState::Unspecified, 0, on_failure), Verdict::Run, "it was swept");
    }
    for (state, word) in [(TaskState::Dead, "dead"), (TaskState::Cancelled, "cancelled")] {
        let Verdict::Die(error) = decide_group(state, 0, DependencyFailure::Die) else { panic!("{state:?}") };
        assert!(error.starts_with("dependency: group `g`") && error.contains(word), "{error}");
        assert_eq!(decide_group(state, 0, DependencyFailure::Run), Verdict::Run);
        assert_eq!(decide_group(state, 0, DependencyFailure::Wait), waits(0));
    }
    let open = [FoundTask { id: String::new(), state: TaskState::Waiting.into(), open: 7 }];
    assert_eq!(
        words(&[on_group("g")], &open, DependencyFailure::Run).unwrap(),
        "it depends on group `g` (7 open)"
    );
}

#[test]
fn a_task_may_not_wait_for_a_group_that_waits_for_it() {
    let own = [member("me", "g", vec![on_group("g")])];
    let (field, rule) = outside(&own).unwrap_err();
    assert_eq!(field, "tasks[0].options.depends_on");
    assert!(rule.contains("me -> group `g` -> me"), "{rule}");
    let around = [
        member("", "g", vec![on_key("end")]),
        member("x", "g", vec![]),
        member("end", "h", vec![on_group("g")]),
    ];
    let (_, rule) = outside(&around).unwrap_err();
    assert!(rule.contains("tasks[0] -> end -> group `g` -> tasks[0]"), "{rule}");
    let fine = [member("end", "", vec![on_group("g"), on_group("h")]), member("a", "g", vec![])];
    let outside = outside(&fine).unwrap();
    assert_eq!((outside.len(), unknown(&outside[0]).0.as_str()), (1, "tasks[0].options.depends_on[1]"));
    assert!(unknown(&outside[0]).1.contains("there is no group `h`"));
}

#[test]
fn a_task_that_has_ended_itself_is_gone() {
    for own in [FoundTask::default(), stands(1, TaskState::Cancelled), stands(1, TaskState::Dead)] {
        assert_eq!(judge(&own, &[], &[], DependencyFailure::Die, &BTreeSet::new()), Verdict::Gone);
    }
}

#[test]
fn what_a_submission_names_outside_of_itself_is_told_with_its_place() {
    let tasks = [keyed("end", &["a", "before"]), keyed("a", &[]), keyed("b", &["a"])];
    let outside = outside(&tasks).unwrap();
    assert_eq!(outside, [Outside { place: 0, number: 1, dependency: on_key("before") }]);
    assert_eq!(unknown(&outside[0]).0, "tasks[0].options.depends_on[1]");
    assert!(unknown(&outside[0]).1.contains("key `before`"));
}

#[test]
fn a_submission_names_so_many_tasks_and_no_more() {
    let names: Vec<String> = (0..1_000).map(|number| format!("k{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut tasks: Vec<NewTask> = (0..10).map(|number| keyed(&format!("t{number}"), &names)).collect();
    assert_eq!(outside(&tasks).unwrap().len(), 10_000);
    tasks.insert(7, keyed("more", &["k1"]));
    let (field, rule) = outside(&tasks).unwrap_err();
    assert_eq!(field, "tasks[10].options.depends_on");
    assert!(rule.contains("10001 names") && rule.contains("at most 10000"), "{rule}");
}

#[test]
fn a_circle_is_named() {
    let tasks = [keyed("a", &["c"]), keyed("free", &[]), keyed("b", &["free", "a"]), keyed("c", &["b"])];
    let (field, rule) = outside(&tasks).unwrap_err();
    assert_eq!(field, "tasks[0].options.depends_on");
    assert!(rule.contains("a -> c -> b -> a"), "{rule}");
    assert!(outside(&[keyed("me", &["me"])]).unwrap_err().1.contains("me -> me"));
}

#[test]
fn what_is_open_is_named_up_to_five() {
    let found: Vec<_> = (1..=7).map(|number| stands(number, TaskState::Waiting)).collect();
    let depends_on: Vec<_> = (1..=7).map(|number| on_key(&format!("k{number}"))).collect();
    let words = words(&depends_on, &found, DependencyFailure::Die).unwrap();
    assert!(words.contains("key `k5` (waiting) and 2 more") && !words.contains("k6"), "{words}");
    let of = |state, on_failure| super::words(&depends_on[..1], &[stands(1, state)], on_failure);
    assert_eq!(of(TaskState::Succeeded, DependencyFailure::Die), None);
    assert_eq!(of(TaskState::Cancelled, DependencyFailure::Run), None, "it does not matter");
    assert!(of(TaskState::Cancelled, DependencyFailure::Wait).unwrap().contains("(cancelled)"));
}

proptest! {
    /// A graph has a circle if and only if its places cannot be put in an order (Kahn, 1962); what is named as one is one.
    #[test]
    fn a_circle_is_found_where_there_is_one(edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 12)) {
        let mut left: BTreeSet<usize> = (0..12).collect();
        while let Some(free) = left.iter().copied().find(|place| edges[*place].iter().all(|to| !left.contains(to))) {
            left.remove(&free);
        }
        match circle(&edges) {
            None => prop_assert!(left.is_empty()),
            Some(circle) => {
                prop_assert!(circle.len() > 1 && circle.first() == circle.last());
                prop_assert!(circle.windows(2).all(|pair| edges[pair[0]].contains(&pair[1])));
            }
        }
    }
}
