//! VMIDs: given out per VM, taken back by generations.
//!
//! A VM keeps its VMID until all are used up; then a new generation starts, in which only VMs
//! that are on a CPU keep theirs, and each CPU forgets all it has cached before it enters a VM of
//! the new one. Nothing is invalidated at any other time, and the usual way in takes no lock.

use core::sync::atomic;

macro_rules! constructor {
    ($(#[$doc:meta])* pub fn $($rest:tt)*) => { $(#[$doc])* pub const fn $($rest)* };
}
macro_rules! atomics {
    ($new:expr; $count:expr) => {
        [const { $new }; $count]
    };
}

/// Waits a moment for another CPU.
fn pause() {
    core::hint::spin_loop();
}

mod generations;

pub use generations::{Activation, Before, VcpuTag, VmTag, Vmids};

/// The same under loom, which tries every interleaving.
#[cfg(all(test, not(miri)))] // loom switches stacks
mod model;
