//! The anchors of a query: a cheap set of atoms of which every matching document holds at least one.
//!
//! A word covers itself and a phrase is covered by its rarest word; of an AND the cheapest covered part is enough; an OR
//! takes the covers of all its parts together; a NOT turns AND and OR about (De Morgan) and a negated word covers
//! nothing. Cheap means: expected in few documents, by the estimate of [`Builder::commonness`].

use super::evaluate::Node;
use super::vocabulary::{Atom, Builder};

/// Atoms without repetition. Never empty for a parsed query: the parser refuses those that have no cover.
pub(super) fn anchors(root: &Node, builder: &Builder) -> Vec<Atom> {
    let mut atoms = cover(root, false, builder).map(|cover| cover.atoms).unwrap_or_default();
    atoms.sort_unstable();
    atoms.dedup();
    atoms
}

struct Cover {
    atoms: Vec<Atom>,
    cost: u64,
}

fn cover(node: &Node, negated: bool, builder: &Builder) -> Option<Cover> {
    let single = |atom: Atom| Cover { atoms: vec![atom], cost: builder.commonness(atom) };
    match node {
        Node::Not(part) => cover(part, !negated, builder),
        Node::All(parts) if !negated => cheapest(parts, negated, builder),
        Node::Any(parts) if negated => cheapest(parts, negated, builder),
        Node::All(parts) | Node::Any(parts) => union(parts, negated, builder),
        Node::Text { .. } | Node::Source(_) if negated => None,
        Node::Text { atoms, .. } => {
            atoms.iter().copied().min_by_key(|&atom| builder.commonness(atom)).map(single)
        }
        Node::Source(atom) => Some(single(*atom)),
    }
}

fn cheapest(parts: &[Node], negated: bool, builder: &Builder) -> Option<Cover> {
    parts.iter().filter_map(|part| cover(part, negated, builder)).min_by_key(|cover| cover.cost)
}

fn union(parts: &[Node], negated: bool, builder: &Builder) -> Option<Cover> {
    parts.iter().try_fold(Cover { atoms: Vec::new(), cost: 0 }, |mut sum, part| {
        let cover = cover(part, negated, builder)?;
        sum.atoms.extend(cover.atoms);
        sum.cost += cover.cost;
        Some(sum)
    })
}
