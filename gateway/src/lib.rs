//! The gateway: HTTP and JSON to gRPC, gRPC passed through, authentication and limits.
