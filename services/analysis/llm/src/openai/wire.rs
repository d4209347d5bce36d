//! The JSON of `POST /v1/chat/completions`. Unknown fields are ignored: every compatible server adds some.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Finish, MaxTokensField, Message, Request, Usage};

/// The request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<Value>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum WireMessage<'a> {
    System { role: &'static str, content: &'a str },
    Turn(&'a Message),
}

impl<'a> Body<'a> {
    pub(super) fn new(request: &'a Request, model: &'a str, field: MaxTokensField, stream: bool) -> Self {
        let system = request.system.as_deref().map(|content| WireMessage::System { role: "system", content });
        let turns = request.messages.iter().map(WireMessage::Turn);
        let limit = |wanted| request.max_tokens.filter(|_| field == wanted);
        let response_format = request.response_schema.as_ref().map(|wanted| {
            json!({
                "type": "json_schema",
                "json_schema": { "name": wanted.name, "schema": wanted.schema, "strict": true },
            })
        });
        Self {
            model,
            messages: system.into_iter().chain(turns).collect(),
            max_completion_tokens: limit(MaxTokensField::MaxCompletionTokens),
            max_tokens: limit(MaxTokensField::MaxTokens),
            temperature: request.temperature,
            response_format,
            stream,
            stream_options: stream.then(|| json!({ "include_usage": true })),
        }
    }
}

/// A plain answer, or one chunk of a streamed one.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<WireUsage>,
    pub(super) error: Option<Value>,
    pub(super) x_groq: Option<GroqExtra>,
}

/// What Groq adds to its chunks.
#[derive(Debug, Deserialize)]
pub(super) struct GroqExtra {
    pub(super) error: Option<Value>,
    pub(super) usage: Option<WireUsage>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    #[serde(alias = "delta")]
    message: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Content {
    content: Option<String>,
    refusal: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

impl Choice {
    /// The text (a refusal's words where the model declined) and why it ends, if it does.
    pub(super) fn into_text_and_finish(self) -> (String, Option<Finish>) {
        let content = self.message.unwrap_or_default();
        let finish = self.finish_reason.map(finish);
        match content.refusal.filter(|refusal| !refusal.is_empty()) {
            Some(refusal) => (refusal, finish.map(|_| Finish::Refused)),
            None => (content.content.unwrap_or_default(), finish),
        }
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.message
            .as_ref()
            .and_then(|content| content.refusal.as_ref())
            .is_some_and(|text| !text.is_empty())
    }

    pub(super) fn is_reasoning(&self) -> bool {
        let text = self.message.as_ref().and_then(|content| content.reasoning_content.as_ref());
        text.is_some_and(|text| !text.is_empty())
    }
}

fn finish(word: String) -> Finish {
    match word.as_str() {
        "stop" => Finish::Stop,
        "length" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ => Finish::Other(word),
    }
}

/// The tokens as OpenAI counts them.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        Self {
            input: wire.prompt_tokens,
            output: wire.completion_tokens,
            cached: wire.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            reasoning: wire
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
            estimated: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResponseSchema;

    #[test]
    fn only_what_is_set_goes_out() {
        let request = Request::of("hi");
        let body = serde_json::to_value(Body::new(&request, "m", MaxTokensField::MaxTokens, false)).unwrap();
        let messages = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(body, json!({"model": "m", "messages": messages, "stream": false}));
    }

    #[test]
    fn a_full_request_is_spelled_as_openai_spells_it() {
        let schema = json!({"type": "object"});
        let request = Request {
            system: Some("be brief".into()),
            messages: vec![Message::user("a"), Message::assistant("b"), Message::user("c")],
            max_tokens: Some(9),
            temperature: Some(0.5),
            response_schema: Some(ResponseSchema { name: "s".into(), schema: schema.clone() }),
            ..Request::of("")
        };
        let body = serde_json::to_value(Body::new(&request, "m", MaxTokensField::MaxCompletionTokens, true))
            .unwrap();
        let turns = [("system", "be brief"), ("user", "a"), ("assistant", "b"), ("user", "c")];
        let turns = turns.map(|(role, content)| json!({"role": role, "content": content}));
        assert_eq!(
            body,
            json!({
                "model": "m", "messages": turns, "max_completion_tokens": 9, "temperature": 0.5,
                "response_format": {
                    "type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true},
                },
                "stream": true, "stream_options": {"include_usage": true},
            })
        );
    }

    #[test]
    fn finish_words_and_refusals_are_read() {
        let table = [
            (json!({"message": {"content": "x"}, "finish_reason": "stop"}), "x", Some(Finish::Stop)),
            (json!({"message": {"content": "x"}, "finish_reason": "length"}), "x", Some(Finish::Length)),
            (
                json!({"message": {"content": null}, "finish_reason": "content_filter"}),
                "",
                Some(Finish::ContentFilter),
            ),
            (
                json!({"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}),
                "no",
                Some(Finish::Refused),
            ),
            (json!({"delta": {}, "finish_reason": "eos"}), "", Some(Finish::Other("eos".into()))),
            (json!({"delta": {"role": "assistant"}}), "", None),
        ];
        for (choice, text, finish) in table {
            let read: Choice = serde_json::from_value(choice.clone()).unwrap();
            assert_eq!(read.into_text_and_finish(), (text.to_owned(), finish), "{choice}");
        }
    }
}
