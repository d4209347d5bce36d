//! What tasks depend on: whether a submission makes sense, and whether a task may run. Pure, but for [`check`].

mod check;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidemill_kernel::Id;
use tidemill_proto::storage::v1::FoundTask;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, NewTask, TaskState};

/// The most names of tasks that one submission depends on, all its tasks together: each is held in memory while it is waited
/// for.
const MOST_NAMES: usize = 10_000;

/// A task that another one depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// This one.
    Id(Id),
    /// The one with this key, which has not been found yet.
    Key(Box<str>),
    /// All tasks of this group.
    Group(Box<str>),
}

impl Name {
    /// The name that a task's options say; none for none.
    pub(crate) fn of(dependency: &Dependency) -> Option<Self> {
        match dependency.task.as_ref()? {
            Named::Id(id) => id.parse().ok().map(Self::Id),
            Named::Key(key) => Some(Self::Key(key.as_str().into())),
            Named::Group(group) => Some(Self::Group(group.as_str().into())),
        }
    }

    /// As the store is asked for it.
    pub(crate) fn reference(&self) -> Dependency {
        let task = match self {
            Self::Id(id) => Named::Id(id.to_string()),
            Self::Key(key) => Named::Key(key.to_string()),
            Self::Group(group) => Named::Group(group.to_string()),
        };
        Dependency { task: Some(task) }
    }
}

/// What is to become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has ended itself.
    Gone,
    /// All that it depends on have ended as they should.
    Run,
    /// It waits for these.
    Wait(Open),
    /// It will never run, for this reason.
    Die(String),
}

/// What a task still waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Open {
    /// Tasks.
    pub(crate) tasks: BTreeSet<Id>,
    /// Groups, each with how many of its tasks are open.
    pub(crate) groups: BTreeMap<String, i64>,
}

impl Open {
    fn add(&mut self, name: &Name, found: &FoundTask) {
        match name {
            Name::Group(group) => _ = self.groups.insert(group.to_string(), found.open),
            Name::Id(_) | Name::Key(_) => self.tasks.extend(found.id.parse::<Id>()),
        }
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.groups.is_empty()
    }
}

/// Whether the store knows a task or a group that it was asked for.
pub(crate) fn is_known(found: &FoundTask) -> bool {
    !found.id.is_empty() || found.state != 0
}

/// Decides over a task that stands like `own` and whose dependencies stand like `found`, each at its place. What is known no
/// more has succeeded, unless it is named by a key that nobody knows, or had failed when it was heard of last.
pub(crate) fn judge(
    own: &FoundTask,
    depends_on: &[Name],
    found: &[FoundTask],
    on_failure: DependencyFailure,
    failed: &BTreeSet<Id>,
) -> Verdict {
    if !matches!(own.state(), TaskState::Waiting | TaskState::Running) {
        return Verdict::Gone;
    }
    let mut open = Open::default();
    let mut is_missing = false;
    for (name, found) in depends_on.iter().zip(found) {
        let is_unknown = !is_known(found) && matches!(name, Name::Key(_));
        let had_failed = matches!(name, Name::Id(id) if failed.contains(id));
        match (found.state(), on_failure) {
            (TaskState::Waiting | TaskState::Running, _) => open.add(name, found),
            (TaskState::Dead | TaskState::Cancelled, DependencyFailure::Wait) => open.add(name, found),
            (_, DependencyFailure::Wait) if is_unknown => is_missing = true,
            (TaskState::Unspecified, DependencyFailure::Wait) if had_failed => is_missing = true,
            (_, DependencyFailure::Run) => {}
            (TaskState::Dead | TaskState::Cancelled, _) => {
                return Verdict::Die(reason(name, found));
            }
            _ if is_unknown => {
                return Verdict::Die(format!(
                    "dependency: no task has the {}, which it depends on; submit that one, then retry this one",
                    words_of(&name.reference())
                ));
            }
            _ => {}
        }
    }
    if open.is_empty() && !is_missing { Verdict::Run } else { Verdict::Wait(open) }
}

/// Why a task dies whose dependency has failed.
fn reason(name: &Name, found: &FoundTask) -> String {
    let state = if found.state() == TaskState::Dead { "dead" } else { "cancelled" };
    match name {
        Name::Group(group) => format!(
            "dependency: group `{group}`, which it depends on, has ended with {state} tasks; retry those, then this one"
        ),
        Name::Id(_) | Name::Key(_) => format!(
            "dependency: task {}, which it depends on, is {state}; retry that one, then this one",
            found.id
        ),
    }
}

/// Which of these a task still waits for, in words; none if it waits for none.
pub(crate) fn words(
    depends_on: &[Dependency],
    found: &[FoundTask],
    on_failure: DependencyFailure,
) -> Option<String> {
    /// How many are named.
    const NAMED: usize = 5;
    let state = |found: &FoundTask| match found.state() {
        TaskState::Waiting => Some("waiting"),
        TaskState::Running => Some("running"),
        // However it ended.
        TaskState::Dead | TaskState::Cancelled if on_failure == DependencyFailure::Run => None,
        TaskState::Dead => Some("dead"),
        TaskState::Cancelled => Some("cancelled"),
        TaskState::Succeeded | TaskState::Unspecified => None,
    };
    let open: Vec<String> = depends_on
        .iter()
        .zip(found)
        .filter_map(|(dependency, found)| {
            let state = state(found)?;
            Some(match found.open {
                0 => format!("{} ({state})", words_of(dependency)),
                open => format!("{} ({open} open)", words_of(dependency)),
            })
        })
        .collect();
    let more = open.len().checked_sub(NAMED + 1).map(|more| format!(" and {} more", more + 1));
    let named = open.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    (!open.is_empty()).then(|| format!("it depends on {named}{}", more.unwrap_or_default()))
}

