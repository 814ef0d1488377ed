//! The processor as a trait.

use vcpu_regs::{
    At, Controls, Cptr, DebugState, Esr, Features, FpState, GuestFrame, Hcr, IchReg, IdRegisters,
    Intid, InvalidateStep, Par, Pstate, SveState, SwitchedReg, SwitchedState, Va, VectorLengths,
};

use crate::Guard;

/// How the calling code runs, before anything is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HostMode {
    /// The exception level: `CurrentEL`.
    pub el: u8,
    /// Whether SP is SP_EL2 and not SP_EL0: `SPSel`.
    pub own_stack: bool,
    /// `HCR_EL2.E2H`; false below EL2.
    pub e2h: bool,
    /// Whether code at EL2 signs pointers (FEAT_PAuth): `SCTLR_EL2.EnIA`, `EnIB`, `EnDA`, `EnDB`.
    pub signs_pointers: bool,
}

/// Interrupt masks as they were: `DAIF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Daif(pub u64);

/// `HCR_EL2` while the guest runs and while the host does between two runs.
///
/// A switch toggles what differs, and nothing where nothing does: what hardware changes itself (VSE,
/// once the guest has taken a virtual SError) stays as hardware left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HcrSwitch {
    host: Hcr,
    difference: Hcr,
}

impl HcrSwitch {
    /// Returns the switch between these two.
    #[inline]
    pub const fn new(guest: Hcr, host: Hcr) -> Self {
        Self {
            host,
            difference: Hcr::from_bits_retain(guest.bits() ^ host.bits()),
        }
    }

    /// Returns what is in force in the guest.
    #[inline]
    pub const fn guest(self) -> Hcr {
        Hcr::from_bits_retain(self.host.bits() ^ self.difference.bits())
    }

    /// Returns what is in force in the host.
    #[inline]
    pub const fn host(self) -> Hcr {
        self.host
    }

    /// Returns the bits in which they differ.
    #[inline]
    pub const fn difference(self) -> Hcr {
        self.difference
    }

    /// Returns the same with these virtual interrupt lines, `VI` and `VF`, into the guest.
    #[inline]
    pub const fn with_lines(self, lines: Hcr) -> Self {
        let both = Hcr::VI.union(Hcr::VF);
        let host = self.host.intersection(both);
        let lines = Hcr::from_bits_retain(lines.bits() ^ host.bits());
        Self {
            host: self.host,
            difference: self.difference.difference(both).union(lines),
        }
    }
}

/// What is exchanged around a run where the host computes in FP registers.
#[derive(Debug)]
#[repr(C)] // for the assembly: two addresses, 0 where there is none, and a word
pub struct FpSwitch<'a> {
    /// The guest's FP/SIMD registers, once it has used them.
    pub fp: Option<&'a mut FpState>,
    /// The guest's SVE registers, if it has them, once it has used them or those.
    pub sve: Option<&'a mut SveState>,
    /// The bits of `CPTR_EL2` that are other in the guest than in the host.
    pub cptr_difference: u64,
}

/// Which vector brought the CPU back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u64)]
pub enum Cause {
    /// A synchronous exception of a class that has no addresses: the syndrome says which.
    Synchronous = 0,
    /// A physical IRQ is pending.
    Irq = 1,
    /// A physical FIQ is pending.
    Fiq = 2,
    /// A physical SError was taken.
    SError = 3,
    /// A synchronous exception of a class that has addresses: an abort, a watchpoint.
    Abort = 4,
}

/// What the hardware captured when the guest was left, read once.
///
/// FAR and HPFAR mean something only for [`Cause::Abort`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ExitWords {
    /// The vector.
    pub cause: Cause,
    /// `ESR_EL2`; zero for an interrupt.
    pub esr: Esr,
    /// `FAR_EL2`.
    pub far: u64,
    /// `HPFAR_EL2`.
    pub hpfar: u64,
}

impl ExitWords {
    /// Returns the words of a synchronous exit.
    pub const fn synchronous(esr: Esr, far: u64, hpfar: u64) -> Self {
        // Classes from 0x20 up have addresses.
        let cause = match esr.class() & 0x20 {
            0 => Cause::Synchronous,
            _ => Cause::Abort,
        };
        Self {
            cause,
            esr,
            far,
            hpfar,
        }
    }
}

/// The processor a vCPU runs on: everything that is an instruction.
///
/// Two implementations stand in the tree: `vcpu_asm::El2Cpu`, and [`crate::fake::ScriptedCpu`].
/// All calls concern the CPU that makes them.
///
/// # Safety
///
/// An implementation does what each method says and nothing else to memory or to the host's
/// registers: after [`enter`](Self::enter), stack, callee-saved registers, SP_EL0, TPIDR_EL0,
/// TPIDR_EL1, TPIDR_EL2, VBAR_EL2 and `HCR_EL2` are as before, but for `VSE`, which the guest may have
/// used up.
pub unsafe trait Cpu {
    /// What an entry needs of the host, and how its exits are guarded.
    type Kept: Copy;

