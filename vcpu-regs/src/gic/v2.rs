//! What a GICv2's virtual interface control block (`GICH_*`) lays out in its own way.
//!
//! `GICH_HCR`, `GICH_MISR` and `GICH_VMCR` are [`IchHcr`](super::IchHcr),
//! [`IchMisr`](super::IchMisr) and [`IchVmcr`](super::IchVmcr), with fewer bits of a priority.

use tock_registers::fields::Field;

use super::ListRegister;
use crate::Intid;
use layout::{LR, VTR};

mod layout {
    tock_registers::register_bitfields![u32,
        /// GIC architecture, version 2 (IHI 0048), `GICH_LR<n>`.
        pub LR [
            HW OFFSET(31) NUMBITS(1) [],
            GROUP1 OFFSET(30) NUMBITS(1) [],
            ACTIVE OFFSET(29) NUMBITS(1) [],
            PENDING OFFSET(28) NUMBITS(1) [],
            /// The upper five bits of a priority.
            PRIORITY OFFSET(23) NUMBITS(5) [],
            /// With HW = 1: the physical interrupt.
            PHYSICAL_ID OFFSET(10) NUMBITS(10) [],
            /// With HW = 0.
            EOI OFFSET(19) NUMBITS(1) [],
            /// With HW = 0, of an SGI: who sent it.
            CPUID OFFSET(10) NUMBITS(3) [],
            VIRTUAL_ID OFFSET(0) NUMBITS(10) [],
        ],
        /// GIC architecture, version 2 (IHI 0048), `GICH_VTR`.
        pub VTR [
            LIST_REGS OFFSET(0) NUMBITS(6) [],
        ]
    ];
}

/// What the virtual interface has: `GICH_VTR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GichVtr(pub u32);

impl GichVtr {
    /// Returns the count of list registers, 1 to 64 (ListRegs).
    pub const fn list_registers(self) -> u8 {
        field(self.0, VTR::LIST_REGS) as u8 + 1
    }
}

/// One interrupt as the virtual CPU interface holds it: `GICH_LR<n>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GichLr(pub u32);

impl GichLr {
    /// Returns a GICv3 list register in this layout.
    ///
    /// Of the priority, the upper five bits are kept. `None` when an INTID has more than ten bits.
    pub const fn new(lr: ListRegister) -> Option<Self> {
        let intid = lr.intid().0;
        if intid > LR::VIRTUAL_ID.mask {
            return None;
        }
        let mut word = put(0, LR::VIRTUAL_ID, intid);
        word = put(word, LR::PRIORITY, (lr.priority() >> 3) as u32);
        word = put(word, LR::GROUP1, lr.is_group1() as u32);
        word = put(word, LR::PENDING, lr.is_pending() as u32);
        word = put(word, LR::ACTIVE, lr.is_active() as u32);
        match lr.hardware() {
            Some(physical) if physical.0 > LR::PHYSICAL_ID.mask => return None,
            Some(physical) => {
                word = put(word, LR::HW, 1);
                word = put(word, LR::PHYSICAL_ID, physical.0);
            }
            None => {
                word = put(word, LR::CPUID, lr.sender() as u32);
                word = put(word, LR::EOI, lr.reports_end() as u32);
            }
        }
        Some(Self(word))
    }

    /// Returns it in GICv3's layout.
    pub fn to_v3(self) -> ListRegister {
        let priority = (field(self.0, LR::PRIORITY) << 3) as u8;
        let is_group1 = field(self.0, LR::GROUP1) != 0;
        let intid = Intid(field(self.0, LR::VIRTUAL_ID));
        let plain = ListRegister::new(intid, priority, is_group1);
        let lr = if field(self.0, LR::HW) != 0 {
            let physical = Intid(field(self.0, LR::PHYSICAL_ID));
            plain.with_hardware(physical).unwrap_or(plain) // 10 bits fit into 13
        } else {
            let sent = plain.with_sender(field(self.0, LR::CPUID) as u8);
            match field(self.0, LR::EOI) {
                0 => sent,
                _ => sent.with_end_reported(),
            }
        };
        lr.with_pending(field(self.0, LR::PENDING) != 0)
            .with_active(field(self.0, LR::ACTIVE) != 0)
    }
}

const fn field<R: tock_registers::RegisterLongName>(word: u32, field: Field<u32, R>) -> u32 {
    word >> field.shift & field.mask
}

const fn put<R: tock_registers::RegisterLongName>(
    word: u32,
    field: Field<u32, R>,
    value: u32,
) -> u32 {
    word & !(field.mask << field.shift) | (value & field.mask) << field.shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_register_has_its_fields_where_the_manual_has_them() {
        let sgi = ListRegister::new(Intid(5), 0xa0, false).with_pending(true);
        let word = 1 << 28 | (0xa0 >> 3) << 23 | 3 << 10 | 5;
        assert_eq!(GichLr::new(sgi.with_sender(3)), Some(GichLr(word)));
        assert_eq!(GichLr(word).to_v3().sender(), 3);
        let timer = ListRegister::new(Intid(27), 0x80, true)
            .with_hardware(Intid(30))
            .unwrap()
            .with_active(true);
        let word = 1 << 31 | 1 << 30 | 1 << 29 | (0x80 >> 3) << 23 | 30 << 10 | 27;
        assert_eq!(GichLr::new(timer), Some(GichLr(word)));
    }

    #[test]
    fn both_layouts_say_the_same() {
        let plain = ListRegister::new(Intid(1019), 0xf8, true);
        let with_hardware = plain.with_hardware(Intid(1000)).unwrap();
        for lr in [
            plain,
            with_hardware,
            plain.with_end_reported(),
            plain.with_sender(7),
        ] {
            for state in 0..4 {
                let lr = lr.with_pending(state & 1 != 0).with_active(state & 2 != 0);
                assert_eq!(GichLr::new(lr).unwrap().to_v3(), lr);
            }
        }
    }

    #[test]
    fn larger_numbers_are_refused() {
        let lpi = ListRegister::new(Intid(8192), 0, true);
        assert_eq!(GichLr::new(lpi), None);
        let plain = ListRegister::new(Intid(40), 0, true);
        assert_eq!(GichLr::new(plain.with_hardware(Intid(1024)).unwrap()), None);
    }

    #[test]
    fn vtr_counts_its_list_registers() {
        assert_eq!(GichVtr(0x9000_0003).list_registers(), 4);
        assert_eq!(GichVtr(0x3f).list_registers(), 64);
    }
}
