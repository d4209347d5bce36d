//! JSON over HTTP: from the route to the answer, in the order in which a request can be refused.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Map, Value};
use tidemill_chassis::reads::{Reads, WRITTEN};
use tidemill_chassis::{Context, sleep};
use tidemill_proto::Body as RouteBody;
use tonic::body::Body;

use crate::answer::{self, Answer};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::json::Source;
use crate::page::Page;
use crate::router::Found;
use crate::service::Shared;
use crate::stream::{Fault, Outgoing};
use crate::upload::Upload;
use crate::{media, params, reply, trace, transcode};

/// How many bytes beyond the limit of a body are read to be thrown away.
const DISCARDED: usize = 16 << 20;

/// Answers one request.
pub(crate) async fn answer(
    shared: &Shared,
    request: Request<Body>,
    trace_parent: &str,
    route: &OnceLock<&'static str>,
) -> Result<Response<Body>, Error> {
    let is_head = request.method() == Method::HEAD;
    let method = if is_head { Method::GET } else { request.method().clone() };
    let page = Page::at(request.uri().path());
    if !page.is_some_and(Page::is_probe) {
        shared.check_origin(&request)?;
    }
    if let Some(page) = page {
        let _ = route.set(page.path());
        return if method == Method::GET {
            if page.is_for_operators() && !shared.caller(request.headers(), trace_parent).await?.operator {
                return Err(Error::OperatorsOnly { service: "this page".to_owned() });
            }
            Ok(page.answer(shared).await)
        } else {
            other_methods(&request, &["GET"])
        };
    }
    let mut response = match shared.router.find(method.as_str(), request.uri().path()) {
        Found::Route(endpoint, values) => {
            let _ = route.set(endpoint.route.template);
            let values = values.into_iter().map(str::to_owned).collect();
            let matched = Matched { endpoint: Arc::clone(endpoint), values };
            call(shared, matched, request, trace_parent).await?
        }
        Found::OtherMethods(methods) => other_methods(&request, &methods)?,
        Found::Nothing => return Err(no_route(shared, &request)),
    };
    if is_head {
        *response.body_mut() = Body::empty();
    }
    Ok(response)
}

/// A route, and what the path gives for its variables.
struct Matched {
    endpoint: Arc<Endpoint>,
    values: Vec<String>,
}

impl Matched {
    /// The fields that path and query give.
    fn params(&self, request: &Request<Body>) -> Result<Map<String, Value>, Error> {
        params::read(&self.endpoint, &self.values, request.uri().query())
    }
}

/// The rest, once the route is known.
async fn call(
    shared: &Shared,
    matched: Matched,
    request: Request<Body>,
    trace_parent: &str,
) -> Result<Response<Body>, Error> {
    let endpoint = &matched.endpoint;
    let caller = shared.caller(request.headers(), trace_parent).await?;
    endpoint.access.allow(&caller, endpoint.service)?;
    trace::tell_tenant(caller.tenant.as_ref());
    let baggage = trace::baggage(request.headers(), caller.tenant.as_ref());
    let context = Context {
        baggage,
        tenant: caller.tenant,
        operator: caller.operator,
        deadline: None,
        trace_parent: Some(trace_parent.to_owned()),
        reads: reads(request.headers())?,
    };
    let (client_streams, server_streams) = (endpoint.route.client_streaming, endpoint.route.server_streaming);
    if client_streams || server_streams {
        return stream(shared, matched, request, &context).await;
    }
    media::check_json(request.headers())?;
    let timeout = shared.config.request_timeout();
    let context = Context { deadline: Some(shared.clock.now() + timeout), ..context };
    tokio::select! {
        response = unary(shared, &matched, request, &context) => response,
        () = sleep(timeout) => Err(Error::Late(shared.config.request_timeout_ms)),
    }
}

/// One message in, one out.
async fn unary(
    shared: &Shared,
    matched: &Matched,
    request: Request<Body>,
    context: &Context,
) -> Result<Response<Body>, Error> {
    let endpoint = &*matched.endpoint;
    let message = single(shared, matched, request).await?;
    let mut answer = dial(shared, endpoint, context, answer::one_frame(&message)).await?;
    let written = answer.take_written();
    let answer = answer.only().await?;
    let json = (endpoint.route.decode)(answer).map_err(|fault| Error::Defect(fault.to_string()))?;
    let mut reply = reply::json(StatusCode::OK, json);
    if let Some(written) = written {
        reply.headers_mut().insert(WRITTEN, written);
    }
    Ok(reply)
}

