//! The service over a store in memory, through the same wires as in a process of its own.

mod collecting;
mod feeding;
mod fixture;
mod managing;
mod mesh;
mod pushing;
mod running;
mod site;
mod stopping;
