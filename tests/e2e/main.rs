//! What a user does, end to end, against real processes: every scenario runs with all parts in one process and with
//! one process for each part.

mod client;
mod documents;
mod encrypted;
mod grpc;
mod http;
mod lifecycle;
mod sources;
mod tasks;
mod tenants;
mod workers;
