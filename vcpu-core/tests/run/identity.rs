//! The ID registers as a VM reads them, field by field as the manual lists them.

use vcpu_core::{Exit, Extensions, Vm, guest_ids};
use vcpu_hal::{fake::Step, inject::HcrLine, irq::LeavePending};
use vcpu_regs::{IdRegisters, SysReg};

use crate::rig::*;

/// What becomes of a field that the CPU has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// The guest reads what the CPU has: nothing of it needs us, or it is switched.
    Seen,
    /// The guest reads the CPU's, but no more than this.
    AtMost(u64),
    /// The guest reads 0: it traps, or is not switched, or is EL2's own.
    Hidden,
}
use Fate::{AtMost, Hidden, Seen};

/// A register (CRm, op2), and its fields: lowest bit, name or feature, fate. Fields have four bits.
type Register = (u8, u8, &'static [(u32, &'static str, Fate)]);

/// Arm ARM (DDI 0487), the AArch64 ID registers in the order of their encodings. Bits that no line
/// names are reserved, and so are registers that have none.
const FIELDS: &[Register] = &[
    (
        4,
        0, // ID_AA64PFR0_EL1
        &[
            (0, "EL0", Seen),
            (4, "EL1", AtMost(1)), // no AArch32 there
            (8, "EL2", Hidden),
            (12, "EL3", Hidden),
            (16, "FP", Seen),
            (20, "AdvSIMD", Seen),
            (24, "GIC", Seen),
            (28, "FEAT_RAS", Hidden),
            (32, "FEAT_SVE", Hidden),
            (36, "FEAT_SEL2", Hidden),
            (40, "FEAT_MPAM", Hidden),
            (44, "FEAT_AMU", Hidden),
            (48, "FEAT_DIT", Seen),
            (52, "FEAT_RME", Hidden),
            (56, "FEAT_CSV2", AtMost(1)), // FEAT_CSV2_2 has SCXTNUM_ELx
            (60, "FEAT_CSV3", Seen),
        ],
    ),
    (
        4,
        1, // ID_AA64PFR1_EL1
        &[
            (0, "FEAT_BTI", Seen),
            (4, "FEAT_SSBS", Seen),
            (8, "FEAT_MTE", Hidden),
            (12, "RAS_frac", Hidden),
            (16, "MPAM_frac", Hidden),
            (24, "FEAT_SME", Hidden),
            (28, "FEAT_RNG_TRAP", Hidden),
            (32, "CSV2_frac", Hidden),
            (36, "FEAT_NMI", Hidden),
            (40, "MTE_frac", Hidden),
            (44, "FEAT_GCS", Hidden),
            (48, "FEAT_THE", Hidden),
            (52, "MTEX", Hidden),
            (56, "FEAT_DoubleFault2", Hidden),
            (60, "FEAT_PFAR", Hidden),
        ],
    ),
    (4, 2, &[]), // ID_AA64PFR2_EL1: FEAT_MTE_PERM and later, FEAT_FPMR
    (4, 4, &[]), // ID_AA64ZFR0_EL1: of FEAT_SVE
    (4, 5, &[]), // ID_AA64SMFR0_EL1: of FEAT_SME
    (4, 7, &[]), // ID_AA64FPFR0_EL1: of FEAT_FPMR
    (
        5,
        0, // ID_AA64DFR0_EL1
        &[
            (0, "DebugVer", AtMost(10)), // FEAT_Debugv8p9 has MDSELR_EL1
            (4, "TraceVer", Hidden),
            (8, "FEAT_PMUv3", Hidden),
            (12, "BRPs", Seen),
            (16, "FEAT_PMUv3_SS", Hidden),
            (20, "WRPs", Seen),
            (24, "FEAT_SEBEP", Hidden),
            (28, "CTX_CMPs", Seen),
            (32, "FEAT_SPE", Hidden),
            (36, "FEAT_DoubleLock", Seen),
            (40, "FEAT_TRF", Hidden),
            (44, "FEAT_TRBE", Hidden),
            (48, "FEAT_MTPMU", Hidden),
            (52, "FEAT_BRBE", Hidden),
            (56, "FEAT_TRBE_EXT", Hidden),
            (60, "FEAT_HPMN0", Hidden),
        ],
    ),
    (5, 1, &[]), // ID_AA64DFR1_EL1: counters, FEAT_STEP2, FEAT_ABLE
    (5, 2, &[]), // ID_AA64DFR2_EL1: FEAT_BWE2, FEAT_STEP2
    (5, 4, &[]), // ID_AA64AFR0_EL1
    (5, 5, &[]), // ID_AA64AFR1_EL1
    (
        6,
        0, // ID_AA64ISAR0_EL1
        &[
            (4, "FEAT_AES", Seen),
            (8, "FEAT_SHA1", Seen),
            (12, "FEAT_SHA256", Seen),
            (16, "FEAT_CRC32", Seen),
            (20, "FEAT_LSE", Seen),
            (24, "FEAT_TME", Hidden),
            (28, "FEAT_RDM", Seen),
            (32, "FEAT_SHA3", Seen),
            (36, "FEAT_SM3", Seen),
            (40, "FEAT_SM4", Seen),
            (44, "FEAT_DotProd", Seen),
            (48, "FEAT_FHM", Seen),
            (52, "FEAT_FlagM", Seen),
            (56, "FEAT_TLBIOS", Seen),
            (60, "FEAT_RNG", Seen),
        ],
    ),
    (
        6,
        1, // ID_AA64ISAR1_EL1
        &[
            (0, "FEAT_DPB", Seen),
            (4, "APA", Seen),
            (8, "API", Seen),
            (12, "FEAT_JSCVT", Seen),
            (16, "FEAT_FCMA", Seen),
            (20, "FEAT_LRCPC", Seen),
            (24, "GPA", Seen),
            (28, "GPI", Seen),
            (32, "FEAT_FRINTTS", Seen),
            (36, "FEAT_SB", Seen),
            (40, "FEAT_SPECRES", Seen),
            (44, "FEAT_BF16", Seen),
            (48, "FEAT_DGH", Seen),
            (52, "FEAT_I8MM", Seen),
            (56, "FEAT_XS", Seen),
            (60, "FEAT_LS64", Hidden),
        ],
    ),
    (
        6,
        2, // ID_AA64ISAR2_EL1
        &[
            (0, "FEAT_WFxT", Hidden),
            (4, "FEAT_RPRES", Seen),
            (8, "GPA3", Seen),
            (12, "APA3", Seen),
            (16, "FEAT_MOPS", Hidden),
            (20, "FEAT_HBC", Seen),
            (24, "PAC_frac", Seen),
            (28, "FEAT_CLRBHB", Hidden),
            (32, "FEAT_SYSREG128", Hidden),
            (36, "FEAT_SYSINSTR128", Hidden),
            (40, "FEAT_PRFMSLC", Hidden),
            (48, "FEAT_RPRFM", Hidden),
            (52, "FEAT_CSSC", Hidden),
            (56, "FEAT_LUT", Hidden),
            (60, "FEAT_ATS1A", Hidden),
        ],
    ),
    (6, 3, &[]), // ID_AA64ISAR3_EL1: FEAT_CPA and later
    (
        7,
        0, // ID_AA64MMFR0_EL1
        &[
            (0, "PARange", AtMost(2)), // the IPA space of these tests: 40 bits
            (4, "ASIDBits", Seen),
            (8, "BigEnd", Seen),
            (12, "SNSMem", Seen),
            (16, "BigEndEL0", Seen),
            (20, "TGran16", Seen),
            (24, "TGran64", Seen),
            (28, "TGran4", Seen),
            (32, "TGran16_2", Hidden),
            (36, "TGran64_2", Hidden),
            (40, "TGran4_2", Hidden),
            (44, "FEAT_ExS", Seen),
            (56, "FEAT_FGT", Hidden),
            (60, "FEAT_ECV", Hidden),
        ],
    ),
    (
        7,
        1, // ID_AA64MMFR1_EL1
        &[
            (0, "FEAT_HAFDBS", AtMost(2)), // FEAT_HAFT has TCR2_EL1, FEAT_HDBSS is EL2's
            (4, "FEAT_VMID16", Hidden),
            (8, "FEAT_VHE", Hidden),
            (12, "FEAT_HPDS", Seen),
            (16, "FEAT_LOR", Hidden),
            (20, "FEAT_PAN", Seen),
            (24, "SpecSEI", Seen),
            (28, "FEAT_XNX", Seen),
            (32, "FEAT_TWED", Hidden),
            (36, "FEAT_ETS", Seen),
            (40, "FEAT_HCX", Hidden),
            (44, "FEAT_AFP", Seen),
            (48, "FEAT_nTLBPA", Seen),
            (52, "FEAT_TIDCP1", Hidden),
            (56, "FEAT_CMOW", Hidden),
            (60, "FEAT_ECBHB", Hidden),
        ],
    ),
    (
        7,
        2, // ID_AA64MMFR2_EL1
        &[
            (0, "FEAT_TTCNP", Seen),
            (4, "FEAT_UAO", Seen),
            (8, "FEAT_LSMAOC", Seen),
            (12, "FEAT_IESB", Hidden),
            (16, "FEAT_LVA", Seen),
            (20, "FEAT_CCIDX", Seen),
            (24, "FEAT_NV", Hidden),
            (28, "FEAT_TTST", Seen),
            (32, "FEAT_LSE2", Seen),
            (36, "FEAT_IDST", Seen),
            (40, "FEAT_S2FWB", Hidden),
            (48, "FEAT_TTL", Seen),
            (52, "FEAT_BBM", Seen),
            (56, "FEAT_EVT", Hidden),
            (60, "FEAT_E0PD", Seen),
        ],
    ),
    (7, 3, &[]), // ID_AA64MMFR3_EL1: FEAT_TCR2, FEAT_SCTLR2, FEAT_S1PIE, ...
    (7, 4, &[]), // ID_AA64MMFR4_EL1: FEAT_E2H0, FEAT_NV_frac, ...
];

