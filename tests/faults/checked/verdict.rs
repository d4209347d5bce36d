//! What the judge says of a run, and that it would have said more of a worse one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidemill_kernel::Id;
use tidemill_scheduling::checker::{Broken, Ending, Event, Found, History, Rules, Violation, check};
use tidemill_tests::harness::tools;

use super::CAP;
use super::worker::SLOTS;

/// How many events of a fault's task are shown.
const SHOWN: usize = 40;

/// What was promised. Processes on a busy machine are seen with less precision than those of a simulation.
fn rules() -> Rules {
    Rules {
        slots: SLOTS,
        tenant_concurrency: Some(CAP),
        kind_concurrency: Vec::new(),
        kind_rate: Vec::new(),
        recorded_within: Duration::from_millis(500),
        order_within: Duration::from_millis(250),
        // A hint between schedulers that was missed is made good by reading anew, once a second.
        heard_within: Duration::from_millis(1_500),
        weights: Vec::new(),
        in_flight: 0,
        idle: None,
    }
}

/// Fails with what was broken, and what was seen of it.
pub(crate) fn judge(history: &History, faults: &str) -> Result<()> {
    let violations = check(history, &rules());
    tools::tell(&format!("{faults}{}", summary(history)));
    let shown: Vec<String> = violations.iter().take(5).map(|violation| told(history, violation)).collect();
    ensure!(violations.is_empty(), "{} violations:\n{}", violations.len(), shown.join("\n"));
    would_be_refused(history)
}

/// What happened, in figures.
fn summary(history: &History) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in &history.events {
        let name = format!("{event:?}");
        let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
        *counts.entry(name).or_default() += 1;
    }
    format!("{counts:?}")
}

/// A violation with the events of the tasks and leases that it names.
fn told(history: &History, violation: &Violation) -> String {
    let is_id = |word: &&str| word.parse::<Id>().is_ok();
    let words = violation.seen.split(|sign: char| !sign.is_ascii_hexdigit() && sign != '-');
    let ids: Vec<&str> = words.filter(is_id).collect();
    let events = history.events.iter().map(|event| format!("{event:?}"));
    let about: Vec<String> = events.filter(|event| ids.iter().any(|id| event.contains(id))).collect();
    // An attempt's end names the lease alone.
    let tokens: Vec<&str> =
        about.iter().filter_map(|event| event.split("token: ").nth(1)?.get(..36)).collect();
    let events = history.events.iter().map(|event| format!("{event:?}"));
    let named = |event: &String| ids.iter().chain(&tokens).any(|id| event.contains(id));
    let lines: Vec<String> = events.filter(named).take(SHOWN).collect();
    format!("{violation}\n    {}", lines.join("\n    "))
}

/// The same run with one thing wrong is refused, so what was accepted was looked at.
fn would_be_refused(history: &History) -> Result<()> {
    let succeeded = history.events.iter().find_map(|event| match event {
        // What follows from another task was promised to nobody by its name.
        Event::Ended { task, found: Found::Succeeded(_), parent: None, .. } => Some(*task),
        _ => None,
    });
    let task = succeeded.context("nothing succeeded")?;
    let start = history.events.iter().find_map(|event| match event {
        Event::Started { task: started, .. } if *started == task => Some(event.clone()),
        _ => None,
    });
    let mut start = start.context("what succeeded was not started")?;

    let mut lost = history.clone();
    lost.events.retain(|event| !matches!(event, Event::Ended { task: ended, .. } if *ended == task));
    ensure!(finds(&lost, &rules(), Broken::Lost), "a lost task was not missed");

    let mut doubled = history.clone();
    let other = Id::from_bytes([7; 16]);
    let end = Duration::from_secs(1_000);
    if let Event::Started { token, at, .. } = &mut start {
        (*token, *at) = (other, end);
    }
    let again = Event::Answered { token: other, accepted: true, at: end };
    let sent = Event::Sent { token: other, ending: Ending::Completed(0) };
    doubled.events.extend([start, Event::Stopped { token: other, at: end }, sent, again]);
    ensure!(finds(&doubled, &rules(), Broken::CountedTwice), "a second result was not seen");

    let narrow = Rules { tenant_concurrency: Some(1), ..rules() };
    ensure!(finds(history, &narrow, Broken::OverCap), "no tenant ever ran two tasks at once");
    let reversed = History { events: history.events.iter().cloned().map(backwards).collect() };
    ensure!(finds(&reversed, &rules(), Broken::OutOfOrder), "no two tasks were ever compared");
    Ok(())
}

/// The same as if everything had been asked for in the opposite order.
fn backwards(event: Event) -> Event {
    let turned = |moment: Duration| Duration::from_secs(3_600).saturating_sub(moment);
    match event {
        Event::Submitted { task, queue, key, asked, at, delayed, max_attempts } => {
            let (asked, at) = (turned(at), turned(asked));
            Event::Submitted { task, queue, key, asked, at, delayed, max_attempts }
        }
        other => other,
    }
}

fn finds(history: &History, rules: &Rules, broken: Broken) -> bool {
    check(history, rules).iter().any(|violation| violation.broken == broken)
}
