//! The ingestion service: documents in, matched against standing queries.

pub mod matcher;
pub mod query;
pub mod text;
