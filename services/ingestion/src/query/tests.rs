//! Tests of the language: meaning by canonical form, faults by place and message, and what must hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Expr, Limits, Pattern, Query, QueryError, QueryFault, Scope};
use crate::text;

/// Limits that canonical forms cannot outgrow.
const WIDE: Limits = Limits { bytes: 1 << 20, depth: 200, terms: 1 << 16, prefix: 2 };

fn error(expression: &str) -> QueryError {
    Query::parse(expression).expect_err(expression)
}

#[test]
fn expressions_read_as_their_canonical_form() {
    let cases = [
        ("rust", "rust"),
        ("Café NAÏVE", "cafe AND naive"),
        ("a OR b c OR NOT d e", "a OR b AND c OR NOT d AND e"),
        ("(a OR b) AND c", "(a OR b) AND c"),
        ("((a) (b c)) d", "a AND b AND c AND d"),
        ("a OR (b OR (c))", "a OR b OR c"),
        ("a -b -(c d) -\"e f\"", "a AND NOT b AND NOT (c AND d) AND NOT \"e f\""),
        ("NOT NOT a", "NOT NOT a"),
        ("--a NOT (b OR c)", "NOT NOT a AND NOT (b OR c)"),
        ("and or not", "and AND or AND not"),
        ("e-mail, C++", "\"e mail\" AND c"),
        ("\"one\" “two  three” „four“", "one AND \"two three\" AND four"),
        ("a\"b c\"d(e)f", "a AND \"b c\" AND d AND e AND f"),
        ("comput* \"Lear\"*", "comput* AND lear*"),
        ("Title:Rust title:\"a b\" title:de*", "title:rust AND title:\"a b\" AND title:de*"),
        ("title:(a OR -(b c) \"d e\") f", "(title:a OR NOT (title:b AND title:c) AND title:\"d e\") AND f"),
        (
            "source:ArXiv OR source:\"BBC News\" OR SOURCE:hn*",
            "source:arxiv OR source:\"bbc news\" OR source:hn*",
        ),
        ("source:\"say \\\"x\\\" \\\\ \\y*\"", "source:\"say \\\"x\\\" \\\\ \\\\y*\""),
        ("source:a.b/c_d source:x-y", "source:a.b/c_d AND source:\"x-y\""),
        ("12:30 \"std:vec\" ‘quoted’", "\"12 30\" AND \"std:vec\" AND quoted"),
        ("한국* ガ 東京", "한국* AND カ\u{3099} AND \"東 京\""),
    ];
    for (expression, canonical) in cases {
        let query = Query::parse(expression).unwrap_or_else(|e| panic!("{e}\n{}", e.caret(expression)));
        // Compared composed: canonical forms are.
        let expected: String = unicode_normalization::UnicodeNormalization::nfc(canonical).collect();
        assert_eq!(query.to_string(), expected, "{expression}");
        assert_eq!(Query::parse(canonical), Ok(query), "{canonical}");
    }
}

#[test]
fn the_tree_says_what_was_meant() {
    let word = |scope, word: &str| Expr::Text(scope, Pattern::Word(word.into()));
    let query: Query = "title:a (bb* OR \"c d\") -source:EE*".parse().unwrap();
    let expected = Expr::All(vec![
        word(Scope::Title, "a"),
        Expr::Any(vec![
            Expr::Text(Scope::Anywhere, Pattern::Prefix("bb".into())),
            Expr::Text(Scope::Anywhere, Pattern::Phrase(vec!["c".into(), "d".into()])),
        ]),
        Expr::Not(Box::new(Expr::Source { name: "ee".into(), prefix: true })),
    ]);
    assert_eq!(query.expr(), &expected);
}

