//! What a mesh of real processes tells a real collector: spans, figures and logs, in both wirings, and that nobody waits
//! for a collector that is away. What stands on the page of figures, and in log lines.

mod figures;
mod lines;
mod logs;
mod outage;
mod page;
mod sampling;
#[cfg(test)]
mod stage;
mod tls;
mod trace;
