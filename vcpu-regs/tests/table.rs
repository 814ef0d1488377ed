//! The register table and the values made of it, against numbers from the manual.

use std::collections::HashSet;
use std::mem::{align_of, offset_of, size_of};

use vcpu_regs::{FpState, GuestFrame, IdRegisters, SwitchedReg, SwitchedState, SysReg};

/// Name and encoding (op0, op1, CRn, CRm, op2), as `llvm-mc` and the manual have them.
const ENCODINGS: &[(&str, [u8; 5])] = &[
    ("SCTLR_EL1", [3, 0, 1, 0, 0]),
    ("CPACR_EL1", [3, 0, 1, 0, 2]),
    ("TTBR0_EL1", [3, 0, 2, 0, 0]),
    ("TTBR1_EL1", [3, 0, 2, 0, 1]),
    ("TCR_EL1", [3, 0, 2, 0, 2]),
    ("SPSR_EL1", [3, 0, 4, 0, 0]),
    ("ELR_EL1", [3, 0, 4, 0, 1]),
    ("AFSR0_EL1", [3, 0, 5, 1, 0]),
    ("AFSR1_EL1", [3, 0, 5, 1, 1]),
    ("ESR_EL1", [3, 0, 5, 2, 0]),
    ("FAR_EL1", [3, 0, 6, 0, 0]),
    ("PAR_EL1", [3, 0, 7, 4, 0]),
    ("MAIR_EL1", [3, 0, 10, 2, 0]),
    ("AMAIR_EL1", [3, 0, 10, 3, 0]),
    ("VBAR_EL1", [3, 0, 12, 0, 0]),
    ("CONTEXTIDR_EL1", [3, 0, 13, 0, 1]),
    ("MDSCR_EL1", [2, 0, 0, 2, 2]),
    ("CSSELR_EL1", [3, 2, 0, 0, 0]),
    ("SP_EL1", [3, 4, 4, 1, 0]),
    ("TPIDRRO_EL0", [3, 3, 13, 0, 3]),
    ("VDISR_EL2", [3, 4, 12, 1, 1]),
    ("VSESR_EL2", [3, 4, 5, 2, 3]),
    ("TPIDR2_EL0", [3, 3, 13, 0, 5]),
    ("SMPRI_EL1", [3, 0, 1, 2, 4]),
    ("SCXTNUM_EL1", [3, 0, 13, 0, 7]),
    ("SCXTNUM_EL0", [3, 3, 13, 0, 7]),
    ("TCR2_EL1", [3, 0, 2, 0, 3]),
    ("PIRE0_EL1", [3, 0, 10, 2, 2]),
    ("PIR_EL1", [3, 0, 10, 2, 3]),
    ("POR_EL1", [3, 0, 10, 2, 4]),
    ("POR_EL0", [3, 3, 10, 2, 4]),
    ("ZCR_EL1", [3, 0, 1, 2, 0]),
    ("RGSR_EL1", [3, 0, 1, 0, 5]),
    ("GCR_EL1", [3, 0, 1, 0, 6]),
    ("TFSR_EL1", [3, 0, 5, 6, 0]),
    ("TFSRE0_EL1", [3, 0, 5, 6, 1]),
    ("CNTKCTL_EL1", [3, 0, 14, 1, 0]),
    ("CNTP_CTL_EL0", [3, 3, 14, 2, 1]),
    ("CNTP_CVAL_EL0", [3, 3, 14, 2, 2]),
    ("CNTV_CTL_EL0", [3, 3, 14, 3, 1]),
    ("CNTV_CVAL_EL0", [3, 3, 14, 3, 2]),
    ("APIAKeyLo_EL1", [3, 0, 2, 1, 0]),
    ("APIAKeyHi_EL1", [3, 0, 2, 1, 1]),
    ("APIBKeyLo_EL1", [3, 0, 2, 1, 2]),
    ("APIBKeyHi_EL1", [3, 0, 2, 1, 3]),
    ("APDAKeyLo_EL1", [3, 0, 2, 2, 0]),
    ("APDAKeyHi_EL1", [3, 0, 2, 2, 1]),
    ("APDBKeyLo_EL1", [3, 0, 2, 2, 2]),
    ("APDBKeyHi_EL1", [3, 0, 2, 2, 3]),
    ("APGAKeyLo_EL1", [3, 0, 2, 3, 0]),
    ("APGAKeyHi_EL1", [3, 0, 2, 3, 1]),
];

#[test]
fn rows_encode_what_they_name() {
    for &(name, [op0, op1, crn, crm, op2]) in ENCODINGS {
        let reg = SwitchedReg::ALL.iter().find(|reg| reg.name() == name);
        let reg = reg.unwrap_or_else(|| panic!("{name} has no row"));
        assert_eq!(reg.sysreg(), SysReg::new(op0, op1, crn, crm, op2), "{name}");
    }
    for reg in SwitchedReg::ALL {
        let listed = ENCODINGS.iter().any(|&(name, _)| name == reg.name());
        assert!(listed, "{reg:?}: add it above");
    }
}

