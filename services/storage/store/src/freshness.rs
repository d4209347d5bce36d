//! How fresh a read has to be, for stores that answer some reads from copies that follow.

use std::fmt;
use std::str::FromStr;

/// How fresh a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// It sees everything that was acknowledged before it began.
    #[default]
    Latest,
    /// It may miss what was acknowledged in the last moments, by as much as the store is set to allow.
    Recent,
    /// As [`Self::Recent`], and it sees everything that was acknowledged before this position was taken.
    After(Position),
}

/// A place behind all that a store had acknowledged when it was asked. Opaque outside the store, written as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// A place that only the newest read covers: where the true one could not be had.
    pub const NEWEST: Self = Self(u64::MAX);

    /// The position at this place of the store's own counting.
    pub const fn new(place: u64) -> Self {
        Self(place)
    }

    /// The place in the store's own counting.
    pub const fn place(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not what a write's answer carried; send that text as it was, or leave it out")]
pub struct ParsePositionError(String);

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParsePositionError(text.chars().take(40).collect());
        let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let place = is_one.then(|| u64::from_str_radix(text, 16)).ok_or_else(refuse)?;
        place.map(Self).map_err(|_| refuse())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_position_is_read_back_from_its_text_and_sorts_as_it(one: u64, other: u64) {
            let (one, other) = (Position::new(one), Position::new(other));
            prop_assert_eq!(one.to_string().parse(), Ok(one));
            prop_assert_eq!(one < other, one.to_string() < other.to_string());
        }

        #[test]
        fn no_other_text_is_one(text in "[0-9a-fx+é]{0,18}") {
            prop_assert_eq!(text.parse::<Position>().is_ok(), text.len() == 16 && !text.contains(['x', '+', 'é']));
        }
    }
}
