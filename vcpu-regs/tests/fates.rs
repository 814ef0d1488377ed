//! Every register and operation that EL1 or EL0 can name has one fate.

use std::collections::BTreeSet;

use vcpu_regs::{Fate, FateRow, SwitchedReg, SysReg};

/// Returns whether EL1 or EL0 may hope to reach it: op1 of 4 to 7 is of EL2, EL3 and Secure EL1.
fn is_reachable(reg: SysReg) -> bool {
    reg.op0() != 0 && reg.op1() < 4
}

fn is_switched(reg: SysReg) -> bool {
    SwitchedReg::ALL.iter().any(|row| row.sysreg() == reg)
}

fn rows(reg: SysReg) -> Vec<&'static FateRow> {
    SysReg::fates().filter(|row| row.contains(reg)).collect()
}

#[test]
fn every_name_that_assemblers_know_has_one_fate() {
    let mut missing = Vec::new();
    let mut seen = 0;
    for (reg, _, name) in SysReg::named().filter(|(reg, ..)| is_reachable(*reg)) {
        seen += 1;
        let fates = rows(reg).len() + usize::from(is_switched(reg));
        if fates != 1 {
            missing.push(format!("{name} {reg:#}: {fates} rows"));
        }
        assert_eq!(reg.fate().is_some(), fates != 0, "{name}");
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(seen > 1200, "{seen} names");
}

/// A table row and a fate are the same register once: whatever has no name included.
#[test]
fn no_encoding_has_two_fates() {
    for reg in (0x4000..=u16::MAX).map(SysReg::from_bits) {
        let rows = rows(reg);
        assert!(rows.len() <= 1, "{reg:#}: {rows:#?}");
        // Registers of EL2 are switched for what they show at EL1 by another name.
        let twice = is_switched(reg) && is_reachable(reg) && !rows.is_empty();
        assert!(!twice, "{reg}: switched, and {:?}", rows[0]);
    }
}

/// A row that covers nothing that has a name is a wrong number; so is a name that is not covered.
#[test]
fn every_row_is_about_what_it_names() {
    for row in SysReg::fates() {
        if row.name.starts_with("implementation defined") || row.name.starts_with("of EL2") {
            continue;
        }
        let covered: BTreeSet<_> = SysReg::named()
            .filter(|(reg, ..)| row.contains(*reg))
            .map(|(.., name)| name.to_uppercase())
            .collect();
        assert!(!covered.is_empty(), "{}", row.name);
        let patterns: Vec<_> = row.name.split(", ").filter(|&p| p != "..").collect();
        for name in &covered {
            let is_listed = row.name.contains(", .., ")
                || row.name.ends_with("..")
                || patterns.iter().any(|p| matches(&p.to_uppercase(), name));
            assert!(is_listed, "{name} is not {:?}", row.name);
        }
        for pattern in patterns {
            let is_there = covered
                .iter()
                .any(|name| matches(&pattern.to_uppercase(), name));
            assert!(is_there, "{pattern} is not in {covered:?}");
        }
    }
}

/// Returns whether `name` is `pattern`, in which `<..>` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('<') else {
        return pattern == name;
    };
    let (_, rest) = rest.split_once('>').unwrap();
    let Some(mut tail) = name.strip_prefix(head) else {
        return false;
    };
    loop {
        if matches(rest, tail) {
            return true;
        }
        match tail.get(1..) {
            Some(shorter) => tail = shorter,
            None => return false,
        }
    }
}

/// What the table of the switched says is said once, and a view is of something switched.
#[test]
fn switched_registers_are_their_own_fate() {
    for &reg in SwitchedReg::ALL {
        if is_reachable(reg.sysreg()) {
            assert_eq!(reg.sysreg().fate(), Some(Fate::Switched(reg)));
        }
    }
}

/// The extensions that would not be isolated: none that a CPU of today has.
#[test]
fn unknown_extensions_are_these() {
    let unknown: BTreeSet<_> = SysReg::fates()
        .filter_map(|row| match row.fate {
            Fate::Unknown(extension) => Some(extension),
            _ => None,
        })
        .collect();
    let expected = [
        "FEAT_GCIE",
        "FEAT_MPAM_PE_BW_CTRL",
        "FEAT_MPAMv2",
        "FEAT_S1POE2",
        "FEAT_TLBID",
    ];
    assert_eq!(Vec::from_iter(unknown), expected);
}
