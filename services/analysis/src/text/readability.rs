//! How hard an English text is to read: Flesch reading ease (1948) and the Flesch-Kincaid grade (1975).
//!
//! Syllables are counted by groups of vowels, within a few per cent of a dictionary over running text.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

/// How hard a text is to read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Readability {
    /// From about 0, for scholars, to about 120, for beginners; kept within -100 and 121.22.
    pub flesch_reading_ease: f64,
    /// The school year in the United States that it suits; kept within -3.4 and 50.
    pub grade: f64,
}

/// The measures; `None` without words.
pub(super) fn score(text: &str, words: u64, sentences: u64) -> Option<Readability> {
    if words == 0 || sentences == 0 {
        return None;
    }
    let syllables: u64 = text.unicode_words().map(syllables).sum();
    let words_per_sentence = words as f64 / sentences as f64;
    let syllables_per_word = syllables as f64 / words as f64;
    let ease = 206.835 - 1.015 * words_per_sentence - 84.6 * syllables_per_word;
    let grade = 0.39 * words_per_sentence + 11.8 * syllables_per_word - 15.59;
    let keep = |value: f64, least, most| (value.clamp(least, most) * 10.0).round() / 10.0;
    Some(Readability { flesch_reading_ease: keep(ease, -100.0, 121.22), grade: keep(grade, -3.4, 50.0) })
}

/// Groups of vowels, without a silent `e` at the end; at least one.
fn syllables(word: &str) -> u64 {
    let (mut count, mut after_vowel) = (0_u64, false);
    for c in word.chars() {
        let vowel = matches!(c.to_ascii_lowercase(), 'a' | 'e' | 'i' | 'o' | 'u' | 'y');
        count += u64::from(vowel && !after_vowel);
        after_vowel = vowel;
    }
    let bytes = word.as_bytes();
    let silent = match bytes {
        [.., before, b'l', b'e'] => {
            matches!(before.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y')
        }
        [.., before, b'e'] => !matches!(before.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y'),
        _ => false,
    };
    count.saturating_sub(u64::from(silent)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_counted_as_spoken() {
        let table = [
            ("cat", 1),
            ("make", 1),
            ("table", 2),
            ("whale", 1),
            ("banana", 3),
            ("the", 1),
            ("free", 1),
            ("rhythm", 1),
            ("analysis", 4),
            ("reliable", 3),
            ("x", 1),
            ("日", 1),
        ];
        for (word, count) in table {
            assert_eq!(syllables(word), count, "{word}");
        }
    }

    #[test]
    fn the_formulas_hold_on_a_text_counted_by_hand() {
        // 6 words, 1 sentence, 6 syllables.
        let score = score("The cat sat on the mat.", 6, 1).unwrap();
        assert_eq!(score, Readability { flesch_reading_ease: 116.1, grade: -1.4 });
    }

    #[test]
    fn without_words_there_is_nothing_to_read() {
        assert_eq!(score("", 0, 0), None);
        assert!(score(&"a".repeat(9_000), 1, 1).is_some());
    }
}
