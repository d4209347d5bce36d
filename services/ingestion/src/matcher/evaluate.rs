//! Compiled queries against one document's postings: does it hold, and how strongly.

use super::postings::Postings;
use super::vocabulary::{Atom, Builder};
use crate::query::{Expr, Pattern, Scope};

/// BM25's usual saturation and length normalisation (Robertson and Zaragoza, 2009).
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Words of an average document: that of an abstract or a feed item. Fixed, so that scores do not drift.
const AVERAGE_LENGTH: f32 = 200.0;
/// What an occurrence in the title counts.
const TITLE_WEIGHT: f32 = 3.0;

/// An [`Expr`] over atoms.
#[derive(Debug)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    /// These atoms at consecutive positions; one atom for a word or prefix.
    Text {
        scope: Scope,
        atoms: Vec<Atom>,
    },
    Source(Atom),
}

impl Node {
    /// Numbers the expression's words through `builder`.
    pub(super) fn compile(expr: &Expr, builder: &mut Builder) -> Self {
        match expr {
            Expr::All(parts) => Self::All(parts.iter().map(|part| Self::compile(part, builder)).collect()),
            Expr::Any(parts) => Self::Any(parts.iter().map(|part| Self::compile(part, builder)).collect()),
            Expr::Not(part) => Self::Not(Box::new(Self::compile(part, builder))),
            Expr::Source { name, prefix } => Self::Source(builder.source(name, *prefix)),
            Expr::Text(scope, pattern) => {
                let atoms = match pattern {
                    Pattern::Word(word) => vec![builder.word(word, false)],
                    Pattern::Prefix(word) => vec![builder.word(word, true)],
                    Pattern::Phrase(words) => words.iter().map(|word| builder.word(word, false)).collect(),
                };
                Self::Text { scope: *scope, atoms }
            }
        }
    }
}

/// One document, read.
pub(super) struct Reading<'a> {
    postings: &'a Postings,
    /// Positions below are in the title.
    title_end: u32,
    /// The term frequency at which presence is one half.
    norm: f32,
    /// By word of the phrase at hand: how far its positions are used up.
    cursors: &'a mut Vec<usize>,
}

/// Occurrences of a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    title: u32,
    body: u32,
}

impl<'a> Reading<'a> {
    /// `length` is that of title and body together, in words.
    pub(super) fn new(
        postings: &'a Postings,
        title_end: u32,
        length: u32,
        cursors: &'a mut Vec<usize>,
    ) -> Self {
        let norm = K1 * (1.0 - B + B * length as f32 / AVERAGE_LENGTH);
        Self { postings, title_end, norm, cursors }
    }

    /// The score as described at [`super::Hit`], if the query holds.
    pub(super) fn score(&mut self, root: &Node) -> Option<f32> {
        if !self.holds(root) {
            return None;
        }
        let (mut sum, mut terms) = (0.0, 0.0_f32);
        self.add_presence(root, false, &mut |presence| {
            sum += presence;
            terms += 1.0;
        });
        Some(sum / terms.max(1.0))
    }

    fn holds(&mut self, node: &Node) -> bool {
        match node {
            Node::All(parts) => parts.iter().all(|part| self.holds(part)),
            Node::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Node::Not(part) => !self.holds(part),
            Node::Text { scope, atoms } => self.tally(*scope, atoms, true) != Tally::default(),
            Node::Source(atom) => !self.postings.positions(*atom).is_empty(),
        }
    }

    /// Calls `add` with the presence of every term that is not under an odd number of negations.
    fn add_presence(&mut self, node: &Node, negated: bool, add: &mut impl FnMut(f32)) {
        match node {
            Node::All(parts) | Node::Any(parts) => {
                for part in parts {
                    self.add_presence(part, negated, add);
                }
            }
            Node::Not(part) => self.add_presence(part, !negated, add),
            Node::Text { .. } | Node::Source(_) if negated => {}
            Node::Text { scope, atoms } => {
                let Tally { title, body } = self.tally(*scope, atoms, false);
                let frequency = TITLE_WEIGHT * title as f32 + body as f32;
                add(frequency / (frequency + self.norm));
            }
            Node::Source(atom) => add(if self.postings.positions(*atom).is_empty() { 0.0 } else { 1.0 }),
        }
    }

    /// Counts the places where the atoms follow each other; only up to the first one if that is all that is asked.
    fn tally(&mut self, scope: Scope, atoms: &[Atom], first_only: bool) -> Tally {
        let mut tally = Tally::default();
        let Some((lead, positions)) = self.rarest(atoms) else { return tally };
        self.cursors.clear();
        self.cursors.resize(atoms.len(), 0);
        for &position in positions {
            let Some(start) = position.checked_sub(lead) else { continue };
            if scope == Scope::Title && start >= self.title_end {
                break;
            }
            let follows =
                (start..).zip(atoms).zip(self.cursors.iter_mut()).all(|((place, &atom), cursor)| {
                    place == position || advance(self.postings.positions(atom), cursor, place)
                });
            if !follows {
                continue;
            }
            *(if start < self.title_end { &mut tally.title } else { &mut tally.body }) += 1;
            if first_only {
                break;
            }
        }
        tally
    }

    /// The atom with the fewest positions, by its place among `atoms`, and these positions.
    fn rarest(&self, atoms: &[Atom]) -> Option<(u32, &'a [u32])> {
        let lists = atoms.iter().map(|&atom| self.postings.positions(atom));
        (0..).zip(lists).min_by_key(|(_, positions)| positions.len())
    }
}

/// Moves the cursor to the first position not below `target` and tells whether it is the target. Galloping: a whole
/// phrase costs at most about one pass over its lists, and much less where one of its words is rare.
pub(super) fn advance(positions: &[u32], cursor: &mut usize, target: u32) -> bool {
    let mut step = 1;
    let mut low = *cursor;
    while positions.get(low + step - 1).is_some_and(|&position| position < target) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(positions.len());
    *cursor = low + positions[low..high].partition_point(|&position| position < target);
    positions.get(*cursor) == Some(&target)
}
