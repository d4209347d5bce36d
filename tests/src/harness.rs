//! What end-to-end tests stand on: a mesh of real processes, waiting without sleeping blindly, and the outside tools
//! that they drive.

pub mod collector;
pub mod consul;
pub mod mesh;
pub mod pgbouncer;
pub mod poll;
pub mod postgres;
pub mod proxy;
pub mod tools;