/// Of AArch32, at EL0 alone.
const A32_FIELDS: &[Register] = &[
    (
        1,
        0, // ID_PFR0_EL1
        &[
            (0, "State0", Seen),
            (4, "State1", Seen),
            (8, "State2", Seen),
            (12, "State3", Seen),
            (16, "CSV2", Hidden),
            (20, "AMU", Hidden),
            (24, "DIT", Hidden),
            (28, "RAS", Hidden),
        ],
    ),
    (1, 1, &[(28, "GIC", Hidden)]),
    (
        1,
        2, // ID_DFR0_EL1
        &[
            (12, "CopTrc", Hidden),
            (16, "MMapTrc", Hidden),
            (20, "MProfDbg", Hidden),
            (24, "PerfMon", Hidden),
            (28, "TraceFilt", Hidden),
        ],
    ),
    (3, 4, &[(8, "RAS_frac", Hidden)]), // ID_PFR2_EL1
    (3, 5, &[(0, "MTPMU", Hidden), (4, "HPMN0", Hidden)]), // ID_DFR1_EL1
];

/// ID registers where every bit is set, reserved ones too.
fn everything() -> IdRegisters {
    IdRegisters::read_with(|_| u64::MAX)
}

fn field(ids: &IdRegisters, crm: u8, op2: u8, lo: u32) -> u64 {
    ids.get(SysReg::new(3, 0, 0, crm, op2)).unwrap() >> lo & 0xf
}

