//! End-to-end, conformance and house-rule tests, and the benchmarks; nothing of it is linked into the product.
