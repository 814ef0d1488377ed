//! AArch64 register layouts, saved-state structs and system-register identities, as plain values.
//!
//! Nothing here executes an instruction: a debugger links this crate on a laptop. What reads and
//! writes the hardware is `vcpu-asm`; what gives the values a meaning is in the crates above.
#![no_std]
#![forbid(unsafe_code)]

mod addr;
mod esr;
mod sysreg;

pub use addr::{Intid, Ipa, Pa, Va, Vmid};
pub use esr::{Esr, EsrField, iss};
pub use sysreg::{SysReg, SysRegDirections};
