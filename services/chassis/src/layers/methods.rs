//! What the contracts say of methods. The chassis knows no contract, so that it is told by predicates on gRPC paths
//! (`/package.Service/Method`).

/// What may be done with a call of a method.
#[derive(Debug, Clone, Copy)]
pub struct Methods {
    /// It is unary and can be called twice with the effect of once: it may be tried again.
    pub idempotent: fn(&str) -> bool,
    /// It is unary and changes nothing: it may be sent to two endpoints at once.
    pub safe: fn(&str) -> bool,
    /// It has a stream of requests or answers: how long it takes says nothing about the service.
    pub streaming: fn(&str) -> bool,
}

impl Default for Methods {
    /// Nothing is known of any method: each is called once, and each counts.
    fn default() -> Self {
        Self { idempotent: |_| false, safe: |_| false, streaming: |_| false }
    }
}