/// How fresh the caller's headers ask its reads to be.
fn reads(headers: &HeaderMap) -> Result<Reads, Error> {
    Reads::read(headers).map_err(|fault| {
        let violation = fault.violations.into_iter().next();
        let (field, rule) = violation.map(|fault| (fault.field, fault.description)).unwrap_or_default();
        Error::Parameter { field, rule }
    })
}

/// A stream in, out, or both.
async fn stream(
    shared: &Shared,
    matched: Matched,
    request: Request<Body>,
    context: &Context,
) -> Result<Response<Body>, Error> {
    let endpoint = &*matched.endpoint;
    let format = media::format(request.headers())?;
    let fault = Fault::default();
    let frames = if endpoint.route.client_streaming {
        media::check_body(request.headers(), true)?;
        let params = matched.params(&request)?;
        let (limit, endpoint) = (shared.config.line_limit, Arc::clone(&matched.endpoint));
        let (body, over) = (request.into_body(), shared.drain.over());
        Upload { body, endpoint, params, limit, fault: Arc::clone(&fault), over }.into_frames()
    } else {
        answer::one_frame(&single(shared, &matched, request).await?)
    };
    let answer = dial(shared, endpoint, context, frames).await?;
    if !endpoint.route.server_streaming {
        let answer = answer.only().await?;
        if let Some(error) = fault.get() {
            return Err(error.clone());
        }
        let json = (endpoint.route.decode)(answer).map_err(|fault| Error::Defect(fault.to_string()))?;
        return Ok(reply::json(StatusCode::OK, json));
    }
    let keep_alive = shared.config.keep_alive();
    let outgoing = Outgoing { answer, route: endpoint.route, format, keep_alive, fault };
    Ok(reply::streamed(format.media_type(), outgoing.into_body()))
}

async fn dial(
    shared: &Shared,
    endpoint: &Endpoint,
    context: &Context,
    frames: Body,
) -> Result<Answer, Error> {
    let now = shared.clock.now();
    answer::call(&shared.switchboard, endpoint.route.grpc_path, context, now, frames).await
}

/// The one message of a request.
async fn single(shared: &Shared, matched: &Matched, request: Request<Body>) -> Result<Bytes, Error> {
    let endpoint = &*matched.endpoint;
    let params = matched.params(&request)?;
    let body = if endpoint.route.body == RouteBody::None {
        // Some clients announce a body and send an empty one.
        match read(request.into_body(), 0).await {
            Err(Error::BodyTooLarge { .. }) => return Err(Error::UnexpectedBody),
            empty => empty?,
        }
    } else {
        media::check_body(request.headers(), false)?;
        read(request.into_body(), shared.config.body_limit).await?
    };
    transcode::message(endpoint, &params, &body, Source::Body(0)).map_err(Error::Json)
}

/// The whole body, if it is within the limit. Of a longer one some more is read and thrown away: many clients read the
/// answer only when they have sent everything, and would see a broken connection instead.
async fn read(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let most = limit.saturating_add(DISCARDED);
    let announced = http_body::Body::size_hint(&body).lower();
    if announced > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(Error::BodyTooLarge { limit });
    }
    let (mut whole, mut length) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|fault| Error::BodyUnreadable(fault.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= limit {
            whole.extend_from_slice(&data);
        } else if length > most {
            break;
        }
    }
    if length > limit { Err(Error::BodyTooLarge { limit }) } else { Ok(whole.freeze()) }
}

/// The path is there for other methods: says for which.
fn other_methods(request: &Request<Body>, methods: &[&str]) -> Result<Response<Body>, Error> {
    let mut allow: Vec<&str> = methods.to_vec();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    let allow = allow.join(", ");
    if request.method() == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        return Ok(response);
    }
    let (path, method) = (shorten(request.uri().path()), shorten(request.method().as_str()));
    Err(Error::Method { path, method, allow })
}

fn no_route(shared: &Shared, request: &Request<Body>) -> Error {
    let path = request.uri().path();
    let media_type = request.headers().get(header::CONTENT_TYPE);
    if media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc-web")) {
        return Error::Protocol("gRPC-Web is not spoken here: use gRPC over HTTP/2, or JSON");
    }
    let near = shared.router.near(path);
    let hint = match near.is_empty() {
        true => "; GET / lists the routes".to_owned(),
        false => format!("; did you mean {}?", near.join(" or ")),
    };
    Error::NoRoute { path: shorten(path), hint }
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