#[test]
fn each_field_has_its_fate() {
    let guest = guest_ids(&everything(), 40, Extensions::empty());
    for &(crm, op2, fields) in FIELDS.iter().chain(A32_FIELDS) {
        for &(lo, name, fate) in fields {
            let expected = match fate {
                Seen => 0xf,
                AtMost(most) => most,
                Hidden => 0,
            };
            assert_eq!(field(&guest, crm, op2, lo), expected, "{name}");
        }
    }
}

/// A value below the limit is the CPU's own: nothing is invented.
#[test]
fn nothing_is_seen_that_the_cpu_has_not() {
    let none = guest_ids(&IdRegisters::default(), 48, Extensions::empty());
    assert_eq!(none, IdRegisters::default());
    for &(crm, op2, fields) in FIELDS {
        for &(lo, name, fate) in fields {
            let guest = guest_ids(&ids(&[(crm, op2, lo, 1)]), 48, Extensions::empty());
            let expected = if fate == Hidden { 0 } else { 1 };
            assert_eq!(field(&guest, crm, op2, lo), expected, "{name}");
            let mut others = guest.clone();
            let reg = SysReg::new(3, 0, 0, crm, op2);
            others.set(reg, others.get(reg).unwrap() & !(0xf << lo));
            assert_eq!(others, IdRegisters::default(), "{name} moved another field");
        }
    }
}

