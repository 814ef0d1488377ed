//! A processor of values: runs a script of exits, on any machine.
//!
//! Tests of a run loop, ours and a host's, drive it through exits that would take a guest to
//! provoke. It holds the registers a real one would, so that what `load`, `run` and `put` leave
//! behind can be looked at.

use core::cell::{Cell, RefCell};

use vcpu_regs::{
    At, Controls, Cptr, CptrE2h, DebugState, Esr, Features, FpState, GuestFrame, Hcr, IccSre,
    IchReg, IchVtr, IdRegisters, Intid, InvalidateStep, Par, Pstate, SveState, SwitchedReg,
    SwitchedState, Va, VectorLengths,
};

use crate::{Cause, Cpu, Daif, ExitWords, FpSwitch, Guard, HcrSwitch, HostMode};

/// What the guest does between one entry and the exit after it.
#[derive(Clone, Copy)]
pub struct Step<'s> {
    /// Changes the guest's registers, its PC included.
    pub guest: &'s dyn Fn(&mut GuestFrame),
    /// What the hardware captures then.
    pub words: ExitWords,
}

impl Step<'static> {
    /// Returns a synchronous exit that changes nothing in the guest.
    pub const fn synchronous(esr: u64) -> Self {
        Self::fault(esr, 0, 0)
    }

    /// Returns an abort that changes nothing in the guest.
    pub const fn fault(esr: u64, far: u64, hpfar: u64) -> Self {
        Self {
            guest: &|_| (),
            words: ExitWords::synchronous(Esr(esr), far, hpfar),
        }
    }

    /// Returns an interrupt that changes nothing in the guest.
    pub const fn interrupt(cause: Cause) -> Self {
        let words = ExitWords {
            cause,
            esr: Esr(0),
            far: 0,
            hpfar: 0,
        };
        Self {
            guest: &|_| (),
            words,
        }
    }
}

/// A [`Cpu`] that plays steps and keeps registers.
pub struct ScriptedCpu<'s> {
    /// How the host runs; EL2 on its own stack, E2H = 0 to begin with.
    pub mode: Cell<HostMode>,
    /// What the ID registers say.
    pub ids: IdRegisters,
    /// `MPIDR_EL1`.
    pub mpidr: Cell<u64>,
    /// `TPIDR_EL2`.
    pub tpidr_el2: Cell<u64>,
    /// `CNTPCT_EL0`.
    pub counter: Cell<u64>,
    /// [`Pstate::OF_HOST`] of the host; each exit leaves it as the guest had it.
    pub pstate: Cell<Pstate>,
    /// `DAIF` of the host.
    pub daif: Cell<u64>,
    /// The EL2 controls in force.
    pub controls: Cell<Controls>,
    /// The guest's registers on the hardware.
    pub switched: RefCell<SwitchedState>,
    /// Breakpoints and watchpoints on the hardware.
    pub debug: RefCell<DebugState>,
    /// The FP registers on the hardware.
    pub fp: RefCell<FpState>,
    /// Whether the host computes in FP registers; it does not to begin with.
    pub host_uses_fp: Cell<bool>,
    /// What a guest does in each run with its FP registers, where they do not trap.
    pub guest_fp: Cell<fn(&mut FpState)>,
    /// The SVE registers on the hardware, but for the first 128 bits of Z registers: those are in
    /// `fp`.
    pub sve: RefCell<SveState>,
    /// `ZCR_EL2`.
    pub zcr_el2: Cell<u64>,
    /// What vectors there are; none to begin with.
    pub vector_lengths: VectorLengths,
    /// `HCR_EL2` as it was in the guest, the last time.
    pub hcr_in_guest: Cell<Hcr>,
    /// How the last exit was guarded.
    pub guard: Cell<Guard>,
    /// How many steps of invalidations were executed.
    pub invalidations: Cell<u32>,
    /// The arguments of the last call to firmware.
    pub firmware_call: Cell<Option<[u64; 18]>>,
    /// What firmware makes of arguments; it answers NOT_SUPPORTED to begin with.
    pub firmware: Cell<fn(&mut [u64; 18])>,
    /// What the hardware answers to an `AT`; that nothing is mapped, to begin with.
    pub translation: Cell<&'s dyn Fn(Va, At) -> Par>,
    /// The INTID that the next acknowledge returns; 1023 is none.
    pub pending: Cell<Intid>,
    /// The registers of the virtual CPU interface; `ICH_VTR_EL2` says there are four list registers
    /// to begin with. What hardware would make of them happens in a step's `guest`.
    pub ich: RefCell<IchRegisters>,
    script: Cell<&'s [Step<'s>]>,
}

