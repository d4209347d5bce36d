//! What a push says about its input while a progress bar is drawn: on stderr, one line each, and not more than asked
//! for: a file that is no text at all must not flood the terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;

use crate::output;

/// The longest line; what is wrong may quote the input.
const LONGEST: usize = 600;

/// Says what is wrong. Clones count together.
#[derive(Clone)]
pub(crate) struct Voice {
    bar: ProgressBar,
    most: usize,
    told: Arc<AtomicUsize>,
}

impl Voice {
    /// Says `most` things at most; 0 is no bound.
    pub(crate) fn new(bar: ProgressBar, most: usize) -> Self {
        Self { bar, most: if most == 0 { usize::MAX } else { most }, told: Arc::default() }
    }

    /// Says nothing: somebody else reads the same and says it.
    pub(crate) fn mute(bar: ProgressBar) -> Self {
        Self { bar, most: 0, told: Arc::default() }
    }

    /// The bar that it speaks past.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// One line about the input.
    pub(crate) fn say(&self, text: &str) {
        if self.told.fetch_add(1, Ordering::Relaxed) < self.most {
            self.bar.suspend(|| output::note(&output::short(text, LONGEST)));
        }
    }

    /// How much was not said, if something was.
    pub(crate) fn rest(&self) -> Option<usize> {
        let rest = self.told.load(Ordering::Relaxed).saturating_sub(self.most);
        (rest > 0 && self.most > 0).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_bound_is_counted() {
        let voice = Voice::new(ProgressBar::hidden(), 1);
        voice.say("one fault");
        assert_eq!(voice.rest(), None);
        voice.clone().say("another");
        assert_eq!(voice.rest(), Some(1));
        let mute = Voice::mute(ProgressBar::hidden());
        mute.say("unheard");
        assert_eq!(mute.rest(), None);
    }
}
