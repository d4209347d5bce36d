//! Tests of the matcher: against a plain reading of the tree over the plain words, and of its parts alone.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::evaluate::advance;
use super::vocabulary::Builder;
use super::{DocumentText, Hit, Matcher, Scratch};
use crate::query::{Expr, Pattern, Query, Scope};
use crate::text::{fold_name, words};

fn query(expression: &str) -> Query {
    expression.parse().unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn matches(expressions: &[&str], document: DocumentText<'_>) -> Vec<Hit<usize>> {
    Matcher::build(expressions.iter().map(|e| query(e)).enumerate())
        .matches(document, &mut Scratch::default())
}

/// The score of the one query, or none.
fn score(expression: &str, title: &str, body: &str) -> Option<f32> {
    matches(&[expression], DocumentText { title, body, source: "Wire" }).first().map(|hit| hit.score)
}

/// The definition: the tree over the words, no index, no positions.
fn naive(expr: &Expr, document: DocumentText<'_>) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|part| naive(part, document)),
        Expr::Any(parts) => parts.iter().any(|part| naive(part, document)),
        Expr::Not(part) => !naive(part, document),
        Expr::Source { name, prefix: true } => fold_name(document.source).starts_with(name),
        Expr::Source { name, prefix: false } => fold_name(document.source) == *name,
        Expr::Text(scope, pattern) => {
            let holds = |text: &str| {
                let words = words(text);
                match pattern {
                    Pattern::Word(word) => words.contains(word),
                    Pattern::Prefix(prefix) => words.iter().any(|word| word.starts_with(prefix)),
                    Pattern::Phrase(phrase) => words.windows(phrase.len()).any(|window| window == phrase),
                }
            };
            holds(document.title) || (*scope == Scope::Anywhere && holds(document.body))
        }
    }
}

#[test]
fn documents_match_by_word_phrase_prefix_field_and_source() {
    let document = DocumentText {
        title: "Café society: an E-Mail to Straßburg",
        body: "Deep learning, and deeper learners. Deep deep learning!",
        source: "ArXiv cs.LG",
    };
    let holding = [
        "cafe",
        "CAFÉ learning",
        "\"deep deep learning\"",
        "\"deep learning\"",
        "e-mail",
        "\"an email\" OR email OR mail",
        "strass*",
        "title:strasse* OR title:strassburg",
        "title:(cafe -deep)",
        "learning -title:learning",
        "source:\"arxiv cs.lg\"",
        "source:ARXIV*",
        "learn* source:arxiv*",
        "NOT (NOT deep)",
        "deep NOT (cafe physics)",
        "physics OR (society deeper)",
        "title:soc*",
    ];
    let failing = [
        "caf",
        "\"straßburg deep\"",
        "\"learning deep\"",
        "title:deep",
        "title:deep*",
        "source:arxiv",
        "source:cs*",
        "deep -cafe",
        "deep source:wire",
        "\"deep learning deep\"",
        "email",
        "title:\"society e mail\"",
    ];
    let hits = matches(&holding, document);
    assert_eq!(hits.iter().map(|hit| holding[hit.query]).collect::<Vec<_>>(), holding);
    assert_eq!(matches(&failing, document), []);
}

#[test]
fn empty_documents_and_empty_matchers_match_nothing() {
    let empty = DocumentText { title: "", body: "", source: "" };
    assert_eq!(matches(&["a OR b", "source:x"], empty), []);
    let none = Matcher::<u32>::build::<Query>([]);
    assert!(none.is_empty());
    assert_eq!(none.matches(DocumentText { title: "a", ..empty }, &mut Scratch::default()), []);
}

#[test]
fn one_words_score_is_its_saturated_frequency() {
    let body = format!("tide {}", "mill ".repeat(199));
    // 200 words make the norm 1.2; one occurrence in the body, then one in the title besides.
    assert_eq!(score("tide", "", &body), Some(1.0 / 2.2));
    let longer = 1.2 * (0.25 + 0.75 * 201.0 / 200.0);
    let expected = 4.0 / (4.0 + longer);
    assert!((score("tide", "tide", &body).unwrap() - expected).abs() < 1e-6);
    assert_eq!(score("tide OR \"no such\" OR absent", "", &body), Some(1.0 / 2.2 / 3.0));
    assert_eq!(score("tide -absent", "", &body), score("tide", "", &body));
    assert_eq!(score("source:wire", "", &body), Some(1.0));
}

#[test]
fn titles_frequency_and_brevity_raise_the_score() {
    let ascending = [
        score("tide", "", &format!("tide {}", "x ".repeat(500))),
        score("tide", "", "tide x x x"),
        score("tide", "", "tide tide x x"),
        score("tide", "tide", "x x x"),
        score("tide", "tide", "tide x x"),
    ];
    assert!(ascending.is_sorted_by(|a, b| a < b), "{ascending:?}");
}

