//! Text to words: the one normalisation that standing queries and documents share, so that they can meet.
//!
//! A word is a UAX #29 word of the folded text. Folding is NFKD, then without diacritics and invisible characters,
//! then case-folded (lower, upper, lower: `Straße` meets `STRASSE`), with curly apostrophes made straight. No stemming
//! and no stop words; underscores around a word are no part of it. Folding comes before segmentation, hence folding or
//! segmenting a word again changes nothing: the printed form of a query parses back to the same query.
//!
//! White space always separates words, which allows to go chunk by chunk; a chunk that is one ASCII word, as most are,
//! needs neither Unicode tables nor an allocation.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Calls `each` with every word of `text`, folded, in order. `buffer` is overwritten; reuse it to save allocations.
pub fn for_each_word(text: &str, buffer: &mut String, mut each: impl FnMut(&str)) {
    for chunk in text.split_ascii_whitespace() {
        buffer.clear();
        if let Some(word) = plain_word(chunk) {
            buffer.push_str(word);
            buffer.make_ascii_lowercase();
            each(buffer);
        } else {
            fold_onto(buffer, chunk);
            buffer.unicode_words().map(bare).for_each(&mut each);
        }
    }
}

/// The words of `text`, folded, in order.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for_each_word(text, &mut String::new(), |word| words.push(word.to_owned()));
    words
}

/// The form in which names (of sources) are compared: trimmed, NFC, lower case, diacritics kept.
pub fn fold_name(name: &str) -> String {
    name.trim().nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// The chunk without surrounding ASCII punctuation, if that is one word of ASCII letters and digits.
fn plain_word(chunk: &str) -> Option<&str> {
    let word = chunk.trim_matches(|c: char| c.is_ascii_punctuation());
    (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(word)
}

/// The word without what UAX #29 joins to it though no reader would: underscores around it, as Markdown sets them for
/// emphasis (those inside, as in `snake_case`, stay), and the base of a lone vowel sign.
fn bare(word: &str) -> &str {
    let word = without_base(word);
    let inner = word.trim_matches('_');
    // An underscore can carry a mark, and hold together what would be two words without it.
    let is_whole = || !inner.starts_with(is_combining_mark) && inner.split_word_bounds().nth(1).is_none();
    if inner.is_ascii() || is_whole() { inner } else { word }
}

/// A vowel sign that follows no letter is segmented together with whatever it follows; only the sign is a word then.
/// Characters that UAX #29 joins to letters stay: connectors, and whatever would leave two words behind.
fn without_base(word: &str) -> &str {
    let bare = word.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '‿' | '⁀' | '⁔'));
    if bare.len() == word.len() || bare.split_word_bounds().nth(1).is_some() { word } else { bare }
}

/// Appends the folded `text` to `out`.
fn fold_onto(out: &mut String, text: &str) {
    if text.is_ascii() {
        out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
        return;
    }
    // Dropped before as well as after: an invisible character between two marks would keep them from their order.
    for c in text.chars().filter(|&c| !is_dropped(c)).nfkd().filter(|&c| !is_dropped(c)) {
        match c {
            '\u{2018}' | '\u{2019}' => out.push('\''),
            _ if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            // Lower first, since the capital sharp s is its own upper case; upper for sharp s and final sigma.
            _ => out.extend(c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)),
        }
    }
}

/// Diacritics by block, which spares the vowel signs of Indic scripts (marks too, but not accents), and characters that
/// nobody sees: soft hyphen, joiners, byte order mark, variation selectors. The iota subscript (U+0345) stays, for its
/// upper case is a letter.
fn is_dropped(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{0344}' | '\u{0346}'..='\u{036F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}'
        | '\u{FE20}'..='\u{FE2F}' | '\u{00AD}' | '\u{200C}' | '\u{200D}' | '\u{2060}' | '\u{FEFF}'
        | '\u{FE00}'..='\u{FE0F}')
}

#[cfg(test)]
mod tests;
