//! Order, fairness, leases and scaling as pure decisions.
