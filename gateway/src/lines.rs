//! Cuts a stream of bytes into lines, each bounded, with their numbers. Pure. Source: the NDJSON convention, where
//! `\n` ends a line, a `\r` before it is white space, and blank lines mean nothing.

use bytes::{Bytes, BytesMut};

/// Lines out of chunks of any size. Holds at most one line and one chunk.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Up to here the buffer holds no line end.
    searched: usize,
    /// Lines taken out so far, blank ones included.
    number: u64,
    limit: usize,
}

/// A line with its number, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) text: Bytes,
}

/// The line of this number is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong(pub(crate) u64);

impl Lines {
    /// Lines of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, number: 0, limit }
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole line that is not blank, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, TooLong> {
        while let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
            let mut text = self.buffer.split_to(self.searched + end + 1);
            text.truncate(text.len() - 1);
            self.searched = 0;
            if let Some(line) = self.take(text)? {
                return Ok(Some(line));
            }
        }
        self.searched = self.buffer.len();
        if self.buffer.len() > self.limit { Err(TooLong(self.number + 1)) } else { Ok(None) }
    }

    /// The last line, where no line end follows it.
    pub(crate) fn finish(&mut self) -> Result<Option<Line>, TooLong> {
        let text = self.buffer.split();
        self.searched = 0;
        if text.is_empty() { Ok(None) } else { self.take(text) }
    }

    fn take(&mut self, text: BytesMut) -> Result<Option<Line>, TooLong> {
        self.number += 1;
        if text.len() > self.limit {
            return Err(TooLong(self.number));
        }
        let blank = text.iter().all(u8::is_ascii_whitespace);
        Ok((!blank).then(|| Line { number: self.number, text: text.freeze() }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_at_any_chunking(
            text in "[ab \r\n]{0,60}",
            cuts in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let expected: Vec<_> = text.split('\n').enumerate()
                .filter(|(_, line)| !line.trim().is_empty())
                .map(|(index, line)| (index as u64 + 1, line.as_bytes().to_vec()))
                .collect();
            let (mut lines, mut seen, mut rest) = (Lines::new(100), Vec::new(), text.as_bytes());
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (chunk, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                lines.push(chunk);
                while let Some(line) = lines.next().unwrap() {
                    seen.push((line.number, line.text.to_vec()));
                }
                rest = later;
            }
            seen.extend(lines.finish().unwrap().map(|line| (line.number, line.text.to_vec())));
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_line_over_the_limit_is_refused_with_its_number_before_it_ends() {
        let mut lines = Lines::new(4);
        lines.push(b"1234\n\n12345");
        assert_eq!(lines.next().unwrap().unwrap().text, "1234");
        assert_eq!(lines.next(), Err(TooLong(3)));
        let mut lines = Lines::new(4);
        lines.push(b"12345\n");
        assert_eq!(lines.next(), Err(TooLong(1)));
    }
}
