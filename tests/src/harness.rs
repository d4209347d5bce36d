//! What end-to-end tests stand on: waiting without sleeping blindly, and the outside tools that they drive.

pub mod poll;
pub mod tools;