#[test]
fn only_queries_whose_anchors_occur_are_verified() {
    let expressions: Vec<String> = (0..500)
        .flat_map(|n| {
            [
                format!("the topic{n}"),
                format!("the (alpha{n} OR beta{n}) -gamma"),
                format!("prefix{n}* source:wire"),
            ]
        })
        .collect();
    let matcher = Matcher::build(expressions.iter().map(|e| query(e)).enumerate());
    let mut scratch = Scratch::default();
    let body = "the topic7 of the gamma, beta123 and prefix42x";
    let hits = matcher.matches(DocumentText { title: "", body, source: "wire" }, &mut scratch);
    assert_eq!(hits.iter().map(|hit| hit.query).collect::<Vec<_>>(), [4 * 3 + 2, 7 * 3, 42 * 3 + 2]);
    // Besides the hits, only the query that the gamma excludes.
    assert_eq!(scratch.candidates.len(), 4);
}

const WORDS: [&str; 12] =
    ["deep", "deeper", "De", "learning", "learn", "café", "cafe", "e-mail", "mail", "東京", "nets", "x"];

fn words_of(most: usize) -> impl Strategy<Value = String> {
    vec(prop::sample::select(&WORDS[..]), 0..most).prop_map(|words| words.join(" "))
}

fn source_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["Wire", "wired", "BBC News", ""][..])
}

/// Expressions over [`WORDS`]; those of negations alone are refused by the parser and left out.
fn random_query() -> impl Strategy<Value = Query> {
    let word = || prop::sample::select(&WORDS[..]);
    let text = prop_oneof![
        3 => word().prop_map(String::from),
        2 => prop::sample::select(&["de*", "deep*", "lea*", "ne*", "ca*"][..]).prop_map(String::from),
        3 => vec(word(), 2..4).prop_map(|words| format!("\"{}\"", words.join(" "))),
    ];
    let leaf = prop_oneof![
        6 => text.clone(),
        2 => text.prop_map(|text| format!("title:{text}")),
        1 => prop::sample::select(&["source:wire", "source:wi*", "source:\"bbc news\""][..]).prop_map(String::from),
    ];
    let expression = leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.clone().prop_map(|a| format!("NOT {a}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a} -{b})")),
        ]
    });
    expression.prop_filter_map("only negation", |expression| Query::parse(&expression).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_matcher_finds_what_trying_every_query_finds(
        queries in vec(random_query(), 1..12),
        documents in vec((words_of(5), words_of(14), source_name()), 1..6),
    ) {
        let matcher = Matcher::build(queries.iter().enumerate());
        let mut reused = Scratch::default();
        for (title, body, source) in &documents {
            let document = DocumentText { title, body, source };
            let hits = matcher.matches(document, &mut reused);
            let expected: Vec<usize> =
                (0..queries.len()).filter(|&index| naive(queries[index].expr(), document)).collect();
            prop_assert_eq!(hits.iter().map(|hit| hit.query).collect::<Vec<_>>(), expected, "{:?}", document);
            prop_assert!(hits.iter().all(|hit| hit.score > 0.0 && hit.score <= 1.0), "{:?}", hits);
            prop_assert_eq!(matcher.matches(document, &mut Scratch::default()), hits);
        }
    }

    #[test]
    fn a_scratch_may_serve_matchers_in_turn(
        first in vec(random_query(), 1..6),
        second in vec(random_query(), 1..6),
        body in words_of(14),
    ) {
        let document = DocumentText { title: "", body: &body, source: "wire" };
        let matchers = [first, second].map(|queries| Matcher::build(queries.into_iter().enumerate()));
        let mut shared = Scratch::default();
        for matcher in [&matchers[0], &matchers[1], &matchers[0]] {
            let alone = matcher.matches(document, &mut Scratch::default());
            prop_assert_eq!(matcher.matches(document, &mut shared), alone);
        }
    }

    #[test]
    fn a_word_leads_to_itself_and_to_every_prefix_of_it(
        exact in btree_set("[abé]{1,4}", 0..6),
        prefixes in btree_set("[abé]{1,5}", 0..12),
        word in "[abé]{0,6}",
    ) {
        let mut builder = Builder::default();
        let atoms = exact.iter().map(|text| (text, false)).chain(prefixes.iter().map(|text| (text, true)));
        let numbered: Vec<_> = atoms.map(|(text, prefix)| (text, prefix, builder.word(text, prefix))).collect();
        let expected: BTreeSet<u32> = numbered
            .iter()
            .filter(|(text, prefix, _)| if *prefix { word.starts_with(*text) } else { word == **text })
            .map(|&(_, _, atom)| atom)
            .collect();
        let mut found = Vec::new();
        builder.finish().0.each(&word, |atom| found.push(atom));
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn galloping_finds_what_a_scan_finds(
        positions in btree_set(0_u32..200, 0..60),
        targets in btree_set(0_u32..210, 0..20),
    ) {
        let list: Vec<u32> = positions.iter().copied().collect();
        let mut cursor = 0;
        for target in targets {
            prop_assert_eq!(advance(&list, &mut cursor, target), positions.contains(&target));
            prop_assert_eq!(cursor, positions.range(..target).count());
        }
    }
}