/// The virtual CPU interface of a [`ScriptedCpu`]: registers that keep what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IchRegisters {
    /// `ICH_HCR_EL2`.
    pub hcr: u64,
    /// `ICH_VTR_EL2`.
    pub vtr: u64,
    /// `ICH_VMCR_EL2`.
    pub vmcr: u64,
    /// `ICH_MISR_EL2`.
    pub misr: u64,
    /// `ICH_LR<n>_EL2`.
    pub lr: [u64; 16],
    /// `ICH_AP0R<n>_EL2`.
    pub ap0r: [u64; 4],
    /// `ICH_AP1R<n>_EL2`.
    pub ap1r: [u64; 4],
    /// `ICC_SRE_EL1`.
    pub sre_el1: u64,
}

impl Default for IchRegisters {
    fn default() -> Self {
        /// Five bits of priority, 24 of an INTID, ICH_HCR_EL2.TDIR, four list registers.
        const VTR: u64 = 4 << 29 | 4 << 26 | 1 << 23 | 1 << 19 | 3;
        Self {
            hcr: 0,
            vtr: VTR,
            vmcr: 0,
            misr: 0,
            lr: [0; 16],
            ap0r: [0; 4],
            ap1r: [0; 4],
            sre_el1: 0,
        }
    }
}

impl IchRegisters {
    fn register(&mut self, reg: IchReg) -> &mut u64 {
        match reg {
            IchReg::Hcr => &mut self.hcr,
            IchReg::Vtr => &mut self.vtr,
            IchReg::Vmcr => &mut self.vmcr,
            IchReg::Misr => &mut self.misr,
            IchReg::Lr(n) => &mut self.lr[usize::from(n)],
            IchReg::Ap0r(n) => &mut self.ap0r[usize::from(n)],
            IchReg::Ap1r(n) => &mut self.ap1r[usize::from(n)],
            IchReg::SreEl1 => &mut self.sre_el1,
        }
    }
}

/// SErrors are masked.
const PSTATE_A: u64 = 1 << 8;

/// D, A, I and F.
const ALL_MASKED: u64 = 0x3c0;

/// F, and a translation fault of stage 1 at level 0.
const NOT_MAPPED: Par = Par::from_bits(0b00_0100 << 1 | 1);

impl<'s> ScriptedCpu<'s> {
    /// Returns a CPU at EL2, interrupts unmasked, that plays `script`.
    pub fn new(script: &'s [Step<'s>]) -> Self {
        Self {
            mode: Cell::new(HostMode {
                el: 2,
                own_stack: true,
                e2h: false,
                signs_pointers: false,
            }),
            ids: IdRegisters::default(),
            mpidr: Cell::new(1 << 31),
            tpidr_el2: Cell::new(0),
            counter: Cell::new(0),
            pstate: Cell::new(Pstate::empty()),
            daif: Cell::new(0),
            controls: Cell::default(),
            switched: RefCell::default(),
            debug: RefCell::default(),
            fp: RefCell::default(),
            host_uses_fp: Cell::new(false),
            guest_fp: Cell::new(|_| ()),
            sve: RefCell::default(),
            zcr_el2: Cell::new(0),
            vector_lengths: VectorLengths::default(),
            hcr_in_guest: Cell::default(),
            guard: Cell::default(),
            invalidations: Cell::new(0),
            firmware_call: Cell::new(None),
            firmware: Cell::new(|x| x[0] = u64::MAX),
            translation: Cell::new(&|_, _| NOT_MAPPED),
            pending: Cell::new(Intid(1023)),
            ich: RefCell::default(),
            script: Cell::new(script),
        }
    }

    /// Returns whether FP traps at EL2 and below.
    fn fp_traps(&self) -> bool {
        let controls = self.controls.get();
        match controls.hcr.contains(Hcr::E2H) {
            true => controls.cptr.bits() & CptrE2h::FPEN.bits() != CptrE2h::FPEN.bits(),
            false => controls.cptr.contains(Cptr::TFP),
        }
    }

    /// Returns the bytes of a vector of EL2.
    fn vector_bytes(&self) -> usize {
        let allowed = (self.zcr_el2.get() as u32 & 0xf) * 128 + 128;
        let bits = self.vector_lengths.up_to(allowed).longest_bits();
        assert_ne!(bits, 0, "a CPU that has no vectors");
        bits as usize / 8
    }

    fn check_ich(&self, reg: IchReg) {
        let sre = self.controls.get().icc_sre;
        assert!(
            sre.contains(IccSre::SRE),
            "{reg:?} with ICC_SRE_EL2.SRE = 0"
        );
        let vtr = IchVtr(self.ich.borrow().vtr);
        assert!(reg.exists(vtr), "{reg:?} is undefined");
    }

    /// Returns how many steps are still to come.
    pub fn steps_left(&self) -> usize {
        self.script.get().len()
    }
}