    /// Returns how the caller runs.
    fn host_mode(&self) -> HostMode;

    /// Reads `MIDR_EL1` and the `ID_*` registers.
    fn id_registers(&self) -> IdRegisters;

    /// Reads `MPIDR_EL1`.
    fn mpidr(&self) -> u64;

    /// Reads `TPIDR_EL2`.
    fn tpidr_el2(&self) -> u64;

    /// Reads `CNTPCT_EL0`, in ticks of [`counter_freq_hz`](Self::counter_freq_hz).
    fn counter(&self) -> u64;

    /// Reads `CNTFRQ_EL0`.
    fn counter_freq_hz(&self) -> u64;

    /// Reads what an entry changes of the host and the exit brings back, where one read serves many
    /// entries: `VBAR_EL2` and `TPIDR_EL1`.
    fn keep(&self, guard: Guard) -> Self::Kept;

    /// Reads of PSTATE what [`Pstate::OF_HOST`] names, where the CPU has it.
    fn pstate(&self) -> Pstate;

    /// Replaces that.
    ///
    /// # Safety
    ///
    /// `pstate` is what [`pstate`](Self::pstate) returned: the caller's own.
    unsafe fn set_pstate(&self, pstate: Pstate);

    /// Masks debug exceptions, SErrors, IRQs and FIQs; returns what was masked before.
    fn mask_interrupts(&self) -> Daif;

    /// Restores the masks. Whatever `enter` wrote to the system registers is in force before.
    fn restore_interrupts(&self, daif: Daif);

    /// Runs the guest in `frame` until something brings the CPU back to EL2.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 on its own stack, all interrupts masked. The controls of the guest are in
    /// force, with a stage 2 that the guest may use as it likes. `frame.pstate` came through
    /// [`Pstate::for_entry`](vcpu_regs::Pstate::for_entry) or from this method. `hcr.guest()` has
    /// `VM`, `AMO` and `RW` set and `TGE` clear, and `E2H` as the CPU has it. `kept` is what
    /// [`keep`](Self::keep) would return now, of a guard that the CPU can do: a host leaves its
    /// vectors and TPIDR_EL1 as they are while a guest is loaded.
    unsafe fn enter(&self, frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Self::Kept) -> ExitWords;

    /// Returns whether the host is compiled to compute in FP registers. Guests are entered by
    /// [`enter_beside_fp`](Self::enter_beside_fp) then, and FP does not trap between two runs.
    fn host_uses_fp(&self) -> bool;

    /// Runs the guest as [`enter`](Self::enter) does, with its own FP registers if it has some. The
    /// host's are as before then, by the compiler's care for those that it gave up.
    ///
    /// # Safety
    ///
    /// As for `enter`. FP does not trap at EL2; nor does SVE, if `fp` has its registers.
    unsafe fn enter_beside_fp(
        &self,
        frame: &mut GuestFrame,
        hcr: HcrSwitch,
        kept: &Self::Kept,
        fp: FpSwitch<'_>,
    ) -> ExitWords;

    /// Reads the controls in force.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and `features` is what its ID registers say.
    unsafe fn controls(&self, features: Features) -> Controls;

    /// Replaces the controls, and synchronises.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and `features` is what its ID registers say. The host goes on working
    /// under `controls`: its E2H and its interrupt routing do not change.
    unsafe fn set_controls(&self, controls: &Controls, features: Features);

    /// Replaces what tells one guest from the next under the same policy: `HCR_EL2`, `VTCR_EL2`,
    /// `VTTBR_EL2`, `CNTVOFF_EL2`, `VPIDR_EL2` and `VMPIDR_EL2`. The entry synchronises it.
    ///
    /// # Safety
    ///
    /// As for [`set_controls`](Self::set_controls), for these words.
    unsafe fn set_guest(&self, controls: &Controls);

    /// Returns `HCR_EL2.VSE`: a virtual SError is pending.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2.
    unsafe fn virtual_serror(&self) -> bool;

    /// Replaces `HCR_EL2.VSE`.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and the controls of a guest are in force.
    unsafe fn set_virtual_serror(&self, pending: bool);

    /// Replaces `CPTR_EL2`, and synchronises.
    ///
    /// # Safety
    ///
    /// As for [`set_controls`](Self::set_controls), for this word.
    unsafe fn set_cptr(&self, cptr: Cptr);

    /// Takes the guest's switched registers off the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and has what `features` says: those that the guest has.
    unsafe fn save_switched(&self, state: &mut SwitchedState, features: Features);

    /// Puts the guest's switched registers on the hardware.
    ///
    /// # Safety
    ///
    /// As for [`save_switched`](Self::save_switched), and nothing of the host depends on the EL1
    /// registers of this CPU.
    unsafe fn load_switched(&self, state: &SwitchedState, features: Features);

