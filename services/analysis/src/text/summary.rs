//! An extractive summary: SumBasic (Nenkova and Vanderwende 2005) with a weight for the lead and the title.
//!
//! A sentence scores by the average probability of its stems; when one is taken, the probability of its stems is
//! squared, so that the next one says something else. Bounds: those of [`super::terms`].

use unicode_segmentation::UnicodeSegmentation;

use super::sentences::Sentence;
use super::terms::{Term, Terms};

const MAX_CHOSEN: usize = 3;
/// Words that make a sentence worth showing, and that make it unwieldy.
const USUAL_WORDS: std::ops::RangeInclusive<usize> = 4..=60;
/// Characters of one sentence that are shown.
const MAX_CHARS: usize = 600;
/// How much more a word of the title counts.
const TITLE_WEIGHT: f64 = 2.0;

/// Up to a third of the body's sentences, at most three, in the body's order. `terms` are those of the title's
/// sentences and then of the body's.
pub(super) fn extract(body: &[Sentence<'_>], titles: usize, terms: &Terms<'_>) -> String {
    let (title, sentences) = terms.sentences.split_at(titles.min(terms.sentences.len()));
    let body = &body[..body.len().min(sentences.len())];
    let sentences: Vec<&[Term]> = sentences.iter().map(|(_, words)| words.as_slice()).collect();
    let mut weights = probabilities(&sentences, terms.nodes);
    for word in title.iter().flat_map(|(_, words)| words) {
        weights[word.node] *= TITLE_WEIGHT;
    }
    let mut left = candidates(body);
    let wanted = body.len().div_ceil(3).min(MAX_CHOSEN);
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < wanted
        && let Some(best) = best(&left, &sentences, &weights)
    {
        chosen.push(left.remove(best));
        for word in chosen.last().into_iter().flat_map(|&index| sentences[index]) {
            weights[word.node] *= weights[word.node].min(1.0);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|index| shorten(body[index].text)).collect::<Vec<_>>().join(" ")
}

/// The sentences that may be shown: whole ones of usual length, else whole ones, else all.
fn candidates(body: &[Sentence<'_>]) -> Vec<usize> {
    let usual = |sentence: &Sentence<'_>| {
        // Scripts without spaces have one word for each character, so that the count stands for them as well.
        let words = sentence.text.unicode_words().take(USUAL_WORDS.end() + 1).count();
        sentence.complete && USUAL_WORDS.contains(&words)
    };
    let pick = |fits: &dyn Fn(&Sentence<'_>) -> bool| -> Vec<usize> {
        (0..body.len()).filter(|&index| fits(&body[index])).collect()
    };
    let tiers: [&dyn Fn(&Sentence<'_>) -> bool; 2] = [&usual, &|sentence| sentence.complete];
    tiers.into_iter().map(pick).find(|found| !found.is_empty()).unwrap_or_else(|| (0..body.len()).collect())
}

/// The place in `left` of the sentence with the best score; the earliest of equals.
fn best(left: &[usize], sentences: &[&[Term]], weights: &[f64]) -> Option<usize> {
    let score = |index: usize| {
        let words = sentences[index];
        let sum: f64 = words.iter().map(|word| weights[word.node]).sum();
        let lead = 1.0 + 1.0 / (index + 1) as f64;
        lead * sum / words.len().max(1) as f64
    };
    let scored = left.iter().enumerate().map(|(place, &index)| (place, score(index)));
    scored.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(place, _)| place)
}

/// The share of every stem among all.
fn probabilities(sentences: &[&[Term]], nodes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; nodes];
    sentences.iter().copied().flatten().for_each(|word| counts[word.node] += 1.0);
    let total: f64 = counts.iter().sum();
    counts.into_iter().map(|count| count / total).collect()
}

fn shorten(sentence: &str) -> String {
    match sentence.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", sentence[..end].trim_end()),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{language, sentences};
    use super::*;

    fn summary(title: &str, body: &str) -> String {
        let (title, body) = (sentences::split(title), sentences::split(body));
        let all = [title.clone(), body.clone()].concat();
        extract(&body, title.len(), &Terms::of(&all, language::vocabulary(None)))
    }

    #[test]
    fn a_third_of_the_sentences_in_their_order_and_at_most_three() {
        let sentence = |n: usize| format!("Storm number {n} reached the northern coast today.");
        for (count, shown) in [(1, 1), (3, 1), (4, 2), (7, 3), (40, 3)] {
            let body = (0..count).map(sentence).collect::<Vec<_>>().join(" ");
            let summary = summary("", &body);
            assert_eq!(summary.matches('.').count(), shown, "{count}: {summary}");
            let places: Vec<_> = summary.split_inclusive(". ").map(|part| body.find(part.trim())).collect();
            assert!(places.is_sorted() && places.iter().all(Option::is_some));
        }
    }

    #[test]
    fn headings_are_left_out_while_there_are_sentences() {
        let body = "News of the day\nThe river rose above the old bridge on Monday.\nRead more";
        assert_eq!(summary("", body), "The river rose above the old bridge on Monday.");
        assert_eq!(summary("", "Only a heading"), "Only a heading");
    }

    #[test]
    fn the_title_draws_the_summary_to_its_subject() {
        let body = "People met in the old town hall. Wine was served with bread. The volcano erupted at night. \
            Music played until morning.";
        assert!(summary("Volcano erupted", body).contains("volcano"));
    }

    #[test]
    fn the_second_sentence_says_something_else() {
        let body = "Rust checks borrows at compile time. Rust checks borrows at compile time again. \
            Cargo downloads crates from the registry. Rust checks borrows.";
        assert!(summary("", body).contains("Cargo"), "{}", summary("", body));
    }

    #[test]
    fn an_endless_sentence_is_shortened() {
        assert_eq!(summary("", &"é".repeat(5_000)).chars().count(), MAX_CHARS + 1);
    }
}
