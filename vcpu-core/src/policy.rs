//! What a guest may do, as data, and the EL2 words that say so to the hardware.

use vcpu_hal::{BranchHistory, inject::CpuInterface};
use vcpu_regs::{
    Cnthctl, Controls, Cptr, CptrE2h, Features, Hcr, Hcrx, IccSre, IchHcr, IdRegisters, Mdcr,
};
use vcpu_stage2::Stage2;

/// Who handles what. The default is [`VIRTUAL`](Self::VIRTUAL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    /// Physical interrupts.
    pub interrupts: Interrupts,
    /// The physical timer.
    pub timers: Timers,
    /// `WFI` and `WFIT`.
    pub wfi: Waits,
    /// `WFE` and `WFET`.
    pub wfe: Waits,
    /// The FP and SIMD registers, and with them those of SVE.
    pub fp: Fp,
    /// The history of its branches, when an exit leaves it.
    pub branch_history: BranchHistory,
}

impl Policy {
    /// Everything stays with the host.
    pub const VIRTUAL: Self = Self {
        interrupts: Interrupts::Virtual,
        timers: Timers::Virtual,
        wfi: Waits::Exit,
        wfe: Waits::Exit,
        fp: Fp::Lazy,
        branch_history: BranchHistory::Keep,
    };

    /// The guest owns the physical interrupts and timers, and waits on the hardware: one guest on
    /// this CPU, no preemption.
    pub const PASS_THROUGH: Self = Self {
        interrupts: Interrupts::PassThrough,
        timers: Timers::PassThrough,
        wfi: Waits::Native,
        wfe: Waits::Native,
        fp: Fp::Lazy,
        branch_history: BranchHistory::Keep,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::VIRTUAL
    }
}

/// Who gets physical interrupts while the guest runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Interrupts {
    /// The host: they end a run, and the guest gets virtual ones.
    #[default]
    Virtual,
    /// The guest, through its own CPU interface; the host gets none while the guest runs.
    PassThrough,
}

/// Who gets the EL1 physical timer. The virtual timer is always the guest's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Timers {
    /// Accesses trap, and [`reflect`](crate::Live::reflect) emulates it.
    #[default]
    Virtual,
    /// The guest.
    PassThrough,
}

/// What a waiting instruction does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Waits {
    /// It ends the run.
    #[default]
    Exit,
    /// It waits on the hardware.
    Native,
}

/// When a guest gets its FP and SIMD registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Fp {
    /// With its first use of them after each load, which traps: a guest that uses none costs
    /// nothing.
    #[default]
    Lazy,
    /// With each load.
    Eager,
}

/// `HFGRTR_EL2` and `HFGWTR_EL2`: PIRE0_EL1 and PIR_EL1 do not trap (nPIRE0_EL1, nPIR_EL1).
const HFG_PIR: u64 = 1 << 58 | 1 << 57;
/// `HFGRTR_EL2` and `HFGWTR_EL2`: POR_EL0 and POR_EL1 do not trap (nPOR_EL0, nPOR_EL1).
const HFG_POR: u64 = 1 << 60 | 1 << 59;
/// `MPAM2_EL2`: MPAMSM_EL1 does not trap (EnMPAMSM).
const MPAM2_ENABLES: u64 = 1 << 50;
/// `MPAM2_EL2`: the guest's MPAM0_EL1 and MPAM1_EL1 trap (TRAPMPAM0EL1, TRAPMPAM1EL1).
const MPAM2_TRAPS: u64 = 1 << 49 | 1 << 48;

/// What one vCPU is told about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub midr: u64,
    pub mpidr: u64,
    pub counter_offset: u64,
    /// What of the CPU's features is switched for it.
    pub granted: Features,
    /// Whether it has FP and SIMD.
    pub has_fp: bool,
    /// Whether it has SVE.
    pub has_sve: bool,
    /// The physical counter is not the host's either: reads of it trap, where the timer does.
    pub has_physical_offset: bool,
}

impl Policy {
    /// Returns what of the state of a CPU with `features` belongs to a guest that is `shown` these.
    pub(crate) fn granted(&self, features: Features, shown: Features) -> Features {
        let granted = features.granted(shown);
        match self.timers {
            Timers::Virtual => granted.without_physical_timer(),
            Timers::PassThrough => granted,
        }
    }

