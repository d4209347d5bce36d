//! The storage service: a gRPC shell over the store port.
