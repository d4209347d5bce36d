//! The paths that are no rpc: what this is, whether it lives and is ready, and its description.

use http::{Response, StatusCode};
use tidemill_chassis::pages::PROMETHEUS;
use tidemill_chassis::telemetry::metrics;
use tonic::body::Body;

use crate::service::Shared;
use crate::{ready, reply};

/// A path of the gateway's own, to be read with GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Root,
    Health,
    Ready,
    OpenApi,
    Metrics,
}

impl Page {
    /// The page of this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Root,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/openapi.json" => Self::OpenApi,
            "/metrics" => Self::Metrics,
            _ => return None,
        })
    }

    /// Its path.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::OpenApi => "/openapi.json",
            Self::Metrics => "/metrics",
        }
    }

    /// Whether probes ask for it, which reach a process by whatever name it has.
    pub(crate) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// Whether it is for operators alone where keys are asked for: it tells of all tenants' traffic.
    pub(crate) fn is_for_operators(self) -> bool {
        self == Self::Metrics
    }

    pub(crate) async fn answer(self, shared: &Shared) -> Response<Body> {
        match self {
            Self::Root => reply::json(StatusCode::OK, shared.welcome.clone()),
            Self::Health => reply::text(StatusCode::OK, "ok\n"),
            Self::Ready => ready::answer(shared).await,
            Self::OpenApi => reply::json(StatusCode::OK, shared.openapi.clone()),
            Self::Metrics => reply::page(PROMETHEUS, metrics::page()),
        }
    }
}
