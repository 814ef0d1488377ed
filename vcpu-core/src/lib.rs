//! An AArch64 virtual CPU at EL2: load, run, decoded exits, completion, injection.
//!
//! [`El2`] is a physical CPU that can run guests, [`Vm`] what the vCPUs of a guest share, [`Vcpu`]
//! one of them at rest. [`Vcpu::load`] puts its state on the hardware and gives a [`Live`], which
//! alone can [`run`](Live::run); a run ends with an [`Exit`], which the host completes, refuses or
//! [reflects](Live::reflect).
#![no_std]

mod completion;
mod debug;
mod el2;
mod exit;
mod firmware;
mod ids;
mod inject;
mod interface;
mod interrupts;
mod live;
mod mailbox;
mod number;
mod policy;
mod power;
mod reflect;
mod registers;
mod residency;
mod settle;
mod snapshot;
mod timers;
mod turns;
mod vcpu;
mod vectors;
mod vm;
mod words;

pub use completion::{Call, Completion, Mmio, Psci, SysRegAccess, Wait};
pub use el2::{El2, EnableError};
pub use exit::{Conduit, Exit};
pub use firmware::{
    Action, Caller, Decision, Firmware, Outcome, PowerRequest, PsciOptions, ResetKind, Results,
    Rule, SocId, StolenTime, StolenTimeRecord, Suspend, Trng, Workarounds,
};
pub use ids::{Extensions, guest_ids};
pub use live::{ExitOf, Live};
pub use mailbox::{Delivery, Mailbox, Mailed, MailedState, Message, PostError};
pub use policy::{Fp, Interrupts, Policy, Timers, Waits};
pub use power::{PowerCell, Start};
pub use registers::Registers;
pub use residency::LoadError;
pub use settle::OtherTable;
pub use snapshot::{StateError, StateReg};
pub use timers::{Ended, Fired, TimerDelivery, TimerKind, TimerPpis, TimerState};
pub use turns::Turns;
pub use vcpu::{Vcpu, VcpuConfig};
pub use vm::{MAX_CPUS, Vm, Vmids};
