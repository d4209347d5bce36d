//! What a full-text search asks for: words, `"phrases"` and `prefix*`, all of which must occur.
//!
//! Nothing else has a meaning, so that any text can be pasted: operators are words, an odd quotation mark and a lone
//! star are nothing. A word is a run of letters and digits; case and accents do not count.

use unicode_normalization::UnicodeNormalization;

use crate::{Error, Result};

/// Words that must occur side by side in this order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// At least one, as it was written.
    pub words: Vec<String>,
    /// Whether the last word may go on.
    pub prefix: bool,
}

impl Term {
    /// Where in a text, given as its folded words, the term begins.
    pub fn position(&self, text: &[String]) -> Option<usize> {
        let wanted: Vec<String> = self.words.iter().map(|word| fold(word)).collect();
        let (last, first) = wanted.split_last()?;
        text.windows(wanted.len()).position(|window| {
            let (tail, head) = (&window[window.len() - 1], &window[..window.len() - 1]);
            head == first && if self.prefix { tail.starts_with(last.as_str()) } else { tail == last }
        })
    }
}

/// Reads a search. Each term comes once. [`Error::Search`] if there is no word in it.
pub fn parse(text: &str) -> Result<Vec<Term>> {
    let mut terms: Vec<Term> = Vec::new();
    let mut pieces = text.split('"').enumerate().peekable();
    while let Some((index, piece)) = pieces.next() {
        // Every second piece stands between two marks, unless the closing one is missing.
        if index % 2 == 1 && pieces.peek().is_some() {
            let words: Vec<String> = words(piece).map(|word| word.text.to_owned()).collect();
            if !words.is_empty() {
                terms.push(Term { words, prefix: false });
            }
        } else {
            terms.extend(words(piece).map(|word| Term {
                words: vec![word.text.to_owned()],
                prefix: piece[word.end..].starts_with('*'),
            }));
        }
    }
    let mut seen = std::collections::HashSet::new();
    terms.retain(|term| seen.insert(term.clone()));
    if terms.is_empty() {
        let reason = "it has no word; give at least one".to_owned();
        return Err(Error::Search { text: text.chars().take(80).collect(), reason });
    }
    Ok(terms)
}

/// A word of a text and where it ends, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word<'a> {
    /// As it is written.
    pub text: &'a str,
    /// The byte behind it.
    pub end: usize,
}

/// The words of a text.
pub fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let is_part = |letter: char| letter.is_alphanumeric() || is_accent(letter);
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(is_part)?;
        from = text[start..].find(|letter| !is_part(letter)).map_or(text.len(), |length| start + length);
        Some(Word { text: &text[start..from], end: from })
    })
}

/// A word without case and accents.
pub fn fold(word: &str) -> String {
    word.nfd().filter(|letter| !is_accent(*letter)).nfc().flat_map(char::to_lowercase).collect()
}

fn is_accent(letter: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn term(words: &[&str], prefix: bool) -> Term {
        Term { words: words.iter().map(|&word| word.to_owned()).collect(), prefix }
    }

    #[test]
    fn words_phrases_and_prefixes_are_told_apart() {
        let expected = [term(&["solar"], false), term(&["new", "york"], false), term(&["wind"], true)];
        assert_eq!(parse(r#"solar "new york" wind* solar"#).unwrap(), expected);
    }

    #[test]
    fn operators_are_words_and_an_odd_mark_is_nothing() {
        let expected = [term(&["OR"], false), term(&["NEAR"], false)];
        assert_eq!(parse(r#"" OR * ) NEAR("#).unwrap(), expected);
        for empty in ["", " ", "\"\"", "* - \" (", "🎉"] {
            assert!(matches!(parse(empty), Err(Error::Search { .. })), "{empty}");
        }
    }

    #[test]
    fn case_and_accents_fold_away() {
        assert_eq!(fold("CAFÉ"), "cafe");
        assert_eq!(fold("cafe\u{301}"), "cafe");
        assert_eq!(fold("한국"), "한국");
    }

    #[test]
    fn a_term_is_found_as_a_run_of_words() {
        let text: Vec<String> = words("In New York, wind power").map(|word| fold(word.text)).collect();
        assert_eq!(term(&["new", "york"], false).position(&text), Some(1));
        assert_eq!(term(&["york", "new"], false).position(&text), None);
        assert_eq!(term(&["pow"], true).position(&text), Some(4));
        assert_eq!(term(&["pow"], false).position(&text), None);
        assert_eq!(term(&["a", "b", "c", "d", "e", "f"], false).position(&text), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_every_word_kept(text in any::<String>()) {
            let kept: std::collections::HashSet<&str> = words(&text).map(|word| word.text).collect();
            match parse(&text) {
                Ok(terms) => {
                    let read: std::collections::HashSet<&str> =
                        terms.iter().flat_map(|term| &term.words).map(String::as_str).collect();
                    prop_assert_eq!(read, kept);
                }
                Err(_) => prop_assert!(kept.is_empty()),
            }
        }
    }
}
