//! The house rules of ARCHITECTURE.md as tests. Each file holds one rule: a function from paths and texts to violations,
//! the test that the tree obeys it, and fixtures that show what passes and what does not.
//!
//! A rule reports every violation as `path:line: fault; mend`, not only the first. To add a rule, add a file and its `mod`
//! line here. Files are those that git tracks or would track.

mod contracts;
mod dependencies;
mod generated;
mod length;
mod manifests;
mod module_docs;
mod names;
mod sleeps;
mod top_level;
mod tree;
mod violation;
mod words;
