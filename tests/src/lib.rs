//! End-to-end, conformance and house-rule tests, and the benchmarks; nothing of it is linked into the product.
//!
//! This library is what those suites share; the suites themselves are the test targets beside it. `tests/run` runs them.

pub mod harness;
