//! A virtual CPU whose state is on this physical one.

use core::ops::{Deref, DerefMut};

use vcpu_exits::{SError, Syndrome};
use vcpu_hal::{Cause, Cpu, FetchIrq, HcrSwitch, Inject, Platform};
use vcpu_regs::{
    Hcr, IdRegisters, Intid, Invalidate, InvalidateStep, SwitchedReg, Va, VcpuNumber,
};

use crate::{
    El2, Exit, Mmio, Registers, Vcpu, Vm,
    inject::{self, Bank},
    policy::Identity,
};

/// What a run of this host's guests ends with.
pub type ExitOf<P> = Exit<<<P as Platform>::FetchIrq as FetchIrq>::Token>;

/// Why a vCPU was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// The stage 2 translates to more bits than this CPU's physical addresses have.
    PaTooWide {
        /// What `VTCR_EL2.PS` needs.
        needed_bits: u8,
        /// What `ID_AA64MMFR0_EL1.PARange` offers.
        available_bits: u8,
    },
}

/// A vCPU that is live on this CPU: only this runs. Dropping it takes the state back.
pub struct Live<'a, 'h, P: Platform, C: Cpu> {
    vcpu: &'a mut Vcpu<P>,
    el2: &'a mut El2<'h, P, C>,
    vm: &'a Vm,
    hcr: HcrSwitch,
}