#[test]
fn faults_name_their_place_and_the_mend() {
    let cases = [
        ("", 0, "character 1: the query is empty: write at least one word"),
        (" \n ", 0, "character 1: the query is empty"),
        ("é AND", 6, "character 6: found the end, expected a word, a \"phrase\", a field or `(`"),
        ("a AND OR b", 6, "character 7: found `OR`, expected a word"),
        ("OR b", 0, "character 1: found `OR`"),
        ("a ()", 3, "character 4: found `)`, expected a word"),
        ("(a OR b", 0, "character 1: this `(` is never closed: add `)`"),
        ("a) b", 1, "character 2: this `)` closes nothing"),
        ("a \"b c", 2, "character 3: this quote is never closed"),
        ("a \"b\\\"", 2, "character 3: this quote is never closed"),
        ("a \"...\"", 2, "character 3: the phrase has no word"),
        ("a & b", 2, "character 3: `&` has no letter or digit to search for: remove it"),
        ("a - b", 2, "character 3: `-` has no letter"),
        ("te*t", 2, "character 3: `*` stands only at the end of a word"),
        ("text**", 4, "character 5: `*` stands only at the end"),
        ("\"deep lear* x\"", 10, "character 11: `*` stands only at the end"),
        ("é a*", 3, "character 3: `a*` would match too much: write at least 2 letters"),
        ("source:*", 7, "character 8: `*` would match too much"),
        ("e-mail*", 0, "character 1: `e-mail*` is several words (e mail): put `*` after a single word"),
        ("author:x", 0, "character 1: there is no field `author`: use `title:` or `source:`, or quote"),
        (
            "title: x",
            6,
            "character 7: found a space, expected a word, a \"phrase\" or `(` right after `title:`",
        ),
        ("title:-x", 6, "character 7: found `-`, expected a word"),
        ("x source:", 9, "character 10: found the end, expected a name"),
        ("source:\" \"", 7, "character 8: found `\" \"`, expected a name"),
        ("source:(a b)", 7, "character 8: found `(`, expected a name"),
        ("title:(a title:b)", 9, "character 10: a field cannot stand inside `title:(...)`"),
        ("title:(a (b source:c))", 12, "character 13: a field cannot stand inside"),
        ("-a", 0, "character 1: a negation alone matches nearly everything"),
        ("NOT a NOT b", 0, "character 1: a negation alone"),
        ("a OR b c OR NOT d", 12, "character 13: a negation alone"),
        ("NOT (a b)", 0, "character 1: a negation alone"),
        ("a OR NOT (NOT b c)", 5, "character 6: a negation alone"),
    ];
    for (expression, offset, message) in cases {
        let error = error(expression);
        assert_eq!(error.offset, offset, "{expression:?}: {error}");
        assert!(error.to_string().starts_with(message), "{expression:?}: {error}");
        assert_eq!(error.kind(), tidemill_kernel::ErrorKind::Invalid);
    }
}

#[test]
fn limits_are_kept_exactly_and_hostile_input_is_refused() {
    let limits = Limits { bytes: 40, depth: 3, terms: 4, prefix: 3 };
    let fault =
        |expression: &str| Query::parse_within(expression, &limits).err().map(|e| (e.offset, e.fault));
    assert_eq!(fault(&"a".repeat(40)), None);
    assert_eq!(
        fault(&format!("{}é", "a".repeat(39))),
        Some((39, QueryFault::TooLong { found: 41, limit: 40 }))
    );
    assert_eq!(fault("((-(a) b) b)"), Some((3, QueryFault::TooDeep { limit: 3 })));
    assert_eq!(fault("((b) -(a))"), None);
    assert_eq!(fault("a \"b c\" source:d"), None);
    assert_eq!(fault("a \"b c\" source:d e"), Some((17, QueryFault::TooManyTerms { limit: 4 })));
    assert_eq!(fault("abc*"), None);
    assert_eq!(fault("ab*"), Some((0, QueryFault::ShortPrefix { found: "ab".into(), limit: 3 })));

    for piece in ["(", "NOT ", "-", "title:(", "-(", "((a)", "a OR "] {
        let hostile = piece.repeat(4096 / piece.len());
        assert!(Query::parse(&hostile).is_err(), "{piece}");
    }
}

#[test]
fn the_caret_stands_under_the_fault() {
    let draw = |expression: &str| error(expression).caret(expression);
    assert_eq!(draw("a AND OR b"), "a AND OR b\n      ^");
    assert_eq!(draw("(é OR\tb"), "(é OR b\n^");
    assert_eq!(draw("東京 e\u{301} AND"), "東京 e\u{301} AND\n          ^");
    let long = format!("{} AND AND {}", "ab ".repeat(50), "c ".repeat(50));
    let (line, caret) = draw(&long).split_once('\n').map(|(a, b)| (a.to_owned(), b.len() - 1)).unwrap();
    assert!(line.starts_with('…') && line.ends_with('…') && line.chars().count() <= 74, "{line}");
    let under: String = line.chars().skip(caret).take(5).collect();
    assert_eq!(under, "AND c");
}

