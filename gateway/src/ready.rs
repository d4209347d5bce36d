//! Whether the mesh behind the gateway is ready: every service is asked, over the very wire that its calls take.
//!
//! The question is `grpc.health.v1.Health/Check`. A part in this process has no health service of its own; that it says
//! so, through all its layers, is its sign of life. Whose a key is, is asked as well: that reaches the database.
//! Strangers may ask, so the answer has names and gRPC codes, no addresses and no messages.

use std::time::Duration;

use futures::future::join_all;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};
use tidemill_chassis::{Context, Wire, sleep};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::reply;
use crate::service::Shared;

/// Who has not answered after this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a service that is ready is said to be.
const SERVING: &str = "Serving";

/// 200 if all are ready, else 503; either way with what each of them said.
pub(crate) async fn answer(shared: &Shared) -> Response<Body> {
    let now = shared.clock.now();
    let context = Context { deadline: Some(now + PATIENCE), ..Context::default() };
    let wires =
        tidemill_proto::SERVICES.iter().filter_map(|name| Some((*name, shared.switchboard.wire(name)?)));
    let services = join_all(wires.map(|(name, wire)| {
        let mut request = Request::new(HealthCheckRequest { service: name.to_owned() });
        context.write(request.metadata_mut(), now);
        async move { (name.to_owned(), said(in_time(check(wire.clone(), request)).await)) }
    }));
    let keys = in_time(shared.authenticator.answers(&context, now));
    let (services, keys) = futures::join!(services, keys);
    let (services, keys): (Map<String, Value>, Value) = (services.into_iter().collect(), said(keys));
    let ready = services.values().chain([&keys]).all(|said| said == SERVING);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({ "ready": ready, "askedAt": now.to_string(), "services": services, "keys": keys });
    reply::json(status, format!("{answer}\n"))
}

async fn check(wire: Wire, request: Request<HealthCheckRequest>) -> Result<(), Status> {
    match HealthClient::new(wire).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(_) => Err(Status::unavailable("it does not serve now")),
        Err(status) if status.code() == Code::Unimplemented => Ok(()),
        Err(status) => Err(status),
    }
}

/// Not every wire keeps a deadline.
async fn in_time(answer: impl Future<Output = Result<(), Status>>) -> Result<(), Status> {
    tokio::select! {
        answer = answer => answer,
        () = sleep(PATIENCE) => Err(Status::deadline_exceeded("it did not answer")),
    }
}

fn said(answer: Result<(), Status>) -> Value {
    match answer {
        Ok(()) => SERVING.into(),
        Err(status) => format!("{:?}", status.code()).into(),
    }
}
