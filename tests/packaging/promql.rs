//! As much of PromQL as is needed to find the names in it: those of figures, and those of labels.

use std::collections::BTreeSet;

/// What stands before a list of labels in parentheses.
const GROUPS: [&str; 7] = ["by", "without", "on", "ignoring", "group_left", "group_right", "label_values"];
/// What is no figure, though it stands where one could.
const WORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "ALERTS"];

/// The names in a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Of figures.
    pub(crate) figures: BTreeSet<String>,
    /// Of labels, in selectors and in groups.
    pub(crate) labels: BTreeSet<String>,
}

/// Reads a query. Labels are what stands in braces before an operator and in a group's parentheses; figures are the other
/// words that nothing is called by.
pub(crate) fn names(query: &str) -> Names {
    let mut names = Names::default();
    let (mut rest, mut is_group, mut in_braces) = (query, false, false);
    while let Some(first) = rest.chars().next() {
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '$'))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        rest = after;
        match first {
            '"' => rest = rest.split_once('"').map_or("", |(_, after)| after),
            '{' => in_braces = true,
            '}' => in_braces = false,
            ')' => is_group = false,
            'a'..='z' | 'A'..='Z' | '_' => {
                let next = rest.trim_start();
                // `sum(...)`, and `sum by (...) (...)`.
                let is_called = ["(", "by (", "without ("].iter().any(|begin| next.starts_with(begin));
                if GROUPS.contains(&word) && is_called {
                    is_group = word != "label_values";
                } else if is_group || in_braces {
                    names.labels.insert(word.to_owned());
                } else if !is_called && !WORDS.contains(&word) {
                    names.figures.insert(word.to_owned());
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn figures_are_told_from_functions_labels_words_and_times() {
    let query = r#"histogram_quantile(0.95, sum by (le, part) (rate(a_b_bucket{kind!="x{y", part=~"$part"}[5m]))) > 2e3
        and on (instance) up == 1 or sum(max by (priority) (c_d{state="ready"} offset 1h))"#;
    let set = |words: &[&str]| words.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let wanted = Names {
        figures: set(&["a_b_bucket", "c_d", "up"]),
        labels: set(&["instance", "kind", "le", "part", "priority", "state"]),
    };
    assert_eq!(names(query), wanted);
}
