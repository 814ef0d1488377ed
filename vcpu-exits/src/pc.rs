//! Where ELR stands when an exception arrives, and what it takes to move past the instruction.

use crate::{
    Breakpoint, Brk, CpAccess, CpMemoryAccess, CpPairAccess, DataAbort, Eret, FpException, Gcs,
    GranuleProtection, Hvc, InstructionAbort, Mops, PointerAuthFailure, SError, Smc, Smc32,
    SoftwareStep, SysRegAccess, SysRegPairAccess, Watchpoint, Wfx,
};

/// Where ELR stands. Arm ARM (DDI 0487), preferred exception return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Pc {
    /// On the instruction: returning repeats it, completing it must move PC past it.
    OnInstruction,
    /// Past the instruction: returning goes on after it.
    PastInstruction,
    /// On the next instruction, and no instruction is to blame.
    Unrelated,
}

/// What brought an `SVC` to EL2. The syndrome is the same, ELR is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SvcRoute {
    /// HCR_EL2.TGE: the exception itself came here, and ELR is past the instruction.
    Tge,
    /// HFGITR_EL2.SVC_EL0 or SVC_EL1: the instruction was trapped, and ELR is on it.
    Hfgitr,
}

/// Payloads of a [`Syndrome`](crate::Syndrome) whose class alone tells where ELR is: all but `SVC`.
pub trait LeavesPc {
    /// Where ELR stands.
    const PC: Pc;
}

macro_rules! leaves_pc {
    ($($pc:ident: $($payload:ty),*;)*) => {
        $($(impl LeavesPc for $payload { const PC: Pc = Pc::$pc; })*)*
    };
}

leaves_pc! {
    OnInstruction: Wfx, CpAccess, CpPairAccess, CpMemoryAccess, Smc, Smc32, SysRegAccess,
        SysRegPairAccess, Eret, PointerAuthFailure, GranuleProtection, InstructionAbort, DataAbort, Mops, FpException,
        Gcs, Breakpoint, Watchpoint, Brk;
    PastInstruction: Hvc;
    Unrelated: SError, SoftwareStep;
}
