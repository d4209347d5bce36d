//! The language of standing queries: small, boolean, exact about its faults.
//!
//! ```text
//! query   = all { "OR" all }                         OR binds loosest
//! all     = unary { [ "AND" ] unary }                side by side means AND
//! unary   = ( "NOT" | "-" ) unary | primary          NOT binds tightest; "-" is joined to what it excludes
//! primary = "(" query ")" | text | "title:" text | "title:" "(" query ")" | "source:" text
//! text    = word [ "*" ] | quote phrase quote [ "*" ]
//! ```
//!
//! Operators are upper case; `and`, `or`, `not` are words. A word is looked for in title and body, case and diacritics
//! aside ([`crate::text`]); one that is several words to UAX #29 (`e-mail`) is a phrase of them. `word*` finds the words
//! that begin so. `source:` compares the whole name of the document's source, without case. In quotes, `\"` and `\\`
//! stand for `"` and `\`.
//!
//! Invariants of a [`Query`], kept by its only maker, the parser: bounded size and depth; every join has two parts or
//! more and none of its own kind; and a document that holds none of its positive terms cannot match, which is what lets
//! the matcher find queries by terms instead of trying them all.

mod caret;
mod display;
mod error;
mod lexer;
mod parser;

use std::str::FromStr;

pub use error::{QueryError, QueryFault};

/// A standing query that was understood. Its [`Display`](std::fmt::Display) is the canonical form, which parses back to
/// the same query (unless it outgrew [`Limits::bytes`]: it spells out every operator and field).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    expr: Expr,
}

impl Query {
    /// Parses with the default [`Limits`].
    pub fn parse(expression: &str) -> Result<Self, QueryError> {
        Self::parse_within(expression, &Limits::default())
    }

    /// Parses; the error says where the expression is at fault, why, and what would be right.
    pub fn parse_within(expression: &str, limits: &Limits) -> Result<Self, QueryError> {
        parser::parse(expression, limits).map(|expr| Self { expr })
    }

    /// The tree that was parsed.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(expression: &str) -> Result<Self, QueryError> {
        Self::parse(expression)
    }
}

/// What a query may cost. Depth also bounds the parser's recursion, so keep it within hundreds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the expression in bytes.
    pub bytes: usize,
    /// How deep parentheses and negations may nest.
    pub depth: usize,
    /// Words in all, those of phrases included, and source names.
    pub terms: usize,
    /// Letters or digits before a `*`.
    pub prefix: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 4096, depth: 64, terms: 256, prefix: 2 }
    }
}

/// One node of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    /// All parts must hold (AND).
    All(Vec<Expr>),
    /// At least one part must hold (OR).
    Any(Vec<Expr>),
    /// The part must not hold (NOT).
    Not(Box<Expr>),
    /// Words of the text.
    Text(Scope, Pattern),
    /// The document's source.
    Source {
        /// As [`crate::text::fold_name`] makes it.
        name: String,
        /// Whether the source's name need only begin so.
        prefix: bool,
    },
}

/// Where a text pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In the title and in the body; a phrase lies wholly in one of them.
    Anywhere,
    /// In the title only.
    Title,
}

/// What is looked for in a text. All words are folded as by [`crate::text::words`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This word.
    Word(String),
    /// Any word that begins so.
    Prefix(String),
    /// These words, two or more, side by side.
    Phrase(Vec<String>),
}

#[cfg(test)]
mod tests;
