//! The words and prefixes that queries mention, numbered: a number is an atom. A document's word leads to its atoms.
//!
//! Prefixes lie sorted, each with the longest other prefix of itself as parent. All that begin a word are found on one
//! chain of parents: that of the greatest prefix not above the word, since whatever sorts between a prefix and a word
//! that begins with it begins with it too.

use std::collections::HashMap;

/// Number of a word, prefix or source name. Words and sources share one range, without overlap.
pub(super) type Atom = u32;

/// Atoms by text, of one field.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: HashMap<Box<str>, Atom>,
    prefixes: Vec<Prefix>,
    /// Length of the longest word: longer ones need no probe.
    longest: usize,
}

#[derive(Debug)]
struct Prefix {
    text: Box<str>,
    atom: Atom,
    parent: Option<usize>,
}

impl Vocabulary {
    /// Calls `each` with the atom of the word, if it is one, and of every prefix that begins it.
    pub(super) fn each(&self, word: &str, mut each: impl FnMut(Atom)) {
        if word.len() <= self.longest
            && let Some(&atom) = self.words.get(word)
        {
            each(atom);
        }
        let mut place = self.prefixes.partition_point(|prefix| *prefix.text <= *word).checked_sub(1);
        while let Some(prefix) = place.map(|index| &self.prefixes[index]) {
            if word.starts_with(&*prefix.text) {
                each(prefix.atom);
            }
            place = prefix.parent;
        }
    }
}

/// Numbers atoms while queries are compiled.
#[derive(Debug, Default)]
pub(super) struct Builder {
    words: Terms,
    sources: Terms,
    /// By atom: an estimate of how often it occurs, see [`Self::commonness`].
    commonness: Vec<u32>,
}

#[derive(Debug, Default)]
struct Terms {
    words: HashMap<Box<str>, Atom>,
    prefixes: HashMap<Box<str>, Atom>,
}

impl Builder {
    /// The atom of a word of the text, or of a prefix.
    pub(super) fn word(&mut self, text: &str, prefix: bool) -> Atom {
        self.words.atom(text, prefix, &mut self.commonness, |length| 1 << 12_u32.saturating_sub(length))
    }

    /// The atom of a source's name, or of its beginning: as common as a short word, however long it is.
    pub(super) fn source(&mut self, name: &str, prefix: bool) -> Atom {
        self.sources.atom(name, prefix, &mut self.commonness, |_| 1 << 9)
    }

    /// How many atoms there are.
    pub(super) fn len(&self) -> usize {
        self.commonness.len()
    }

    /// A rough, relative estimate of how many documents hold the atom: short words are common, prefixes more so.
    pub(super) fn commonness(&self, atom: Atom) -> u64 {
        u64::from(self.commonness[atom as usize])
    }

    /// The vocabularies of text and of sources.
    pub(super) fn finish(self) -> (Vocabulary, Vocabulary) {
        (self.words.finish(), self.sources.finish())
    }
}

impl Terms {
    fn atom(
        &mut self,
        text: &str,
        prefix: bool,
        commonness: &mut Vec<u32>,
        estimate: fn(u32) -> u32,
    ) -> Atom {
        let atoms = if prefix { &mut self.prefixes } else { &mut self.words };
        if let Some(&atom) = atoms.get(text) {
            return atom;
        }
        let atom = commonness.len() as Atom;
        let length = text.len().min(12) as u32;
        commonness.push(estimate(length) * if prefix { 4 } else { 1 });
        atoms.insert(text.into(), atom);
        atom
    }

    fn finish(self) -> Vocabulary {
        let longest = self.words.keys().map(|word| word.len()).max().unwrap_or(0);
        let mut prefixes: Vec<Prefix> =
            self.prefixes.into_iter().map(|(text, atom)| Prefix { text, atom, parent: None }).collect();
        prefixes.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        let mut chain: Vec<usize> = Vec::new();
        for index in 0..prefixes.len() {
            while chain.last().is_some_and(|&top| !prefixes[index].text.starts_with(&*prefixes[top].text)) {
                chain.pop();
            }
            prefixes[index].parent = chain.last().copied();
            chain.push(index);
        }
        Vocabulary { words: self.words, prefixes, longest }
    }
}
