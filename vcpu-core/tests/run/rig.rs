//! A guest on a scripted CPU, and a record of what was done to that CPU, in order.

use std::cell::RefCell;

use vcpu_core::{El2, Extensions, Fp, Live, Policy, Timers, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{
    Cpu, Daif, ExitWords, FetchIrq, FpSwitch, Guard, HcrSwitch, HostMode, Inject, Platform,
    fake::{ScriptedCpu, Step},
    inject::HcrLine,
    irq::LeavePending,
    percpu::MpidrTable,
};
use vcpu_regs::{
    At, Cnthctl, Controls, Cptr, DebugState, Esr, Features, FpState, GuestFrame, Hcr, IchReg,
    IdRegisters, Intid, InvalidateStep, Mdcr, Pa, Par, Pstate, SveState, SwitchedReg,
    SwitchedState, SysReg, Va, VectorLengths, Vmid,
};
use vcpu_stage2::{Geometry, Options, Request, Stage2};

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

/// A host: a virtual-interrupt backend and an interrupt-fetch backend.
pub struct Host<I = HcrLine, F = LeavePending> {
    pub inject: I,
    pub fetch: F,
    cpus: MpidrTable<'static>,
}

impl<I, F> Host<I, F> {
    pub fn new(inject: I, fetch: F) -> Self {
        // SAFETY: tests give their CPUs these affinities, one each.
        let cpus = unsafe { MpidrTable::new(&[0, 1, 0x100]) };
        Self {
            inject,
            fetch,
            cpus,
        }
    }
}

impl<I: Inject, F: FetchIrq> Platform for Host<I, F> {
    type Inject = I;
    type FetchIrq = F;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &I {
        &self.inject
    }
    fn fetch_irq(&self) -> &F {
        &self.fetch
    }
    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.cpus
    }
}

/// The plain host.
pub type Plain = Host<HcrLine, LeavePending>;
/// What most tests talk to.
pub type Running<'a, 'h, 'c> = Live<'a, 'h, Plain, Watched<'c>>;

/// Where guests of these tests are.
pub const PC: u64 = 0xffff_8000_0001_0000;
/// EL1h, nothing masked.
pub const EL1H: u64 = 0b0101;
/// EL1 on SP_EL0.
pub const EL1T: u64 = 0b0100;
/// EL0, AArch64.
pub const EL0: u64 = 0;
/// EL0, AArch32.
pub const A32: u64 = 0b1_0000;

/// Registers of an ID space with these four-bit fields: (CRm, op2, low bit, value).
pub fn ids(fields: &[(u8, u8, u32, u64)]) -> IdRegisters {
    let mut ids = IdRegisters::default();
    for &(crm, op2, lo, value) in fields {
        let reg = SysReg::new(3, 0, 0, crm, op2);
        let old = ids.get(reg).unwrap() & !(0xf << lo);
        assert!(ids.set(reg, old | value << lo));
    }
    ids
}

/// A CPU with AArch32 at EL0, GICv3, PAuth, PAN, SSBS, RAS, SME, LOR and 40-bit addresses.
pub fn some_ids() -> IdRegisters {
    ids(&[
        (4, 0, 0, 2),  // PFR0.EL0
        (4, 0, 4, 2),  // PFR0.EL1
        (4, 0, 24, 1), // PFR0.GIC
        (4, 0, 28, 1), // PFR0.RAS
        (4, 1, 4, 2),  // PFR1.SSBS
        (4, 1, 24, 1), // PFR1.SME
        (6, 1, 4, 1),  // ISAR1.APA
        (7, 0, 0, 2),  // MMFR0.PARange
        (7, 1, 16, 1), // MMFR1.LO
        (7, 1, 20, 1), // MMFR1.PAN
    ])
}

/// A stage 2 of 40 bits.
pub fn stage2(vmid: u16) -> Stage2 {
    stage2_of(&some_ids(), vmid, Options::empty())
}

pub fn stage2_of(ids: &IdRegisters, vmid: u16, options: Options) -> Stage2 {
    let request = Request {
        options,
        ..Request::exactly(40)
    };
    let geometry = Geometry::probe(&ids.memory_model(), &request).unwrap();
    let root = Pa(0x8000_0000 + (u64::from(vmid) << 20));
    // SAFETY: no hardware walks a table of these tests.
    unsafe { Stage2::from_root(root, &geometry, Vmid::new(vmid).unwrap()).unwrap() }
}

