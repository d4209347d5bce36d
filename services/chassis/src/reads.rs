//! How fresh the reads of a call have to be, and what a write's answer tells so that a session reads what it wrote. Both
//! travel as metadata, which services hand on; only storage knows what they mean to a database.

use http::HeaderMap;
use tidemill_kernel::Fault;
use tonic::Response;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// Metadata key of a write's answer: a text that says what was written up to now. Absent where every read sees it anyway.
pub const WRITTEN: &str = "tidemill-written";
/// Metadata key of a read: the text of a write's answer, which the read is to be behind.
pub const READ_AFTER: &str = "tidemill-read-after";
/// Metadata key of a read: `latest` for everything that was acknowledged, `recent` (the default) for what may lag a
/// little.
pub const CONSISTENCY: &str = "tidemill-consistency";

/// How fresh the reads of a call have to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reads {
    /// They may miss what was acknowledged in the last moments.
    #[default]
    Recent,
    /// They see everything that was acknowledged.
    Latest,
    /// They see what was written before the answer that carried this text.
    After(String),
}

impl Reads {
    /// What the headers of a call say; `latest` wins over a text of a write.
    ///
    /// # Errors
    /// For a consistency that is none.
    pub fn read(headers: &HeaderMap) -> Result<Self, Fault> {
        let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match (text(CONSISTENCY).as_deref(), text(READ_AFTER)) {
            (Some("latest"), _) => Ok(Self::Latest),
            (None | Some("recent"), Some(written)) => Ok(Self::After(written.into_owned())),
            (None | Some("recent"), None) => Ok(Self::Recent),
            (Some(other), _) => {
                let other: String = other.chars().take(40).collect();
                Err(Fault::invalid(CONSISTENCY, format!("`{other}` is none; write latest or recent")))
            }
        }
    }

    /// Writes it into metadata.
    pub(crate) fn write(&self, metadata: &mut MetadataMap) {
        let (name, value) = match self {
            Self::Recent => return,
            Self::Latest => (CONSISTENCY, "latest"),
            Self::After(written) => (READ_AFTER, written.as_str()),
        };
        if let Ok(value) = MetadataValue::try_from(value) {
            metadata.insert(name, value);
        }
    }
}

/// What a write's answer says was written, to be handed on with the answer that is made from it.
#[derive(Debug, Clone, Default)]
pub struct Written(Option<MetadataValue<Ascii>>);

impl Written {
    /// This text; nothing where every read sees everything.
    pub fn new(text: Option<String>) -> Self {
        Self(text.and_then(|text| MetadataValue::try_from(text).ok()))
    }

    /// What this answer says.
    pub fn of<T>(answer: &Response<T>) -> Self {
        Self(answer.metadata().get(WRITTEN).cloned())
    }

    /// An answer that says it.
    pub fn on<T>(self, message: T) -> Response<T> {
        let mut answer = Response::new(message);
        if let Some(written) = self.0 {
            answer.metadata_mut().insert(WRITTEN, written);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for reads in [Reads::Recent, Reads::Latest, Reads::After("00ff".to_owned())] {
            let mut metadata = MetadataMap::new();
            reads.write(&mut metadata);
            assert_eq!(Reads::read(&metadata.into_headers()).unwrap(), reads);
        }
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            };
            HeaderMap::from_iter(pairs.iter().map(pair))
        };
        let both = Reads::read(&headers(&[(CONSISTENCY, "latest"), (READ_AFTER, "1")]));
        assert_eq!(both.unwrap(), Reads::Latest);
        let fault = Reads::read(&headers(&[(CONSISTENCY, "strong")])).unwrap_err();
        assert_eq!(fault.violations[0].field, CONSISTENCY);
    }

    #[test]
    fn an_answer_says_on_what_another_said() {
        let answer = Written::new(Some("00ff".to_owned())).on("one");
        let next = Written::of(&answer).on("two");
        assert_eq!(next.metadata().get(WRITTEN).unwrap(), "00ff");
        assert!(Written::of(&Response::new(())).on(()).metadata().is_empty());
    }
}
