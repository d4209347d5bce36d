//! How the endpoints of each part stand, among the figures of the process: `tidemill.client.endpoints` by part and state.

use std::sync::Weak;

use opentelemetry::KeyValue;

use super::endpoints::Standing;
use crate::telemetry::metrics::meter;

/// Somebody who knows endpoints.
pub(super) trait Knows: Send + Sync + 'static {
    /// How many stand how now.
    fn standing(&self) -> Standing;
}

/// Reports the endpoints of the part `name` as long as they are known.
pub(super) fn report(name: &'static str, known: Weak<impl Knows>) {
    // The instrument is one for all parts; each adds its own rows when figures are asked for.
    let _endpoints = meter("tidemill.client")
        .u64_observable_gauge("tidemill.client.endpoints")
        .with_description(
            "Endpoints of a part, by how they stand: closed, open or half_open (breaker), ejected.",
        )
        .with_callback(move |gauge| {
            let Some(known) = known.upgrade() else { return };
            let Standing { closed, open, half_open, ejected } = known.standing();
            for (state, count) in
                [("closed", closed), ("open", open), ("half_open", half_open), ("ejected", ejected)]
            {
                gauge.observe(count as u64, &[KeyValue::new("part", name), KeyValue::new("state", state)]);
            }
        })
        .build();
}