/// A host's own controls: no two words alike, no bit as a guest has it.
pub fn host_controls() -> Controls {
    Controls {
        hcr: Hcr::RW | Hcr::AMO | Hcr::TSW | Hcr::from_bits_retain(1 << 63),
        cptr: Cptr::RES1 | Cptr::TCPAC,
        mdcr: Mdcr::from_bits_retain(6) | Mdcr::TDE,
        cnthctl: Cnthctl::EL1PCEN | Cnthctl::from_bits_retain(0xf4),
        hstr: 0x8000,
        cntvoff: 0x1111_2222_3333_4444,
        vpidr: 0x410f_d034,
        vmpidr: 0x8000_0077,
        vtcr: 0x8000_3558,
        vttbr: 0x00aa_0000_dead_0000,
        icc_sre: vcpu_regs::IccSre::from_bits_retain(0xf),
        ich_hcr: vcpu_regs::IchHcr::from_bits_retain(0x5),
        hcrx: 0x1_0000,
        hfgrtr: 0x2_0000,
        hfgwtr: 0x3_0000,
        hfgitr: 0x4_0000,
        hdfgrtr: 0x5_0000,
        hdfgwtr: 0x6_0000,
        hafgrtr: 0x7_0000,
        hfgrtr2: 0x9_0000,
        hfgwtr2: 0xa_0000,
        hdfgrtr2: 0xb_0000,
        hdfgwtr2: 0xc_0000,
        mpam2: 0x8_0000,
    }
}

/// A guest and the CPU it runs on.
pub struct Guest {
    pub ids: IdRegisters,
    pub policy: Policy,
    pub extensions: Extensions,
    pub pstate: u64,
    pub daif: u64,
    pub host: Controls,
    /// What its physical counter lags behind.
    pub physical_offset: u64,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            ids: some_ids(),
            policy: Policy::default(),
            extensions: Extensions::empty(),
            pstate: EL1H,
            daif: 0,
            host: host_controls(),
            physical_offset: 0,
        }
    }
}

impl Guest {
    pub fn at(pstate: u64) -> Self {
        Self {
            pstate,
            ..Self::default()
        }
    }

    /// Has its FP registers from the start, and both timers.
    pub fn eager() -> Self {
        let policy = Policy {
            fp: Fp::Eager,
            timers: Timers::PassThrough,
            ..Policy::default()
        };
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Is granted all there is, on a CPU that has it.
    pub fn granted() -> Self {
        let mut ids = some_ids();
        ids.set_pfr0(ids.pfr0() | 2 << 56 | 1 << 32); // CSV2, SVE
        ids.set_pfr1(ids.pfr1() | 2 << 8); // MTE
        ids.set_mmfr1(ids.mmfr1() | 1 << 40); // HCX
        ids.set_mmfr3(1 << 16 | 1 << 8 | 1); // S1POE, S1PIE, TCRX
        Self {
            ids,
            extensions: Extensions::all(),
            ..Self::eager()
        }
    }

    pub fn with_ids(ids: IdRegisters) -> Self {
        Self {
            ids,
            ..Self::default()
        }
    }

    /// Loads the guest on a CPU that plays `script`; checks that `test` ran all of it.
    pub fn play<'s>(
        &self,
        script: &'s [Step<'s>],
        test: impl FnOnce(&mut Running<'_, '_, '_>, Watched<'_>),
    ) {
        self.play_on(&Plain::new(HcrLine, LeavePending), script, test);
    }

    pub fn play_on<'s, I: Inject, F: FetchIrq>(
        &self,
        host: &Host<I, F>,
        script: &'s [Step<'s>],
        test: impl FnOnce(&mut Live<'_, '_, Host<I, F>, Watched<'_>>, Watched<'_>),
    ) {
        let cpu = self.cpu(script);
        let log = RefCell::default();
        let watched = Watched {
            cpu: &cpu,
            log: &log,
        };
        let mut el2 = El2::enable_on(watched, host).unwrap();
        let vm =
            Vm::with(&el2, stage2(1), self.extensions).with_physical_offset(self.physical_offset);
        let mut vcpu = self.vcpu();
        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        test(&mut live, watched);
        assert_eq!(cpu.steps_left(), 0, "the script was not played to its end");
    }

    /// Returns the CPU alone.
    pub fn cpu<'s>(&self, script: &'s [Step<'s>]) -> ScriptedCpu<'s> {
        let mut cpu = ScriptedCpu::new(script);
        cpu.ids = self.ids.clone();
        cpu.daif.set(self.daif);
        cpu.controls.set(self.host);
        if self.ids.features().sve() {
            cpu.vector_lengths = vectors(512);
        }
        cpu
    }

    /// Returns the vCPU alone: x0 to x30 count up from a number that fills 64 bits.
    pub fn vcpu<P: Platform>(&self) -> Vcpu<P> {
        let mut vcpu = Vcpu::new(&VcpuConfig {
            mpidr: 0,
            policy: self.policy,
        });
        if self.extensions.contains(Extensions::SVE) {
            vcpu.lend_sve(Box::leak(Box::default()));
        }
        vcpu.set_pc(PC);
        vcpu.set_pstate(Pstate::from_bits_retain(self.pstate));
        for n in 0..31 {
            vcpu.set_reg(vcpu_regs::Gpr::new(n), pattern(n));
        }
        vcpu
    }
}

