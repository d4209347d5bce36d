//! `tidemill health`: whether a port serves, as `grpc.health.v1` tells it. For probes in a container that has no other
//! program; asks without waiting for parts in other processes, which is what `/readyz` of a gateway is for.

use std::time::Duration;

use anyhow::Result;
use tidemill_chassis::sleep;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::cli::Connection;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::output;

/// Who has not answered after this time is not healthy; probes usually wait a little longer.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 0 when it serves, 3 when nobody answers, else 1.\n\nExamples:\n  tidemill health\n  \
    tidemill health --server http://127.0.0.1:7401 --service tidemill.storage.v1.TaskStoreService"
)]
pub(crate) struct Args {
    /// The gRPC service that is asked for, by its full name; the whole port when not said
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,
}

/// Asks, and says the answer.
pub(crate) async fn run(args: Args, connection: &Connection) -> Result<Exit> {
    let late = || Failure::unreachable(format!("{} did not answer in time", connection.server));
    let answer = tokio::select! {
        answer = ask(&args.service, connection) => answer?,
        () = sleep(PATIENCE) => return Err(late().into()),
    };
    output::line(answer.as_str_name())?;
    Ok(if answer == ServingStatus::Serving { Exit::Done } else { Exit::Failed })
}

/// A service that is not on the port is unknown, which is no failure of the call.
async fn ask(service: &str, connection: &Connection) -> Result<ServingStatus> {
    let mut health = Client::connect(connection).await?.health();
    match health.check(HealthCheckRequest { service: service.to_owned() }).await {
        Ok(answer) => Ok(answer.get_ref().status()),
        Err(status) if status.code() == Code::NotFound => Ok(ServingStatus::ServiceUnknown),
        Err(status) => Err(status.into()),
    }
}
