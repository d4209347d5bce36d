//! Where the atoms occur in the document at hand. Resetting costs what was written, not the size of the vocabulary.

use super::vocabulary::Atom;

/// Positions by atom, ascending.
#[derive(Debug, Default)]
pub(super) struct Postings {
    /// By atom: its place in `atoms` and `lists`, plus one; 0 if it did not occur.
    slots: Vec<u32>,
    /// The atoms that occurred, in order of first occurrence.
    atoms: Vec<Atom>,
    /// Their positions. May be longer than `atoms`: lists beyond are spare capacity.
    lists: Vec<Vec<u32>>,
}

impl Postings {
    /// Forgets everything and makes room for atoms below `bound`.
    pub(super) fn reset(&mut self, bound: usize) {
        for atom in self.atoms.drain(..) {
            self.slots[atom as usize] = 0;
        }
        if self.slots.len() < bound {
            self.slots.resize(bound, 0);
        }
    }

    /// Notes an occurrence. Positions of one atom come in ascending order.
    pub(super) fn push(&mut self, atom: Atom, position: u32) {
        let slot = &mut self.slots[atom as usize];
        if *slot == 0 {
            let place = self.atoms.len();
            self.atoms.push(atom);
            *slot = self.atoms.len() as u32;
            match self.lists.get_mut(place) {
                Some(list) => list.clear(),
                None => self.lists.push(Vec::new()),
            }
        }
        self.lists[*slot as usize - 1].push(position);
    }

    /// The atoms that occurred, each once.
    pub(super) fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    /// The atom's positions; empty if it did not occur.
    pub(super) fn positions(&self, atom: Atom) -> &[u32] {
        match self.slots[atom as usize] {
            0 => &[],
            slot => &self.lists[slot as usize - 1],
        }
    }
}