/// Vectors of each power of two up to `bits`.
pub fn vectors(bits: u64) -> VectorLengths {
    VectorLengths::probe(|steps| (1 << steps.ilog2()) * 128).up_to(bits as u32)
}

/// What register `n` of a guest starts with.
pub fn pattern(n: u8) -> u64 {
    match n {
        31 => 0,
        _ => 0xfedc_ba98_7654_3200 + u64::from(n),
    }
}

/// Checks that x0 to x30 are as they started, but for those listed.
#[track_caller]
pub fn assert_regs<P: Platform, C: Cpu>(live: &Live<'_, '_, P, C>, changed: &[(u8, u64)]) {
    for n in 0..32 {
        let expected = changed
            .iter()
            .find(|&&(reg, _)| reg == n)
            .map_or(pattern(n), |&(_, value)| value);
        assert_eq!(live.reg(vcpu_regs::Gpr::new(n)), expected, "x{n}");
    }
}

/// ESR_EL2 by its fields, as the manual numbers them.
pub const fn esr(class: u64, iss: u64) -> u64 {
    class << 26 | 1 << 25 | iss
}

pub const TRANSLATION_L3: u64 = 0b00_0111;
pub const PERMISSION_L2: u64 = 0b00_1110;
pub const WNR: u64 = 1 << 6;
pub const S1PTW: u64 = 1 << 7;
pub const CM: u64 = 1 << 8;

/// A data abort with a described load or store; `bits` adds to the ISS.
pub const fn transfer(size_bytes: u64, reg: u64, bits: u64) -> u64 {
    let sas = size_bytes.trailing_zeros() as u64;
    esr(
        0x24,
        1 << 24 | sas << 22 | reg << 16 | bits | TRANSLATION_L3,
    )
}
/// The load extends the sign.
pub const SSE: u64 = 1 << 21;
/// The register is an X.
pub const SF: u64 = 1 << 15;

pub const UART: u64 = 0x0900_0004;
pub const UART_VA: u64 = 0xffff_0000_0abc_d004;

/// HPFAR_EL2 of an IPA.
pub const fn hpfar(ipa: u64) -> u64 {
    ipa >> 12 << 4
}

/// An abort at the UART.
pub const fn at_uart(esr: u64) -> Step<'static> {
    Step::fault(esr, UART_VA, hpfar(UART))
}

/// A synchronous exit before which the guest changed its registers.
pub fn after<'s>(guest: &'s dyn Fn(&mut GuestFrame), esr: u64) -> Step<'s> {
    let words = ExitWords::synchronous(Esr(esr), 0, 0);
    Step { guest, words }
}

/// A trapped `MRS` (or `MSR`) of x`rt`.
pub fn sysreg(reg: SysReg, rt: u8, is_read: bool) -> u64 {
    let field = |value: u8, lo: u32| u64::from(value) << lo;
    let iss = field(reg.op0(), 20)
        | field(reg.op2(), 17)
        | field(reg.op1(), 14)
        | field(reg.crn(), 10)
        | field(rt, 5)
        | field(reg.crm(), 1)
        | u64::from(is_read);
    esr(0x18, iss)
}

pub const WFI: u64 = esr(0x01, 1 << 24 | 0xe << 20);
pub const WFE: u64 = WFI | 1;

pub const fn hvc(imm: u64) -> u64 {
    esr(0x16, imm)
}

pub const fn smc(imm: u64) -> u64 {
    esr(0x17, imm)
}
