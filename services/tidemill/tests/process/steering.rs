//! The queue steered from the command line: tasks, limits, pauses, schedules.

use std::time::{Duration, Instant};

use crate::mesh::{Mesh, folder};

/// How long a mesh may take for what takes it a moment.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn tasks_limits_and_pauses_are_told_and_explained() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let submit = ["task", "submit", "resize", "--payload", "{}", "--limit-key", "model:small"];
    let keyed = [&submit[..], &["--idempotency-key", "resize-17"]].concat();
    let id = mesh.call(&keyed).shows(&[]).out.trim().to_owned();
    let again = mesh.call(&keyed).expect(0, &["submitted before"]);
    assert_eq!(again.out.trim(), id);

    let wrong = mesh.call(&["task", "submit", "Bad kind"]).expect(2, &["tasks[0].kind", "`Bad kind`"]);
    assert!(!wrong.err.contains("batches"), "{wrong:?}");
    mesh.call(&["limit", "set", "--limit-key", "model:small"]).expect(2, &["limits nothing"]);
    mesh.call(&["limit", "set", "--limit-key", "model:small", "--concurrency", "2"])
        .shows(&["limited tasks with key model:small"]);
    mesh.call(&["limit", "list"]).shows(&["model:small"]);
    mesh.call(&["task", "explain", &id]).shows(&["does not run tasks of kind resize"]);
    mesh.call(&["queue", "pause", "--limit-key", "model:small"]).shows(&["paused"]);
    mesh.call(&["task", "explain", &id]).shows(&["paused"]);
    mesh.call(&["queue", "resume", "--limit-key", "model:small"]).shows(&["resumed"]);
    mesh.call(&["limit", "remove", "--limit-key", "model:small"]).shows(&["no limit"]);
    let left = mesh.call(&["limit", "list", "--json"]).shows(&[]).out;
    assert!(!left.contains("model:small"), "{left}");

    mesh.call(&["limit", "set", "--all-tenants", "--concurrency", "2"])
        .expect(2, &["scope.kind", "not everything"]);
    let of_all = ["--all-tenants", "--kind", "resize"];
    mesh.call(&[&["limit", "set"], &of_all[..], &["--concurrency", "40"]].concat())
        .shows(&["limited tasks of kind resize, of all tenants"]);
    mesh.call(&["limit", "list"]).shows(&["of all tenants", "40"]);
    mesh.call(&[&["limit", "remove"], &of_all[..]].concat())
        .shows(&["no limit of tasks of kind resize, of all tenants"]);
    let left = mesh.call(&["limit", "list", "--json"]).shows(&[]).out;
    assert!(!left.contains("resize"), "{left}");

    let later = [&submit[..], &["--run-at", "2999-01-01T00:00:00Z", "--max-attempts", "2"]].concat();
    let later = mesh.call(&later).shows(&[]).out.trim().to_owned();
    mesh.call(&["task", "explain", &later]).shows(&["2999-01-01"]);
    mesh.call(&["task", "prioritise", &later, "interactive"]).shows(&["interactive"]);
    mesh.call(&["task", "cancel", "--kind", "resize"]).shows(&["2 cancelled"]);
    mesh.call(&["task", "retry", "--state", "cancelled", "--dry-run"]).shows(&["2 would be"]);
}

