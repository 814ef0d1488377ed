//! The real processor.

use aarch64_cpu::{
    asm::barrier,
    registers::{
        CNTFRQ_EL0, CNTPCT_EL0, CPTR_EL2, CurrentEL, DAIF, ESR_EL2, FAR_EL2, HCR_EL2, HPFAR_EL2,
        MPIDR_EL1, Readable, SCTLR_EL2, SPSel, TPIDR_EL1, TPIDR_EL2, VBAR_EL2, Writeable,
    },
};
use core::{arch::asm, marker::PhantomData};
use vcpu_hal::{Cause, Cpu, Daif, ExitWords, FpSwitch, Guard, HcrSwitch, HostMode};
use vcpu_regs::{
    At, Controls, Cptr, DebugState, Esr, Features, FpState, GuestFrame, Hcr, IchReg, IdRegisters,
    Intid, InvalidateStep, Par, Pstate, SveState, SwitchedReg, SwitchedState, SysReg, Va,
    VectorLengths,
};

use crate::{
    Kept, beside, controls, debug, firmware, fp, ich, pstate, sve, switch, switched,
    sysreg::{mrs, msr},
    tlb, translate,
};

/// `SCTLR_EL2`: EnIA, EnIB, EnDA, EnDB.
const SIGNING: u64 = 1 << 31 | 1 << 30 | 1 << 27 | 1 << 13;

/// The CPU that this code runs on. A value of it stays on its CPU.
#[derive(Debug)]
pub struct El2Cpu {
    /// `HCR_EL2.E2H`, which a running host never changes.
    e2h: bool,
    /// What of [`Pstate::OF_HOST`] the CPU has.
    pstate: Pstate,
    _this_cpu: PhantomData<*const ()>,
}

impl El2Cpu {
    /// Returns the calling CPU, or the exception level that it is at instead of EL2.
    pub fn current() -> Result<Self, u8> {
        match CurrentEL.read(CurrentEL::EL) as u8 {
            2 => {
                let e2h = Hcr::from_bits_retain(HCR_EL2.get()).contains(Hcr::E2H);
                Ok(Self {
                    e2h,
                    pstate: pstate::present(),
                    _this_cpu: PhantomData,
                })
            }
            el => Err(el),
        }
    }
}

// SAFETY: each method is the registers and instructions its contract names; `switch::enter` keeps
// what the trait asks of `enter`, and nothing else touches memory but through its arguments.
unsafe impl Cpu for El2Cpu {
    type Kept = Kept;

    fn host_mode(&self) -> HostMode {
        HostMode {
            el: CurrentEL.read(CurrentEL::EL) as u8,
            own_stack: SPSel.is_set(SPSel::SP),
            e2h: self.e2h,
            // Bits of a feature that is missing are RES0.
            signs_pointers: SCTLR_EL2.get() & SIGNING != 0,
        }
    }

    fn id_registers(&self) -> IdRegisters {
        IdRegisters::read_with(id_register)
    }

    fn mpidr(&self) -> u64 {
        MPIDR_EL1.get()
    }

    fn tpidr_el2(&self) -> u64 {
        TPIDR_EL2.get()
    }

    fn counter(&self) -> u64 {
        barrier::isb(barrier::SY); // not before what came before
        CNTPCT_EL0.get()
    }

    fn counter_freq_hz(&self) -> u64 {
        CNTFRQ_EL0.get()
    }

    fn keep(&self, guard: Guard) -> Kept {
        Kept::new(VBAR_EL2.get(), TPIDR_EL1.get(), guard)
    }

    fn pstate(&self) -> Pstate {
        // SAFETY: `current` found EL2, and which fields there are.
        unsafe { pstate::read(self.pstate) }
    }

    unsafe fn set_pstate(&self, pstate: Pstate) {
        // SAFETY: `current` found EL2, and which fields there are; the values are the caller's own.
        unsafe { pstate::write(pstate, self.pstate) }
    }

    #[inline]
    fn mask_interrupts(&self) -> Daif {
        let daif = DAIF.get();
        // SAFETY: at EL2; masking cannot break anything. Memory accesses do not move across.
        unsafe { asm!("msr daifset, #0xf", options(nostack, preserves_flags)) };
        Daif(daif)
    }