#[test]
fn no_two_rows_are_one_register() {
    let names: HashSet<_> = SwitchedReg::ALL.iter().map(|reg| reg.name()).collect();
    let encodings: HashSet<_> = SwitchedReg::ALL.iter().map(|reg| reg.sysreg()).collect();
    assert_eq!(names.len(), SwitchedReg::ALL.len());
    assert_eq!(encodings.len(), SwitchedReg::ALL.len());
}

macro_rules! twins {
    ($($(#[$doc:meta])* group $group:ident $member:ident $feature:ident {
        $($field:ident $name:ident $encoding:tt twin $twin:tt reset $reset:literal)*
    })*) => {
        const TWINS: &[(&str, &str, &str)] = &[
            $($((stringify!($name), stringify!($encoding), stringify!($twin)),)*)*
        ];
        const GROUPS: &[(&str, &[&str])] = &[
            $((stringify!($feature), &[$(stringify!($name)),*]),)*
        ];
    };
}
vcpu_regs::switched_registers!(twins);

/// `_EL12` and `_EL02` differ from the plain encoding in op1 alone.
#[test]
fn twin_is_the_same_register_with_op1_5() {
    let numbers = |text: &str| -> Vec<u8> {
        let inner = text.trim_matches(['(', ')']);
        inner
            .split(',')
            .map(|n| n.trim().parse().unwrap())
            .collect()
    };
    for &(name, plain, twin) in TWINS {
        if twin != "none" {
            let (mut plain, twin) = (numbers(plain), numbers(twin));
            plain[1] = 5;
            assert_eq!(plain, twin, "{name}");
        }
    }
}

/// A comparator or a control written before its compare value could fire at once.
#[test]
fn timer_controls_come_after_their_compare_values() {
    let at = |name| {
        SwitchedReg::ALL
            .iter()
            .position(|reg| reg.name() == name)
            .unwrap()
    };
    assert!(at("CNTV_CVAL_EL0") < at("CNTV_CTL_EL0"));
    assert!(at("CNTP_CVAL_EL0") < at("CNTP_CTL_EL0"));
}

/// (CRm, op2) of the ID register, lowest bit and value of what brings a group.
const BROUGHT_BY: &[(&str, u8, u8, u64)] = &[
    ("pauth", 6, 1, 1 << 4),
    ("ras", 4, 0, 1 << 28),
    ("untrapped_sme", 4, 1, 1 << 24),
    ("scxtnum", 4, 0, 2 << 56),
    ("tcr2", 7, 3, 1 << 0),
    ("s1pie", 7, 3, 1 << 8),
    ("s1poe", 7, 3, 1 << 16),
    ("sve", 4, 0, 1 << 32),
    ("mte", 4, 1, 2 << 8),
];

/// What every CPU has, if not every guest.
const EVERYWHERE: &[&str] = &["always", "physical_timer"];

#[test]
fn groups_exist_by_their_feature() {
    for &(feature, names) in GROUPS {
        let group = || {
            SwitchedReg::ALL
                .iter()
                .filter(|r| names.contains(&r.name()))
        };
        assert_eq!(group().count(), names.len());
        let none = IdRegisters::default().features();
        assert!(group().all(|reg| reg.exists(none) == EVERYWHERE.contains(&feature)));
        for &(bringing, crm, op2, value) in BROUGHT_BY {
            let mut ids = IdRegisters::default();
            ids.set(SysReg::new(3, 0, 0, crm, op2), value);
            let exists = EVERYWHERE.contains(&feature) || feature == bringing;
            assert!(group().all(|reg| reg.exists(ids.features()) == exists));
        }
        let listed = BROUGHT_BY.iter().any(|&(bringing, ..)| bringing == feature);
        assert!(
            listed || EVERYWHERE.contains(&feature),
            "{feature}: add it above"
        );
    }
}

#[test]
fn each_register_has_a_place_of_its_own() {
    let mut state = SwitchedState::default();
    for (n, &reg) in SwitchedReg::ALL.iter().enumerate() {
        state.set(reg, !(n as u64));
    }
    for (n, &reg) in SwitchedReg::ALL.iter().enumerate() {
        assert_eq!(state.get(reg), !(n as u64), "{reg:?}");
    }
}

/// What the assembly relies on, in bytes.
#[test]
fn frames_have_their_layout() {
    assert_eq!(offset_of!(GuestFrame, x), 0);
    assert_eq!(offset_of!(GuestFrame, sp_el0), 248);
    assert_eq!(offset_of!(GuestFrame, pc), 256);
    assert_eq!(offset_of!(GuestFrame, pstate), 264);
    assert_eq!(offset_of!(GuestFrame, tpidr_el0), 272);
    assert_eq!(offset_of!(GuestFrame, tpidr_el1), 280);
    assert_eq!(
        (size_of::<GuestFrame>(), align_of::<GuestFrame>()),
        (288, 16)
    );
    assert_eq!(offset_of!(FpState, fpcr), 512);
    assert_eq!(offset_of!(FpState, fpsr), 520);
    assert_eq!((size_of::<FpState>(), align_of::<FpState>()), (528, 16));
}
