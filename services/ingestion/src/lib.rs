//! The ingestion service: documents in, matched against standing queries.

pub mod document;
pub mod feed;
pub mod folder;
pub mod matcher;
pub mod query;
pub mod reader;
pub mod text;
