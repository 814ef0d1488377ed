//! What a guest finds around its CPUs, and who of the guests runs next, as values: no hardware, no
//! `unsafe`, and no allocation but for the device tree.
//!
//! A device here answers every access of every size at every offset, for the guest that makes them
//! may be hostile. It tells what follows as a value (a byte sent, an interrupt line that is high),
//! and the host that owns it acts: so all of it is tested on any machine.

#![no_std]
#![forbid(unsafe_code)]

pub mod bus;
pub mod gic;
mod lanes;
pub mod loader;
pub mod pl011;
pub mod run_queue;
pub mod terminal;
pub mod tree;
pub mod virtio;

pub use bus::{Bus, BusError};
pub use pl011::Pl011;
pub use terminal::Terminal;