    /// Takes the guest's FP/SIMD registers off the hardware.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and FP does not trap there.
    unsafe fn save_fp(&self, state: &mut FpState);

    /// Puts the guest's FP/SIMD registers on the hardware.
    ///
    /// # Safety
    ///
    /// As for [`save_fp`](Self::save_fp), and nothing of the host lives in the FP registers.
    unsafe fn load_fp(&self, state: &FpState);

    /// Returns the lengths of vectors that this CPU has. `CPTR_EL2` and `ZCR_EL2` are as before
    /// then, and of the Z registers the first 128 bits.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and has SVE, in which nothing of the host lives.
    unsafe fn vector_lengths(&self) -> VectorLengths;

    /// Replaces `ZCR_EL2`, and synchronises: it limits the vectors of EL2, and of what runs under it.
    /// Returns what was there.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and has SVE, which does not trap there and in which nothing of the host
    /// lives.
    unsafe fn replace_zcr(&self, zcr: u64) -> u64;

    /// Takes the guest's SVE registers off the hardware, at the length of EL2's vectors. What of
    /// `state` is beyond the length stays.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and has SVE, which does not trap there.
    unsafe fn save_sve(&self, state: &mut SveState);

    /// Puts the guest's SVE registers on the hardware, at the length of EL2's vectors. Q registers
    /// are replaced as parts of Z registers.
    ///
    /// # Safety
    ///
    /// As for [`save_sve`](Self::save_sve), and nothing of the host lives in the FP registers.
    unsafe fn load_sve(&self, state: &SveState);

    /// Reads the first breakpoints and watchpoints, `counts` of each.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and `counts` is what its ID registers say.
    unsafe fn save_debug(&self, state: &mut DebugState, counts: (u8, u8));

    /// Replaces the first breakpoints and watchpoints, `counts` of each.
    ///
    /// # Safety
    ///
    /// As for [`save_debug`](Self::save_debug), and EL2 makes no debug exceptions meanwhile.
    unsafe fn load_debug(&self, state: &DebugState, counts: (u8, u8));

    /// Reads one register of the loaded guest.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and has the register.
    unsafe fn read_switched(&self, reg: SwitchedReg) -> u64;

    /// Writes one register of the loaded guest.
    ///
    /// # Safety
    ///
    /// As for [`load_switched`](Self::load_switched), for this register.
    unsafe fn write_switched(&self, reg: SwitchedReg, value: u64);

    /// Executes one instruction of an [`Invalidate`](vcpu_regs::Invalidate).
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, and the features that the step needs are there.
    unsafe fn invalidate(&self, step: InvalidateStep);

    /// Calls the machine's firmware by `SMC #0`, x0 to x17 being `x` before and after (SMCCC,
    /// Arm DEN0028).
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 and has EL3, or something else that answers `SMC` there. What the function
    /// does with these arguments leaves the memory and the registers of the host alone, and it
    /// returns.
    unsafe fn firmware_call(&self, x: &mut [u64; 18]);

    /// Has the hardware translate `va` in the EL1&0 regime (`AT`); `PAR_EL1` is the guest's, and is
    /// as before.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, with `HCR_EL2.TGE` clear on a host with E2H. The tables that
    /// `VTTBR_EL2`, where stage 2 is on, and the guest's own registers lead to may be walked.
    unsafe fn translate(&self, va: Va, at: At) -> Par;

    /// Acknowledges the highest pending Group 1 interrupt: `ICC_IAR1_EL1`.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2 and its GICv3 interface is in use by system registers.
    unsafe fn gic_acknowledge(&self) -> Intid;

    /// Drops the running priority: `ICC_EOIR1_EL1`.
    ///
    /// For an INTID that was not acknowledged, what the GIC makes of it is unpredictable; memory is
    /// not concerned.
    ///
    /// # Safety
    ///
    /// As for [`gic_acknowledge`](Self::gic_acknowledge).
    unsafe fn gic_end(&self, intid: Intid);

    /// Deactivates the interrupt: `ICC_DIR_EL1`. It comes after [`gic_end`](Self::gic_end), where
    /// `ICC_CTLR_EL1.EOImode` is 1.
    ///
    /// # Safety
    ///
    /// As for [`gic_acknowledge`](Self::gic_acknowledge).
    unsafe fn gic_deactivate(&self, intid: Intid);

    /// Reads a register of the virtual CPU interface.
    ///
    /// # Safety
    ///
    /// The CPU is at EL2, its GICv3 interface is in use by system registers (`ICC_SRE_EL2.SRE` =
    /// 1), and [the register exists](IchReg::exists).
    unsafe fn read_ich(&self, reg: IchReg) -> u64;

    /// Writes a register of the virtual CPU interface.
    ///
    /// # Safety
    ///
    /// As for [`read_ich`](Self::read_ich); and the register is none of those that are only read.
    unsafe fn write_ich(&self, reg: IchReg, value: u64);
}
