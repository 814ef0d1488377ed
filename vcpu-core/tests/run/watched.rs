//! A record of what was done to a scripted CPU, in order; what hardware would refuse is refused.

use std::cell::RefCell;

use vcpu_hal::{Cpu, Daif, ExitWords, FpSwitch, Guard, HcrSwitch, HostMode, fake::ScriptedCpu};
use vcpu_regs::{
    At, Controls, Cptr, DebugState, Features, FpState, GuestFrame, Hcr, IchReg, IdRegisters, Intid,
    InvalidateStep, Mdcr, Par, Pstate, SveState, SwitchedReg, SwitchedState, Va, VectorLengths,
};

/// Something that was done to the CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Controls(Controls),
    Mask,
    Unmask(u64),
    /// What is in force when the guest starts: HCR_EL2 is the guest's.
    Enter(Controls),
    LoadSwitched,
    SaveSwitched,
    LoadFp,
    LoadDebug,
    SaveFp,
    LoadSve,
    SaveSve,
    Zcr(u64),
    Write(SwitchedReg, u64),
    Invalidate(InvalidateStep),
    Acknowledge,
    End(Intid),
    Deactivate(Intid),
    WriteIch(IchReg, u64),
}

/// A scripted CPU that writes down what is done to it, and refuses what hardware would refuse.
#[derive(Clone, Copy)]
pub struct Watched<'c> {
    pub cpu: &'c ScriptedCpu<'c>,
    pub log: &'c RefCell<Vec<Event>>,
}

impl Watched<'_> {
    fn log(&self, event: Event) {
        self.log.borrow_mut().push(event);
    }

    fn check(&self, features: Features) {
        assert_eq!(features, self.cpu.ids.features(), "not this CPU's features");
    }

    /// A guest may have less than the CPU.
    fn check_granted(&self, features: Features) {
        for &reg in SwitchedReg::ALL {
            if reg.exists(features) {
                self.check_register(reg);
            }
        }
    }

    fn check_fp(&self) {
        let controls = self.cpu.controls.get();
        let traps = match controls.hcr.contains(Hcr::E2H) {
            true => controls.cptr.bits() >> 20 & 3 != 3, // FPEN
            false => controls.cptr.contains(Cptr::TFP),
        };
        assert!(!traps, "FP traps");
    }

    fn check_sve(&self) {
        assert!(self.cpu.ids.features().sve(), "there is no SVE");
        let controls = self.cpu.controls.get();
        let traps = match controls.hcr.contains(Hcr::E2H) {
            true => controls.cptr.bits() >> 16 & 3 != 3, // ZEN
            false => controls.cptr.contains(Cptr::TZ),
        };
        assert!(!traps, "SVE traps");
        self.check_fp();
    }

    fn check_register(&self, reg: SwitchedReg) {
        assert!(reg.exists(self.cpu.ids.features()), "{reg:?} is undefined");
        if reg == SwitchedReg::ZCR_EL1 {
            self.check_sve();
        }
    }

    fn check_debug(&self, counts: (u8, u8)) {
        assert_eq!(counts, self.cpu.ids.debug_counts(), "not this CPU's count");
        let mdcr = self.cpu.controls.get().mdcr;
        assert!(!mdcr.contains(Mdcr::TDE), "EL2 makes debug exceptions");
    }

    /// Returns what was done since the last call.
    pub fn take(&self) -> Vec<Event> {
        self.log.take()
    }
}

