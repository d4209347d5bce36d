//! What the events of a streamed chat completion mean: a state machine `(state, event) -> step`.
//!
//! Invariant: [`ChatStream::end`] is a completed answer only if a finish reason was seen; `[DONE]` alone is none, and
//! its absence is forgiven only then.

use std::time::Duration;

use super::wire::{Answer, Choice};
use crate::usage::estimate_tokens;
use crate::{Delta, Finish, Refusal, Usage, refusal};

/// What one event brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing to show and no sign of the answer: a role, usage, an empty chunk.
    Nothing,
    /// The model is at work but has nothing to show: reasoning.
    Working,
    /// More of the answer.
    Text(String),
    /// Not an event of this protocol; to be skipped.
    Unreadable,
    /// `[DONE]`: nothing follows.
    End,
    /// The provider says that the stream failed.
    Failed(Refusal),
}

/// The state of one streamed answer.
#[derive(Debug)]
pub struct ChatStream {
    model: String,
    input_estimate: u64,
    output_estimate: u64,
    refused: bool,
    finish: Option<Finish>,
    usage: Option<Usage>,
    rest: Option<Duration>,
}

impl ChatStream {
    /// A stream that has not begun: the model asked for, our estimate of the input tokens, and how long the head of the
    /// answer asks to be left alone after it.
    pub fn new(model: String, input_estimate: u64, rest: Option<Duration>) -> Self {
        Self { model, input_estimate, output_estimate: 0, refused: false, finish: None, usage: None, rest }
    }

    /// Takes in the data of one event.
    pub fn event(&mut self, data: &str) -> Step {
        if data.trim() == "[DONE]" {
            return Step::End;
        }
        let Ok(answer) = serde_json::from_str::<Answer>(data) else { return Step::Unreadable };
        let (groq_error, groq_usage) = answer.x_groq.map_or((None, None), |extra| (extra.error, extra.usage));
        if let Some(error) = answer.error.or(groq_error) {
            return Step::Failed(refusal::classify_event(&serde_json::json!({ "error": error })));
        }
        if let Some(usage) = answer.usage.or(groq_usage) {
            self.usage = Some(usage.into());
        }
        if let Some(model) = answer.model.filter(|model| !model.is_empty()) {
            self.model = model;
        }
        answer.choices.into_iter().next().map_or(Step::Nothing, |choice| self.choice(choice))
    }

    fn choice(&mut self, choice: Choice) -> Step {
        let reasoning = choice.is_reasoning();
        self.refused |= choice.is_refusal();
        let (text, finish) = choice.into_text_and_finish();
        if let Some(finish) = finish {
            self.finish = Some(if self.refused { Finish::Refused } else { finish });
        }
        if text.is_empty() {
            return if reasoning { Step::Working } else { Step::Nothing };
        }
        self.output_estimate += estimate_tokens(&text);
        Step::Text(text)
    }

    /// The ending, now that nothing follows; `None` if the answer is not whole.
    pub fn end(&self) -> Option<Delta> {
        let finish = self.finish.clone()?;
        Some(Delta::Done { model: self.model.clone(), finish, usage: self.usage(), rest: self.rest })
    }

    /// What was spent so far: the provider's count if it sent one, else our estimate.
    pub fn usage(&self) -> Usage {
        self.usage.unwrap_or(Usage {
            input: self.input_estimate,
            output: self.output_estimate,
            estimated: true,
            ..Usage::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    fn run(events: &[&str]) -> (Vec<Step>, ChatStream) {
        let mut chat = ChatStream::new("asked".into(), 7, None);
        (events.iter().map(|event| chat.event(event)).collect(), chat)
    }

    fn text(text: &str) -> String {
        serde_json::json!({"model": "m", "choices": [{"delta": {"content": text}, "finish_reason": null}], "usage": null})
            .to_string()
    }

    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

    #[test]
    fn a_whole_stream_ends_with_the_providers_usage() {
        let role = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,
            "prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}}}"#;
        let (steps, chat) = run(&[role, &text("Hel"), &text("lo"), STOP, usage, "[DONE]"]);
        let texts = [Step::Text("Hel".into()), Step::Text("lo".into())];
        assert_eq!(steps[0], Step::Nothing);
        assert_eq!(steps[1..3], texts);
        assert_eq!(steps[5], Step::End);
        let usage = Usage { input: 5, output: 2, cached: 4, reasoning: 1, estimated: false };
        assert_eq!(
            chat.end(),
            Some(Delta::Done { model: "m".into(), finish: Finish::Stop, usage, rest: None })
        );
    }

    #[test]
    fn without_a_finish_reason_there_is_no_ending_and_the_spend_is_estimated() {
        let (_, chat) = run(&[&text("12345678"), "[DONE]"]);
        assert_eq!(chat.end(), None);
        assert_eq!(chat.usage(), Usage { input: 7, output: 2, estimated: true, ..Usage::default() });
        assert!(run(&[&text("a"), STOP]).1.end().is_some());
    }

    #[test]
    fn errors_are_told_from_noise() {
        let (steps, _) = run(&[
            "{not json",
            "[1]",
            r#"{"error":{"message":"boom"}}"#,
            r#"{"x_groq":{"id":"r","error":"over capacity"}}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
        ]);
        assert_eq!(steps[0..2], [Step::Unreadable, Step::Unreadable]);
        for (step, words) in steps[2..4].iter().zip(["boom", "over capacity"]) {
            assert!(
                matches!(step, Step::Failed(refusal)
                    if refusal.reason == Reason::Overloaded && refusal.message == words),
                "{step:?}"
            );
        }
        assert_eq!(steps[4], Step::Working);
    }

    #[test]
    fn a_streamed_refusal_ends_as_one() {
        let (steps, chat) = run(&[r#"{"choices":[{"delta":{"refusal":"I will not"}}]}"#, STOP]);
        assert_eq!(steps[0], Step::Text("I will not".into()));
        assert!(matches!(chat.end(), Some(Delta::Done { finish: Finish::Refused, .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_event_breaks_the_machine(events in proptest::collection::vec(".{0,40}", 0..8)) {
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            let (steps, chat) = run(&events);
            proptest::prop_assert_eq!(steps.len(), events.len());
            proptest::prop_assert!(chat.end().is_none());
        }
    }
}