// SAFETY: nothing but the values above is touched.
unsafe impl Cpu for ScriptedCpu<'_> {
    type Kept = Guard;

    fn host_mode(&self) -> HostMode {
        self.mode.get()
    }

    fn id_registers(&self) -> IdRegisters {
        self.ids.clone()
    }

    fn mpidr(&self) -> u64 {
        self.mpidr.get()
    }

    fn tpidr_el2(&self) -> u64 {
        self.tpidr_el2.get()
    }

    fn counter(&self) -> u64 {
        self.counter.get()
    }

    fn counter_freq_hz(&self) -> u64 {
        62_500_000
    }

    fn keep(&self, guard: Guard) -> Guard {
        guard
    }

    fn pstate(&self) -> Pstate {
        self.pstate.get()
    }

    unsafe fn set_pstate(&self, pstate: Pstate) {
        self.pstate.set(pstate);
    }

    fn mask_interrupts(&self) -> Daif {
        Daif(self.daif.replace(ALL_MASKED))
    }

    fn restore_interrupts(&self, daif: Daif) {
        self.daif.set(daif.0);
    }

    /// Plays the next step.
    ///
    /// # Panics
    ///
    /// If the script is over, or the caller broke the contract of an entry where this can see it.
    unsafe fn enter(&self, frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Guard) -> ExitWords {
        assert!(!kept.error_barrier || self.ids.has_ras(), "no ESB here");
        self.guard.set(*kept);
        let (step, rest) = self.script.get().split_first().expect("the script is over");
        self.script.set(rest);
        assert_eq!(
            self.daif.get(),
            ALL_MASKED,
            "entered with interrupts unmasked"
        );
        let in_guest = hcr.guest();
        let needed = Hcr::VM | Hcr::AMO | Hcr::RW;
        assert!(in_guest.contains(needed), "{in_guest:?}");
        assert!(!in_guest.contains(Hcr::TGE), "{in_guest:?}");
        assert_eq!(
            self.controls.get().hcr - Hcr::VSE,
            hcr.host(),
            "another HCR_EL2 than the host's"
        );
        let pending = self.controls.get().hcr & Hcr::VSE;
        self.hcr_in_guest.set(in_guest | pending);
        if frame.pstate & PSTATE_A == 0 {
            // SAFETY: values only.
            unsafe { self.set_virtual_serror(false) }; // the guest takes it
        }
        (step.guest)(frame);
        if !self.fp_traps() {
            self.guest_fp.get()(&mut self.fp.borrow_mut());
        }
        let pstate = Pstate::from_bits_retain(frame.pstate);
        self.pstate.set(pstate & Pstate::OF_HOST);
        step.words
    }

    fn host_uses_fp(&self) -> bool {
        self.host_uses_fp.get()
    }

    /// Plays the next step.
    ///
    /// # Panics
    ///
    /// As for an entry; and if FP traps, which the host would use.
    unsafe fn enter_beside_fp(
        &self,
        frame: &mut GuestFrame,
        hcr: HcrSwitch,
        kept: &Guard,
        fp: FpSwitch<'_>,
    ) -> ExitWords {
        assert!(!self.fp_traps(), "FP traps between runs");
        let FpSwitch {
            fp,
            sve,
            cptr_difference,
        } = fp;
        let toggle_cptr = || {
            let mut controls = self.controls.get();
            let toggled = controls.cptr.bits() ^ cptr_difference;
            controls.cptr = Cptr::from_bits_retain(toggled);
            self.controls.set(controls);
        };
        let host = self.fp.borrow().clone();
        // SAFETY: values only.
        unsafe {
            if let Some(fp) = &fp {
                self.load_fp(fp);
            }
            if let Some(sve) = &sve {
                self.load_sve(sve);
            }
            toggle_cptr();
            let words = self.enter(frame, hcr, kept);
            toggle_cptr();
            if let Some(sve) = sve {
                self.save_sve(sve);
            }
            if let Some(fp) = fp {
                self.save_fp(fp);
                self.fp.replace(host);
            }
            words
        }
    }

    unsafe fn controls(&self, _: Features) -> Controls {
        self.controls.get()
    }

    unsafe fn set_controls(&self, controls: &Controls, _: Features) {
        self.controls.set(*controls);
    }

    unsafe fn set_guest(&self, controls: &Controls) {
        self.controls.set(Controls {
            hcr: controls.hcr,
            cntvoff: controls.cntvoff,
            vpidr: controls.vpidr,
            vmpidr: controls.vmpidr,
            vtcr: controls.vtcr,
            vttbr: controls.vttbr,
            ..self.controls.get()
        });
    }

    unsafe fn virtual_serror(&self) -> bool {
        self.controls.get().hcr.contains(Hcr::VSE)
    }

    unsafe fn set_virtual_serror(&self, pending: bool) {
        let mut controls = self.controls.get();
        controls.hcr.set(Hcr::VSE, pending);
        self.controls.set(controls);
    }

    unsafe fn set_cptr(&self, cptr: Cptr) {
        self.controls.set(Controls {
            cptr,
            ..self.controls.get()
        });
    }

    unsafe fn save_switched(&self, state: &mut SwitchedState, features: Features) {
        copy(&self.switched.borrow(), state, features);
    }

    unsafe fn load_switched(&self, state: &SwitchedState, features: Features) {
        copy(state, &mut self.switched.borrow_mut(), features);
    }

    unsafe fn save_fp(&self, state: &mut FpState) {
        state.clone_from(&self.fp.borrow());
    }

    unsafe fn load_fp(&self, state: &FpState) {
        self.fp.borrow_mut().clone_from(state);
        // A write of a Q register makes the rest of the Z register zero.
        self.sve.borrow_mut().z = [[0; 256]; 32];
    }

    unsafe fn vector_lengths(&self) -> VectorLengths {
        self.vector_lengths
    }

    unsafe fn replace_zcr(&self, zcr: u64) -> u64 {
        self.zcr_el2.replace(zcr)
    }

    unsafe fn save_sve(&self, state: &mut SveState) {
        let mut sve = self.sve.borrow_mut();
        sve.set_q(&self.fp.borrow().q);
        copy_vectors(&sve, state, self.vector_bytes());
    }

    unsafe fn load_sve(&self, state: &SveState) {
        let mut sve = self.sve.borrow_mut();
        copy_vectors(state, &mut sve, self.vector_bytes());
        for (q, z) in self.fp.borrow_mut().q.iter_mut().zip(&sve.z) {
            *q = z.first_chunk().copied().map_or(0, u128::from_le_bytes);
        }
    }

    unsafe fn save_debug(&self, state: &mut DebugState, _: (u8, u8)) {
        state.clone_from(&self.debug.borrow());
    }

    unsafe fn load_debug(&self, state: &DebugState, _: (u8, u8)) {
        self.debug.borrow_mut().clone_from(state);
    }

    unsafe fn read_switched(&self, reg: SwitchedReg) -> u64 {
        self.switched.borrow().get(reg)
    }

    unsafe fn write_switched(&self, reg: SwitchedReg, value: u64) {
        self.switched.borrow_mut().set(reg, value);
    }

    unsafe fn invalidate(&self, _: InvalidateStep) {
        self.invalidations.set(self.invalidations.get() + 1);
    }

    unsafe fn firmware_call(&self, x: &mut [u64; 18]) {
        self.firmware_call.set(Some(*x));
        (self.firmware.get())(x);
    }

    unsafe fn translate(&self, va: Va, at: At) -> Par {
        (self.translation.get())(va, at)
    }

    unsafe fn gic_acknowledge(&self) -> Intid {
        self.pending.replace(Intid(1023))
    }

    unsafe fn gic_end(&self, _: Intid) {}

    unsafe fn gic_deactivate(&self, _: Intid) {}

    /// # Panics
    ///
    /// If ICH_VTR_EL2 says that there is no such register, or ICC_SRE_EL2 that there are none.
    unsafe fn read_ich(&self, reg: IchReg) -> u64 {
        self.check_ich(reg);
        *self.ich.borrow_mut().register(reg)
    }

    /// # Panics
    ///
    /// As for a read; and if the register can only be read.
    unsafe fn write_ich(&self, reg: IchReg, value: u64) {
        self.check_ich(reg);
        assert!(
            !matches!(reg, IchReg::Vtr | IchReg::Misr),
            "{reg:?} is not written"
        );
        *self.ich.borrow_mut().register(reg) = value;
    }
}

/// Copies as much of the registers as vectors of `bytes` have.
fn copy_vectors(from: &SveState, to: &mut SveState, bytes: usize) {
    for (to, from) in to.z.iter_mut().zip(&from.z) {
        to[..bytes].copy_from_slice(&from[..bytes]);
    }
    let (to, from) = (&mut to.predicates, &from.predicates);
    for (to, from) in to.p.iter_mut().zip(&from.p) {
        to[..bytes / 8].copy_from_slice(&from[..bytes / 8]);
    }
    to.ffr[..bytes / 8].copy_from_slice(&from.ffr[..bytes / 8]);
}

/// Copies the registers that a guest with `features` has.
fn copy(from: &SwitchedState, to: &mut SwitchedState, features: Features) {
    for &reg in SwitchedReg::ALL {
        if reg.exists(features) {
            to.set(reg, from.get(reg));
        }
    }
}