    /// Returns the controls of a guest on a CPU with `ids`, whose host runs under `host` and
    /// delivers interrupts at `interface`.
    ///
    /// What is neither switched nor meant for guests traps: SVE without a grant, SME, trace, the performance and
    /// activity monitors, statistical profiling, OS lock, implementation-defined registers.
    #[inline(always)]
    pub(crate) fn controls(
        &self,
        ids: &IdRegisters,
        host: &Controls,
        stage2: &Stage2,
        interface: CpuInterface,
        identity: Identity,
    ) -> Controls {
        let e2h = host.hcr.contains(Hcr::E2H);
        let features = ids.features();
        let pass_through = self.interrupts == Interrupts::PassThrough && features.gicv3();
        let has_lists = interface == CpuInterface::SystemRegisters
            && self.interrupts == Interrupts::Virtual
            && features.gicv3();
        let granted = identity.granted;
        let hfg = hfg(granted);
        let is_lazy = self.fp == Fp::Lazy;
        Controls {
            hcr: self.hcr(ids, stage2, granted) | host.hcr & Hcr::E2H,
            cptr: if e2h {
                Cptr::from_e2h(CptrE2h::TTA | CptrE2h::TAM)
            } else {
                Cptr::RES1 | Cptr::TSM | Cptr::TTA | Cptr::TAM
            }
            .with_fp_trap(is_lazy || !identity.has_fp, e2h)
            .with_sve_trap(is_lazy || !identity.has_sve, e2h),
            // HPMN stays the host's: 0 is reserved without FEAT_HPMN0. The profiling and trace
            // buffers (E2PB, E2TB) are EL2's.
            mdcr: host.mdcr & Mdcr::HPMN
                | Mdcr::TPM
                | Mdcr::TPMCR
                | Mdcr::TDA
                | Mdcr::TDOSA
                | Mdcr::TDRA
                | Mdcr::TPMS
                | Mdcr::TTRF,
            cnthctl: self.cnthctl(e2h, host.cnthctl, identity.has_physical_offset),
            hstr: 0,
            cntvoff: identity.counter_offset,
            vpidr: identity.midr,
            vmpidr: identity.mpidr,
            vtcr: stage2.vtcr().bits(),
            vttbr: stage2.vttbr().bits(),
            hcrx: match granted.tcr2() {
                true => Hcrx::TCR2_EN.bits(),
                false => 0,
            },
            // Bits that grant are clear but for what is switched. So are those that trap: what they
            // could trap is refused above, hidden, or switched.
            hfgrtr: hfg,
            hfgwtr: hfg,
            hfgitr: 0,
            hdfgrtr: 0,
            hdfgwtr: 0,
            hafgrtr: 0,
            hfgrtr2: 0,
            hfgwtr2: 0,
            hdfgrtr2: 0,
            hdfgwtr2: 0,
            mpam2: host.mpam2 & !MPAM2_ENABLES | MPAM2_TRAPS,
            // With list registers, ICC_SRE_EL1 traps, but for CPUs where Enable is stuck at 1: it
            // holds what the guest is to read.
            icc_sre: match (pass_through, has_lists) {
                (true, _) => host.icc_sre | IccSre::SRE | IccSre::ENABLE,
                (false, true) => (host.icc_sre - IccSre::ENABLE) | IccSre::SRE,
                (false, false) => host.icc_sre - IccSre::ENABLE,
            },
            ich_hcr: match pass_through || has_lists {
                true => IchHcr::empty(), // where there are lists, their backend turns them on
                // ICC_SRE_EL2.Enable may be stuck at 1, so the interface is refused here as well.
                false => IchHcr::TC | IchHcr::TALL0 | IchHcr::TALL1 | IchHcr::TDIR,
            },
        }
    }

    fn cnthctl(&self, e2h: bool, host: Cnthctl, has_physical_offset: bool) -> Cnthctl {
        let granted = match self.timers {
            Timers::Virtual if has_physical_offset => Cnthctl::empty(),
            Timers::Virtual => Cnthctl::EL1PCTEN,
            Timers::PassThrough => Cnthctl::EL1PCTEN | Cnthctl::EL1PCEN,
        };
        if !e2h {
            return granted;
        }
        // The other bits are about EL0 of the host.
        let both = (Cnthctl::EL1PCTEN | Cnthctl::EL1PCEN).bits() << Cnthctl::E2H_SHIFT;
        Cnthctl::from_bits_retain(host.bits() & !both | granted.bits() << Cnthctl::E2H_SHIFT)
    }

    fn hcr(&self, ids: &IdRegisters, stage2: &Stage2, granted: Features) -> Hcr {
        let mut hcr = Hcr::VM
            | Hcr::SWIO
            | Hcr::PTW
            | Hcr::AMO
            | Hcr::FB
            | Hcr::BSU_INNER
            | Hcr::TID1
            | Hcr::TID3
            | Hcr::TSC
            | Hcr::TIDCP
            | Hcr::TACR
            | Hcr::RW;
        if self.interrupts == Interrupts::Virtual {
            hcr |= Hcr::IMO | Hcr::FMO;
        }
        if self.wfi == Waits::Exit {
            hcr |= Hcr::TWI;
        }
        if self.wfe == Waits::Exit {
            hcr |= Hcr::TWE;
        }
        if stage2.needs_force_write_back() {
            hcr |= Hcr::FWB;
        }
        if granted.pauth() {
            hcr |= Hcr::API | Hcr::APK;
        }
        if ids.has_lor() {
            hcr |= Hcr::TLOR;
        }
        if ids.has_ras() {
            hcr |= Hcr::TERR;
        }
        if granted.mte() {
            hcr |= Hcr::ATA;
        } else if ids.has_mte() {
            hcr |= Hcr::TID5;
        }
        if granted.scxtnum() {
            hcr |= Hcr::EN_SCXT;
        }
        hcr
    }
}

/// Returns HFGRTR_EL2, which is HFGWTR_EL2 too.
fn hfg(granted: Features) -> u64 {
    let indirection = if granted.s1pie() { HFG_PIR } else { 0 };
    let overlays = if granted.s1poe() { HFG_POR } else { 0 };
    indirection | overlays
}
