//! Which language a text is in, and what that language knows: its stop words and its stemmer.
//!
//! Detection is `whatlang`'s (trigrams, Cavnar and Trenkle 1994), without the languages of Latin script that rarely
//! appear in feeds and mostly steal short English texts. Stop words are NLTK's lists, stemmers are Snowball's.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use serde::{Deserialize, Serialize};
use whatlang::{Detector, Lang};

/// Characters of the text that decide; more change nothing.
const DETECTION_CHARS: usize = 300;
/// From this confidence on a detection is taken at its word.
const RELIABLE: f64 = 0.5;
/// A word longer than this is no word; it is not stemmed.
const LONGEST_WORD: usize = 60;

/// A detected language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Language {
    /// ISO 639-1, or ISO 639-3 where there is no shorter code (BCP 47).
    pub code: String,
    /// From 0 to 1.
    pub confidence: f64,
}

impl Language {
    /// Whether the detection can be taken at its word.
    pub fn reliable(&self) -> bool {
        self.confidence >= RELIABLE
    }
}

const IGNORED: [Lang; 11] = [
    Lang::Jav,
    Lang::Uzb,
    Lang::Zul,
    Lang::Aka,
    Lang::Sna,
    Lang::Afr,
    Lang::Tgl,
    Lang::Tuk,
    Lang::Epo,
    Lang::Lat,
    Lang::Aze,
];

/// The languages in which whole sentences can do without an accent. Asking only these, where there is none, saves a third
/// of the cost of analysing an English abstract.
const UNACCENTED: [Lang; 12] = [
    Lang::Eng,
    Lang::Nld,
    Lang::Ind,
    Lang::Ita,
    Lang::Deu,
    Lang::Fra,
    Lang::Spa,
    Lang::Por,
    Lang::Nob,
    Lang::Dan,
    Lang::Swe,
    Lang::Fin,
];

/// The two-letter codes of the languages that have one.
#[rustfmt::skip]
const CODES: [(Lang, &str); 58] = [
    (Lang::Eng, "en"), (Lang::Rus, "ru"), (Lang::Cmn, "zh"), (Lang::Spa, "es"), (Lang::Por, "pt"), (Lang::Ita, "it"),
    (Lang::Ben, "bn"), (Lang::Fra, "fr"), (Lang::Deu, "de"), (Lang::Ukr, "uk"), (Lang::Kat, "ka"), (Lang::Ara, "ar"),
    (Lang::Hin, "hi"), (Lang::Jpn, "ja"), (Lang::Heb, "he"), (Lang::Yid, "yi"), (Lang::Pol, "pl"), (Lang::Amh, "am"),
    (Lang::Kor, "ko"), (Lang::Nob, "nb"), (Lang::Dan, "da"), (Lang::Swe, "sv"), (Lang::Fin, "fi"), (Lang::Tur, "tr"),
    (Lang::Nld, "nl"), (Lang::Hun, "hu"), (Lang::Ces, "cs"), (Lang::Ell, "el"), (Lang::Bul, "bg"), (Lang::Bel, "be"),
    (Lang::Mar, "mr"), (Lang::Kan, "kn"), (Lang::Ron, "ro"), (Lang::Slv, "sl"), (Lang::Hrv, "hr"), (Lang::Srp, "sr"),
    (Lang::Mkd, "mk"), (Lang::Lit, "lt"), (Lang::Lav, "lv"), (Lang::Est, "et"), (Lang::Tam, "ta"), (Lang::Vie, "vi"),
    (Lang::Urd, "ur"), (Lang::Tha, "th"), (Lang::Guj, "gu"), (Lang::Pan, "pa"), (Lang::Ind, "id"), (Lang::Tel, "te"),
    (Lang::Pes, "fa"), (Lang::Mal, "ml"), (Lang::Ori, "or"), (Lang::Mya, "my"), (Lang::Nep, "ne"), (Lang::Sin, "si"),
    (Lang::Khm, "km"), (Lang::Slk, "sk"), (Lang::Cat, "ca"), (Lang::Cym, "cy"),
];

const STEMMERS: [(&str, Algorithm); 18] = [
    ("en", Algorithm::English),
    ("ar", Algorithm::Arabic),
    ("da", Algorithm::Danish),
    ("nl", Algorithm::Dutch),
    ("fi", Algorithm::Finnish),
    ("fr", Algorithm::French),
    ("de", Algorithm::German),
    ("el", Algorithm::Greek),
    ("hu", Algorithm::Hungarian),
    ("it", Algorithm::Italian),
    ("nb", Algorithm::Norwegian),
    ("pt", Algorithm::Portuguese),
    ("ro", Algorithm::Romanian),
    ("ru", Algorithm::Russian),
    ("es", Algorithm::Spanish),
    ("sv", Algorithm::Swedish),
    ("ta", Algorithm::Tamil),
    ("tr", Algorithm::Turkish),
];

