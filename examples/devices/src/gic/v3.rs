//! The registers of a GICv3 with affinity routing and one Security state (GICD_CTLR.ARE = DS = 1),
//! without LPIs. GIC architecture (IHI 0069): "The GIC Distributor", "The GIC Redistributors".
//!
//! What is not described reads as zero and ignores writes, and so does an access of a size that a
//! register does not have.

use super::{FIRST_SPI, Gic, Groups, SPIS, bank::Bits, bit, registers::Scope, state::spi};
use crate::lanes;
use vcpu_regs::Intid;

/// Bytes of the distributor's registers.
pub const DISTRIBUTOR_BYTES: u64 = 0x1_0000;

/// Bytes of one vCPU's redistributor: RD_base and SGI_base.
pub const REDISTRIBUTOR_BYTES: u64 = 0x2_0000;

const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0004;
const IIDR: u64 = 0x0008;
const SETSPI: u64 = 0x0040;
const CLRSPI: u64 = 0x0048;
const ROUTERS: u64 = 0x6000;
const ROUTERS_END: u64 = 0x6000 + 8 * 1020;
/// GICD_PIDR2, GICR_PIDR2: the last one before the component IDs.
const PIDR2: u64 = 0xffe8;
/// GICD_PIDR4 to GICD_CIDR3.
const IDS: u64 = 0xffd0;

/// GICR_TYPER, GICR_WAKER, GICR_CTLR are at these offsets of RD_base.
const R_TYPER: u64 = 0x0008;
const R_IIDR: u64 = 0x0004;
const R_WAKER: u64 = 0x0014;
pub(super) const SGI_BASE: u64 = 0x1_0000;

/// GICD_CTLR.
const ENABLE_GROUP0: u64 = 1;
const ENABLE_GROUP1: u64 = 1 << 1;
const ARE: u64 = 1 << 4;
const DS: u64 = 1 << 6;
/// GICR_WAKER.
const PROCESSOR_SLEEP: u64 = 1 << 1;
const CHILDREN_ASLEEP: u64 = 1 << 2;

/// GICD_TYPER: ITLinesNumber; IDbits, less one, of 10; A3V is clear.
const TYPER_VALUE: u64 = ((FIRST_SPI as u64 + SPIS as u64) / 32 - 1) | 9 << 19;
/// GICD_IIDR: Implementer Arm, like the identification registers.
const IIDR_VALUE: u64 = 0x43b;
/// PIDR4, 5, 6, 7, 0, 1, 2, 3 and CIDR0 to 3: a GICv3 of Arm.
const ID_BYTES: [u8; 12] = [0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1];

impl Gic {
    /// Reads a register of the distributor (GICD).
    #[inline]
    pub fn read_distributor(&self, offset: u64, size_bytes: u8) -> u64 {
        // What drivers read most: a bit for each interrupt.
        if let (Some((register, word)), 4, 0) = (Bits::at(offset), size_bytes, offset & 3) {
            let bank = self.shared.get(word.wrapping_sub(1));
            return bank.map_or(0, |bank| bank.read(register).into());
        }
        self.read_other(offset, size_bytes)
    }

    fn read_other(&self, offset: u64, size_bytes: u8) -> u64 {
        let word = size_bytes == 4 && offset & 3 == 0;
        match offset {
            CTLR if word => {
                let groups = self.groups;
                let group0 = if groups.group0 { ENABLE_GROUP0 } else { 0 };
                let group1 = if groups.group1 { ENABLE_GROUP1 } else { 0 };
                DS | ARE | group1 | group0
            }
            TYPER if word => TYPER_VALUE,
            IIDR if word => IIDR_VALUE,
            0x80..0xd00 => self.read_interrupts(Scope::Shared, offset, size_bytes),
            ROUTERS..ROUTERS_END => match router(offset, size_bytes) {
                Some(spi) => lanes::read(self.routes[spi].affinity, offset, size_bytes),
                None => 0,
            },
            IDS..=0xffff if word => id(offset),
            _ => 0,
        }
    }

