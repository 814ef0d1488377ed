//! More and less among ID registers: what CPUs have in common, and what one lacks.

use crate::{IdRegisters, SysReg};

/// A field of which one CPU has more than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IdExcess {
    /// The register.
    pub reg: SysReg,
    /// The field's lowest bit; it has four.
    pub lo: u8,
    /// What the one has.
    pub value: u8,
    /// What the other has.
    pub limit: u8,
}

impl core::fmt::Display for IdExcess {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            reg,
            lo,
            value,
            limit,
        } = self;
        write!(
            f,
            "{reg}[{}:{lo}] = {value:#x} is more than {limit:#x}",
            lo + 3
        )
    }
}

/// Fields whose value 0b1111 means "not there", by (CRm, op2) and lowest bit: signed ones. Arm ARM
/// (DDI 0487), "Principles of the ID scheme for fields in ID registers".
const SIGNED: &[(u8, u8, u8)] = &[
    (1, 2, 24), // ID_DFR0_EL1.PerfMon
    (4, 0, 16), // ID_AA64PFR0_EL1.FP
    (4, 0, 20), // ID_AA64PFR0_EL1.AdvSIMD
    (5, 0, 8),  // ID_AA64DFR0_EL1.PMUVer
    (5, 0, 36), // ID_AA64DFR0_EL1.DoubleLock
    (5, 0, 48), // ID_AA64DFR0_EL1.MTPMU
    (7, 0, 24), // ID_AA64MMFR0_EL1.TGran64
    (7, 0, 28), // ID_AA64MMFR0_EL1.TGran4
];

/// A field's rank among its values: a higher one has all that a lower one has.
const fn rank(value: u8, is_signed: bool) -> i8 {
    match value {
        8.. if is_signed => value as i8 - 16,
        _ => value as i8,
    }
}

/// Calls `f` with (CRm, op2, lowest bit, whether it is signed) of every field. MIDR_EL1 and its kin
/// (CRm = 0) say who a CPU is, not what it has.
fn each_field(mut f: impl FnMut(u8, u8, u8, bool)) {
    for crm in 1..8 {
        for op2 in 0..8 {
            for lo in (0..64).step_by(4) {
                f(crm, op2, lo, SIGNED.contains(&(crm, op2, lo)));
            }
        }
    }
}

impl IdRegisters {
    fn nibble(&self, crm: u8, op2: u8, lo: u8) -> u8 {
        (self.words[usize::from(crm)][usize::from(op2)] >> lo & 0xf) as u8
    }

    /// Returns the set with, in each field, the less of both: what CPUs of two kinds have in
    /// common. Who it is (MIDR_EL1) and its CTR_EL0 are this one's.
    pub fn common(&self, other: &Self) -> Self {
        let mut common = self.clone();
        each_field(|crm, op2, lo, is_signed| {
            let (own, theirs) = (self.nibble(crm, op2, lo), other.nibble(crm, op2, lo));
            if rank(theirs, is_signed) < rank(own, is_signed) {
                let word = &mut common.words[usize::from(crm)][usize::from(op2)];
                *word = *word & !(0xf << lo) | u64::from(theirs) << lo;
            }
        });
        common
    }

    /// Returns the first field of which this set has more than `limit`.
    pub fn excess(&self, limit: &Self) -> Option<IdExcess> {
        let mut excess = None;
        each_field(|crm, op2, lo, is_signed| {
            let (value, limit) = (self.nibble(crm, op2, lo), limit.nibble(crm, op2, lo));
            if excess.is_none() && rank(value, is_signed) > rank(limit, is_signed) {
                excess = Some(IdExcess {
                    reg: SysReg::new(3, 0, 0, crm, op2),
                    lo,
                    value,
                    limit,
                });
            }
        });
        excess
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    fn with(set: fn(&mut IdRegisters, u64), value: u64) -> IdRegisters {
        let mut ids = IdRegisters::default();
        set(&mut ids, value);
        ids
    }

    #[test]
    fn unsigned_field_counts_up_and_signed_ones_around_zero() {
        let pauth = |value: u64| with(IdRegisters::set_isar1, value << 4);
        assert_eq!(pauth(1).excess(&pauth(15)), None);
        assert_eq!(pauth(5).common(&pauth(3)), pauth(3));
        let fp = |value: u64| with(IdRegisters::set_pfr0, value << 16);
        // 1 has half precision, 0 has not, 0b1111 has no FP at all.
        assert_eq!(fp(15).excess(&fp(0)), None);
        assert_eq!(fp(1).common(&fp(15)), fp(15));
        assert_eq!(fp(15).common(&fp(1)), fp(15));
        assert_eq!(fp(1).common(&fp(0)), fp(0));
        let excess = fp(0).excess(&fp(15)).unwrap();
        assert_eq!((excess.lo, excess.value, excess.limit), (16, 0, 15));
        assert_eq!(
            excess.to_string(),
            "ID_AA64PFR0_EL1[19:16] = 0x0 is more than 0xf"
        );
    }

    /// Whatever two CPUs have, neither lacks what they have in common.
    #[test]
    fn common_part_exceeds_neither() {
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |_| {
            word = word.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            word.rotate_left(17)
        };
        for _ in 0..100 {
            let (a, b) = (
                IdRegisters::read_with(&mut random),
                IdRegisters::read_with(&mut random),
            );
            let common = a.common(&b);
            assert_eq!(common.excess(&a), None);
            assert_eq!(common.excess(&b), None);
            assert_eq!(common.midr(), a.midr());
            assert!(a.excess(&common).is_some() && b.excess(&common).is_some());
        }
    }
}
