//! Numbers that tell values of one kind apart for as long as the program runs.

use core::sync::atomic::{AtomicU64, Ordering};

/// Returns a number that was not returned before; never 0.
pub(crate) fn fresh() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
