//! A guest on a scripted CPU.

pub use crate::{syndromes::*, watched::*};

use std::cell::RefCell;

use vcpu_core::{El2, Extensions, Fp, Live, Policy, Timers, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{
    Cpu, FetchIrq, Inject, Platform,
    fake::{ScriptedCpu, Step},
    inject::HcrLine,
    irq::LeavePending,
    percpu::MpidrTable,
};
use vcpu_regs::{
    Cnthctl, Controls, Cptr, Hcr, IdRegisters, Mdcr, Pa, Pstate, SysReg, VectorLengths, Vmid,
};
use vcpu_stage2::{Geometry, Options, Request, Stage2};

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

/// Makes a watched CPU ready for guests of a plain host: names the CPU, its watch, the host, the
/// [`El2`].
macro_rules! enabled {
    ($made:expr => $cpu:ident, $watched:ident, $host:ident, $el2:ident) => {
        let $cpu = $made;
        let log = Default::default();
        let $watched = $crate::rig::Watched {
            cpu: &$cpu,
            log: &log,
        };
        let $host = $crate::rig::Plain::new(vcpu_hal::inject::HcrLine, vcpu_hal::irq::LeavePending);
        #[allow(unused_mut, reason = "not every test loads")]
        let mut $el2 = vcpu_core::El2::enable_on($watched, &$host).unwrap();
    };
}
pub(crate) use enabled;

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
