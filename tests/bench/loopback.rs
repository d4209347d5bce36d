//! A wire through a socket, as between processes: the chassis' server on a free loopback port, the chassis' client.

use anyhow::Result;
use http::Request;
use hyper::body::Incoming;
use tidemill_chassis::remote::{self, RemoteConfig};
use tidemill_chassis::{Switchboard, Wire, server};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

/// Serves these services over `wire` until `stop`; the wire that reaches them through the socket.
pub(crate) async fn across(wire: &Wire, services: &[&'static str], stop: &CancellationToken) -> Result<Wire> {
    let listener = server::bind(([127, 0, 0, 1], 0).into()).await?;
    let address = listener.local_addr()?.to_string().parse()?;
    let board = Switchboard::new(services.iter().map(|name| ((*name).to_owned(), wire.clone())));
    let service = board.map_request(|request: Request<Incoming>| request.map(Body::new));
    tokio::spawn(server::serve(listener, service, stop.clone()));
    Ok(remote::wire("benchmark", &[address], RemoteConfig::default())?)
}
