//! Finds the route of a method and a path in a prebuilt tree of segments. Pure.
//!
//! Rules: a literal segment beats a variable, the earlier one first; a path whose last segment ends in a verb that
//! some template has there means that verb; among the templates of the path the method decides.

use std::collections::HashMap;

use crate::template::{Segment, Template};

/// Routes that lead to values of `T`.
#[derive(Debug)]
pub(crate) struct Router<T> {
    root: Node,
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    method: String,
    template: Template,
    target: T,
}

/// What the segments so far lead to.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    variable: Option<Box<Node>>,
    /// Entries that end here, without a verb.
    plain: Vec<usize>,
    /// Entries that end here, by their verb.
    verbs: HashMap<String, Vec<usize>>,
}

/// What a method and a path lead to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'r, 'p, T> {
    /// This route, with the raw text of its variables in order.
    Route(&'r T, Vec<&'p str>),
    /// The path exists, for these methods, sorted.
    OtherMethods(Vec<&'r str>),
    /// No such path.
    Nothing,
}

/// Two routes cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method} {template} is bound twice; give one of the two rpcs another path")]
pub struct RouteConflict {
    method: String,
    template: String,
}

/// The entries of one template of the path, with the text of their variables.
type Hit<'r, 'p> = (&'r [usize], Vec<&'p str>);

impl<T> Router<T> {
    /// A router of these methods, templates and targets.
    pub(crate) fn new(
        routes: impl IntoIterator<Item = (String, Template, T)>,
    ) -> Result<Self, RouteConflict> {
        let mut router = Self { root: Node::default(), entries: Vec::new() };
        for (method, template, target) in routes {
            let ends = router.root.ends_of(&template);
            if ends.iter().any(|&other| router.entries[other].method == method) {
                return Err(RouteConflict { method, template: template.to_string() });
            }
            ends.push(router.entries.len());
            router.entries.push(Entry { method, template, target });
        }
        Ok(router)
    }

    /// What this method and raw path lead to.
    pub(crate) fn find<'r, 'p>(&'r self, method: &str, path: &'p str) -> Found<'r, 'p, T> {
        let hits = self.hits(path);
        let entries = |hit: &Hit<'r, 'p>| hit.0.iter().map(|&index| &self.entries[index]);
        for hit in &hits {
            if let Some(entry) = entries(hit).find(|entry| entry.method == method) {
                return Found::Route(&entry.target, hit.1.clone());
            }
        }
        let mut methods: Vec<_> = hits.iter().flat_map(entries).map(|entry| entry.method.as_str()).collect();
        methods.sort_unstable();
        methods.dedup();
        if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods) }
    }

    /// Every template of this path, best first.
    fn hits<'r, 'p>(&'r self, path: &'p str) -> Vec<Hit<'r, 'p>> {
        let Some(path) = path.strip_prefix('/') else { return Vec::new() };
        let mut hits = Vec::new();
        // A colon before the last slash is no verb.
        if let Some((stem, verb)) = path.rsplit_once(':').filter(|(_, verb)| !verb.contains('/')) {
            self.root.collect(Some(stem), Some(verb), &mut Vec::new(), &mut hits);
        }
        if hits.is_empty() {
            self.root.collect(Some(path), None, &mut Vec::new(), &mut hits);
        }
        hits
    }

    /// Templates that begin like this path, the longest likeness first; at most three.
    pub(crate) fn near(&self, path: &str) -> Vec<String> {
        let mut near: Vec<(usize, String)> = Vec::new();
        for entry in &self.entries {
            let text = entry.template.to_string();
            let alike = text.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
            let beyond_version = alike > text[1..].find('/').map_or(0, |slash| slash + 2);
            if beyond_version && near.iter().all(|(_, known)| *known != text) {
                near.push((alike, text));
            }
        }
        near.sort_by_key(|(alike, text)| (std::cmp::Reverse(*alike), text.len()));
        near.into_iter().take(3).map(|(_, text)| text).collect()
    }
}

impl Node {
    /// Where the entries of this template are kept; makes the way there.
    fn ends_of(&mut self, template: &Template) -> &mut Vec<usize> {
        let mut node = self;
        for segment in &template.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Field(_) => node.variable.get_or_insert_default(),
            };
        }
        match &template.verb {
            Some(verb) => node.verbs.entry(verb.clone()).or_default(),
            None => &mut node.plain,
        }
    }

    /// Walks the rest of the path; its depth is bounded by the tree's.
    fn collect<'r, 'p>(
        &'r self,
        rest: Option<&'p str>,
        verb: Option<&str>,
        values: &mut Vec<&'p str>,
        hits: &mut Vec<Hit<'r, 'p>>,
    ) {
        let Some(rest) = rest else {
            let ends = verb.map_or(Some(&self.plain), |verb| self.verbs.get(verb));
            if let Some(ends) = ends.filter(|ends| !ends.is_empty()) {
                hits.push((ends, values.clone()));
            }
            return;
        };
        let (segment, rest) = rest.split_once('/').map_or((rest, None), |(head, tail)| (head, Some(tail)));
        if let Some(next) = self.literals.get(segment) {
            next.collect(rest, verb, values, hits);
        }
        if let Some(next) = self.variable.as_ref().filter(|_| !segment.is_empty()) {
            values.push(segment);
            next.collect(rest, verb, values, hits);
            values.pop();
        }
    }
}

#[cfg(test)]
mod tests;
