//! Tokens to tree, by recursive descent; the depth bound keeps hostile nesting off the stack.
//!
//! Beside each node the parser learns whether it would hold for a document that has none of its words ("unbound", as
//! `NOT a` is): such a query is refused, at the negation to blame.

use super::error::{QueryError, QueryFault, excerpt};
use super::lexer::{Kind, Token, lex};
use super::{Expr, Limits, Pattern, Scope};
use crate::text;

const OPERAND: &str = "a word, a \"phrase\", a field or `(`";
const TITLE_VALUE: &str = "a word, a \"phrase\" or `(` right after `title:`";
const SOURCE_VALUE: &str = "a name or a \"name in quotes\" right after `source:`";

/// Parses the whole expression.
pub(super) fn parse(expression: &str, limits: &Limits) -> Result<Expr, QueryError> {
    if expression.len() > limits.bytes {
        let fault = QueryFault::TooLong { found: expression.len(), limit: limits.bytes };
        return Err(QueryError::new(expression, limits.bytes, fault));
    }
    let tokens = lex(expression)?;
    if tokens.is_empty() {
        return Err(QueryError::new(expression, 0, QueryFault::Empty));
    }
    let mut parser = Parser { expression, limits, tokens, at: 0, depth: 0, terms: 0, in_title: false };
    let part = parser.any()?;
    if let Some(token) = parser.peek() {
        // Only a `)` ends a query early.
        return parser.fault(token.start, QueryFault::UnopenedParenthesis);
    }
    match part.unbound {
        Some(offset) => parser.fault(offset, QueryFault::OnlyNegation),
        None => Ok(part.expr),
    }
}

struct Parser<'a> {
    expression: &'a str,
    limits: &'a Limits,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    terms: usize,
    in_title: bool,
}

