//! What the number of workers is aimed at, and for which components.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::demand::Goal;
use super::steady::Rules;

/// The configuration: `[scheduling.scaling]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingConfig {
    /// How long tasks may wait, in milliseconds; 1 or more.
    pub wait_ms: u64,
    /// The share of the slots that may be busy, in percent, 1 to 100.
    pub utilisation_percent: u32,
    /// How many tasks of a component may wait before it gets one worker more.
    pub depth: u64,
    /// The share of the workers' processors that may be busy, in percent, 1 to 100.
    pub cpu_percent: u32,
    /// Smaller changes than this share are not made, in percent.
    pub tolerance_percent: u32,
    /// The pause after a change before the next one upward, in milliseconds.
    pub pause_ms: u64,
    /// How long fewer workers must have been enough before there are fewer, in milliseconds.
    pub down_after_ms: u64,
    /// When after a change its effect is looked at, in milliseconds.
    pub verify_after_ms: u64,
    /// Whether the workers of the scheduler's own process get as many slots as the advised number of workers has together.
    pub pools: bool,
    /// The components by name: `[scheduling.scaling.components.NAME]`.
    pub components: BTreeMap<String, Component>,
}

/// Workers that are scaled together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Component {
    /// The kinds of task that they run; empty for all that no other component runs.
    pub kinds: Vec<String>,
    /// How many tasks one runs at once, where none is there to tell; 1 or more.
    pub slots: u32,
    /// The fewest.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl Default for Component {
    fn default() -> Self {
        Self { kinds: Vec::new(), slots: 64, min: 1, max: 10 }
    }
}

impl Default for ScalingConfig {
    /// Tasks start within 1.5 s, slots and processors are busy for 70%, up after half a minute, down after five.
    fn default() -> Self {
        let component = |kind: Option<&str>, slots| Component {
            kinds: kind.map(str::to_owned).into_iter().collect(),
            slots,
            ..Component::default()
        };
        let named = |(name, component): (&str, Component)| (name.to_owned(), component);
        let components = [
            ("collectors", component(Some("collect"), 4)),
            ("analysers", component(Some("analyze"), 64)),
            ("processors", component(None, 64)),
        ];
        Self {
            wait_ms: 1_500,
            utilisation_percent: 70,
            depth: 100,
            cpu_percent: 70,
            tolerance_percent: 10,
            pause_ms: 30_000,
            down_after_ms: 300_000,
            verify_after_ms: 60_000,
            pools: false,
            components: components.into_iter().map(named).collect(),
        }
    }
}

impl ScalingConfig {
    /// What cannot work, each with the key and what would be right.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.wait_ms == 0 {
            faults
                .push("`scaling.wait_ms` is 0, which no number of workers reaches: set 1 or more".to_owned());
        }
        let shares = [("utilisation_percent", self.utilisation_percent), ("cpu_percent", self.cpu_percent)];
        for (name, percent) in shares {
            if !(1..=100).contains(&percent) {
                faults.push(format!("`scaling.{name}` is {percent}: set 1 to 100"));
            }
        }
        for (name, component) in &self.components {
            let Component { slots, min, max, .. } = component;
            if *slots == 0 {
                faults.push(format!("`scaling.components.{name}.slots` is 0: set 1 or more"));
            }
            if min > max {
                faults.push(format!(
                    "`scaling.components.{name}.min` is {min}, above its max of {max}: set less"
                ));
            }
        }
        let rest = self.components.iter().filter(|(_, component)| component.kinds.is_empty());
        let rest: Vec<_> = rest.map(|(name, _)| format!("`{name}`")).collect();
        if rest.len() > 1 {
            let names = rest.join(" and ");
            faults.push(format!(
                "{names} of `scaling.components` have no `kinds`: only one can run what no other does"
            ));
        }
        faults
    }

    /// Whether a component runs a kind.
    pub(crate) fn runs(&self, component: &Component, kind: &str) -> bool {
        if component.kinds.is_empty() {
            !self.components.values().any(|other| other.kinds.iter().any(|own| own == kind))
        } else {
            component.kinds.iter().any(|own| own == kind)
        }
    }

    pub(crate) fn goal(&self, component: &Component) -> Goal {
        Goal {
            wait: Duration::from_millis(self.wait_ms),
            utilisation: f64::from(self.utilisation_percent) / 100.0,
            depth: self.depth,
            cpu: f64::from(self.cpu_percent) / 100.0,
            slots: component.slots,
            min: component.min,
            max: component.max,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            tolerance: f64::from(self.tolerance_percent) / 100.0,
            pause: Duration::from_millis(self.pause_ms),
            down_after: Duration::from_millis(self.down_after_ms),
            verify_after: Duration::from_millis(self.verify_after_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_works_and_what_cannot_is_named_all_at_once() {
        assert_eq!(ScalingConfig::default().faults(), Vec::<String>::new());
        let mut wrong = ScalingConfig {
            wait_ms: 0,
            utilisation_percent: 0,
            cpu_percent: 101,
            ..ScalingConfig::default()
        };
        wrong
            .components
            .insert("more".into(), Component { slots: 0, min: 2, max: 1, ..Component::default() });
        let faults = wrong.faults().join("\n");
        for part in [
            "wait_ms",
            "utilisation_percent",
            "cpu_percent",
            "more.slots",
            "more.min",
            "`more` and `processors`",
        ] {
            assert!(faults.contains(part), "{part}: {faults}");
        }
    }

    #[test]
    fn what_no_component_names_is_the_rests() {
        let config = ScalingConfig::default();
        let who = |kind: &str| -> Vec<&str> {
            let own = config.components.iter().filter(|(_, component)| config.runs(component, kind));
            own.map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!((who("collect"), who("analyze")), (vec!["collectors"], vec!["analysers"]));
        assert_eq!(who("thumbnail"), ["processors"]);
    }
}