    #[inline]
    fn restore_interrupts(&self, daif: Daif) {
        // SAFETY: the masks are those of our caller's caller. Memory accesses do not move across.
        unsafe { asm!("msr daif, {}", in(reg) daif.0, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    unsafe fn enter(&self, frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Kept) -> ExitWords {
        // SAFETY: the caller has EL2, the masks, the controls and the PSTATE; `frame` is borrowed
        // for the call.
        let syndrome = unsafe { switch::enter(frame, hcr.difference().bits(), kept) };
        exit_words(syndrome)
    }

    #[inline(always)]
    fn host_uses_fp(&self) -> bool {
        cfg!(target_feature = "neon")
    }

    #[inline(always)]
    unsafe fn enter_beside_fp(
        &self,
        frame: &mut GuestFrame,
        hcr: HcrSwitch,
        kept: &Kept,
        mut fp: FpSwitch<'_>,
    ) -> ExitWords {
        // SAFETY: as for `enter`; `fp` is borrowed for the call, and the caller has CPTR_EL2.
        let syndrome = unsafe { beside::enter(frame, hcr.difference().bits(), kept, &mut fp) };
        exit_words(syndrome)
    }

    #[inline(always)]
    unsafe fn controls(&self, features: Features) -> Controls {
        // SAFETY: the same contract.
        unsafe { controls::read(features) }
    }

    #[inline]
    unsafe fn set_controls(&self, controls: &Controls, features: Features) {
        // SAFETY: the same contract.
        unsafe { controls::write(controls, features) }
    }

    #[inline(always)]
    unsafe fn set_guest(&self, controls: &Controls) {
        // SAFETY: the same contract.
        unsafe { controls::write_guest(controls) }
    }

    unsafe fn virtual_serror(&self) -> bool {
        Hcr::from_bits_retain(HCR_EL2.get()).contains(Hcr::VSE)
    }

    unsafe fn set_virtual_serror(&self, pending: bool) {
        let mut hcr = Hcr::from_bits_retain(HCR_EL2.get());
        hcr.set(Hcr::VSE, pending);
        HCR_EL2.set(hcr.bits()); // the entry synchronises it
    }

    unsafe fn set_cptr(&self, cptr: Cptr) {
        CPTR_EL2.set(cptr.bits());
        barrier::isb(barrier::SY); // the trap is gone before the caller touches FP
    }

    unsafe fn save_switched(&self, state: &mut SwitchedState, features: Features) {
        // SAFETY: the same contract.
        unsafe { switched::save(state, features, self.e2h) }
    }

    unsafe fn load_switched(&self, state: &SwitchedState, features: Features) {
        // SAFETY: the same contract.
        unsafe { switched::load(state, features, self.e2h) }
    }

    unsafe fn save_fp(&self, state: &mut FpState) {
        // SAFETY: the same contract; `state` is borrowed for the call.
        unsafe { fp::save(state) }
    }

    unsafe fn load_fp(&self, state: &FpState) {
        // SAFETY: the same contract; `state` is borrowed for the call.
        unsafe { fp::load(state) }
    }

    unsafe fn vector_lengths(&self) -> VectorLengths {
        let cptr = Cptr::from_bits_retain(CPTR_EL2.get());
        let open = cptr
            .with_fp_trap(false, self.e2h)
            .with_sve_trap(false, self.e2h);
        // SAFETY: the same contract: the CPU has SVE, and it does not trap meanwhile.
        unsafe {
            self.set_cptr(open);
            let zcr = sve::zcr_el2();
            let lengths = VectorLengths::probe(|steps| {
                sve::set_zcr_el2(u64::from(steps) - 1);
                sve::vector_bytes() * 8
            });
            sve::set_zcr_el2(zcr);
            self.set_cptr(cptr);
            lengths
        }
    }

    unsafe fn replace_zcr(&self, zcr: u64) -> u64 {
        // SAFETY: the same contract.
        unsafe {
            let before = sve::zcr_el2();
            sve::set_zcr_el2(zcr);
            before
        }
    }

    unsafe fn save_sve(&self, state: &mut SveState) {
        // SAFETY: the same contract; `state` is borrowed for the call.
        unsafe { sve::save(state) }
    }

    unsafe fn load_sve(&self, state: &SveState) {
        // SAFETY: the same contract; `state` is borrowed for the call.
        unsafe { sve::load(state) }
    }

    unsafe fn save_debug(&self, state: &mut DebugState, counts: (u8, u8)) {
        // SAFETY: the same contract.
        unsafe { debug::save(state, counts) }
    }

    unsafe fn load_debug(&self, state: &DebugState, counts: (u8, u8)) {
        // SAFETY: the same contract.
        unsafe { debug::load(state, counts) }
    }

    #[inline]
    unsafe fn read_switched(&self, reg: SwitchedReg) -> u64 {
        // SAFETY: the same contract.
        unsafe { switched::read(reg, self.e2h) }
    }

    #[inline]
    unsafe fn write_switched(&self, reg: SwitchedReg, value: u64) {
        // SAFETY: the same contract.
        unsafe { switched::write(reg, value, self.e2h) }
    }

    unsafe fn invalidate(&self, step: InvalidateStep) {
        // SAFETY: forgetting a translation that is still right costs a walk, nothing else.
        unsafe { tlb::execute(step) }
    }

    unsafe fn firmware_call(&self, x: &mut [u64; 18]) {
        // SAFETY: the same contract.
        unsafe { firmware::call(x) }
    }

    unsafe fn translate(&self, va: Va, at: At) -> Par {
        // SAFETY: the same contract.
        unsafe { translate::execute(va, at) }
    }

    unsafe fn gic_acknowledge(&self) -> Intid {
        // SAFETY: ICC_IAR1_EL1, which the caller says is in use.
        Intid(unsafe { mrs!((3, 0, 12, 12, 0)) } as u32)
    }

    unsafe fn gic_end(&self, intid: Intid) {
        // SAFETY: ICC_EOIR1_EL1, which the caller says is in use.
        unsafe { msr!((3, 0, 12, 12, 1), u64::from(intid.0)) };
    }

    unsafe fn gic_deactivate(&self, intid: Intid) {
        // SAFETY: ICC_DIR_EL1, which the caller says is in use.
        unsafe { msr!((3, 0, 12, 11, 1), u64::from(intid.0)) };
    }

    #[inline(always)]
    unsafe fn read_ich(&self, reg: IchReg) -> u64 {
        // SAFETY: the same contract.
        unsafe { ich::read(reg) }
    }

    #[inline(always)]
    unsafe fn write_ich(&self, reg: IchReg, value: u64) {
        // SAFETY: the same contract.
        unsafe { ich::write(reg, value) }
    }
}

/// Reads the other words of an exit, of which `switch` returned the first.
#[inline(always)]
fn exit_words(syndrome: u64) -> ExitWords {
    let words = |cause, esr| ExitWords {
        cause,
        esr: Esr(esr),
        far: 0,
        hpfar: 0,
    };
    // Most exits have a class without addresses: one test for those, and the interrupts
    // after it.
    if syndrome & 1 << 31 == 0 {
        return words(Cause::Synchronous, syndrome);
    }
    if syndrome >> 63 == 0 {
        return ExitWords {
            far: FAR_EL2.get(),
            hpfar: HPFAR_EL2.get(),
            ..words(Cause::Abort, syndrome)
        };
    }
    match syndrome {
        switch::IRQ => words(Cause::Irq, 0),
        switch::FIQ => words(Cause::Fiq, 0),
        switch::DEFERRED => words(Cause::SError, deferred_serror()),
        _ => words(Cause::SError, ESR_EL2.get()),
    }
}

/// Takes the error that an `ESB` found; returns the syndrome that an SError of it would have.
#[cold]
fn deferred_serror() -> u64 {
    // SAFETY: DISR_EL1, which a CPU with FEAT_RAS has: only its vectors tell of a deferred error.
    let disr = unsafe {
        let disr = mrs!((3, 0, 12, 1, 1));
        msr!((3, 0, 12, 1, 1), 0u64);
        disr
    };
    const SERROR: u8 = 0x2f;
    Esr::of_class(SERROR).with_32bit_instruction(true).0 | disr & 0x1ff_ffff // IDS and ISS
}

/// Reads one register of the ID space, or CTR_EL0; those of CRm = 0 that do not exist are zero.
fn id_register(reg: SysReg) -> u64 {
    macro_rules! rows {
        ($($crm:literal: $($op2:literal)*;)*) => {
            match (reg.crm(), reg.op2()) {
                // SAFETY: CTR_EL0; no side effect.
                _ if reg.op1() == 3 => unsafe { mrs!((3, 3, 0, 0, 1)) },
                $($(
                    // SAFETY: an ID register, or a reserved encoding of the ID space, which reads
                    // as zero; no side effect.
                    ($crm, $op2) => unsafe { mrs!((3, 0, 0, $crm, $op2)) },
                )*)*
                _ => 0,
            }
        };
    }
    rows! {
        0: 0 5 6;
        1: 0 1 2 3 4 5 6 7;
        2: 0 1 2 3 4 5 6 7;
        3: 0 1 2 3 4 5 6 7;
        4: 0 1 2 3 4 5 6 7;
        5: 0 1 2 3 4 5 6 7;
        6: 0 1 2 3 4 5 6 7;
        7: 0 1 2 3 4 5 6 7;
    }
}
