//! What can be wrong with a query: where, what was found, and what would be right.

use tidemill_kernel::ErrorKind;

/// A fault and its place. [`QueryError::caret`] draws it under the expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {column}: {fault}")]
pub struct QueryError {
    /// Byte offset of the fault in the expression: a character boundary, at most the expression's length.
    pub offset: usize,
    /// The same place in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: QueryFault,
}

/// What is wrong, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// Nothing but white space.
    #[error("the query is empty: write at least one word")]
    Empty,
    /// Longer than [`super::Limits::bytes`].
    #[error("the query is {found} bytes long: shorten it to {limit} or split it into several")]
    TooLong {
        /// Length in bytes.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Deeper than [`super::Limits::depth`].
    #[error("nested more than {limit} deep: remove parentheses or negations that change nothing")]
    TooDeep {
        /// The bound.
        limit: usize,
    },
    /// More terms than [`super::Limits::terms`].
    #[error("more than {limit} words: remove some or split the query into several")]
    TooManyTerms {
        /// The bound.
        limit: usize,
    },
    /// An operand was due.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// What stands there, quoted, or `the end`.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A `(` without its `)`.
    #[error("this `(` is never closed: add `)`")]
    UnclosedParenthesis,
    /// A `)` without its `(`.
    #[error("this `)` closes nothing: remove it or add `(` before")]
    UnopenedParenthesis,
    /// A quote without its partner.
    #[error("this quote is never closed: add `\"` after the phrase")]
    UnclosedQuote,
    /// A phrase in which there is no word.
    #[error("the phrase has no word: put letters or digits between the quotes")]
    EmptyPhrase,
    /// A bare term in which there is no word.
    #[error("`{found}` has no letter or digit to search for: remove it")]
    NoWord {
        /// The term.
        found: String,
    },
    /// A `*` that does not end a word.
    #[error("`*` stands only at the end of a word, as in `comput*`: move or remove it")]
    MisplacedStar,
    /// Fewer letters before `*` than [`super::Limits::prefix`].
    #[error("`{found}*` would match too much: write at least {limit} letters or digits before `*`")]
    ShortPrefix {
        /// What precedes the star.
        found: String,
        /// The bound.
        limit: usize,
    },
    /// A prefix that is several words.
    #[error("`{found}*` is several words ({words}): put `*` after a single word")]
    PrefixOfSeveral {
        /// What precedes the star.
        found: String,
        /// The words that it is, with spaces between.
        words: String,
    },
    /// A name before a colon that is no field.
    #[error("there is no field `{found}`: use `title:` or `source:`, or quote text that holds a colon")]
    UnknownField {
        /// The name.
        found: String,
    },
    /// A field inside `title:(...)`.
    #[error("a field cannot stand inside `title:(...)`: move it out of the parentheses")]
    NestedField,
    /// The query, or one side of an OR, would match whatever lacks some words.
    #[error("a negation alone matches nearly everything: join it with AND to a word that must be there")]
    OnlyNegation,
}

impl QueryError {
    pub(super) fn new(expression: &str, offset: usize, fault: QueryFault) -> Self {
        let offset = expression.floor_char_boundary(offset);
        Self { offset, column: expression[..offset].chars().count() + 1, fault }
    }

    /// What a caller is told: always that the request is invalid.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

/// A piece of the expression for a message: at most some 40 characters.
pub(super) fn excerpt(piece: &str) -> String {
    const MOST: usize = 40;
    match piece.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &piece[..end]),
        None => piece.to_owned(),
    }
}
