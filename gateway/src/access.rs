//! Who may call a service, as its leading comment in the `.proto` says: `Internal:` and `Operator:` are for operators,
//! any other comment means every tenant. Read once from the source info in the descriptors. A service without a comment
//! is kept as close as an internal one: a mistake there must not open a door.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, ServiceDescriptor};
use tidemill_chassis::meta;

use crate::auth::Caller;
use crate::error::Error;

/// Who may call a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, even without a credential: health and reflection.
    Anybody,
    /// Every tenant.
    Tenant,
    /// Operators.
    Operator,
    /// Tidemill's own services; from outside, operators: they speak for any tenant, or for none.
    Internal,
}

/// Access by the full name of the service.
#[derive(Debug)]
pub(crate) struct Catalogue(HashMap<String, Access>);

impl Catalogue {
    /// What the comments of these services say.
    pub(crate) fn new(pool: &DescriptorPool) -> Self {
        let described = pool.services().map(|service| (service.full_name().to_owned(), described(&service)));
        let meta = meta::SERVICES.map(|name| (name.to_owned(), Access::Anybody));
        Self(described.chain(meta).collect())
    }

    /// Who may call this service. One that is not described is for tenants; most likely it is not there.
    pub(crate) fn access(&self, service: &str) -> Access {
        self.0.get(service).copied().unwrap_or(Access::Tenant)
    }
}

impl Access {
    /// Lets this caller pass, or says why not.
    pub(crate) fn allow(self, caller: &Caller, service: &str) -> Result<(), Error> {
        match self {
            Self::Operator | Self::Internal if !caller.operator => {
                Err(Error::OperatorsOnly { service: service.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn described(service: &ServiceDescriptor) -> Access {
    let file = service.parent_file_descriptor_proto();
    let mut locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let location = locations.find(|location| location.path == service.path());
    match location.map(|location| location.leading_comments().trim_start()) {
        None | Some("") => Access::Internal,
        Some(comment) if comment.starts_with("Internal:") => Access::Internal,
        Some(comment) if comment.starts_with("Operator:") => Access::Operator,
        Some(_) => Access::Tenant,
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

    use super::*;

    #[test]
    fn the_comments_of_the_contracts_say_who_may_call() {
        let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        let catalogue = Catalogue::new(&pool);
        for (service, access) in [
            ("tidemill.ingestion.v1.IngestionService", Access::Tenant),
            ("tidemill.storage.v1.TenantService", Access::Operator),
            ("tidemill.storage.v1.TenantStoreService", Access::Internal),
            ("tidemill.scheduling.v1.WorkerService", Access::Internal),
            ("grpc.health.v1.Health", Access::Anybody),
            ("no.Such", Access::Tenant),
        ] {
            assert_eq!(catalogue.access(service), access, "{service}");
        }
    }

    #[test]
    fn without_comments_every_door_is_closed() {
        let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        let files = pool.file_descriptor_protos().cloned();
        let bare = files.map(|file| FileDescriptorProto { source_code_info: None, ..file });
        let pool =
            DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file: bare.collect() }).unwrap();
        let access = Catalogue::new(&pool).access("tidemill.ingestion.v1.IngestionService");
        assert_eq!(access, Access::Internal);
    }

    #[test]
    fn only_operators_pass_where_operators_are_asked_for() {
        let caller = |operator| Caller { tenant: None, operator };
        for (access, tenant_passes) in [
            (Access::Anybody, true),
            (Access::Tenant, true),
            (Access::Operator, false),
            (Access::Internal, false),
        ] {
            assert_eq!(access.allow(&caller(false), "x").is_ok(), tenant_passes);
            assert!(access.allow(&caller(true), "x").is_ok());
        }
    }
}