/// A node and, if it holds for documents with none of its words, the place of the negation that makes it so.
struct Part {
    expr: Expr,
    unbound: Option<usize>,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<Part, QueryError> {
        let mut parts = vec![self.all()?];
        while matches!(self.peek_kind(), Some(Kind::Or)) {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(join(parts, false))
    }

    fn all(&mut self) -> Result<Part, QueryError> {
        let mut parts = vec![self.unary()?];
        loop {
            match self.peek_kind() {
                Some(Kind::And) => self.at += 1,
                None | Some(Kind::Or | Kind::Close) => return Ok(join(parts, true)),
                _ => {}
            }
            parts.push(self.unary()?);
        }
    }

    fn unary(&mut self) -> Result<Part, QueryError> {
        let Some(Token { kind: Kind::Not, start, .. }) = self.peek() else { return self.primary() };
        let start = *start;
        let part = self.nested(start, Self::unary)?;
        let unbound = if part.unbound.is_some() { None } else { Some(start) };
        Ok(Part { expr: Expr::Not(Box::new(part.expr)), unbound })
    }

    fn primary(&mut self) -> Result<Part, QueryError> {
        let Some(&Token { ref kind, start, end }) = self.peek() else { return self.unexpected(OPERAND) };
        match kind {
            Kind::Open => self.parenthesized(start),
            Kind::Title | Kind::Source if self.in_title => self.fault(start, QueryFault::NestedField),
            Kind::Title => self.title(end),
            Kind::Source => self.source(end),
            Kind::Text { .. } => self.text(start, Scope::Anywhere),
            Kind::And | Kind::Or | Kind::Not | Kind::Close => self.unexpected(OPERAND),
        }
    }

    fn parenthesized(&mut self, start: usize) -> Result<Part, QueryError> {
        let part = self.nested(start, Self::any)?;
        if !matches!(self.peek_kind(), Some(Kind::Close)) {
            return self.fault(start, QueryFault::UnclosedParenthesis);
        }
        self.at += 1;
        Ok(part)
    }

    fn title(&mut self, value: usize) -> Result<Part, QueryError> {
        self.at += 1;
        match self.peek() {
            Some(token) if token.start == value && matches!(token.kind, Kind::Open) => {
                self.in_title = true;
                let part = self.parenthesized(value);
                self.in_title = false;
                part
            }
            Some(token) if token.start == value && matches!(token.kind, Kind::Text { .. }) => {
                self.text(value, Scope::Title)
            }
            _ => self.unexpected_at(value, TITLE_VALUE),
        }
    }

    fn source(&mut self, value: usize) -> Result<Part, QueryError> {
        self.at += 1;
        let (name, prefix) = match self.peek() {
            Some(Token { kind: Kind::Text { text, star, .. }, start, .. }) if *start == value => {
                (text::fold_name(text), *star)
            }
            _ => return self.unexpected_at(value, SOURCE_VALUE),
        };
        if name.is_empty() && !prefix {
            return self.unexpected_at(value, SOURCE_VALUE);
        }
        self.count_terms(value, 1)?;
        if prefix {
            self.check_prefix(value, &name)?;
        }
        self.at += 1;
        Ok(Part { expr: Expr::Source { name, prefix }, unbound: None })
    }

    /// A word, prefix or phrase: the token at hand.
    fn text(&mut self, start: usize, scope: Scope) -> Result<Part, QueryError> {
        let Some(Token { kind: Kind::Text { text, quoted, star }, .. }) = self.peek() else {
            return self.unexpected(OPERAND);
        };
        let (text, quoted, star) = (text.clone(), *quoted, *star);
        if quoted && let Some(index) = self.raw().trim_end_matches('*').find('*') {
            return self.fault(start + index, QueryFault::MisplacedStar);
        }
        let mut words = text::words(&text);
        self.count_terms(start, words.len())?;
        let pattern = match words.len() {
            0 if quoted => return self.fault(start, QueryFault::EmptyPhrase),
            0 => return self.fault(start, QueryFault::NoWord { found: excerpt(self.raw()) }),
            1 => {
                let word = words.swap_remove(0);
                if star {
                    self.check_prefix(start, &word)?;
                }
                if star { Pattern::Prefix(word) } else { Pattern::Word(word) }
            }
            _ if star => {
                let fault =
                    QueryFault::PrefixOfSeveral { found: excerpt(&text), words: excerpt(&words.join(" ")) };
                return self.fault(start, fault);
            }
            _ => Pattern::Phrase(words),
        };
        self.at += 1;
        let scope = if self.in_title { Scope::Title } else { scope };
        Ok(Part { expr: Expr::Text(scope, pattern), unbound: None })
    }

    fn check_prefix(&self, start: usize, word: &str) -> Result<(), QueryError> {
        let limit = self.limits.prefix;
        if word.chars().filter(|c| c.is_alphanumeric()).count() < limit {
            return self.fault(start, QueryFault::ShortPrefix { found: excerpt(word), limit });
        }
        Ok(())
    }

    fn count_terms(&mut self, start: usize, terms: usize) -> Result<(), QueryError> {
        self.terms += terms;
        if self.terms > self.limits.terms {
            return self.fault(start, QueryFault::TooManyTerms { limit: self.limits.terms });
        }
        Ok(())
    }

    /// Skips the token at hand and parses one level deeper.
    fn nested(
        &mut self,
        start: usize,
        inner: fn(&mut Self) -> Result<Part, QueryError>,
    ) -> Result<Part, QueryError> {
        if self.depth == self.limits.depth {
            return self.fault(start, QueryFault::TooDeep { limit: self.limits.depth });
        }
        self.at += 1;
        self.depth += 1;
        let part = inner(self)?;
        self.depth -= 1;
        Ok(part)
    }

    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    fn peek_kind(&self) -> Option<&Kind<'a>> {
        self.peek().map(|token| &token.kind)
    }

    /// The token at hand as it was written; empty at the end.
    fn raw(&self) -> &str {
        self.peek().map_or("", |token| &self.expression[token.start..token.end])
    }

    fn unexpected<T>(&self, expected: &'static str) -> Result<T, QueryError> {
        self.unexpected_at(self.peek().map_or(self.expression.len(), |token| token.start), expected)
    }

    fn unexpected_at<T>(&self, offset: usize, expected: &'static str) -> Result<T, QueryError> {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(token) if token.start > offset => "a space".to_owned(),
            Some(_) => format!("`{}`", excerpt(self.raw())),
        };
        self.fault(offset, QueryFault::Unexpected { found, expected })
    }

    fn fault<T>(&self, offset: usize, fault: QueryFault) -> Result<T, QueryError> {
        Err(QueryError::new(self.expression, offset, fault))
    }
}

/// One part stays itself; several are joined by AND (`all`) or OR, and joins of the same kind melt into one.
fn join(mut parts: Vec<Part>, all: bool) -> Part {
    if parts.len() == 1 {
        return parts.swap_remove(0);
    }
    let first = parts.iter().find_map(|part| part.unbound);
    let unbound = if all && parts.iter().any(|part| part.unbound.is_none()) { None } else { first };
    let mut exprs = Vec::with_capacity(parts.len());
    for part in parts {
        match part.expr {
            Expr::All(inner) if all => exprs.extend(inner),
            Expr::Any(inner) if !all => exprs.extend(inner),
            expr => exprs.push(expr),
        }
    }
    Part { expr: if all { Expr::All(exprs) } else { Expr::Any(exprs) }, unbound }
}
