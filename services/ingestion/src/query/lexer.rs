//! Expression to tokens, each with its place. Knows nothing of precedence.

use std::borrow::Cow;

use super::error::{QueryError, QueryFault, excerpt};

/// A token and the bytes that it stands on.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) enum Kind<'a> {
    Open,
    Close,
    And,
    Or,
    /// `NOT`, or the `-` of `-word`.
    Not,
    /// `title:`
    Title,
    /// `source:`
    Source,
    /// A bare word or quoted text, without quotes and star.
    Text {
        text: Cow<'a, str>,
        quoted: bool,
        star: bool,
    },
}

/// All tokens of the expression.
pub(super) fn lex(expression: &str) -> Result<Vec<Token<'_>>, QueryError> {
    let mut lexer = Lexer { expression, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

/// Straight and typographic double quotes are one and the same, as editors exchange them unasked.
pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„')
}

struct Lexer<'a> {
    expression: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, QueryError> {
        self.at = self.expression.len() - self.rest().trim_start().len();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let kind = match first {
            '(' => self.take(1, Kind::Open),
            ')' => self.take(1, Kind::Close),
            '-' if self.rest()[1..].starts_with(|c: char| !ends_word(c) || c == '(' || is_quote(c)) => {
                self.take(1, Kind::Not)
            }
            c if is_quote(c) => self.quoted(c)?,
            _ => self.bare()?,
        };
        Ok(Some(Token { kind, start, end: self.at }))
    }

    fn rest(&self) -> &'a str {
        &self.expression[self.at..]
    }

    fn take(&mut self, bytes: usize, kind: Kind<'a>) -> Kind<'a> {
        self.at += bytes;
        kind
    }

    fn fault<T>(&self, offset: usize, fault: QueryFault) -> Result<T, QueryError> {
        Err(QueryError::new(self.expression, offset, fault))
    }

    /// Text between quotes, with the star that may follow.
    fn quoted(&mut self, quote: char) -> Result<Kind<'a>, QueryError> {
        let inside = &self.rest()[quote.len_utf8()..];
        let mut escaped = false;
        let end = inside.char_indices().find(|&(_, c)| {
            let closes = is_quote(c) && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let Some((length, closing)) = end else { return self.fault(self.at, QueryFault::UnclosedQuote) };
        self.at += quote.len_utf8() + length + closing.len_utf8();
        let star = self.rest().starts_with('*');
        self.at += usize::from(star);
        Ok(Kind::Text { text: unescape(&inside[..length]), quoted: true, star })
    }

    /// An operator, a field or a word.
    fn bare(&mut self) -> Result<Kind<'a>, QueryError> {
        let word = self.rest();
        let word = &word[..word.find(ends_word).unwrap_or(word.len())];
        match word {
            "AND" => return Ok(self.take(3, Kind::And)),
            "OR" => return Ok(self.take(2, Kind::Or)),
            "NOT" => return Ok(self.take(3, Kind::Not)),
            _ => {}
        }
        if let Some(field) = self.field(word)? {
            return Ok(field);
        }
        let text = word.strip_suffix('*').unwrap_or(word);
        if let Some(index) = text.find('*') {
            return self.fault(self.at + index, QueryFault::MisplacedStar);
        }
        Ok(self
            .take(word.len(), Kind::Text { text: text.into(), quoted: false, star: text.len() < word.len() }))
    }

    /// ASCII letters before a colon name a field; `12:30` does not.
    fn field(&mut self, word: &str) -> Result<Option<Kind<'a>>, QueryError> {
        let Some((name, _)) = word.split_once(':') else { return Ok(None) };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Ok(None);
        }
        let kind = match name.to_ascii_lowercase().as_str() {
            "title" => Kind::Title,
            "source" => Kind::Source,
            _ => return self.fault(self.at, QueryFault::UnknownField { found: excerpt(name) }),
        };
        Ok(Some(self.take(name.len() + 1, kind)))
    }
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || c == '(' || c == ')' || is_quote(c)
}

/// Resolves `\"` and `\\`; any other backslash is itself.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next_if(|&next| is_quote(next) || next == '\\') } else { None };
        out.push(escaped.unwrap_or(c));
    }
    out.into()
}
