//! Server-sent events out of bytes that may be cut anywhere.
//!
//! Source: WHATWG HTML, section "Server-sent events", interpretation of an event stream; `id` and `retry` are ignored,
//! as a request to a model is never resumed. Invariant: the events depend on the bytes alone, not on where they were
//! cut (property test).

/// An event longer than this is no event of a language model.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's type, if the stream named one.
    pub name: Option<String>,
    /// The data lines, joined by line feeds.
    pub data: String,
}

/// A line or an event is longer than any that a language model sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than 4 MiB")]
pub struct TooLong;

/// Reads events; one for each stream.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    /// The last byte was a carriage return, so that a line feed right after it ends no further line.
    after_return: bool,
    /// A byte order mark may still stand before the first line.
    started: bool,
    name: Option<String>,
    data: Option<String>,
}

impl Decoder {
    /// Takes in more bytes and gives the events that they complete. What is unfinished at the end of the stream is
    /// no event.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is then of no further use.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        while let Some(&first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.extend(bytes)?;
                break;
            };
            self.extend(&bytes[..end])?;
            self.after_return = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            events.extend(self.end_line());
        }
        Ok(events)
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.line.extend_from_slice(bytes);
        let held = self.line.len() + self.data.as_ref().map_or(0, String::len);
        if held > MAX_EVENT_BYTES { Err(TooLong) } else { Ok(()) }
    }

    fn end_line(&mut self) -> Option<Event> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let first = !std::mem::replace(&mut self.started, true);
        let line = if first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            let name = self.name.take();
            return self.data.take().map(|data| Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => self.name = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(name: Option<&str>, data: &str) -> Event {
        Event { name: name.map(str::to_owned), data: data.to_owned() }
    }

    fn whole(stream: &[u8]) -> Vec<Event> {
        Decoder::default().push(stream).unwrap()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let table: [(&str, Vec<Event>); 10] = [
            ("data: a\n\n", vec![event(None, "a")]),
            ("data:a\r\n\r\ndata: b\r\r", vec![event(None, "a"), event(None, "b")]),
            ("data: a\ndata:  b\ndata\n\n", vec![event(None, "a\n b\n")]),
            (": keep-alive\n\ndata: a\n\n", vec![event(None, "a")]),
            ("event: ping\ndata: {}\n\ndata: x\n\n", vec![event(Some("ping"), "{}"), event(None, "x")]),
            ("event: lost\n\ndata: x\n\n", vec![event(None, "x")]),
            ("id: 1\nretry: 5\nfoo: bar\ndata: x\n\n", vec![event(None, "x")]),
            ("\u{feff}data: x\n\n", vec![event(None, "x")]),
            ("data: unfinished\n", vec![]),
            ("data\n\n", vec![event(None, "")]),
        ];
        for (stream, events) in table {
            assert_eq!(whole(stream.as_bytes()), events, "{stream:?}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::default();
        let chunk = vec![b'x'; MAX_EVENT_BYTES];
        assert_eq!(decoder.push(&chunk), Ok(vec![]));
        assert_eq!(decoder.push(b"x"), Err(TooLong));
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_bytes_are_cut(
            lines in prop::collection::vec(
                prop_oneof![
                    Just(String::new()), "data: ?\\PC{0,8}", "event:\\PC{0,4}", ":\\PC{0,4}", "\\PC{0,6}",
                ],
                0..30,
            ),
            ends in prop::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 30),
            cuts in prop::collection::vec(1_usize..7, 1..50),
        ) {
            let stream: String = lines.iter().zip(ends).flat_map(|(line, end)| [line.as_str(), end]).collect();
            let mut decoder = Decoder::default();
            let (mut rest, mut events, mut cuts) = (stream.as_bytes(), Vec::new(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                events.extend(decoder.push(head).unwrap());
                rest = tail;
            }
            prop_assert_eq!(events, whole(stream.as_bytes()));
        }

        #[test]
        fn data_survives_the_wire_whatever_it_is(data in "\\PC{0,40}(\n\\PC{0,40}){0,3}") {
            let stream: String =
                data.split('\n').map(|line| format!("data: {line}\r\n")).collect::<String>() + "\r\n";
            prop_assert_eq!(whole(stream.as_bytes()), vec![event(None, &data)]);
        }
    }
}
