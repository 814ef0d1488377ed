//! A host of virtual machines: everything virtual, nothing passed through.
//!
//! A [`Guest`] is a virtual machine: memory, devices, vCPUs at rest. A [`Hypervisor`] has all of
//! them and runs their vCPUs on all CPUs, each where and when the run queue says.

mod config;
mod contents;
mod files;
mod guest;
mod hypervisor;
mod interrupts;
mod lists;
mod peripherals;
mod platform;
mod report;
mod stats;
mod stay;
mod stolen;
mod trace;

pub use config::{GuestConfig, Settings};
pub use files::{Files, run};
pub use guest::Guest;
pub use hypervisor::Hypervisor;
pub use platform::{Host, VirtHost};
pub use stats::{Counters, Kind, Stats};
pub(crate) use trace::dump as tell_last_exits;