/// Bits of AArch64 registers that no line above names, and whole registers without a line.
#[test]
fn reserved_reads_as_zero() {
    let guest = guest_ids(&everything(), 40, Extensions::empty());
    for crm in 4..8 {
        for op2 in 0..8 {
            let listed = FIELDS.iter().find(|&&(c, o, _)| (c, o) == (crm, op2));
            let named = listed.map_or(&[][..], |&(_, _, fields)| fields);
            for lo in (0..64).step_by(4) {
                if named.iter().any(|&(at, ..)| at == lo) {
                    continue;
                }
                assert_eq!(field(&guest, crm, op2, lo), 0, "({crm}, {op2}) bit {lo}");
            }
        }
    }
    // ID_AFR0_EL1, the hole in CRm 3, ID_MMFR5_EL1, the hole after it; around MIDR_EL1.
    for (crm, op2) in [(1, 3), (3, 3), (3, 6), (3, 7)]
        .into_iter()
        .chain([1, 2, 3, 4, 7].map(|op2| (0, op2)))
    {
        assert_eq!(guest.get(SysReg::new(3, 0, 0, crm, op2)), Some(0));
    }
}

/// PARange never promises more than the IPA space holds, nor more than the CPU has.
#[test]
fn physical_addresses_are_the_ipa_space() {
    let sizes = [
        (32, 0),
        (36, 1),
        (40, 2),
        (42, 3),
        (44, 4),
        (48, 5),
        (52, 6),
    ];
    for bits in 0..=64 {
        let fits = sizes.iter().filter(|&&(size, _)| size <= bits);
        let limit = fits.map(|&(_, range)| range).max().unwrap_or(0);
        for (_, range) in sizes {
            let guest = guest_ids(&ids(&[(7, 0, 0, range)]), bits, Extensions::empty());
            assert_eq!(field(&guest, 7, 0, 0), range.min(limit), "{bits} bits");
        }
    }
}

/// What the guest reads is what the VM has: through the trap, into any register, and not writable.
#[test]
fn trapped_id_register_reads_as_the_vm_has_it() {
    let guest = Guest::with_ids(everything());
    let expected = guest_ids(&everything(), 40, Extensions::empty());
    let asked: Vec<SysReg> = (0..8)
        .flat_map(|crm| (0..8).map(move |op2| SysReg::new(3, 0, 0, crm, op2)))
        .collect();
    let script: Vec<_> = asked
        .iter()
        .map(|&reg| Step::synchronous(sysreg(reg, 4, true)))
        .collect();
    let cpu = guest.cpu(&script);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut el2 = vcpu_core::El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    assert_eq!(*vm.ids(), expected);
    let mut vcpu = guest.vcpu();
    let mut live = vcpu.load(&mut el2, &vm).unwrap();
    for &reg in &asked {
        live.set_pc(PC);
        let exit = live.run();
        assert!(matches!(exit, Exit::SysReg(_)));
        live.reflect(exit);
        let expected = match expected.get(reg).unwrap() {
            pfr0 if reg == SysReg::new(3, 0, 0, 4, 0) => pfr0 & !(0xf << 24), // as below
            other => other,
        };
        assert_eq!(live.reg(vcpu_regs::Gpr::X4), expected, "{reg}");
        assert_eq!(live.pc(), PC + 4);
    }
}
