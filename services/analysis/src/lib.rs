//! The analysis service: recipes run by workers, locally or on a provider.

pub mod recipe;
pub mod text;
