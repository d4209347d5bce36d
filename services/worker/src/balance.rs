//! How a worker's credits are divided among schedulers: where there is work, without starving a scheduler that may have
//! some in a moment. Pure.
//!
//! Free credits are poured like water, always to who has the least, among those that spend theirs: so a scheduler that has
//! work gets what becomes free. Credits that lie idle at one while another has none are halved at each round, down to one, which
//! is kept so that new work is noticed at once; with fewer credits than schedulers the last one moves around too.

/// One scheduler as the division sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Credits that it has.
    pub(crate) credits: u32,
    /// Credits that it was asked to give back.
    pub(crate) withdrawing: u32,
    /// Leases that it gave since the last round.
    pub(crate) spent: u32,
}

/// How many of `free` credits each gets: those that have none or spend theirs, or all if there are no such.
pub(crate) fn divide(free: u32, loads: &[Load]) -> Vec<u32> {
    let takes = |load: &Load| load.credits == 0 || load.spent > 0;
    let anybody = loads.iter().any(takes);
    let takers: Vec<usize> = (0..loads.len()).filter(|&index| !anybody || takes(&loads[index])).collect();
    let mut given = vec![0; loads.len()];
    let poured = pour(free, &takers.iter().map(|&index| loads[index].credits).collect::<Vec<_>>());
    takers.into_iter().zip(poured).for_each(|(index, count)| given[index] = count);
    given
}

/// How many of `free` credits each gets. As even as can be: none ends with more than one above another that got any.
fn pour(free: u32, levels: &[u32]) -> Vec<u32> {
    let mut given = vec![0; levels.len()];
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by_key(|&index| levels[index]);
    let mut left = free;
    for (rank, &index) in order.iter().enumerate() {
        // The lowest `rank + 1` stand level; they rise together to the next one, or as far as there is.
        let level = levels[index];
        let next = order.get(rank + 1).map_or(u32::MAX, |&next| levels[next]);
        let width = u32::try_from(rank + 1).unwrap_or(u32::MAX);
        let rise = (next - level).min(left / width);
        order[..=rank].iter().for_each(|&index| given[index] += rise);
        left -= rise * width;
        if rise < next - level {
            for &index in order[..=rank].iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                given[index] += 1;
            }
            break;
        }
    }
    given
}

/// How many credits to take back from each, so that those without get some.
pub(crate) fn withdraw(slots: u32, loads: &[Load]) -> Vec<u32> {
    let open = u32::try_from(loads.len()).unwrap_or(u32::MAX);
    let floor = u32::from(slots >= open);
    let is_hungry = loads.iter().any(|load| load.credits == 0);
    let take = |load: &Load| {
        let is_idle = load.spent <= load.credits / 2 && load.withdrawing == 0;
        if is_hungry && is_idle { load.credits.saturating_sub(floor).div_ceil(2) } else { 0 }
    };
    loads.iter().map(take).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn credits_are_poured_to_the_lowest_and_none_is_lost(free in 0_u32..500, levels in prop::collection::vec(0_u32..100, 1..9)) {
            let given = pour(free, &levels);
            prop_assert_eq!(given.iter().sum::<u32>(), free);
            // The naive way: one at a time, to who has the least.
            let mut naive = levels.clone();
            for _ in 0..free {
                *naive.iter_mut().min().unwrap() += 1;
            }
            let mut poured: Vec<u32> = levels.iter().zip(&given).map(|(level, given)| level + given).collect();
            poured.sort_unstable();
            naive.sort_unstable();
            prop_assert_eq!(poured, naive);
        }

        #[test]
        fn work_at_one_of_many_gets_all_but_one_credit_of_each(slots in 16_u32..2_000, others in 1_usize..8) {
            // One scheduler spends all that it gets at once on tasks that never end, the others have nothing to do.
            let (mut busy, mut idle, mut free) = (0, vec![0_u32; others], slots);
            let loads = |idle: &[u32]| -> Vec<Load> {
                let credits = std::iter::once(0).chain(idle.iter().copied());
                credits.map(|credits| Load { credits, ..Load::default() }).collect()
            };
            for _ in 0..12 {
                let given = divide(free, &loads(&idle));
                busy += given[0];
                idle.iter_mut().zip(&given[1..]).for_each(|(idle, given)| *idle += given);
                let taken = withdraw(slots, &loads(&idle));
                free = taken.iter().sum();
                idle.iter_mut().zip(&taken[1..]).for_each(|(idle, taken)| *idle -= taken);
            }
            prop_assert_eq!(busy, slots - u32::try_from(others).unwrap());
            prop_assert!(idle.iter().all(|credits| *credits == 1));
        }
    }

    #[test]
    fn nothing_is_taken_from_who_spends_or_while_nobody_lacks() {
        let load = |credits, spent| Load { credits, spent, withdrawing: 0 };
        assert_eq!(withdraw(64, &[load(32, 0), load(32, 0)]), [0, 0]);
        assert_eq!(withdraw(64, &[load(0, 9), load(32, 40)]), [0, 0]);
        assert_eq!(withdraw(64, &[load(0, 9), load(33, 0)]), [0, 16]);
        assert_eq!(withdraw(64, &[load(0, 0), Load { withdrawing: 1, ..load(33, 0) }]), [0, 0]);
        assert_eq!(withdraw(1, &[load(0, 0), load(1, 0)]), [0, 1], "the only credit moves around");
    }
}
