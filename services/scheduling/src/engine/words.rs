//! Names of tenants and kinds, each held once: a task that comes in brings them as text.

use hashbrown::HashMap;
use tidemill_kernel::TenantName;
use tidemill_policy::Kind;

/// So many names of a sort are remembered; then they are learnt anew.
const MOST: usize = 200_000;

/// The names that were seen.
#[derive(Debug, Default)]
pub(super) struct Words {
    tenants: HashMap<String, TenantName>,
    kinds: HashMap<String, Kind>,
}

impl Words {
    /// A tenant's name, if it can be one.
    pub(super) fn tenant(&mut self, text: &str) -> Option<TenantName> {
        if let Some(name) = self.tenants.get(text) {
            return Some(name.clone());
        }
        let name: TenantName = text.parse().ok()?;
        if self.tenants.len() >= MOST {
            self.tenants.clear();
        }
        self.tenants.insert(text.to_owned(), name.clone());
        Some(name)
    }

    /// A kind.
    pub(super) fn kind(&mut self, text: &str) -> Kind {
        if let Some(kind) = self.kinds.get(text) {
            return kind.clone();
        }
        if self.kinds.len() >= MOST {
            self.kinds.clear();
        }
        let kind = Kind::new(text);
        self.kinds.insert(text.to_owned(), kind.clone());
        kind
    }
}