    /// Writes a register of the distributor (GICD).
    pub fn write_distributor(&mut self, offset: u64, size_bytes: u8, value: u64) {
        let word = size_bytes == 4 && offset & 3 == 0;
        match offset {
            CTLR if word => self.set_groups(Groups {
                group0: value & ENABLE_GROUP0 != 0,
                group1: value & ENABLE_GROUP1 != 0,
            }),
            // A message-based SPI, edge or level: pending, and no more pending.
            SETSPI | CLRSPI if word || size_bytes == 2 => {
                let intid = (value & 0x3ff) as usize;
                if let Some(spi) = spi(Intid(intid as u32)) {
                    self.message(spi, offset == SETSPI);
                }
            }
            0x80..0xd00 => self.write_interrupts(Scope::Shared, offset, size_bytes, value),
            ROUTERS..ROUTERS_END => {
                /// Affinity, and Interrupt_Routing_Mode.
                const WRITABLE: u64 = 0xff_80ff_ffff;
                if let Some(spi) = router(offset, size_bytes) {
                    let affinity = &mut self.routes[spi].affinity;
                    *affinity = lanes::write(*affinity, offset, size_bytes, value) & WRITABLE;
                    self.reroute(spi);
                }
            }
            _ => {}
        }
    }

    /// Reads a register of the redistributors (GICR), of all vCPUs one after another.
    pub fn read_redistributor(&self, offset: u64, size_bytes: u8) -> u64 {
        let Some(vcpu) = self.redistributor(offset) else {
            return 0;
        };
        let offset = offset % REDISTRIBUTOR_BYTES;
        let word = size_bytes == 4 && offset & 3 == 0;
        let word_or_double = word || size_bytes == 8 && offset & 7 == 0;
        match offset {
            R_IIDR if word => IIDR_VALUE,
            R_TYPER..0x10 if word_or_double => {
                /// GICR_TYPER.Last.
                const LAST: u64 = 1 << 4;
                let last = if vcpu + 1 == self.vcpus { LAST } else { 0 };
                let typer = (vcpu as u64) << 32 | (vcpu as u64) << 8 | last;
                lanes::read(typer, offset, size_bytes)
            }
            R_WAKER if word => match self.asleep >> vcpu & 1 {
                0 => 0,
                _ => PROCESSOR_SLEEP | CHILDREN_ASLEEP,
            },
            IDS..=0xffff if word => id(offset),
            SGI_BASE.. => self.read_interrupts(Scope::Private(vcpu), offset - SGI_BASE, size_bytes),
            _ => 0,
        }
    }

    /// Writes a register of the redistributors (GICR).
    pub fn write_redistributor(&mut self, offset: u64, size_bytes: u8, value: u64) {
        let Some(vcpu) = self.redistributor(offset) else {
            return;
        };
        let offset = offset % REDISTRIBUTOR_BYTES;
        match offset {
            R_WAKER if size_bytes == 4 => {
                let bit = bit(vcpu);
                self.asleep &= !bit;
                if value & PROCESSOR_SLEEP != 0 {
                    self.asleep |= bit;
                }
            }
            SGI_BASE.. => {
                self.write_interrupts(Scope::Private(vcpu), offset - SGI_BASE, size_bytes, value);
            }
            _ => {}
        }
    }

    fn redistributor(&self, offset: u64) -> Option<usize> {
        let vcpu = usize::try_from(offset / REDISTRIBUTOR_BYTES).ok()?;
        (vcpu < self.vcpus).then_some(vcpu)
    }
}

/// Returns the SPI of a GICD_IROUTER: all of it, or a half.
fn router(offset: u64, size_bytes: u8) -> Option<usize> {
    let is_aligned = matches!(size_bytes, 4 | 8) && offset.is_multiple_of(size_bytes.into());
    let intid = (offset - ROUTERS) / 8;
    spi(Intid(intid as u32)).filter(|_| is_aligned)
}

fn id(offset: u64) -> u64 {
    const { assert!(ID_BYTES[(PIDR2 - IDS) as usize / 4] >> 4 == 3) }; // ArchRev: GICv3
    let byte = ID_BYTES.get(((offset - IDS) / 4) as usize);
    byte.copied().unwrap_or(0).into()
}
