//! A virtual CPU that is on no physical one.

use core::ops::{Deref, DerefMut};

use vcpu_exits::SError;
use vcpu_hal::{Cpu, Inject, Platform};
use vcpu_regs::{DebugState, FpState, SveState, SwitchedReg, SwitchedState};
use vcpu_stage2::VcpuTag;

use crate::{
    El2, Live, LoadError, Policy, Registers, Vm, number, residency::Prepared, timers::HeldTimers,
};

/// What a vCPU starts from.
#[derive(Clone, Copy, Debug, Default)]
pub struct VcpuConfig {
    /// Affinity fields of the `MPIDR_EL1` that the guest reads; bit 31 is set whatever this says.
    pub mpidr: u64,
    /// Who handles what.
    pub policy: Policy,
}

/// A virtual CPU, with all of its registers, while it is on no physical CPU.
///
/// [`load`](Self::load) makes it live on one. It dereferences to [`Registers`].
#[repr(C)] // the registers first: what every exit reaches for is at offset 0
pub struct Vcpu<P: Platform> {
    pub(crate) registers: Registers,
    pub(crate) switched: SwitchedState,
    pub(crate) fp: FpState,
    pub(crate) debug: DebugState,
    pub(crate) pending: <P::Inject as Inject>::State,
    /// Whether a virtual SError was pending when last looked at; VSESR_EL2 has its syndrome.
    pub(crate) serror_pending: bool,
    pub(crate) held_timers: HeldTimers,
    pub(crate) mpidr: u64,
    pub(crate) policy: Policy,
    pub(crate) prepared: Prepared,
    /// Whether the FP registers are on the hardware, and the SVE registers with them.
    pub(crate) fp_is_live: bool,
    /// What the host lent for the SVE registers.
    pub(crate) sve: Option<&'static mut SveState>,
    /// Tells vCPUs apart where their translations might be mixed up, and where it ran.
    pub(crate) tag: VcpuTag,
}

impl<P: Platform> Vcpu<P> {
    /// `MPIDR_EL1`: Aff3 to Aff0, and U for a single processor, MT.
    const MPIDR_FIELDS: u64 = 0xff_ffff_ffff & !(1 << 31);

    /// Returns a vCPU after reset, at address 0 in EL1h with everything masked.
    pub fn new(config: &VcpuConfig) -> Self {
        Self {
            registers: Registers::new(),
            switched: SwitchedState::default(),
            fp: FpState::default(),
            debug: DebugState::default(),
            pending: Default::default(),
            serror_pending: false,
            held_timers: HeldTimers::default(),
            mpidr: config.mpidr & Self::MPIDR_FIELDS | 1 << 31,
            policy: config.policy,
            prepared: Prepared::default(),
            fp_is_live: false,
            sve: None,
            tag: VcpuTag::new(number::fresh() as u32),
        }
    }

    /// Puts every register to what it is after a reset. Who it is, its policy and its pending
    /// interrupts stay.
    pub(crate) fn reset(&mut self) {
        self.registers.reset();
        self.switched = SwitchedState::default();
        self.fp = FpState::default();
        if let Some(sve) = &mut self.sve {
            sve.clear();
        }
        self.debug = DebugState::default();
        self.serror_pending = false;
        self.held_timers = HeldTimers::default();
        self.tag.forget(); // translations of the old TTBR and ASID may be anywhere
    }

    /// Makes the guest's state live on this CPU, until the result is dropped or
    /// [`put`](Live::put).
    #[inline(always)]
    pub fn load<'a, 'h, C: Cpu>(
        &'a mut self,
        el2: &'a mut El2<'h, P, C>,
        vm: &'a Vm,
    ) -> Result<Live<'a, 'h, P, C>, LoadError> {
        Live::load(self, el2, vm)
    }

    /// Returns the MPIDR_EL1 that the guest reads.
    pub fn mpidr(&self) -> u64 {
        self.mpidr
    }

    /// Returns who handles what.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Returns a system register.
    pub fn sysreg(&self, reg: SwitchedReg) -> u64 {
        self.switched.get(reg)
    }

    /// Replaces a system register.
    pub fn set_sysreg(&mut self, reg: SwitchedReg, value: u64) {
        self.switched.set(reg, value);
        self.tag.forget(); // translations of the old TTBR and ASID may be anywhere
    }

    /// Makes an SError pending, which the guest takes once it does not mask them.
    ///
    /// Its syndrome is what the guest is told on a CPU with FEAT_RAS; on another it is told none.
    pub fn inject_serror(&mut self, serror: SError) {
        self.switched.set(SwitchedReg::VSESR_EL2, vsesr(serror));
        self.serror_pending = true;
    }

    /// Returns whether an SError is pending.
    pub fn serror_pending(&self) -> bool {
        self.serror_pending
    }

    /// Returns the FP/SIMD registers. With SVE, Q registers are the first bits of Z registers.
    pub fn fp(&self) -> &FpState {
        &self.fp
    }

    /// Returns the FP/SIMD registers, to change them.
    pub fn fp_mut(&mut self) -> &mut FpState {
        &mut self.fp
    }

    /// Returns the breakpoints and watchpoints.
    pub fn debug(&self) -> &DebugState {
        &self.debug
    }

    /// Returns the breakpoints and watchpoints, to change them.
    pub fn debug_mut(&mut self) -> &mut DebugState {
        &mut self.debug
    }
}

/// Returns `VSESR_EL2` for an SError: IDS and ISS as in ESR_ELx.
pub(crate) fn vsesr(serror: SError) -> u64 {
    serror.encode().0 & 0x1ff_ffff
}

impl<P: Platform> Deref for Vcpu<P> {
    type Target = Registers;

    fn deref(&self) -> &Registers {
        &self.registers
    }
}

impl<P: Platform> DerefMut for Vcpu<P> {
    fn deref_mut(&mut self) -> &mut Registers {
        &mut self.registers
    }
}
