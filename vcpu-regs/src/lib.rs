//! AArch64 register layouts, saved-state structs and system-register identities, as plain values.
//!
//! Nothing here executes an instruction: a debugger links this crate on a laptop. What reads and
//! writes the hardware is `vcpu-asm`; what gives the values a meaning is in the crates above.
#![no_std]
#![forbid(unsafe_code)]

mod addr;
mod esr;
mod invalidate;
mod memory_model;
mod stage2;
mod sysreg;

pub use addr::{Intid, Ipa, Pa, Va, Vmid};
pub use esr::Esr;
pub use invalidate::{Invalidate, InvalidateStep, InvalidateSteps, IpaRange};
pub use memory_model::{Granule, GranuleSupport, MemoryModel};
pub use stage2::{Vtcr, VtcrFields, Vttbr};
pub use sysreg::SysReg;
