//! The local analyser: what can be said about a text without a language model.
//!
//! Pure functions of the text. Invariants:
//! - No input makes them panic, the empty one and a mebibyte of anything included (property tests).
//! - The same text gives the same analysis in every process; scores are rounded so that no hash order shows in them.
//! - Time is linear in the text: whatever costs more sees only a bounded head of it, which its file names.
//! - What holds for English only (sentiment, readability) is absent for a text known to be in another language, rather
//!   than wrong.
//!
//! To add a measure: one file in `text/` with its source, one field of [`TextAnalysis`], one line in [`analyze`].

mod keywords;
mod language;
mod prose;
mod readability;
mod sentences;
mod sentiment;
mod summary;
mod terms;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

pub use keywords::Keyword;
pub use language::Language;
pub use readability::Readability;
pub use sentiment::{Label, Sentiment};

use terms::Terms;

/// A title is one sentence, seldom two.
const MAX_TITLE_SENTENCES: usize = 3;

/// What the local analyser says about one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextAnalysis {
    /// The language, if there is enough text to tell.
    pub language: Option<Language>,
    /// Up to ten key phrases, best first; scores from 0 to 1, the best has 1.
    pub keywords: Vec<Keyword>,
    /// Up to three sentences of the body, in its order; empty if it has none.
    pub summary: String,
    /// The tone; absent for a text in a language other than English.
    pub sentiment: Option<Sentiment>,
    /// How hard it is to read; absent without words, and for a language other than English.
    pub readability: Option<Readability>,
    /// Words of the body (UAX #29; in scripts without spaces every ideograph counts).
    pub word_count: u64,
    /// Sentences of the body.
    pub sentence_count: u64,
    /// The time an adult needs to read the body silently.
    pub reading_time_seconds: u64,
}

/// Analyses a document. Light Markdown and HTML are taken off first; where there is no body, the title stands for it.
pub fn analyze(title: &str, body: &str) -> TextAnalysis {
    let title = prose::plain(title);
    let body = prose::plain(body);
    let body = if body.is_empty() { title.clone() } else { body };
    let language = language::detect(&body).or_else(|| language::detect(&title));
    let english = language.as_ref().is_none_or(|language| language.code == "en" || !language.reliable());
    let vocabulary = language::vocabulary(language.as_ref());

    let body_sentences = sentences::split(&body);
    // Feeds without titles repeat the first words of the body as one.
    let mut sentences = if body.starts_with(&title) { Vec::new() } else { sentences::split(&title) };
    sentences.truncate(MAX_TITLE_SENTENCES);
    let titles = sentences.len();
    sentences.extend(&body_sentences);
    let terms = Terms::of(&sentences, vocabulary);

    let words = Words::count(&body);
    TextAnalysis {
        keywords: keywords::extract(&terms),
        summary: summary::extract(&body_sentences, titles, &terms),
        sentiment: english.then(|| sentiment::score(&sentences)),
        readability: readability::score(&body, words.all, body_sentences.len() as u64).filter(|_| english),
        word_count: words.all,
        sentence_count: body_sentences.len() as u64,
        reading_time_seconds: words.reading_time_seconds(),
        language,
    }
}

struct Words {
    all: u64,
    /// Those that are one character of a script without spaces.
    ideographs: u64,
}

impl Words {
    fn count(text: &str) -> Self {
        text.unicode_words().fold(Self { all: 0, ideographs: 0 }, |count, word| Self {
            all: count.all + 1,
            ideographs: count.ideographs + u64::from(word.chars().all(is_ideograph)),
        })
    }

    /// 238 words a minute (Brysbaert 2019, silent reading of English non-fiction) and 260 Chinese characters
    /// (the same review), rounded up.
    fn reading_time_seconds(&self) -> u64 {
        ((self.all - self.ideographs) * 60).div_ceil(238) + (self.ideographs * 60).div_ceil(260)
    }
}

/// Characters that stand for a word or a syllable and are written without spaces.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// Three decimals are all that such measures carry.
fn round(score: f64) -> f64 {
    (score * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
