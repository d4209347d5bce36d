//! Pages of a listing: a size and an opaque token (AIP-158).

use crate::Fault;

/// What a caller asks of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many items at most, 1 to [`PageRequest::MAX_SIZE`].
    pub size: u32,
    /// The token of the page before; empty for the first page.
    pub token: String,
}

impl PageRequest {
    /// The size when the caller names none.
    pub const DEFAULT_SIZE: u32 = 50;
    /// The largest page.
    pub const MAX_SIZE: u32 = 1_000;

    /// The first page of the default size.
    pub fn first() -> Self {
        Self { size: Self::DEFAULT_SIZE, token: String::new() }
    }

    /// Reads the two request fields: size 0 means the default, a size over the maximum is lowered to it, a negative
    /// one is refused.
    pub fn decode(size: i32, token: String) -> Result<Self, Fault> {
        let size = u32::try_from(size)
            .map_err(|_| Fault::invalid("page_size", format!("is {size}; use 1 to {}", Self::MAX_SIZE)))?;
        let size = if size == 0 { Self::DEFAULT_SIZE } else { size.min(Self::MAX_SIZE) };
        Ok(Self { size, token })
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// Ask with this token for the next page; empty when there is none.
    pub next_token: String,
}

impl<T> Page<T> {
    /// A page from `size + 1` fetched items: the last one only tells that there is more. `token` makes the token
    /// from the last item that is shown.
    pub fn cut(mut items: Vec<T>, size: u32, token: impl Fn(&T) -> String) -> Self {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let next_token = if more { items.last().map(token).unwrap_or_default() } else { String::new() };
        Self { items, next_token }
    }

    /// The same page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next_token: self.next_token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_is_bounded() {
        assert_eq!(PageRequest::decode(0, String::new()).unwrap().size, 50);
        assert_eq!(PageRequest::decode(5_000, String::new()).unwrap().size, 1_000);
        assert!(PageRequest::decode(-1, String::new()).is_err());
    }

    #[test]
    fn a_page_has_a_token_only_when_there_is_more() {
        let page = Page::cut(vec![1, 2, 3], 2, ToString::to_string);
        assert_eq!((page.items.as_slice(), page.next_token.as_str()), (&[1, 2][..], "2"));
        assert_eq!(Page::cut(vec![1, 2], 2, ToString::to_string).next_token, "");
    }
}