/// The language of a text; `None` if it has too few letters to tell.
pub(super) fn detect(text: &str) -> Option<Language> {
    static ANY: LazyLock<Detector> = LazyLock::new(|| Detector::with_denylist(IGNORED.to_vec()));
    static PLAIN: LazyLock<Detector> = LazyLock::new(|| Detector::with_allowlist(UNACCENTED.to_vec()));
    let end = text.char_indices().nth(DETECTION_CHARS).map_or(text.len(), |(end, _)| end);
    let head = &text[..end];
    let plain = head.chars().all(|c| c.is_ascii() || !c.is_alphabetic());
    let info = if plain { PLAIN.detect(head) } else { ANY.detect(head) }?;
    let code =
        CODES.iter().find(|(lang, _)| *lang == info.lang()).map_or(info.lang().code(), |(_, code)| code);
    Some(Language { code: code.to_owned(), confidence: super::round(info.confidence()) })
}

/// What is known of the words of one language.
pub(super) struct Vocabulary {
    stop_words: HashSet<&'static str>,
    stemmer: Option<Stemmer>,
}

impl Vocabulary {
    fn of(code: &str) -> Self {
        // The lists call Norwegian by its macrolanguage.
        let list = stop_words::lookup(if code == "nb" { "no" } else { code });
        let algorithm = STEMMERS.iter().find(|(known, _)| *known == code).map(|(_, algorithm)| *algorithm);
        Self {
            stop_words: list.unwrap_or_default().iter().copied().collect(),
            stemmer: algorithm.map(Stemmer::create),
        }
    }

    /// The stem of a word in lower case, or `None` if the word carries no meaning of its own.
    pub(super) fn stem<'a>(&self, word: &'a str) -> Option<Cow<'a, str>> {
        if self.stop_words.contains(word) {
            return None;
        }
        match &self.stemmer {
            Some(stemmer) if word.len() <= LONGEST_WORD => Some(stemmer.stem(word)),
            _ => Some(Cow::Borrowed(word)),
        }
    }
}

/// The vocabulary of a language; English for a text too short to tell, nothing for one that we have no lists of.
pub(super) fn vocabulary(language: Option<&Language>) -> &'static Vocabulary {
    static ALL: LazyLock<HashMap<&'static str, Vocabulary>> =
        LazyLock::new(|| CODES.into_iter().map(|(_, code)| (code, Vocabulary::of(code))).collect());
    static NONE: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary::of(""));
    let code = language.map_or("en", |language| language.code.as_str());
    ALL.get(code).unwrap_or(&NONE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn languages_are_told_apart() {
        let table = [
            ("The quick brown fox jumps over the lazy dog while everybody is watching it.", "en"),
            ("Een snelle bruine vos springt over de luie hond terwijl iedereen naar hem kijkt.", "nl"),
            ("Der schnelle braune Fuchs springt über den faulen Hund, und alle sehen ihm zu.", "de"),
            ("Le renard brun saute par-dessus le chien paresseux pendant que tout le monde regarde.", "fr"),
            ("Быстрая лиса перепрыгивает через ленивую собаку, и все на это смотрят.", "ru"),
            ("素早い茶色の狐がのろまな犬を飛び越える。", "ja"),
            ("敏捷的棕色狐狸跳过了懒狗，大家都在看。", "zh"),
            ("الثعلب البني السريع يقفز فوق الكلب الكسول والجميع ينظر إليه", "ar"),
        ];
        for (text, code) in table {
            assert_eq!(detect(text).map(|language| language.code).as_deref(), Some(code), "{text}");
        }
        assert_eq!(detect("12 34 !?"), None);
        assert_eq!(detect(""), None);
    }

    #[test]
    fn stop_words_fall_and_forms_of_a_word_meet() {
        let english = vocabulary(None);
        assert_eq!(english.stem("the"), None);
        assert_eq!(english.stem("running"), english.stem("runs"));
        let german = vocabulary(Some(&Language { code: "de".into(), confidence: 1.0 }));
        assert_eq!(german.stem("und"), None);
        let unknown = vocabulary(Some(&Language { code: "xyz".into(), confidence: 1.0 }));
        assert_eq!(unknown.stem("the").as_deref(), Some("the"));
    }

    #[test]
    fn every_stemmer_has_stop_words_too() {
        for (code, _) in STEMMERS {
            assert!(!Vocabulary::of(code).stop_words.is_empty(), "{code}");
        }
    }

    proptest! {
        #[test]
        fn no_word_breaks_any_stemmer(word in "\\PC{0,20}", german in "[a-zäöüß]{0,20}", arabic in "[ء-ي]{0,12}") {
            for (code, _) in STEMMERS {
                let vocabulary = Vocabulary::of(code);
                for word in [&word, &german, &arabic] {
                    vocabulary.stem(word);
                }
            }
        }
    }
}
