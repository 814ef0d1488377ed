//! Decodes AArch64 exception syndromes into what the guest did, for hypervisors and debuggers.
//!
//! [`Syndrome::decode`] gives every `ESR_ELx` word a typed value. [`Fault`] joins an abort with its FAR
//! and HPFAR. [`calls`] reads SMCCC and PSCI from argument registers. All of it is pure functions of
//! captured words: no hardware, no allocation, no panic, no policy.
#![no_std]
#![forbid(unsafe_code)]

mod aarch32;
mod abort;
mod access;
mod call;
pub mod calls;
pub mod explain;
mod fault;
pub mod insn;
mod midr;
mod pc;
mod serror;
mod sgi;
mod status;
mod syndrome;
mod trap;

pub use aarch32::{Coprocessor, CpAccess, CpMemoryAccess, CpPairAccess};
pub use abort::{AbortFlags, DataAbort, InstructionAbort, Transfer};
pub use access::{SysRegAccess, SysRegPairAccess};
pub use call::{Hvc, Smc, Smc32, Svc};
pub use fault::{Access, Fault, FaultIpa};
pub use midr::Midr;
pub use pc::{LeavesPc, Pc, SvcRoute};
pub use serror::{
    Breakpoint, FpException, GranuleProtection, SError, SErrorReport, SErrorSeverity, SoftwareStep,
    Watchpoint,
};
pub use sgi::{SgiGroup, SgiRequest, SgiTarget};
pub use status::{FaultKind, FaultStatus};
pub use syndrome::{Decoded, OtherInstruction, SmeReason, Syndrome};
pub use trap::{Brk, Condition, Eret, Gcs, Mops, PointerAuthFailure, Wfx, WfxKind};

// The run loop passes these by value: a few words, nothing that becomes a `memcpy`.
static_assertions::const_assert!(size_of::<Syndrome>() <= 24);
static_assertions::const_assert!(size_of::<Fault>() <= 24);
