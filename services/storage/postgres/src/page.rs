//! The rows of a page as they are read: one more than it shows, and no more than fit, however large they are.

use tidemill_kernel::Page;
use tidemill_store::page::{self, LOAD_BYTES, PAGE_BYTES};

/// The rows of a page.
pub(crate) struct PageRows<T> {
    rows: Vec<T>,
    bytes: usize,
    size: u32,
    /// About how many bytes are too many.
    most: usize,
    measure: fn(&T) -> usize,
}

impl<T> PageRows<T> {
    /// None yet, of a page of this size; `measure` tells the bytes of a row.
    pub(crate) fn new(size: u32, measure: fn(&T) -> usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, size, most: PAGE_BYTES, measure }
    }

    /// None yet, of a load whose statement tells how many rows it may have.
    pub(crate) fn load(measure: fn(&T) -> usize) -> Self {
        Self { rows: Vec::new(), bytes: 0, size: u32::MAX, most: LOAD_BYTES, measure }
    }

    /// How many are to be read yet.
    pub(crate) fn missing(&self) -> i64 {
        if self.is_full(0, 0) {
            return 0;
        }
        let read = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        i64::from(self.size) + 1 - read
    }

    /// Whether no more is shown with so many more rows of so many bytes.
    pub(crate) fn is_full(&self, more: usize, bytes: usize) -> bool {
        let rows = self.rows.len() + more;
        rows > self.size as usize || (rows > 1 && self.bytes + bytes > self.most)
    }

    pub(crate) fn bytes_of(&self, row: &T) -> usize {
        (self.measure)(row)
    }

    /// Adds rows that were read.
    pub(crate) fn take(&mut self, rows: Vec<T>) {
        self.bytes += rows.iter().map(self.measure).sum::<usize>();
        self.rows.extend(rows);
    }

    /// The rows of a load.
    pub(crate) fn loaded(self) -> Vec<T> {
        page::load(self.rows.into_iter(), self.size, self.measure)
    }

    /// The page; `token` makes the token from the last row that is shown.
    pub(crate) fn cut(self, token: impl Fn(&T) -> String) -> Page<T> {
        page::cut(self.rows, self.size, self.measure, token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_asks_for_what_is_missing_and_shows_what_fits(
            sizes in prop::collection::vec(0_usize..PAGE_BYTES, 0..12),
            size in 1_u32..6,
        ) {
            let mut read = PageRows::new(size, |bytes: &usize| *bytes);
            let mut rest = sizes.clone();
            // As a database gives them: those asked for, until the page is full.
            while read.missing() > 0 && !rest.is_empty() {
                prop_assert!(read.missing() <= i64::from(size) + 1);
                let (mut rows, mut bytes) = (Vec::new(), 0);
                while !read.is_full(rows.len(), bytes) && !rest.is_empty() {
                    bytes += rest[0];
                    rows.push(rest.remove(0));
                }
                read.take(rows);
            }
            let shown = read.cut(ToString::to_string);
            let whole = page::cut(sizes.clone(), size, |bytes| *bytes, ToString::to_string);
            prop_assert_eq!(shown.items, whole.items);
            prop_assert_eq!(shown.next_token, whole.next_token);
        }
    }
}
