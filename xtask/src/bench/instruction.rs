//! What kind of instruction an A64 word is: the kinds that cost more than others on an exit.

use serde::Serialize;

/// How many of each kind were executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All of them.
    pub all: u64,
    /// `TLBI`.
    pub tlbi: u64,
    /// `IC`.
    pub ic: u64,
    /// `DSB`.
    pub dsb: u64,
    /// `ISB`.
    pub isb: u64,
    /// `MSR`, immediate forms too.
    pub msr: u64,
    /// `MRS`.
    pub mrs: u64,
    /// Loads; a pair is one.
    pub loads: u64,
    /// Stores; a pair is one.
    pub stores: u64,
}

impl Counts {
    /// Names and values, in the order of a table.
    pub fn columns(&self) -> [(&'static str, u64); 9] {
        [
            ("all", self.all),
            ("TLBI", self.tlbi),
            ("IC", self.ic),
            ("DSB", self.dsb),
            ("ISB", self.isb),
            ("MSR", self.msr),
            ("MRS", self.mrs),
            ("loads", self.loads),
            ("stores", self.stores),
        ]
    }

    /// Counts one more.
    pub fn add(&mut self, word: u32) {
        self.all += 1;
        match Kind::of(word) {
            Kind::Tlbi => self.tlbi += 1,
            Kind::Ic => self.ic += 1,
            Kind::Dsb => self.dsb += 1,
            Kind::Isb => self.isb += 1,
            Kind::Msr => self.msr += 1,
            Kind::Mrs => self.mrs += 1,
            Kind::Load => self.loads += 1,
            Kind::Store => self.stores += 1,
            Kind::Other => {}
        }
    }
}

/// A kind of instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tlbi,
    Ic,
    Dsb,
    Isb,
    Msr,
    Mrs,
    Load,
    Store,
    Other,
}

impl Kind {
    /// Arm ARM (DDI 0487), "A64 instruction set encoding".
    fn of(word: u32) -> Self {
        if word & 0xffc0_0000 == 0xd500_0000 {
            Self::of_system(word)
        } else if word & 0x0a00_0000 == 0x0800_0000 {
            Self::of_load_or_store(word)
        } else {
            Self::Other
        }
    }

    /// "System instructions" and "System register move".
    fn of_system(word: u32) -> Self {
        let (is_read, op0) = (word >> 21 & 1 == 1, word >> 19 & 3);
        let (crn, crm, op2) = (word >> 12 & 15, word >> 8 & 15, word >> 5 & 7);
        match (op0, crn, is_read) {
            (2 | 3, _, true) => Self::Mrs,
            (2 | 3, _, false) => Self::Msr,
            (1, 8 | 9, false) => Self::Tlbi,
            (1, 7, false) if matches!(crm, 1 | 5) => Self::Ic,
            (0, 4, false) => Self::Msr, // PSTATE fields
            (0, 3, false) => match op2 {
                1 | 4 => Self::Dsb, // 1: nXS
                6 => Self::Isb,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// "Loads and stores"; one that does both counts as a store.
    fn of_load_or_store(word: u32) -> Self {
        let (opc, size, is_vector) = (word >> 22 & 3, word >> 30, word >> 26 & 1 == 1);
        let is_load = match word >> 27 & 7 {
            0b011 => true, // literal, or (bit 24) unscaled with ordering
            0b111 if word & 1 << 24 == 0 && word & 1 << 21 != 0 && word >> 10 & 3 == 0 => false,
            0b111 if is_vector => opc & 1 == 1,
            0b111 if size == 3 && opc == 2 => return Self::Other, // PRFM
            0b111 => opc != 0,
            _ => opc & 1 == 1, // L, bit 22: pairs, exclusives, structures
        };
        if is_load { Self::Load } else { Self::Store }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart() {
        let words = [
            (0xd50c_871f, Kind::Tlbi),  // tlbi alle2
            (0xd508_751f, Kind::Ic),    // ic iallu
            (0xd503_379f, Kind::Dsb),   // dsb nsh
            (0xd503_3fdf, Kind::Isb),   // isb
            (0xd503_3bbf, Kind::Other), // dmb ish
            (0xd503_201f, Kind::Other), // nop
            (0xd503_4fdf, Kind::Msr),   // msr daifset, #15
            (0xd51c_c000, Kind::Msr),   // msr vbar_el2, x0
            (0xd53c_5201, Kind::Mrs),   // mrs x1, esr_el2
            (0xd50b_7e20, Kind::Other), // dc civac, x0
            (0xa901_0c02, Kind::Store), // stp x2, x3, [x0, #16]
            (0xa941_0c02, Kind::Load),  // ldp x2, x3, [x0, #16]
            (0xf940_0400, Kind::Load),  // ldr x0, [x0, #8]
            (0xb900_0041, Kind::Store), // str w1, [x2]
            (0x3900_0041, Kind::Store), // strb w1, [x2]
            (0xb8ac_7988, Kind::Load),  // ldrsw x8, [x12, x12, lsl #2]
            (0xad00_0400, Kind::Store), // stp q0, q1, [x0]
            (0x3dc0_0000, Kind::Load),  // ldr q0, [x0]
            (0x3d80_0000, Kind::Store), // str q0, [x0]
            (0x5800_0040, Kind::Load),  // ldr x0, literal
            (0xc85f_7c20, Kind::Load),  // ldxr x0, [x1]
            (0xc800_7c20, Kind::Store), // stxr w0, x0, [x1]
            (0x9100_0400, Kind::Other), // add x0, x0, #1
            (0x1400_0001, Kind::Other), // b
            (0xd69f_03e0, Kind::Other), // eret
        ];
        for (word, kind) in words {
            assert_eq!(Kind::of(word), kind, "{word:#010x}");
        }
    }
}
