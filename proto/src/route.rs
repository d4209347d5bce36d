//! How public rpcs are reached over HTTP: one [`Route`] for each `google.api.http` binding, generated. JSON is turned
//! into messages and back by generated serde, not by reflection.

use bytes::Bytes;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the HTTP body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: every field comes from path and query.
    None,
    /// The whole request, but for what the path binds.
    Whole,
    /// This one field of the request.
    Field(&'static str),
}

/// One HTTP binding of one rpc.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The HTTP method, upper case.
    pub verb: &'static str,
    /// The path template, for example `/v1/tasks/{id}:cancel`.
    pub template: &'static str,
    /// The gRPC path, `/package.Service/Method`.
    pub grpc_path: &'static str,
    /// What the HTTP body holds.
    pub body: Body,
    /// The full name of the request message, to look its fields up in [`crate::DESCRIPTORS`].
    pub input: &'static str,
    /// Whether the caller sends a stream.
    pub client_streaming: bool,
    /// Whether the answer is a stream.
    pub server_streaming: bool,
    /// Turns a JSON text into the request's wire bytes.
    pub encode: fn(&[u8]) -> Result<Bytes, serde_json::Error>,
    /// Turns a JSON value into the request's wire bytes.
    pub encode_value: fn(serde_json::Value) -> Result<Bytes, serde_json::Error>,
    /// Turns the response's wire bytes into a JSON text.
    pub decode: fn(Bytes) -> Result<String, DecodeError>,
}

/// The answer of a service could not be turned into JSON: its bytes are not that message.
#[derive(Debug)]
pub struct DecodeError(String);

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeError {}

impl Route {
    #[allow(clippy::too_many_arguments, reason = "called by generated code only")]
    const fn new<Req, Resp>(
        verb: &'static str,
        template: &'static str,
        grpc_path: &'static str,
        body: Body,
        input: &'static str,
        client_streaming: bool,
        server_streaming: bool,
    ) -> Self
    where
        Req: Message + DeserializeOwned,
        Resp: Message + Default + Serialize,
    {
        Self {
            verb,
            template,
            grpc_path,
            body,
            input,
            client_streaming,
            server_streaming,
            encode: encode::<Req>,
            encode_value: encode_value::<Req>,
            decode: decode::<Resp>,
        }
    }
}

fn encode<M: Message + DeserializeOwned>(json: &[u8]) -> Result<Bytes, serde_json::Error> {
    Ok(serde_json::from_slice::<M>(json)?.encode_to_vec().into())
}

fn encode_value<M: Message + DeserializeOwned>(json: serde_json::Value) -> Result<Bytes, serde_json::Error> {
    Ok(serde_json::from_value::<M>(json)?.encode_to_vec().into())
}

fn decode<M: Message + Default + Serialize>(wire: Bytes) -> Result<String, DecodeError> {
    let message = M::decode(wire).map_err(|fault| DecodeError(fault.to_string()))?;
    serde_json::to_string(&message).map_err(|fault| DecodeError(fault.to_string()))
}

include!(concat!(env!("OUT_DIR"), "/routes.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_turns_json_into_wire_bytes_and_back() {
        let route =
            ROUTES.iter().find(|route| route.template == "/v1/tasks" && route.verb == "POST").unwrap();
        let wire =
            (route.encode)(br#"{"tasks":[{"kind":"demo","priority":"PRIORITY_INTERACTIVE"}]}"#).unwrap();
        let request = crate::scheduling::v1::SubmitTasksRequest::decode(wire).unwrap();
        assert_eq!(request.tasks[0].priority, 1);
        let answer = crate::scheduling::v1::SubmitTasksResponse {
            tasks: vec![crate::scheduling::v1::SubmittedTask { id: "x".into(), duplicate: true }],
        };
        let json = (route.decode)(answer.encode_to_vec().into()).unwrap();
        assert_eq!(json, r#"{"tasks":[{"id":"x","duplicate":true}]}"#);
    }

    #[test]
    fn an_unknown_field_is_named() {
        let route =
            ROUTES.iter().find(|route| route.template == "/v1/queries" && route.verb == "POST").unwrap();
        let fault = (route.encode)(br#"{"nam":"x"}"#).unwrap_err().to_string();
        assert!(fault.contains("unknown field `nam`"), "{fault}");
    }
}
