//! What the fields of a message are called and take, in words and as JSON, from the descriptors. Pure.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Number, Value};

/// The field of this name, as in the `.proto` or as in JSON.
pub(crate) fn named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// Whether JSON of any shape has a place somewhere in this message.
pub(crate) fn holds_json(message: &MessageDescriptor) -> bool {
    let (mut seen, mut next) = (Vec::new(), vec![message.clone()]);
    while let Some(message) = next.pop() {
        if message.full_name() == "google.protobuf.Value" {
            return true;
        }
        if !seen.contains(&message) {
            next.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
            seen.push(message);
        }
    }
    false
}

/// In words, what a field of this kind takes.
pub(crate) fn takes(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "true or false".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => range(i32::MIN, i32::MAX),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => range(i64::MIN, i64::MAX),
        Kind::Uint32 | Kind::Fixed32 => range(u32::MIN, u32::MAX),
        Kind::Uint64 | Kind::Fixed64 => range(u64::MIN, u64::MAX),
        Kind::Float | Kind::Double => "a number".to_owned(),
        Kind::String => "a text".to_owned(),
        Kind::Bytes => "bytes in base64".to_owned(),
        Kind::Enum(names) => {
            let names: Vec<_> = names.values().map(|value| value.name().to_owned()).collect();
            format!("one of {}", names.join(", "))
        }
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "an RFC 3339 time such as 2026-05-01T12:00:00Z".to_owned(),
            "google.protobuf.Duration" => "seconds followed by an s, such as 1.5s".to_owned(),
            _ => "an object".to_owned(),
        },
    }
}

fn range<N: std::fmt::Display>(least: N, most: N) -> String {
    format!("a whole number from {least} to {most}")
}

/// The JSON of one value of this kind that was given as text; none when it is not one.
pub(crate) fn from_text(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Bool => text.parse().ok().map(Value::Bool),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse::<i32>().ok().map(Value::from),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse::<i64>().ok().map(Value::from),
        Kind::Uint32 | Kind::Fixed32 => text.parse::<u32>().ok().map(Value::from),
        Kind::Uint64 | Kind::Fixed64 => text.parse::<u64>().ok().map(Value::from),
        // JSON has no word for these three but protobuf's mapping does.
        Kind::Float | Kind::Double if matches!(text, "NaN" | "Infinity" | "-Infinity") => Some(text.into()),
        Kind::Float | Kind::Double => text.parse().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::String | Kind::Bytes => Some(text.into()),
        Kind::Enum(names) => {
            let known = names.get_value_by_name(text).is_some();
            if known { Some(text.into()) } else { text.parse::<i32>().ok().map(Value::from) }
        }
        // Their JSON is one string; whether it is right, the generated code knows.
        Kind::Message(message) => matches!(
            message.full_name(),
            "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask"
        )
        .then(|| text.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whole_numbers_are_taken_exactly_where_they_fit(number: i128) {
            let text = number.to_string();
            prop_assert_eq!(from_text(&Kind::Int32, &text), i32::try_from(number).ok().map(Value::from));
            prop_assert_eq!(from_text(&Kind::Uint64, &text), u64::try_from(number).ok().map(Value::from));
        }

        #[test]
        fn numbers_of_each_width_survive(small: i32, large: u64) {
            prop_assert_eq!(from_text(&Kind::Sint32, &small.to_string()), Some(small.into()));
            prop_assert_eq!(from_text(&Kind::Fixed64, &large.to_string()), Some(large.into()));
        }
    }

    #[test]
    fn texts_that_are_not_of_the_kind_are_refused() {
        assert_eq!(from_text(&Kind::Bool, "yes"), None);
        assert_eq!(from_text(&Kind::Bool, "true"), Some(true.into()));
        assert_eq!(from_text(&Kind::Double, "1e400"), None);
        assert_eq!(from_text(&Kind::Double, "0.5"), Some(0.5.into()));
        assert_eq!(from_text(&Kind::Double, "-Infinity"), Some("-Infinity".into()));
        assert_eq!(from_text(&Kind::Int32, ""), None);
    }
}