// SAFETY: the scripted CPU does it all, and touches nothing but its own values.
unsafe impl Cpu for Watched<'_> {
    type Kept = Guard;

    fn host_mode(&self) -> HostMode {
        self.cpu.host_mode()
    }
    fn id_registers(&self) -> IdRegisters {
        self.cpu.id_registers()
    }
    fn mpidr(&self) -> u64 {
        self.cpu.mpidr()
    }
    fn tpidr_el2(&self) -> u64 {
        self.cpu.tpidr_el2()
    }
    fn counter(&self) -> u64 {
        self.cpu.counter()
    }
    fn counter_freq_hz(&self) -> u64 {
        self.cpu.counter_freq_hz()
    }
    fn keep(&self, guard: Guard) -> Guard {
        self.cpu.keep(guard)
    }

    fn pstate(&self) -> Pstate {
        self.cpu.pstate()
    }
    unsafe fn set_pstate(&self, pstate: Pstate) {
        // SAFETY: values only.
        unsafe { self.cpu.set_pstate(pstate) }
    }

    fn mask_interrupts(&self) -> Daif {
        self.log(Event::Mask);
        self.cpu.mask_interrupts()
    }
    fn restore_interrupts(&self, daif: Daif) {
        self.log(Event::Unmask(daif.0));
        self.cpu.restore_interrupts(daif);
    }
    unsafe fn enter(&self, frame: &mut GuestFrame, hcr: HcrSwitch, kept: &Guard) -> ExitWords {
        let has_a32 = self.cpu.ids.has_a32_el0();
        assert!(
            leads_below_el2(frame.pstate, has_a32),
            "an illegal return: SPSR {:#x}",
            frame.pstate
        );
        self.log(Event::Enter(Controls {
            hcr: hcr.guest() | self.cpu.controls.get().hcr & Hcr::VSE,
            ..self.cpu.controls.get()
        }));
        // SAFETY: values only.
        unsafe { self.cpu.enter(frame, hcr, kept) }
    }
    fn host_uses_fp(&self) -> bool {
        self.cpu.host_uses_fp()
    }
    unsafe fn enter_beside_fp(
        &self,
        frame: &mut GuestFrame,
        hcr: HcrSwitch,
        kept: &Guard,
        fp: FpSwitch<'_>,
    ) -> ExitWords {
        let controls = self.cpu.controls.get();
        self.log(Event::Enter(Controls {
            hcr: hcr.guest() | controls.hcr & Hcr::VSE,
            cptr: Cptr::from_bits_retain(controls.cptr.bits() ^ fp.cptr_difference),
            ..controls
        }));
        if fp.sve.is_some() {
            self.check_sve();
        }
        // SAFETY: values only.
        unsafe { self.cpu.enter_beside_fp(frame, hcr, kept, fp) }
    }
    unsafe fn controls(&self, features: Features) -> Controls {
        self.check(features);
        // SAFETY: values only.
        unsafe { self.cpu.controls(features) }
    }
    unsafe fn set_controls(&self, controls: &Controls, features: Features) {
        self.check(features);
        self.log(Event::Controls(*controls));
        // SAFETY: values only.
        unsafe { self.cpu.set_controls(controls, features) }
    }
    unsafe fn set_guest(&self, controls: &Controls) {
        // SAFETY: values only.
        unsafe { self.cpu.set_guest(controls) };
        self.log(Event::Controls(self.cpu.controls.get()));
    }
    unsafe fn virtual_serror(&self) -> bool {
        // SAFETY: values only.
        unsafe { self.cpu.virtual_serror() }
    }
    unsafe fn set_virtual_serror(&self, pending: bool) {
        // SAFETY: values only.
        unsafe { self.cpu.set_virtual_serror(pending) };
    }
    unsafe fn set_cptr(&self, cptr: Cptr) {
        // SAFETY: values only.
        unsafe { self.cpu.set_cptr(cptr) };
        self.log(Event::Controls(self.cpu.controls.get()));
    }
    unsafe fn save_switched(&self, state: &mut SwitchedState, features: Features) {
        self.check_granted(features);
        self.log(Event::SaveSwitched);
        // SAFETY: values only.
        unsafe { self.cpu.save_switched(state, features) }
    }
    unsafe fn load_switched(&self, state: &SwitchedState, features: Features) {
        self.check_granted(features);
        self.log(Event::LoadSwitched);
        // SAFETY: values only.
        unsafe { self.cpu.load_switched(state, features) }
    }
    unsafe fn save_fp(&self, state: &mut FpState) {
        self.check_fp();
        self.log(Event::SaveFp);
        // SAFETY: values only.
        unsafe { self.cpu.save_fp(state) }
    }
    unsafe fn load_fp(&self, state: &FpState) {
        self.check_fp();
        self.log(Event::LoadFp);
        // SAFETY: values only.
        unsafe { self.cpu.load_fp(state) }
    }
    unsafe fn vector_lengths(&self) -> VectorLengths {
        assert!(self.cpu.ids.features().sve(), "there is no SVE");
        // SAFETY: values only.
        unsafe { self.cpu.vector_lengths() }
    }
    unsafe fn replace_zcr(&self, zcr: u64) -> u64 {
        self.check_sve();
        self.log(Event::Zcr(zcr));
        // SAFETY: values only.
        unsafe { self.cpu.replace_zcr(zcr) }
    }
    unsafe fn save_sve(&self, state: &mut SveState) {
        self.check_sve();
        self.log(Event::SaveSve);
        // SAFETY: values only.
        unsafe { self.cpu.save_sve(state) }
    }
    unsafe fn load_sve(&self, state: &SveState) {
        self.check_sve();
        self.log(Event::LoadSve);
        // SAFETY: values only.
        unsafe { self.cpu.load_sve(state) }
    }
    unsafe fn save_debug(&self, state: &mut DebugState, counts: (u8, u8)) {
        self.check_debug(counts);
        // SAFETY: values only.
        unsafe { self.cpu.save_debug(state, counts) }
    }
    unsafe fn load_debug(&self, state: &DebugState, counts: (u8, u8)) {
        self.check_debug(counts);
        self.log(Event::LoadDebug);
        // SAFETY: values only.
        unsafe { self.cpu.load_debug(state, counts) }
    }
    unsafe fn read_switched(&self, reg: SwitchedReg) -> u64 {
        self.check_register(reg);
        // SAFETY: values only.
        unsafe { self.cpu.read_switched(reg) }
    }
    unsafe fn write_switched(&self, reg: SwitchedReg, value: u64) {
        self.check_register(reg);
        self.log(Event::Write(reg, value));
        // SAFETY: values only.
        unsafe { self.cpu.write_switched(reg, value) }
    }
    unsafe fn invalidate(&self, step: InvalidateStep) {
        let hcr = self.cpu.controls.get().hcr;
        use InvalidateStep::{DsbIsh, DsbIshst, DsbNsh, DsbNshst, Isb};
        let is_barrier = matches!(step, DsbIsh | DsbIshst | DsbNsh | DsbNshst | Isb);
        assert!(
            is_barrier || hcr.contains(Hcr::VM),
            "no guest's VMID is in force"
        );
        assert!(
            is_barrier || !hcr.contains(Hcr::E2H | Hcr::TGE),
            "the host's TLB"
        );
        self.log(Event::Invalidate(step));
        // SAFETY: values only.
        unsafe { self.cpu.invalidate(step) }
    }
    unsafe fn firmware_call(&self, x: &mut [u64; 18]) {
        // SAFETY: values only.
        unsafe { self.cpu.firmware_call(x) }
    }

    unsafe fn translate(&self, va: Va, at: At) -> Par {
        // SAFETY: values only.
        unsafe { self.cpu.translate(va, at) }
    }
    unsafe fn gic_acknowledge(&self) -> Intid {
        self.log(Event::Acknowledge);
        // SAFETY: values only.
        unsafe { self.cpu.gic_acknowledge() }
    }
    unsafe fn gic_end(&self, intid: Intid) {
        self.log(Event::End(intid));
    }
    unsafe fn gic_deactivate(&self, intid: Intid) {
        self.log(Event::Deactivate(intid));
    }
    unsafe fn read_ich(&self, reg: IchReg) -> u64 {
        // SAFETY: values only.
        unsafe { self.cpu.read_ich(reg) }
    }
    unsafe fn write_ich(&self, reg: IchReg, value: u64) {
        self.log(Event::WriteIch(reg, value));
        // SAFETY: values only.
        unsafe { self.cpu.write_ich(reg, value) }
    }
}

/// Arm ARM (DDI 0487), pseudocode `AArch64.IllegalExceptionReturn` at EL2 with HCR_EL2.RW = 1 and
/// TGE = 0, and not to EL2 itself.
pub fn leads_below_el2(spsr: u64, has_a32_el0: bool) -> bool {
    let (is_a32, el, reserved, handler) = (
        spsr >> 4 & 1 == 1,
        spsr >> 2 & 3,
        spsr >> 1 & 1 == 1,
        spsr & 1 == 1,
    );
    if is_a32 {
        return spsr & 0xf == 0 && has_a32_el0; // User; EL1 is AArch64
    }
    !reserved && el < 2 && (el != 0 || !handler)
}
