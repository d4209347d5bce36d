//! A route with all that is looked up once: its template, the descriptor of its request, who may call it.

use std::sync::Arc;

use prost_reflect::{DescriptorPool, MessageDescriptor};
use tidemill_proto::Route;

use crate::BuildError;
use crate::access::{Access, Catalogue};
use crate::fields;
use crate::router::Router;
use crate::template::Template;

/// One HTTP binding of one rpc, ready to be called.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) route: &'static Route,
    /// The full name of its gRPC service.
    pub(crate) service: &'static str,
    /// Who may call it.
    pub(crate) access: Access,
    /// The request message.
    pub(crate) input: MessageDescriptor,
    /// Whether the request holds JSON of any shape.
    pub(crate) free_form: bool,
    /// The fields that the path binds, in order.
    pub(crate) variables: Vec<String>,
}

/// The router of these routes.
pub(crate) fn router(
    routes: &'static [Route],
    pool: &DescriptorPool,
    catalogue: &Catalogue,
) -> Result<Router<Arc<Endpoint>>, BuildError> {
    let mut bound = Vec::with_capacity(routes.len());
    for route in routes {
        let template = Template::parse(route.template)?;
        let endpoint = endpoint(route, &template, pool, catalogue)?;
        bound.push((route.verb.to_owned(), template, Arc::new(endpoint)));
    }
    Ok(Router::new(bound)?)
}

fn endpoint(
    route: &'static Route,
    template: &Template,
    pool: &DescriptorPool,
    catalogue: &Catalogue,
) -> Result<Endpoint, BuildError> {
    let missing = |what: &str| BuildError::Descriptor(format!("{}: {what}", route.grpc_path));
    let input =
        pool.get_message_by_name(route.input).ok_or_else(|| missing("its request is not described"))?;
    let service = route.grpc_path.split('/').nth(1).ok_or_else(|| missing("its path has no service"))?;
    for field in template.fields() {
        let first = field.split('.').next().unwrap_or_default();
        if fields::named(&input, first).is_none() {
            return Err(missing(&format!("its path binds `{field}`, which its request does not have")));
        }
    }
    Ok(Endpoint {
        route,
        service,
        access: catalogue.access(service),
        free_form: fields::holds_json(&input),
        variables: template.fields().map(str::to_owned).collect(),
        input,
    })
}
