//! The service over a store in memory, through the same wires as in a process of its own.

mod collecting;
mod fixture;
mod managing;
mod pushing;
