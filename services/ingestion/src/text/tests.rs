//! Tests of folding and segmentation: examples, every character there is, and whole texts against the library.

use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::{bare, fold_name, fold_onto, words};

fn fold(text: &str) -> String {
    let mut out = String::new();
    fold_onto(&mut out, text);
    out
}

#[test]
fn words_of_many_scripts_are_found_and_folded() {
    let cases: [(&str, &[&str]); 14] = [
        ("The quick (brown) fox.", &["the", "quick", "brown", "fox"]),
        ("Café CAFE\u{301}, naïve", &["cafe", "cafe", "naive"]),
        ("e-mail, snake_case _x", &["e", "mail", "snake_case", "x"]),
        ("_very important_, (__so__) _ _é_", &["very", "important", "so", "e"]),
        ("don't don’t", &["don't", "don't"]),
        ("3.14 and 1,000 v2.0-rc1", &["3.14", "and", "1,000", "v2.0", "rc1"]),
        ("Straße STRASSE ẞ", &["strasse", "strasse", "ss"]),
        ("ΟΔΥΣΣΕΥΣ οδυσσεύς", &["οδυσσευσ", "οδυσσευσ"]),
        ("東京", &["東", "京"]),
        ("ﬁne ＷＩＤＥ soft\u{AD}ware", &["fine", "wide", "software"]),
        ("Ёлка ёлка", &["елка", "елка"]),
        ("नमस्ते *\u{93F} (\u{93F}", &["नमस्ते", "\u{93F}", "\u{93F}"]),
        ("C++ & * -- 🦀", &["c"]),
        (" \u{301}\n\t", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(words(text), expected, "{text:?}");
    }
}

#[test]
fn folding_any_character_twice_changes_nothing_more() {
    for c in (char::MIN..=char::MAX).map(String::from) {
        let once = fold(&c);
        assert_eq!(fold(&once), once, "{c:?}");
        let name = fold_name(&c);
        assert_eq!(fold_name(&name), name, "{c:?}");
    }
}

#[test]
fn folding_any_character_forgets_its_case() {
    for c in (char::MIN..=char::MAX).map(String::from) {
        assert_eq!(fold(&c.to_lowercase()), fold(&c), "{c:?}");
        assert_eq!(fold(&c.to_uppercase()), fold(&c), "{c:?}");
    }
}

/// Texts dense in what segmentation decides on: joiners, digits, marks, quotes, several scripts and spaces.
fn tricky_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ab1.,:;'_\"\\-é\u{301}\u{AD}\u{200D}אカ゛東ก한½⁄🦀🇦İᾼ\u{5B0}\u{2DE0}\u{FE00}\u{A8C4} \n\u{A0}]{0,40}"
    ]
}

proptest! {
    #[test]
    fn going_chunk_by_chunk_finds_the_words_of_the_whole_folded_text(text in tricky_text()) {
        let folded = fold(&text);
        let whole: Vec<&str> = folded.unicode_words().map(bare).collect();
        prop_assert_eq!(words(&text), whole);
    }

    #[test]
    fn folding_any_text_twice_changes_nothing_more(text in tricky_text()) {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once);
        let name = fold_name(&text);
        prop_assert_eq!(fold_name(&name), name);
    }

    #[test]
    fn a_word_is_its_own_only_word(text in tricky_text()) {
        for word in words(&text) {
            prop_assert_eq!(words(&word), [word]);
        }
    }
}
