//! What an answer cost, in tokens: as the provider counts it, or estimated here when it does not.

use serde::{Deserialize, Serialize};

use crate::Request;

/// Tokens spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: u64,
    /// Tokens written, reasoning included.
    pub output: u64,
    /// The part of `input` that came from the provider's cache.
    pub cached: u64,
    /// The part of `output` that was reasoning and is not in the text.
    pub reasoning: u64,
    /// Whether the numbers are our estimate because the provider sent none.
    pub estimated: bool,
}

impl Usage {
    /// An estimate for an answer whose provider did not count.
    pub fn estimate(input: u64, output: &str) -> Self {
        Self { input, output: estimate_tokens(output), estimated: true, ..Self::default() }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    /// The cost of two calls; an estimate as soon as one of them is.
    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached: self.cached.saturating_add(other.cached),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// A rough number of tokens: four ASCII characters to a token, one token to any other character. English prose is
/// within a fifth of byte-pair encodings; scripts without spaces come out somewhat high, which errs on the safe side.
pub fn estimate_tokens(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count();
    let other = text.chars().filter(|c| !c.is_ascii()).count();
    (ascii.div_ceil(4) + other) as u64
}

/// A rough number of tokens that a request makes the model read: its text and a few for each message's frame.
pub fn estimate_input(request: &Request) -> u64 {
    const FRAME: u64 = 4;
    let system = request.system.as_deref().map_or(0, |text| estimate_tokens(text) + FRAME);
    request.messages.iter().map(|message| estimate_tokens(&message.content) + FRAME).sum::<u64>() + system
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_estimated_by_script() {
        for (text, tokens) in [("", 0), ("a", 1), ("four", 1), ("fives", 2), ("日本語", 3), ("héé!", 3)]
        {
            assert_eq!(estimate_tokens(text), tokens, "{text}");
        }
    }

    #[test]
    fn the_input_counts_system_and_messages() {
        let request = Request { system: Some("abcd".into()), ..Request::of("abcdefgh") };
        assert_eq!(estimate_input(&request), (1 + 4) + (2 + 4));
    }

    #[test]
    fn a_sum_with_an_estimate_is_an_estimate() {
        let counted = Usage { input: 3, output: 2, cached: 1, reasoning: 1, estimated: false };
        let sum = counted + Usage::estimate(10, "abcdefgh");
        assert_eq!(sum, Usage { input: 13, output: 4, cached: 1, reasoning: 1, estimated: true });
    }
}
