//! Pages that are bounded in bytes too, so that one of the largest items is still an ordinary message, whatever size
//! its caller asked for.

use tidemill_kernel::Page;

/// About how many bytes a page shows. With one item more it stays below the 4 MiB that gRPC clients take by default.
pub const PAGE_BYTES: usize = 2 << 20;

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