#[test]
fn a_task_that_depends_on_others_says_so_and_a_unique_one_comes_again() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let first = ["task", "submit", "resize", "--idempotency-key", "first", "--unique"];
    let first_id = mesh.call(&first).shows(&[]).out.trim().to_owned();
    mesh.call(&first).expect(0, &["submitted before"]);
    let second = ["task", "submit", "report", "--depends-on", "first", "--depends-on", &first_id];
    let second_id = mesh.call(&second).shows(&[]).out.trim().to_owned();
    mesh.call(&["task", "explain", &second_id]).shows(&["depends on key `first` (waiting)", &first_id]);
    mesh.call(&["task", "submit", "report", "--depends-on", &format!("key:{first_id}")])
        .expect(2, &["depends_on[0]", &format!("key `{first_id}`")]);
    mesh.call(&["task", "submit", "report", "--depends-on", "nobody"])
        .expect(2, &["depends_on[0]", "key `nobody`"]);
    mesh.call(&["task", "submit", "report", "--unique"]).expect(2, &["--idempotency-key"]);
    mesh.call(&["task", "cancel", &first_id]).shows(&[]);
    // Its owner hears of it within a moment.
    let begun = Instant::now();
    loop {
        let dead = mesh.call(&["task", "list", "--state", "dead"]).shows(&[]).out;
        if dead.contains("report") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "no report is dead; the last list:\n{dead}");
    }
    mesh.call(&["task", "retry", "--failure-kind", "dependency", "--dry-run"]).shows(&["1 would be"]);
    let again = mesh.call(&first).shows(&[]).out.trim().to_owned();
    assert_ne!(again, first_id, "the first has ended");
}

#[test]
fn schedules_are_set_listed_and_removed() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    mesh.call(&["schedule", "set", "nightly", "30 2 * * *", "resize", "--time-zone", "Europe/Berlin"])
        .shows(&["nightly"]);
    mesh.call(&["schedule", "list"]).shows(&["nightly", "30 2 * * *", "Europe/Berlin", "resize"]);
    mesh.call(&["schedule", "set", "nightly", "61 2 * * *", "resize"]).expect(2, &["cron"]);
    mesh.call(&["schedule", "set", "nightly", "* * * * *", "resize", "--time-zone", "Atlantis"])
        .expect(2, &["Atlantis"]);
    mesh.call(&["schedule", "remove", "nightly"]).shows(&[]);
    let left = mesh.call(&["schedule", "list", "--json"]).shows(&[]).out;
    assert_eq!(left.trim(), "");
}

#[test]
fn a_group_is_shown_listed_and_watched_to_its_end() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let member = ["task", "submit", "resize", "--group", "import 7"];
    let first = mesh.call(&member).shows(&[]).out.trim().to_owned();
    mesh.call(&member).shows(&[]);
    mesh.call(&["task", "show", &first]).shows(&["import 7"]);
    mesh.call(&["group", "show", "import 7"]).shows(&["GROUP", "import 7  2      2     0"]);
    mesh.call(&["group", "list"]).shows(&["import 7"]);
    mesh.call(&["task", "list", "--limit", "1"]).expect(0, &["there are more: --limit"]);
    assert_eq!(mesh.call(&["task", "list", "--limit", "2"]).expect(0, &[]).err, "");
    mesh.call(&["group", "show", "none"]).expect(1, &["group `none`", "group list"]);
    mesh.call(&["group", "watch", "none"]).expect(1, &["group `none`"]);
    let after = ["task", "submit", "report", "--after-group", "import 7", "--on-dependency-failure", "run"];
    let after = mesh.call(&after).shows(&[]).out.trim().to_owned();
    mesh.call(&["task", "explain", &after]).shows(&["depends on group `import 7` (2 open)"]);
    mesh.call(&["task", "submit", "report", "--after-group", "none"])
        .expect(2, &["depends_on[0]", "group `none`"]);
    mesh.call(&["task", "submit", "report", "--group", "own", "--after-group", "own"])
        .expect(2, &["waits for itself", "group `own`"]);
    mesh.call(&["task", "cancel", "--group", "import 7"]).shows(&["2 cancelled"]);
    let ended = mesh.call(&["group", "watch", "import 7"]).expect(1, &["2 cancelled", "task retry --group"]);
    assert!(ended.out.contains("import 7: 2 of 2 ended (100 %)"), "{ended:?}");
    let json = mesh.call(&["group", "show", "import 7", "--json"]).shows(&[]).json();
    assert_eq!((json["cancelled"].as_str(), json["total"].as_str()), (Some("2"), Some("2")), "{json}");
    // The scheduler hears of it within a moment: the report waits for a worker then, no more for the group.
    while !mesh.call(&["task", "explain", &after]).shows(&[]).out.contains("kind report") {}
}
