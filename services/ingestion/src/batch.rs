//! Batches without timers: what has arrived while the last commit ran goes into the next one.

use futures::stream::{self, Stream};
use futures::{FutureExt, StreamExt};

/// When a batch is full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// It holds this many items.
    pub(crate) items: usize,
    /// Or it holds at least this many bytes.
    pub(crate) bytes: usize,
}

/// Waits for one item, then takes whatever else is ready, until the batch is full. Items keep their order.
pub(crate) fn ready_batches<S, T>(
    items: S,
    bounds: Bounds,
    size: fn(&T) -> usize,
) -> impl Stream<Item = Vec<T>>
where
    S: Stream<Item = T> + Unpin,
{
    stream::unfold(items.fuse(), move |mut items| async move {
        let first = items.next().await?;
        let mut bytes = size(&first);
        let mut batch = vec![first];
        while batch.len() < bounds.items && bytes < bounds.bytes {
            let Some(Some(item)) = items.next().now_or_never() else { break };
            bytes += size(&item);
            batch.push(item);
        }
        Some((batch, items))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_keep_order_and_bounds(sizes in prop::collection::vec(0_usize..50, 0..60), items in 1_usize..9, bytes in 1_usize..120) {
            let bounds = Bounds { items, bytes };
            let batches = ready_batches(stream::iter(sizes.clone()), bounds, |size| *size);
            let batches = futures::executor::block_on(batches.collect::<Vec<_>>());
            for batch in &batches {
                let (_, rest) = batch.split_last().unwrap();
                prop_assert!(batch.len() <= items);
                prop_assert!(rest.iter().sum::<usize>() < bytes);
            }
            for pair in batches.windows(2) {
                prop_assert!(pair[0].len() == items || pair[0].iter().sum::<usize>() >= bytes, "closed too early");
            }
            prop_assert_eq!(batches.concat(), sizes);
        }
    }
}
