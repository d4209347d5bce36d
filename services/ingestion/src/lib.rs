//! The ingestion service: documents in, matched against standing queries.
