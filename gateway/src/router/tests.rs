//! The router against trying every template in turn.

use proptest::prelude::*;

use super::*;
use crate::template::tests::{path_of, templates};

const METHODS: [&str; 2] = ["GET", "POST"];

/// The segments' texts where the template fits, by the definition.
fn fits<'p>(template: &Template, path: &'p str, with_verb: bool) -> Option<(Vec<bool>, Vec<&'p str>)> {
    let path = path.strip_prefix('/')?;
    let path = match &template.verb {
        Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':').filter(|_| with_verb)?,
        None if with_verb => return None,
        None => path,
    };
    let parts: Vec<_> = path.split('/').collect();
    if parts.len() != template.segments.len() {
        return None;
    }
    let (mut variable, mut values) = (Vec::new(), Vec::new());
    for (segment, part) in template.segments.iter().zip(parts) {
        match segment {
            Segment::Literal(text) if text == part => variable.push(false),
            Segment::Field(_) if !part.is_empty() => {
                variable.push(true);
                values.push(part);
            }
            _ => return None,
        }
    }
    Some((variable, values))
}

proptest! {
    #[test]
    fn the_tree_finds_what_trying_all_templates_finds(
        routes in prop::collection::vec((prop::sample::select(&METHODS[..]), templates()), 1..12),
        asked in templates(),
        value in prop::sample::select(vec!["x", "tasks", "a:run", "é/ü"]),
        raw in any::<bool>(),
        method in prop::sample::select(&METHODS[..]),
    ) {
        let mut kept: Vec<(String, Template, usize)> = Vec::new();
        for (method, template) in routes {
            let shape = |t: &Template| path_of(t, "*");
            if kept.iter().all(|(m, t, _)| m != method || shape(t) != shape(&template)) {
                kept.push((method.to_owned(), template, kept.len()));
            }
        }
        // Half of the paths carry the value as it is, so that colons and slashes act.
        let path = if raw { path_of(&asked, "*").replace("%2A", value) } else { path_of(&asked, value) };
        let router = Router::new(kept.clone()).unwrap();

        let all = |with_verb| {
            let mut fitting: Vec<_> = kept.iter()
                .filter_map(|(m, t, i)| fits(t, &path, with_verb).map(|(order, values)| (order, m, *i, values)))
                .collect();
            fitting.sort();
            fitting
        };
        let fitting = if all(true).is_empty() { all(false) } else { all(true) };
        let expected = match fitting.iter().find(|(_, m, _, _)| *m == method) {
            Some((_, _, index, values)) => Found::Route(index, values.clone()),
            None if fitting.is_empty() => Found::Nothing,
            None => Found::OtherMethods(vec![if method == "GET" { "POST" } else { "GET" }]),
        };
        prop_assert_eq!(router.find(method, &path), expected);
    }
}

fn router(templates: &[(&str, &str)]) -> Router<usize> {
    let routes = templates.iter().enumerate();
    Router::new(routes.map(|(i, (m, t))| ((*m).to_owned(), Template::parse(t).unwrap(), i))).unwrap()
}

#[test]
fn the_verb_and_the_literal_come_before_the_variable() {
    let router = router(&[
        ("GET", "/v1/documents/{id}"),
        ("GET", "/v1/documents:search"),
        ("POST", "/v1/documents/{id}:run"),
        ("GET", "/v1/documents/latest"),
        ("DELETE", "/v1/documents/{id}"),
    ]);
    assert_eq!(router.find("GET", "/v1/documents/a%2Fb"), Found::Route(&0, vec!["a%2Fb"]));
    assert_eq!(router.find("GET", "/v1/documents:search"), Found::Route(&1, vec![]));
    assert_eq!(router.find("POST", "/v1/documents/7:run"), Found::Route(&2, vec!["7"]));
    assert_eq!(router.find("GET", "/v1/documents/7:run"), Found::OtherMethods(vec!["POST"]));
    assert_eq!(router.find("GET", "/v1/documents/7:walk"), Found::Route(&0, vec!["7:walk"]));
    assert_eq!(router.find("GET", "/v1/documents/latest"), Found::Route(&3, vec![]));
    assert_eq!(router.find("DELETE", "/v1/documents/latest"), Found::Route(&4, vec!["latest"]));
    assert_eq!(router.find("PUT", "/v1/documents/x"), Found::OtherMethods(vec!["DELETE", "GET"]));
    for path in ["", "/", "/v1", "/v1/documents/", "/v1/documents/a/b", "//", "/v1/documents:"] {
        assert_eq!(router.find("GET", path), Found::Nothing, "{path}");
    }
}

#[test]
fn a_wrong_path_is_answered_with_near_ones() {
    let router = router(&[
        ("GET", "/v1/tasks"),
        ("POST", "/v1/tasks"),
        ("GET", "/v1/tasks/{id}"),
        ("GET", "/v1/queue"),
    ]);
    assert_eq!(router.near("/v1/task"), ["/v1/tasks", "/v1/tasks/{id}"]);
    assert_eq!(router.near("/v1/"), Vec::<String>::new());
    assert_eq!(router.near("/other"), Vec::<String>::new());
}

#[test]
fn the_same_route_twice_is_refused() {
    let twice = ["/v1/{a}", "/v1/{b}"].map(|t| ("GET".to_owned(), Template::parse(t).unwrap(), ()));
    assert!(Router::new(twice).unwrap_err().to_string().contains("GET /v1/{b}"));
}
