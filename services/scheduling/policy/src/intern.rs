//! Names as small numbers, so that millions of candidates hold four bytes instead of a name.

use std::hash::Hash;

use hashbrown::HashMap;

/// Numbers for the names in use. Numbers of forgotten names are given again, the latest forgotten first.
#[derive(Debug)]
pub(crate) struct Interner<N> {
    numbers: HashMap<N, u32>,
    names: Vec<Option<N>>,
    free: Vec<u32>,
}

impl<N> Default for Interner<N> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), names: Vec::new(), free: Vec::new() }
    }
}

impl<N: Clone + Eq + Hash> Interner<N> {
    /// The number of this name, a new one if it has none.
    pub(crate) fn intern(&mut self, name: &N) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.names.push(None);
            // More than four billion names do not fit into memory.
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        });
        self.names[number as usize] = Some(name.clone());
        self.numbers.insert(name.clone(), number);
        number
    }

    /// The number of this name, if it has one.
    pub(crate) fn number(&self, name: &N) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    /// The name of this number, if it is in use.
    pub(crate) fn name(&self, number: u32) -> Option<&N> {
        self.names.get(number as usize)?.as_ref()
    }

    /// How many names are in use.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Forgets the names whose number is not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        for (number, slot) in (0_u32..).zip(&mut self.names) {
            if let Some(name) = slot.take_if(|_| !keep(number)) {
                self.numbers.remove(&name);
                self.free.push(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_until_forgotten_and_then_given_again() {
        let mut names = Interner::default();
        let (a, b) = (names.intern(&"a"), names.intern(&"b"));
        assert_eq!((names.intern(&"a"), names.number(&"b"), names.name(b)), (a, Some(b), Some(&"b")));
        names.retain(|number| number == b);
        assert_eq!((names.len(), names.number(&"a"), names.name(a)), (1, None, None));
        assert_eq!(names.intern(&"c"), a);
    }
}
