//! What Tidemill is shipped in, held to its own validators and to the code: the image (hadolint), the mesh by Compose
//! (docker-compose), the chart (Helm, the schemas of Kubernetes), alerts (promtool), and the configuration in all of them
//! (the binary itself). Nothing is built, pulled or started here.
//!
//! A validator that is missing skips its tests aloud, and fails them under `CI=true`; `tests/install` gets them.

mod chart;
mod compose;
mod configuration;
mod figures;
mod files;
mod image;
mod network;
mod objects;
mod promql;
mod validators;

/// The parts of a mesh, as `serve` names them.
const PARTS: [&str; 5] = ["storage", "scheduling", "analysis", "ingestion", "gateway"];
