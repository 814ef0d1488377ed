//! Power states of a VM's vCPUs, in memory that the host owns.
//!
//! A cell for each vCPU lies outside its [`Vcpu`](crate::Vcpu): others turn it on while it is
//! somewhere else.

use core::sync::atomic;

macro_rules! constructor {
    ($(#[$doc:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$doc])* $vis const fn $($rest)* };
}

/// Waits a moment for another CPU.
fn pause() {
    core::hint::spin_loop();
}

mod cell;

pub(crate) use cell::AFFINITY;
pub use cell::{PowerCell, Start};

/// The same under loom, which tries every interleaving.
#[cfg(test)]
mod model;
