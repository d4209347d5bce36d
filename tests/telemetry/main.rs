//! What a mesh of real processes tells a real collector: spans, figures and logs, in both wirings, and that nobody waits
//! for a collector that is away.

mod figures;
mod outage;
#[cfg(test)]
mod stage;
mod trace;
