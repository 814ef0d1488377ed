//! The instructions of an AArch64 virtual CPU: world switch, save and restore, invalidation.
//!
//! `El2Cpu` is the real [`Cpu`](vcpu_hal::Cpu). It decides nothing: what a register should hold
//! comes from the crates above. On another architecture than AArch64 this crate is empty, so that
//! what depends on it builds and tests anywhere.
#![no_std]
#![cfg(target_arch = "aarch64")]

mod beside;
mod controls;
mod cpu;
mod debug;
mod firmware;
mod fp;
mod ich;
mod pstate;
mod sve;
mod switch;
mod switched;
mod sysreg;
mod tlb;
mod translate;

pub use cpu::El2Cpu;
pub use switch::Kept;
