//! The tone of an English text: VADER (Hutto and Gilbert, ICWSM 2014), sentence by sentence, as its authors advise for
//! anything longer than a tweet; the text's score is the mean.
//!
//! The implementation is the crate `vader-sentimental`, whose time is quadratic in what it is given: each call sees one
//! sentence of at most 500 bytes. Bound: the first 200 sentences.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use vader_sentimental::SentimentIntensityAnalyzer;

use super::sentences::Sentence;

const MAX_SENTENCES: usize = 200;
const MAX_BYTES: usize = 500;
/// VADER's own thresholds.
const NEUTRAL: f64 = 0.05;

/// The tone of a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sentiment {
    /// The score in a word.
    pub label: Label,
    /// From -1, as bad as can be, to 1.
    pub score: f64,
}

/// The tone in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// At least 0.05.
    Positive,
    /// In between.
    Neutral,
    /// At most -0.05.
    Negative,
}

/// The mean tone of these sentences.
pub(super) fn score(sentences: &[Sentence<'_>]) -> Sentiment {
    static ANALYZER: LazyLock<SentimentIntensityAnalyzer<'static>> =
        LazyLock::new(SentimentIntensityAnalyzer::new);
    let (mut sum, mut count) = (0.0, 0.0_f64);
    for sentence in sentences.iter().take(MAX_SENTENCES) {
        sum += ANALYZER.polarity_scores(head(sentence.text)).compound;
        count += 1.0;
    }
    let score = super::round(sum / count.max(1.0)).clamp(-1.0, 1.0);
    let label = match score {
        _ if score >= NEUTRAL => Label::Positive,
        _ if score <= -NEUTRAL => Label::Negative,
        _ => Label::Neutral,
    };
    Sentiment { label, score }
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::super::sentences;
    use super::*;

    fn label(text: &str) -> Label {
        score(&sentences::split(text)).label
    }

    #[test]
    fn tones_are_told_apart() {
        assert_eq!(label("I love this wonderful film. It is great!"), Label::Positive);
        assert_eq!(label("A terrible disaster killed many people. It was awful."), Label::Negative);
        assert_eq!(label("The table has four legs."), Label::Neutral);
        assert_eq!(label(""), Label::Neutral);
        assert_eq!(label("This is not good."), Label::Negative);
    }

    #[test]
    fn long_sentences_are_cut_between_characters() {
        let long = format!("{}🎉 great", "é".repeat(400));
        assert!(head(&long).len() <= MAX_BYTES);
        score(&[Sentence { text: &long, complete: false }]);
    }
}