/// Expressions dense in syntax, in part well-formed.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[abé]{1,2}",
        4 => prop::sample::select(&["(", ")", "OR", "AND", "NOT", "-", " ", " ", "\"", "*", "\\", "title:", "source:"][..])
            .prop_map(String::from),
        1 => prop::sample::select(&["title:(", "\"a b\"", "„x“", "ab*", "a:b", "東", "½", "\u{301}", "'", "_"][..])
            .prop_map(String::from),
        1 => any::<String>(),
    ];
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Trees as the parser makes them, unbound ones included: joins of two parts or more, none within its own kind.
fn tree() -> impl Strategy<Value = Expr> {
    let words =
        || prop_oneof!["[a-c]{2,3}", any::<String>(), "[אa\":'_.1]{1,5}"].prop_map(|text| text::words(&text));
    let scope = || prop_oneof![Just(Scope::Anywhere), Just(Scope::Title)];
    let leaf = prop_oneof![
        (scope(), words(), any::<bool>()).prop_filter_map("no word", |(scope, mut words, prefix)| {
            let pattern = match words.len() {
                0 => return None,
                1 if prefix => Pattern::Prefix(format!("{}{}", words.pop()?, "zz")),
                1 => Pattern::Word(words.pop()?),
                _ => Pattern::Phrase(words),
            };
            Some(Expr::Text(scope, pattern))
        }),
        (any::<String>(), any::<bool>()).prop_map(|(name, prefix)| {
            Expr::Source { name: text::fold_name(&format!("xy{name}")), prefix }
        }),
    ];
    leaf.prop_filter("a prefix is one word", |leaf| match leaf {
        Expr::Text(_, Pattern::Prefix(word)) => text::words(word) == [word.clone()],
        _ => true,
    })
    .prop_recursive(5, 40, 4, |inner| {
        let flat = |parts: Vec<Expr>, all: bool| {
            let mut melted = Vec::new();
            for part in parts {
                match part {
                    Expr::All(inner) if all => melted.extend(inner),
                    Expr::Any(inner) if !all => melted.extend(inner),
                    part => melted.push(part),
                }
            }
            if all { Expr::All(melted) } else { Expr::Any(melted) }
        };
        prop_oneof![
            (vec(inner.clone(), 2..4), any::<bool>()).prop_map(move |(parts, all)| flat(parts, all)),
            inner.prop_map(|part| Expr::Not(Box::new(part))),
        ]
    })
}

/// Whether the tree holds for a document that has none of its words: the plain definition of what is refused.
fn holds_for_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(holds_for_nothing),
        Expr::Any(parts) => parts.iter().any(holds_for_nothing),
        Expr::Not(part) => !holds_for_nothing(part),
        Expr::Text(..) | Expr::Source { .. } => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_input_is_understood_or_refused_at_a_place_within_it(expression in expression()) {
        let limits = Limits { bytes: 60, depth: 4, terms: 8, prefix: 2 };
        if let Err(error) = Query::parse_within(&expression, &limits) {
            prop_assert!(expression.is_char_boundary(error.offset), "{error}");
            prop_assert_eq!(error.column, expression[..error.offset].chars().count() + 1);
            prop_assert_eq!(error.caret(&expression).lines().count(), 2);
        }
    }

    #[test]
    fn what_is_understood_prints_a_form_that_means_the_same(expression in expression()) {
        if let Ok(query) = Query::parse(&expression) {
            prop_assert!(!holds_for_nothing(query.expr()));
            let canonical = query.to_string();
            prop_assert_eq!(Query::parse_within(&canonical, &WIDE), Ok(query), "{}", canonical);
        }
    }

    #[test]
    fn every_tree_prints_a_form_that_parses_back_to_it(expr in tree()) {
        match Query::parse_within(&expr.to_string(), &WIDE) {
            Ok(query) => prop_assert_eq!(query.expr(), &expr),
            Err(error) => {
                prop_assert_eq!(&error.fault, &QueryFault::OnlyNegation, "{} in {}", error, expr);
                prop_assert!(holds_for_nothing(&expr), "{}", expr);
            }
        }
    }
}
