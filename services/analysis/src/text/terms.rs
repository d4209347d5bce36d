//! The content words of sentences: what keywords and summary both count.
//!
//! A content word has a letter, is no stop word and no single letter; words with one stem are one node.
//! Bound: 400 sentences, 200 words of each.

use std::borrow::Cow;
use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation;

use super::language::Vocabulary;
use super::sentences::Sentence;

const MAX_SENTENCES: usize = 400;
const MAX_WORDS: usize = 200;
/// Letters of a word; a longer one is a hash, a path or noise.
const MAX_LETTERS: usize = 40;

/// One content word where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    /// Where it starts and ends in its sentence, in bytes.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The number of its stem, from 0 in the order of appearance.
    pub(super) node: usize,
    /// It can stand in one phrase with the content word before it.
    pub(super) adjacent: bool,
}

/// The content words of each sentence, and the stems they have.
pub(super) struct Terms<'a> {
    /// The sentences with their content words, in order.
    pub(super) sentences: Vec<(&'a str, Vec<Term>)>,
    /// How many different stems there are.
    pub(super) nodes: usize,
}

impl<'a> Terms<'a> {
    /// Reads the sentences.
    pub(super) fn of(sentences: &[Sentence<'a>], vocabulary: &Vocabulary) -> Self {
        let mut stems = Stems { vocabulary, nodes: HashMap::new() };
        let read = |sentence: &Sentence<'a>| (sentence.text, stems.read(sentence.text));
        let sentences = sentences.iter().take(MAX_SENTENCES).map(read).collect();
        Self { sentences, nodes: stems.nodes.len() }
    }
}

struct Stems<'v> {
    vocabulary: &'v Vocabulary,
    nodes: HashMap<String, usize>,
}

impl Stems<'_> {
    fn read(&mut self, sentence: &str) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut last_end = None;
        for (start, word) in sentence.unicode_word_indices().take(MAX_WORDS) {
            let gap = last_end.map(|end| &sentence[end..start]);
            let stripped = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
            let end = start + stripped.len();
            match self.node(stripped) {
                Some(node) => {
                    let adjacent = matches!(gap, Some("" | " " | "-" | "‐"));
                    terms.push(Term { start, end, node, adjacent });
                    // A phrase does not go on behind a possessive: the slice would hold it.
                    last_end = Some(end).filter(|_| stripped.len() == word.len());
                }
                None => last_end = None,
            }
        }
        terms
    }

    fn node(&mut self, word: &str) -> Option<usize> {
        let first = word.chars().next()?;
        let single = word.len() == first.len_utf8() && !super::is_ideograph(first);
        if single || !word.contains(char::is_alphabetic) || word.chars().nth(MAX_LETTERS).is_some() {
            return None;
        }
        let word = lowercase(word);
        let stem = self.vocabulary.stem(&word)?;
        if let Some(node) = self.nodes.get(stem.as_ref()) {
            return Some(*node);
        }
        let node = self.nodes.len();
        self.nodes.insert(stem.into_owned(), node);
        Some(node)
    }
}

/// Lower case with plain apostrophes, as the lists of stop words have it.
fn lowercase(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Cow::Borrowed(word);
    }
    let lower = word.to_lowercase();
    Cow::Owned(if lower.contains('’') { lower.replace('’', "'") } else { lower })
}

#[cfg(test)]
mod tests {
    use super::super::{language, sentences};
    use super::*;

    fn runs(prose: &str) -> Vec<Vec<&str>> {
        let sentences = sentences::split(prose);
        let terms = Terms::of(&sentences, language::vocabulary(None));
        let mut runs = Vec::new();
        for (text, terms) in &terms.sentences {
            let words = |run: &[Term]| run.iter().map(|term| &text[term.start..term.end]).collect();
            runs.extend(terms.chunk_by(|_, next| next.adjacent).map(words));
        }
        runs
    }

    #[test]
    fn stop_words_numbers_letters_and_marks_part_the_runs() {
        let table: [(&str, &[&[&str]]); 5] = [
            ("Hope Motor Company was a car company.", &[&["Hope", "Motor", "Company"], &["car", "company"]]),
            ("A well-known singer, band's album", &[&["well", "known", "singer"], &["band"], &["album"]]),
            ("It was the 17 of 1,000 and I don’t a b c", &[]),
            ("Rust 1.85 released", &[&["Rust"], &["released"]]),
            ("狐狸", &[&["狐", "狸"]]),
        ];
        for (prose, expected) in table {
            assert_eq!(runs(prose), expected, "{prose}");
        }
        assert!(runs(&"x".repeat(200)).is_empty());
    }

    #[test]
    fn forms_of_one_word_are_one_node() {
        let sentences = sentences::split("Compilers compile. The compiler.");
        let terms = Terms::of(&sentences, language::vocabulary(None));
        let nodes: Vec<_> =
            terms.sentences.iter().flat_map(|(_, terms)| terms).map(|term| term.node).collect();
        assert_eq!((nodes.as_slice(), terms.nodes), (&[0, 0, 0][..], 1));
    }
}
