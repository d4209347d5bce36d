//! The binary as a user has it, in processes of its own. One file per topic; `mesh.rs` is what they share.

#![expect(clippy::unwrap_used, reason = "what the tests share may fail them")]

mod bad_input;
mod commands;
mod cut;
mod demo;
mod full_disk;
mod keys;
mod mesh;
mod migrate;
mod start;
mod steering;
mod up_and_push;
