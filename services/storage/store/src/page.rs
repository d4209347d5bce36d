//! Pages that are bounded in bytes too, so that one of the largest items is still an ordinary message, whatever size
//! its caller asked for.

use tidemill_kernel::Page;

/// About how many bytes a page shows. With one item more it stays below the 4 MiB that gRPC clients take by default.
pub const PAGE_BYTES: usize = 2 << 20;

/// About how many bytes a load of tasks brings; with one task more it is still below what a step may hold in memory.
pub const LOAD_BYTES: usize = 4 << 20;

/// The first of these items: at most `limit`, only those that are [`LOAD_BYTES`] together, one at least if there is one.
pub fn load<T>(items: impl Iterator<Item = T>, limit: u32, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut total = 0_usize;
    let items = items.take(limit as usize).take_while(|item| {
        let first = total == 0;
        total = total.saturating_add(bytes(item).max(1));
        first || total <= LOAD_BYTES
    });
    items.collect()
}

/// A page from items that were read: at most `size` of them, only the first that are [`PAGE_BYTES`] together, one at
/// least. Give one more item than that; it only tells that there is more.
pub fn cut<T>(
    items: Vec<T>,
    size: u32,
    bytes: impl Fn(&T) -> usize,
    token: impl Fn(&T) -> String,
) -> Page<T> {
    let mut total = 0;
    let fitting = items.iter().take_while(|item| {
        total += bytes(item);
        total <= PAGE_BYTES
    });
    let fitting = u32::try_from(fitting.count().max(1)).unwrap_or(u32::MAX);
    Page::cut(items, size.min(fitting), token)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_load_is_the_longest_beginning_that_fits(
            sizes in prop::collection::vec(0_usize..LOAD_BYTES * 3 / 2, 0..20),
            limit in 1_u32..12,
        ) {
            let loaded = load(sizes.iter().copied(), limit, |size| *size);
            prop_assert_eq!(&sizes[..loaded.len()], &loaded);
            let fits = |count: usize| {
                let bytes: usize = sizes[..count].iter().map(|size| *size.max(&1)).sum();
                count <= limit as usize && (count <= 1 || bytes <= LOAD_BYTES)
            };
            prop_assert!(fits(loaded.len()));
            prop_assert!(loaded.len() == sizes.len() || !fits(loaded.len() + 1));
        }

        #[test]
        fn pages_hold_every_item_once_in_order_and_no_more_than_they_may(
            sizes in prop::collection::vec(0_usize..PAGE_BYTES * 3 / 2, 0..20),
            size in 1_u32..6,
        ) {
            let mut shown: Vec<usize> = Vec::new();
            loop {
                let from = shown.len();
                let rest = (from..sizes.len()).take(size as usize + 1).collect();
                let page = cut(rest, size, |item| sizes[*item], ToString::to_string);
                prop_assert!(page.items.len() <= size as usize);
                let bytes: usize = page.items.iter().map(|item| sizes[*item]).sum();
                prop_assert!(page.items.len() == 1 || bytes <= PAGE_BYTES);
                shown.extend(&page.items);
                if page.next_token.is_empty() {
                    break;
                }
                prop_assert_eq!(page.next_token.parse(), Ok(shown.len() - 1), "the token is of the last item shown");
            }
            prop_assert_eq!(shown, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}
