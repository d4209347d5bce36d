//! A part: one service as it is composed into a process, in whichever wiring.

use std::fmt;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::Wire;
use crate::layers::{Methods, ServerLimits, server_stack};

/// A service ready to be composed: what it serves and what it does in the background.
pub struct Part {
    /// Its name, for example `storage`.
    pub name: &'static str,
    /// Its gRPC services.
    pub routes: Routes,
    /// The full names of its gRPC services, for health and reflection.
    pub services: Vec<&'static str>,
    /// Its background loops.
    pub background: Vec<Background>,
}

impl Part {
    /// The wire to this part within its process: its routes behind the server's layers.
    pub fn wire(&self, limits: ServerLimits) -> Wire {
        self.wire_knowing(limits, Methods::default())
    }

    /// The same, told what the contracts say of its methods: streams do not count as slow calls.
    pub fn wire_knowing(&self, limits: ServerLimits, methods: Methods) -> Wire {
        server_stack(self.name, self.routes.clone(), limits, methods)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("name", &self.name)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

/// A loop that runs beside the calls. It must end soon after its token is cancelled.
pub struct Background {
    /// Its name, for logs.
    pub name: &'static str,
    /// Starts it.
    pub start: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

impl Background {
    /// A loop of this name.
    pub fn new<F, Fut>(name: &'static str, start: F) -> Self
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { name, start: Box::new(move |token| Box::pin(start(token))) }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Background").field(&self.name).finish()
    }
}
