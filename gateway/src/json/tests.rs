//! What is said about JSON texts that are not the request.

use proptest::prelude::*;
use tidemill_proto::{ROUTES, Route};

use super::*;

fn route(template: &str) -> (&'static Route, MessageDescriptor) {
    let route = ROUTES.iter().find(|route| route.template == template && route.verb == "POST").unwrap();
    let pool = prost_reflect::DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
    (route, pool.get_message_by_name(route.input).unwrap())
}

fn said(template: &str, text: &str) -> String {
    let (route, input) = route(template);
    encode(route.encode, text.as_bytes(), &input, Source::Body(0)).unwrap_err().to_string()
}

#[test]
fn the_field_and_what_it_takes_are_named() {
    for (text, expected) in [
        (
            r#"{"tasks":[{"kind":"a"},{"kind":"b","prioriti":1}]}"#,
            "tasks[1].prioriti: unknown field `prioriti`",
        ),
        (r#"{"tasks":[{"priority":"URGENT"}]}"#, "tasks[0].priority: expected one of PRIORITY_UNSPECIFIED"),
        (
            r#"{"tasks":[{"maxAttempts":"many"}]}"#,
            "tasks[0].maxAttempts: expected a whole number from -2147483648",
        ),
        (r#"{"tasks":[{"max_attempts":true}]}"#, "tasks[0].max_attempts: expected a whole number"),
        (r#"{"tasks":[{"kind":5}]}"#, "tasks[0].kind: expected a text"),
        (r#"{"tasks":[{"runAt":"noon"}]}"#, "tasks[0].runAt: expected an RFC 3339 time"),
        (r#"{"tasks":{}}"#, "tasks: expected a list"),
        (r#"{"tasks":[],"tasks":[]}"#, "tasks: duplicate field `tasks`"),
    ] {
        let said = said("/v1/tasks", text);
        assert!(said.starts_with("line 1, column ") && said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn the_line_and_the_column_are_those_of_the_text() {
    let text = "{\n  \"tasks\": [\n    {\"kind\": 5}\n  ]\n}";
    assert!(
        said("/v1/tasks", text).starts_with("line 3, column 14: tasks[0].kind: "),
        "{}",
        said("/v1/tasks", text)
    );
    let (route, input) = route("/v1/tasks");
    let fault = encode(route.encode, br#"{"tasks":5}"#, &input, Source::Line(9)).unwrap_err();
    assert!(fault.to_string().starts_with("column 1: tasks: "), "{fault}");
}

#[test]
fn broken_texts_are_refused_each_in_its_way() {
    for (text, expected) in [
        (&b""[..], "the body is empty"),
        (b" \r\n", "the body is empty"),
        (b"{} {}", "trailing characters"),
        (b"{\"a\":", "EOF"),
        (b"{'a':1}", "key must be a string"),
    ] {
        let said = check(text, Source::Body(0)).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }
    let (route, input) = route("/v1/queries");
    let said =
        encode(route.encode, b"{\"name\":\"a\xff\"}", &input, Source::Body(0)).unwrap_err().to_string();
    assert!(said.contains("unicode"), "{said}");
}

#[test]
fn what_nests_too_deep_for_a_service_is_refused_here() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{{\"x\":\"[[{{\",\"parameters\":{}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let most = (DEPTH - 1) / levels;
        assert_eq!(check_depth(nested(open, close, most).as_bytes()), Ok(()));
        let said = check_depth(nested(open, close, most + 1).as_bytes()).unwrap_err().to_string();
        assert_eq!(said, "parameters: nests more than 32 deep: flatten it");
    }
}

#[test]
fn what_the_caller_sent_is_quoted_in_part_only() {
    let said = said("/v1/tasks", &format!(r#"{{"{}":1}}"#, "k".repeat(10_000)));
    assert!(said.len() < 1_000);
}

/// The paths of all scalars, by walking the parsed value.
fn scalars(value: &Value, path: &str, all: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                scalars(value, &path, all);
            }
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| scalars(item, &format!("{path}[{index}]"), all));
        }
        scalar => all.push((path.to_owned(), scalar.to_string())),
    }
}

/// Values whose scalars are all different.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), Just(Value::from("\",[{:\\"))];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"\\\\{]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn number(value: &mut Value, next: &mut u32) {
    match value {
        Value::Object(object) => object.values_mut().for_each(|value| number(value, next)),
        Value::Array(items) => items.iter_mut().for_each(|value| number(value, next)),
        Value::Null => {
            *next += 1;
            *value = (10_000 + *next).into();
        }
        _ => {
            *next += 1;
            *value = format!("\",[{{:\\{}", 10_000 + *next).into();
        }
    }
}

proptest! {
    #[test]
    fn the_path_at_the_end_of_each_scalar_is_its_own(mut value in values(), pretty in any::<bool>()) {
        number(&mut value, &mut 0);
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let mut all = Vec::new();
        scalars(&value, "", &mut all);
        for (path, scalar) in all {
            let end = text.find(&scalar).unwrap() + scalar.len();
            prop_assert_eq!(print(&path_at(text.as_bytes(), end)), path.clone());
            // serde_json counts the byte that it has looked at, too.
            if text.as_bytes().get(end) == Some(&b',') {
                prop_assert_eq!(print(&path_at(text.as_bytes(), end + 1)), path);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(text in prop::collection::vec(prop::sample::select(&b"{}[]\",:\\a1 \n\xff"[..]), 0..40)) {
        let _ = value(&text, Source::Body(0));
        let _ = path_at(&text, text.len());
    }
}
