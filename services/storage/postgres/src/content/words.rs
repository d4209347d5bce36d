//! The words of texts as the full-text index holds them, and searches for them.
//!
//! PostgreSQL's own parsers split and fold as their language says; the port says how words are split and folded, so
//! that a search means the same in every database. So the program makes the lexemes: a word without case and accents,
//! behind the tenant's number, which keeps the tenants' entries apart in the index.
//!
//! A lexeme is cut where PostgreSQL would refuse it (2 KiB), and a text with too many of them (1 MiB) is marked instead
//! of indexed; both are told apart by looking at the text itself.

use std::collections::BTreeSet;
use std::fmt::Write;

use tidemill_store::content::Document;
use tidemill_store::search::{Term, fold, words};

/// The longest lexeme, in bytes; PostgreSQL takes 2,046.
const LONGEST: usize = 1_024;
/// About how many bytes of lexemes one document has; PostgreSQL takes 1,048,575 with what it adds to each.
const MOST: usize = 600_000;

/// The words of a document, as PostgreSQL reads a `tsvector`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) title: String,
    pub(super) all: String,
    /// Whether there are too many for the index; then it has none.
    pub(super) too_many: bool,
}

impl Words {
    /// The words of a tenant's document.
    pub(super) fn of(tenant: i64, document: &Document) -> Self {
        let title: BTreeSet<String> = lexemes(tenant, &document.title).collect();
        let mut all: BTreeSet<String> = lexemes(tenant, &document.body).collect();
        all.extend(title.iter().cloned());
        // Each takes an entry of four bytes beside its text.
        let bytes = |words: &BTreeSet<String>| words.iter().map(|word| word.len() + 8).sum::<usize>();
        if bytes(&all) > MOST {
            return Self { title: String::new(), all: String::new(), too_many: true };
        }
        Self { title: quoted(&title), all: quoted(&all), too_many: false }
    }
}

fn lexemes(tenant: i64, text: &str) -> impl Iterator<Item = String> {
    words(text).filter_map(move |word| lexeme(tenant, &fold(word.text)))
}

/// A folded word as the index holds it. A word of accents alone folds to nothing.
fn lexeme(tenant: i64, word: &str) -> Option<String> {
    let end = (0..=LONGEST.min(word.len())).rev().find(|end| word.is_char_boundary(*end))?;
    (end > 0).then(|| format!("{tenant}/{}", &word[..end]))
}

/// Words are letters and digits, so nothing in them ends the quotation.
fn quoted(words: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(text, "'{word}' ");
    }
    text
}

/// A search of the index, as PostgreSQL reads a `tsquery`: every word must be there.
pub(super) fn tsquery(tenant: i64, terms: &[Term]) -> String {
    let mut asked = BTreeSet::new();
    for term in terms {
        let last = term.words.len().saturating_sub(1);
        for (index, word) in term.words.iter().enumerate() {
            let star = if term.prefix && index == last { ":*" } else { "" };
            asked.extend(lexeme(tenant, &fold(word)).map(|word| format!("'{word}'{star}")));
        }
    }
    asked.into_iter().collect::<Vec<_>>().join(" & ")
}

/// Whether the index alone tells which documents have these terms: no phrase, no word that was cut.
pub(super) fn is_exact(terms: &[Term]) -> bool {
    terms.iter().all(|term| {
        let [word] = term.words.as_slice() else { return false };
        let folded = fold(word);
        !folded.is_empty() && folded.len() <= LONGEST
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_store::search::parse;

    use super::*;

    fn document(title: &str, body: &str) -> Document {
        let (source, external_id, url) = (String::new(), String::new(), String::new());
        let (title, body) = (title.to_owned(), body.to_owned());
        let id = tidemill_kernel::Id::from_bytes([1; 16]);
        let (published_at, ingested_at) = (None, tidemill_kernel::Timestamp::default());
        Document { id, source, external_id, url, title, body, published_at, ingested_at }
    }

    #[test]
    fn words_are_folded_behind_their_tenant_and_come_once() {
        let words = Words::of(42, &document("Solár SOLAR", "a solar 'wind'"));
        assert_eq!(
            (words.title.as_str(), words.all.as_str()),
            ("'42/solar' ", "'42/a' '42/solar' '42/wind' ")
        );
        assert!(!words.too_many);
        assert_eq!(tsquery(42, &parse("Wind* \"new york\"").unwrap()), "'42/new' & '42/wind':* & '42/york'");
    }

    #[test]
    fn a_text_with_too_many_words_is_marked() {
        let many: String = (0..100_000).map(|number| format!("w{number} ")).collect();
        let words = Words::of(1, &document("x", &many));
        assert_eq!(words, Words { title: String::new(), all: String::new(), too_many: true });
    }

    #[test]
    fn the_index_does_not_tell_all_of_phrases_and_long_words() {
        assert!(is_exact(&parse("solar wind*").unwrap()));
        assert!(!is_exact(&parse("\"solar wind\"").unwrap()));
        assert!(!is_exact(&parse(&"x".repeat(1_025)).unwrap()));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_quotation_and_no_lexeme_is_too_long(text: String, long in "[a-zé北]{0,3000}") {
            let words = Words::of(7, &document(&text, &long));
            for word in words.all.split_terminator(' ') {
                let inside = word.strip_prefix("'7/").and_then(|word| word.strip_suffix('\''));
                let inside = inside.expect("each is quoted");
                prop_assert!(!inside.is_empty() && inside.len() <= LONGEST);
                prop_assert!(!inside.contains(['\'', '\\', ' ', '\0']), "{inside}");
            }
        }

        #[test]
        fn every_word_of_a_text_is_asked_for_as_it_is_stored(text in "[a-zA-Zé北 ']{1,80}") {
            if let Ok(terms) = parse(&text) {
                let words = Words::of(7, &document("", &text));
                for asked in tsquery(7, &terms).split(" & ") {
                    prop_assert!(words.all.split(' ').any(|word| word == asked), "{asked} in {}", words.all);
                }
            }
        }
    }
}
