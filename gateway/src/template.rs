//! Path templates: `/v1/tasks/{id}:cancel` and what a path says about it. Pure.
//!
//! A subset of the grammar in `google/api/http.proto`: literal segments, one whole segment bound to a field (`{id}`,
//! `{id=*}`, nested as `{task.id}`), and a custom verb after the last colon. `*` alone, `**` and patterns inside a
//! variable are refused when the gateway is built.

use std::fmt;

use percent_encoding::percent_decode_str;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// Between the slashes, in order.
    pub(crate) segments: Vec<Segment>,
    /// After the last colon, without it.
    pub(crate) verb: Option<String>,
}

/// One part of a template between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text.
    Literal(String),
    /// Anything but nothing, bound to the field of this path.
    Field(String),
}

/// The text is not a template that is understood here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{template}` is not a path template: {rule}")]
pub struct TemplateError {
    template: String,
    rule: &'static str,
}

impl Template {
    /// Reads a template.
    pub(crate) fn parse(template: &str) -> Result<Self, TemplateError> {
        let refuse = |rule| TemplateError { template: template.to_owned(), rule };
        let path = template.strip_prefix('/').ok_or_else(|| refuse("it must begin with a slash"))?;
        let (path, verb) = match path.rsplit_once(':') {
            Some((path, verb)) if !verb.contains(['/', '}']) => (path, Some(verb.to_owned())),
            _ => (path, None),
        };
        if verb.as_deref().is_some_and(|verb| !is_literal(verb)) {
            return Err(refuse("its verb must be of letters, digits and - _ . ~"));
        }
        let segments = path.split('/').map(|text| segment(text).map_err(refuse)).collect::<Result<_, _>>()?;
        Ok(Self { segments, verb })
    }

    /// The field paths that it binds, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Literal(_) => None,
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Field(field) => write!(f, "/{{{field}}}")?,
            }
        }
        self.verb.as_ref().map_or(Ok(()), |verb| write!(f, ":{verb}"))
    }
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    if let Some(inner) = text.strip_prefix('{') {
        let inner = inner.strip_suffix('}').ok_or("a variable must be one whole segment: `{field}`")?;
        let field = inner.strip_suffix("=*").unwrap_or(inner);
        let is_path = field.split('.').all(is_field_name);
        return if is_path {
            Ok(Segment::Field(field.to_owned()))
        } else {
            Err("a variable must be a field's name or path, alone or with `=*`")
        };
    }
    if is_literal(text) {
        Ok(Segment::Literal(text.to_owned()))
    } else {
        Err("a segment must be a `{field}` or of letters, digits and - _ . ~")
    }
}

fn is_literal(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
}

fn is_field_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Undoes percent-encoding; none when what comes out is not UTF-8.
pub(crate) fn decode(raw: &str) -> Option<String> {
    percent_decode_str(raw).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
pub(crate) mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn templates() -> impl Strategy<Value = Template> {
        // Few words, so that templates overlap.
        let word = prop::sample::select(vec!["v1", "tasks", "keys"]).prop_map(str::to_owned);
        let segment = prop_oneof![
            2 => word.clone().prop_map(Segment::Literal),
            1 => prop::sample::select(vec!["id", "a.b"]).prop_map(|field| Segment::Field(field.to_owned())),
        ];
        (prop::collection::vec(segment, 1..4), prop::option::of(prop::sample::select(vec!["run", "keys"])))
            .prop_map(|(segments, verb)| Template { segments, verb: verb.map(str::to_owned) })
    }

    /// A path of this template, every variable being `value`.
    pub(crate) fn path_of(template: &Template, value: &str) -> String {
        let encoded = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let mut path = String::new();
        for segment in &template.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::Field(_) => &encoded,
            });
        }
        if let Some(verb) = &template.verb {
            path.push(':');
            path.push_str(verb);
        }
        path
    }

    proptest! {
        #[test]
        fn a_template_prints_as_it_reads(template in templates()) {
            prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
        }

        #[test]
        fn any_text_survives_percent_encoding(text in ".{0,20}") {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded), Some(text));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[/{}a:=*.]{0,20}") {
            let _ = Template::parse(&text);
        }
    }

    #[test]
    fn what_is_outside_the_subset_is_refused() {
        for template in
            ["v1", "/v1/", "/v1/*", "/v1/**", "/{a=b/*}", "/{a=**}", "/{}", "/a{b}", "/v1:", "/{1}"]
        {
            assert!(Template::parse(template).is_err(), "{template}");
        }
        assert_eq!(Template::parse("/v1/{name=*}:run").unwrap().to_string(), "/v1/{name}:run");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_noticed() {
        assert_eq!(decode("%ff"), None);
        assert_eq!(decode("a%2Fb+c").as_deref(), Some("a/b+c"));
    }
}
