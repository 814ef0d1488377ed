//! What a host swaps under an AArch64 virtual CPU: the platform backends and the CPU itself.
//!
//! [`Platform`] names three backends, each swapped alone: how virtual interrupts reach a guest
//! ([`Inject`]), how a physical one is fetched ([`FetchIrq`]), and which CPU this is ([`PerCpu`]).
//! They hold no instructions: they reach the processor through [`Cpu`], which `vcpu-asm`
//! implements for real and [`fake::ScriptedCpu`] for tests on any machine.
#![no_std]

mod cpu;
pub mod fake;
mod guard;
pub mod inject;
pub mod irq;
pub mod percpu;
mod platform;

pub use cpu::{Cause, Cpu, Daif, ExitWords, FpSwitch, HcrSwitch, HostMode};
pub use guard::{BranchHistory, Guard};
pub use inject::{Inject, Lines};
pub use irq::FetchIrq;
pub use percpu::PerCpu;
pub use platform::Platform;
