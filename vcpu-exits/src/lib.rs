//! Decodes AArch64 exception syndromes into what the guest did, for hypervisors and debuggers.
//!
//! [`Syndrome::decode`] gives every `ESR_ELx` word a typed value. [`Fault`] joins an abort with its FAR
//! and HPFAR. [`calls`] reads SMCCC and PSCI from argument registers. All of it is pure functions of
//! captured words: no hardware, no allocation, no panic, no policy.
//!
//! A hypervisor matches on what happened:
//!
//! ```
//! use vcpu_exits::{Fault, FaultIpa, Syndrome};
//! use vcpu_regs::{Esr, Ipa};
//!
//! // What `str w3, [x1]` leaves in ESR_EL2, FAR_EL2 and HPFAR_EL2 where stage 2 maps nothing.
//! let (esr, far, hpfar) = (Esr(0x9383_0046), 0xffff_8000_0900_0004, 0x9_0000);
//! assert!(matches!(Syndrome::decode(esr), Syndrome::DataAbort(_)));
//! let fault = Fault::new(esr, far, hpfar).unwrap();
//! assert_eq!(fault.ipa(), FaultIpa::Exact(Ipa(0x900_0004)));
//! assert_eq!(fault.transfer().map(|transfer| transfer.reg), Some(3));
//! ```
//!
//! [`explain`] says it to people, and [`insn`] reads the instruction where the syndrome does not tell which
//! registers an access used:
//!
//! ```
//! use vcpu_exits::insn::MemoryInsn;
//!
//! let insn = MemoryInsn::decode(0x29ff_0be1).unwrap();
//! assert_eq!(insn.to_string(), "ldp w1, w2, [sp, #-8]!");
//! ```
//!
//! Nothing is lost: [`Decoded`] keeps reserved bits, and [`explain::Fields`] covers all 64.
#![no_std]
#![forbid(unsafe_code)]

mod aarch32;
mod abort;
mod access;
mod call;
pub mod calls;
mod debug;
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
pub use abort::{AbortFlags, BlockAccess, DataAbort, InstructionAbort, Transfer};
pub use access::{SysRegAccess, SysRegPairAccess};
pub use call::{Hvc, Smc, Smc32, Svc};
pub use debug::{Breakpoint, SoftwareStep, Watchpoint};
pub use fault::{Access, Fault, FaultIpa};
pub use midr::Midr;
pub use pc::{LeavesPc, Pc, SvcRoute};
pub use serror::{FpException, GranuleProtection, SError, SErrorReport, SErrorSeverity};
pub use sgi::{SgiGroup, SgiRequest, SgiTarget};
pub use status::{FaultKind, FaultStatus};
pub use syndrome::{Decoded, OtherInstruction, SmeReason, Syndrome};
pub use trap::{Brk, Condition, Eret, Gcs, Mops, PointerAuthFailure, Wfx, WfxKind};

// The run loop passes these by value: a few words, nothing that becomes a `memcpy`.
static_assertions::const_assert!(size_of::<Syndrome>() <= 24);
static_assertions::const_assert!(size_of::<Fault>() <= 24);
