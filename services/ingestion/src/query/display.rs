//! The canonical form of a query: every operator and field spelt out, parentheses only where precedence needs them.

use std::fmt::{self, Display, Formatter, Write};

use unicode_normalization::UnicodeNormalization;

use super::lexer::is_quote;
use super::{Expr, Pattern, Query, Scope};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => join(f, parts, " AND ", |part| matches!(part, Self::Any(_) | Self::All(_))),
            Self::Any(parts) => join(f, parts, " OR ", |part| matches!(part, Self::Any(_))),
            Self::Not(part) => {
                f.write_str("NOT ")?;
                operand(f, part, matches!(**part, Self::Any(_) | Self::All(_)))
            }
            Self::Text(scope, pattern) => {
                if *scope == Scope::Title {
                    f.write_str("title:")?;
                }
                pattern.fmt(f)
            }
            Self::Source { name, prefix } => {
                f.write_str("source:")?;
                text(f, name, !name.chars().all(|c| c.is_alphanumeric() || "._/".contains(c)))?;
                f.write_str(if *prefix { "*" } else { "" })
            }
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => text(f, word, needs_quotes(word)),
            Self::Prefix(word) => {
                text(f, word, needs_quotes(word))?;
                f.write_char('*')
            }
            Self::Phrase(words) => text(f, &words.join(" "), true),
        }
    }
}

fn join(f: &mut Formatter<'_>, parts: &[Expr], operator: &str, wraps: fn(&Expr) -> bool) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        operand(f, part, wraps(part))?;
    }
    Ok(())
}

fn operand(f: &mut Formatter<'_>, part: &Expr, wrapped: bool) -> fmt::Result {
    if wrapped { write!(f, "({part})") } else { part.fmt(f) }
}

/// UAX #29 lets a few characters stand inside a word that mean something in the language.
fn needs_quotes(word: &str) -> bool {
    word.contains([':', '*', '(', ')']) || word.contains(is_quote)
}

/// Folded words are decomposed; they are composed again for the eye (Hangul above all).
fn text(f: &mut Formatter<'_>, text: &str, quoted: bool) -> fmt::Result {
    if !quoted {
        return text.nfc().try_for_each(|c| f.write_char(c));
    }
    f.write_char('"')?;
    for c in text.nfc() {
        if is_quote(c) || c == '\\' {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
