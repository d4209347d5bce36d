//! The `tidemill` binary: reads the command line, composes the parts, starts them.

fn main() {}
