//! AArch64 register layouts, saved-state structs and system-register identities, as plain values.
//!
//! Nothing here executes an instruction: a debugger links this crate on a laptop. What reads and
//! writes the hardware is `vcpu-asm`; what gives the values a meaning is in the crates above.
#![no_std]
#![forbid(unsafe_code)]

mod addr;
mod controls;
mod debug;
mod esr;
mod fate;
mod features;
pub mod gic;
mod gpr;
mod id;
mod invalidate;
mod memory_model;
mod pstate;
mod stage2;
mod state;
mod sve;
mod sysreg;
mod table;
mod timer;
mod translate;

pub use addr::{Intid, Ipa, Pa, Va, Vmid};
pub use controls::{Cnthctl, Controls, Cptr, CptrE2h, Hcr, Hcrx, Mdcr};
pub use debug::DebugState;
pub use esr::{Esr, EsrField, iss};
pub use fate::{Fate, FateRow, Feature, Trap};
pub use features::Features;
pub use gic::{IccSre, IchHcr, IchMisr, IchReg, IchVmcr, IchVtr, ListRegister};
pub use gpr::Gpr;
pub use id::{IdExcess, IdRegisters};
pub use invalidate::{Invalidate, InvalidateStep, InvalidateSteps, IpaRange};
pub use memory_model::{Granule, GranuleSupport, MemoryModel};
pub use pstate::{Mode, Pstate};
pub use stage2::{Vtcr, VtcrFields, Vttbr};
pub use state::*;
pub use sve::{Predicates, SveState, VectorLengths};
pub use sysreg::{SysReg, SysRegDirections};
pub use timer::{Timer, TimerCtl};
pub use translate::{At, Par, Translated};
