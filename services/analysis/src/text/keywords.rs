//! Key phrases: PositionRank (Florescu and Caragea, ACL 2017) without part-of-speech tags.
//!
//! Words that are not stop words are nodes, joined when they stand within a window of each other; a random walk over
//! them restarts the more often at a word the earlier and the more often it occurs. Phrases of up to three neighbouring
//! words score by their words; a phrase that mostly repeats better ones is left out.
//! Bound: the first 4,000 content words.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::terms::{Term, Terms};

const MAX_WORDS: usize = 4_000;
const MAX_KEYWORDS: usize = 10;
const MAX_PHRASE: usize = 3;
/// Words this far apart in a sentence (stop words not counted) are joined.
const WINDOW: usize = 3;
const DAMPING: f64 = 0.85;
const ITERATIONS: usize = 20;

/// A key phrase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keyword {
    /// As it first stands in the text.
    pub text: String,
    /// From 0 to 1; the best phrase has 1.
    pub score: f64,
}

/// The best phrases, best first.
pub(super) fn extract(terms: &Terms<'_>) -> Vec<Keyword> {
    let mut left = MAX_WORDS;
    let bounded = terms.sentences.iter().map(|(text, words)| {
        let words = &words[..words.len().min(left)];
        left -= words.len();
        (*text, words)
    });
    let sentences: Vec<(&str, &[Term])> = bounded.filter(|(_, words)| !words.is_empty()).collect();
    let scores = rank(&sentences, terms.nodes);
    choose(candidates(&sentences, &scores))
}

/// The walk's stationary weight of every node.
fn rank(sentences: &[(&str, &[Term])], nodes: usize) -> Vec<f64> {
    let mut restart = vec![0.0; nodes];
    let mut edges = Vec::new();
    let mut position = 0.0;
    for (_, words) in sentences {
        for (index, word) in words.iter().enumerate() {
            position += 1.0;
            restart[word.node] += 1.0 / position;
            for other in words[index + 1..].iter().take(WINDOW).filter(|other| other.node != word.node) {
                edges.extend([(word.node, other.node), (other.node, word.node)]);
            }
        }
    }
    let total: f64 = restart.iter().sum();
    restart.iter_mut().for_each(|weight| *weight /= total);

    let mut degree = vec![0.0; nodes];
    edges.iter().for_each(|(from, _)| degree[*from] += 1.0);
    // In order, so that the sums come out the same and the reads run along memory.
    edges.sort_unstable();
    let mut scores = restart.clone();
    for _ in 0..ITERATIONS {
        let mut next: Vec<f64> = restart.iter().map(|weight| (1.0 - DAMPING) * weight).collect();
        for &(from, to) in &edges {
            next[to] += DAMPING * scores[from] / degree[from];
        }
        scores = next;
    }
    scores
}

struct Candidate<'a> {
    text: &'a str,
    nodes: Vec<usize>,
    score: f64,
}

/// Every phrase once: whole runs of up to three neighbouring words, and all threes of longer runs.
fn candidates<'a>(sentences: &[(&'a str, &[Term])], scores: &[f64]) -> Vec<Candidate<'a>> {
    let mut seen = HashSet::new();
    let mut candidates: Vec<Candidate<'a>> = Vec::new();
    for (text, words) in sentences {
        for run in words.chunk_by(|_, next| next.adjacent) {
            for phrase in run.windows(run.len().min(MAX_PHRASE)) {
                let (Some(first), Some(last)) = (phrase.first(), phrase.last()) else { continue };
                let nodes: Vec<usize> = phrase.iter().map(|word| word.node).collect();
                if seen.insert(nodes.clone()) {
                    // The sum over the root of the length: neither one word nor three win by their number alone.
                    let sum: f64 = nodes.iter().map(|&node| scores[node]).sum();
                    let score = sum / (nodes.len() as f64).sqrt();
                    candidates.push(Candidate { text: &text[first.start..last.end], nodes, score });
                }
            }
        }
    }
    candidates
}

fn choose(mut candidates: Vec<Candidate<'_>>) -> Vec<Keyword> {
    // A stable sort: among equals the earlier one stands first.
    candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
    let best = candidates.first().map_or(1.0, |candidate| candidate.score);
    let mut covered: Vec<usize> = Vec::new();
    let mut chosen = Vec::new();
    for candidate in candidates {
        let repeated = candidate.nodes.iter().filter(|node| covered.contains(node)).count();
        if repeated * 2 >= candidate.nodes.len() && !chosen.is_empty() {
            continue;
        }
        covered.extend(candidate.nodes);
        chosen.push(Keyword { text: candidate.text.to_owned(), score: super::round(candidate.score / best) });
        if chosen.len() == MAX_KEYWORDS {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::{language, sentences};
    use super::*;

    fn with_terms<T>(prose: &str, check: impl FnOnce(&Terms<'_>) -> T) -> T {
        let sentences = sentences::split(prose);
        check(&Terms::of(&sentences, language::vocabulary(None)))
    }

    fn keywords(prose: &str) -> Vec<String> {
        with_terms(prose, extract).into_iter().map(|keyword| keyword.text).collect()
    }

    #[test]
    fn phrases_are_runs_of_content_words() {
        let found = keywords("Hope Motor Company was a Japanese car company bought by Suzuki.");
        for phrase in ["Hope Motor Company", "Japanese car company", "Suzuki"] {
            assert!(found.iter().any(|keyword| keyword.starts_with(phrase)), "{phrase}: {found:?}");
        }
        assert!(keywords("").is_empty());
    }

    #[test]
    fn a_phrase_that_repeats_better_ones_is_left_out() {
        assert_eq!(keywords("Red apple pie. Red apple. Apple pie red."), ["Red apple pie"]);
    }

    #[test]
    fn what_is_repeated_early_ranks_first() {
        let prose = "Compilers translate code. A compiler checks types. Some people drink tea.";
        assert!(keywords(prose)[0].to_lowercase().contains("compiler"), "{:?}", keywords(prose));
    }

    #[test]
    fn the_walk_keeps_its_weight_on_a_connected_text() {
        let total: f64 = with_terms("Red apple green pear red pear.", |terms| {
            let sentences: Vec<_> =
                terms.sentences.iter().map(|(text, words)| (*text, words.as_slice())).collect();
            rank(&sentences, terms.nodes).iter().sum()
        });
        assert!((total - 1.0).abs() < 1e-9, "{total}");
    }
}
