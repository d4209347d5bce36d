//! Sentences: UAX #29 boundaries, mended where an abbreviation is not the end of one.

use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations after which a sentence goes on, without their last full stop.
const ABBREVIATIONS: [&str; 20] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "jr", "sr", "vs", "no", "fig", "inc", "ltd", "co", "corp",
    "approx", "gen", "e.g", "i.e", "cf",
];

/// One sentence of a prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    /// Its text, trimmed; never empty, always with a letter or digit.
    pub(super) text: &'a str,
    /// Whether it ends as sentences do, rather than as a heading or a list item.
    pub(super) complete: bool,
}

/// The sentences of a prose (single spaces, line feeds between blocks), in order.
pub(super) fn split(prose: &str) -> Vec<Sentence<'_>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut bounds = prose.split_sentence_bound_indices().peekable();
    while let Some((at, piece)) = bounds.next() {
        let end = at + piece.len();
        if bounds.peek().is_some() && goes_on(piece) {
            continue;
        }
        let text = prose[start..end].trim();
        start = end;
        if text.contains(char::is_alphanumeric) {
            sentences.push(Sentence { text, complete: is_complete(text) });
        }
    }
    sentences
}

/// Whether the next piece belongs to the same sentence: an abbreviation or an initial came last.
fn goes_on(piece: &str) -> bool {
    let trimmed = piece.trim_end();
    if piece[trimmed.len()..].contains('\n') {
        return false;
    }
    let Some(stem) = trimmed.strip_suffix('.') else { return false };
    let word = stem.rsplit(char::is_whitespace).next().unwrap_or(stem).trim_start_matches(['(', '"', '\'']);
    let mut letters = word.chars();
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase());
    initial || ABBREVIATIONS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn is_complete(text: &str) -> bool {
    let text = text.trim_end_matches(['"', '\'', '”', '’', ')', ']', '»', '」', '』', '*', '_', ' ']);
    text.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।', '۔'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(prose: &str) -> Vec<&str> {
        split(prose).into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        let table: [(&str, &[&str]); 7] = [
            ("One. Two! Three?", &["One.", "Two!", "Three?"]),
            (
                "Artists such as Dr. Dre and J. Cole. Others too.",
                &["Artists such as Dr. Dre and J. Cole.", "Others too."],
            ),
            ("A heading\nThen text.", &["A heading", "Then text."]),
            ("It peaked at 171 . Then it fell .", &["It peaked at 171 .", "Then it fell ."]),
            ("これは文です。次の文です。", &["これは文です。", "次の文です。"]),
            ("... !!! \n", &[]),
            ("He met Mr.", &["He met Mr."]),
        ];
        for (prose, expected) in table {
            assert_eq!(texts(prose), expected, "{prose:?}");
        }
        let complete: Vec<bool> =
            split("A heading\nThen \"text.\"").iter().map(|found| found.complete).collect();
        assert_eq!(complete, [false, true]);
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_and_none_comes_twice(prose in "([A-Z]\\.|Dr\\.|[a-z .!?\n]|\\PC){0,120}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&texts(&prose).concat()), letters(&prose));
        }
    }
}