/// A fault of a submission: the field, and the rule.
pub(crate) type Fault = (String, String);

/// A task that is not among those that are submitted with the one that names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outside {
    /// The number of the task that names it.
    place: usize,
    /// The number of its name there.
    number: usize,
    dependency: Dependency,
}

impl Outside {
    /// Where it is named.
    fn field(&self) -> String {
        format!("tasks[{}].options.depends_on[{}]", self.place, self.number)
    }
}

/// What tasks name that are not among themselves, each with the place where it is named.
///
/// # Errors
/// More names than a submission may have; a circle of tasks that wait for each other, by their keys and groups.
pub(crate) fn outside(tasks: &[NewTask]) -> Result<Vec<Outside>, Fault> {
    let names = |task: &NewTask| task.options.as_ref().map_or(0, |options| options.depends_on.len());
    let mut sum = 0;
    for (place, task) in tasks.iter().enumerate() {
        sum += names(task);
        if sum > MOST_NAMES {
            let all: usize = tasks.iter().map(names).sum();
            let rule = format!(
                "makes it {sum} names of tasks, {all} in all; at most {MOST_NAMES} in one submission: send the tasks in \
                 parts, or have many wait for one task that joins what they wait for"
            );
            return Err((format!("tasks[{place}].options.depends_on"), rule));
        }
    }
    if sum == 0 {
        return Ok(Vec::new());
    }
    let keyed = tasks.iter().enumerate().filter(|(_, task)| !task.key.is_empty());
    let mut places: HashMap<&str, usize> = HashMap::new();
    keyed.for_each(|(place, task)| _ = places.entry(&task.key).or_insert(place));
    // Groups stand behind the tasks, each waiting for its own.
    let mut groups: HashMap<&str, usize> = HashMap::new();
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (place, task) in tasks.iter().enumerate().filter(|(_, task)| !task.group.is_empty()) {
        let group = *groups.entry(&task.group).or_insert(inside.len());
        if group == inside.len() {
            inside.push(Vec::new());
        }
        inside[group].push(place);
    }
    let mut outside = Vec::new();
    for (place, task) in tasks.iter().enumerate() {
        let depends_on = task.options.iter().flat_map(|options| &options.depends_on);
        for (number, dependency) in depends_on.enumerate() {
            let among = match &dependency.task {
                Some(Named::Key(key)) => places.get(key.as_str()),
                Some(Named::Group(group)) => groups.get(group.as_str()),
                _ => None,
            };
            match among {
                Some(other) => inside[place].push(*other),
                None => outside.push(Outside { place, number, dependency: dependency.clone() }),
            }
        }
    }
    circle(&inside).map_or(Ok(outside), |circle| Err(waits_for_itself(tasks, circle)))
}

/// The fault of a circle, told from a task on.
fn waits_for_itself(tasks: &[NewTask], mut circle: Vec<usize>) -> Fault {
    if circle[0] >= tasks.len() {
        circle.remove(0);
        circle.push(circle[0]);
    }
    let first = circle[0];
    // A group is followed by one of its tasks.
    let name = |(index, place): (usize, &usize)| match tasks.get(*place) {
        Some(task) if task.key.is_empty() => format!("tasks[{place}]"),
        Some(task) => task.key.clone(),
        None => {
            let member = circle.get(index + 1).and_then(|member| tasks.get(*member));
            format!("group `{}`", member.map_or("", |member| member.group.as_str()))
        }
    };
    let names: Vec<String> = circle.iter().enumerate().map(name).collect();
    let rule = format!("waits for itself: {}; break the circle", names.join(" -> "));
    (format!("tasks[{first}].options.depends_on"), rule)
}

/// The fault of a submission that names a task which is not there.
pub(crate) fn unknown(named: &Outside) -> Fault {
    let dependency = &named.dependency;
    let rule = match &dependency.task {
        Some(Named::Key(_)) => format!(
            "names no task: none has the {}; submit it before this one or, but in a stream, together with it",
            words_of(dependency)
        ),
        Some(Named::Group(_)) => format!(
            "names no group: there is no {}; submit its tasks before this one or together with it",
            words_of(dependency)
        ),
        _ => format!(
            "names no task: there is no {}; one that ended without being kept is known by its key only",
            words_of(dependency)
        ),
    };
    (named.field(), rule)
}

fn words_of(dependency: &Dependency) -> String {
    match &dependency.task {
        Some(Named::Id(id)) => format!("task {id}"),
        Some(Named::Key(key)) => format!("key `{key}`"),
        Some(Named::Group(group)) => format!("group `{group}`"),
        None => "task".to_owned(),
    }
}

/// A circle in a graph, its first place also the last; depth first, without recursion (Tarjan, 1972).
fn circle(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; edges.len()];
    for start in 0..edges.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::OnPath;
        // Each with the number of its next edge.
        let mut path = vec![(start, 0)];
        while let Some((place, next)) = path.last_mut() {
            let Some(&to) = edges[*place].get(*next) else {
                marks[*place] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[to] {
                Mark::New => {
                    marks[to] = Mark::OnPath;
                    path.push((to, 0));
                }
                Mark::OnPath => {
                    let on_circle = path.iter().map(|(place, _)| *place).skip_while(|place| *place != to);
                    return Some(on_circle.chain([to]).collect());
                }
                Mark::Done => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
