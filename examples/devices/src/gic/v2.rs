//! The distributor of a GICv2 (IHI 0048), whose CPU interface the guest has from hardware: GICV, in
//! the place of its GICC.
//!
//! Interrupts 0 to 31 are those of the vCPU that accesses. What is not described reads as zero and
//! ignores writes.

use vcpu_exits::{SgiGroup, SgiRequest, SgiTarget};
use vcpu_regs::Intid;

use super::{
    BANK, FIRST_SPI, Gic, Groups, SPIS,
    registers::{Scope, has_bytes},
    state::spi,
};

/// Bytes of the distributor's registers.
pub const DISTRIBUTOR_BYTES: u64 = 0x1000;

const CTLR: u64 = 0x000;
const TYPER: u64 = 0x004;
const IIDR: u64 = 0x008;
const TARGETS: u64 = 0x800;
const TARGETS_END: u64 = 0xc00;
const SGIR: u64 = 0xf00;
const CLEAR_SGIS: u64 = 0xf10;
const SET_SGIS: u64 = 0xf20;
const SET_SGIS_END: u64 = 0xf30;
const IDS: u64 = 0xfd0;

/// ICPIDR4 to 7, 0 to 3 (ArchRev 2), ICCIDR0 to 3.
const ID_BYTES: [u8; 12] = [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1];

impl Gic {
    /// Reads a register of the distributor (GICD), as `vcpu` sees it.
    pub fn read_distributor_v2(&self, vcpu: usize, offset: u64, size_bytes: u8) -> u64 {
        let word = size_bytes == 4 && offset & 3 == 0;
        match offset {
            CTLR if word => u64::from(self.groups.group0) | u64::from(self.groups.group1) << 1,
            TYPER if word => {
                let lines = (u64::from(FIRST_SPI) + SPIS as u64) / 32 - 1;
                lines | (self.vcpus as u64 - 1) << 5
            }
            IIDR if word => 0x43b,
            TARGETS..TARGETS_END if has_bytes(offset, size_bytes) => {
                let bytes = 0..u64::from(size_bytes);
                bytes.fold(0, |all, i| {
                    let intid = (offset - TARGETS + i) as u32;
                    all | u64::from(self.targets(vcpu, intid)) << (8 * i)
                })
            }
            0x80..0xd00 => self.read_interrupts(Scope::Both(vcpu), offset, size_bytes),
            CLEAR_SGIS..SET_SGIS_END if has_bytes(offset, size_bytes) => {
                let first = (offset & 15) as usize;
                let bytes = 0..usize::from(size_bytes);
                bytes.fold(0, |all, i| {
                    all | u64::from(self.sgi_pending(vcpu, first + i)) << (8 * i)
                })
            }
            IDS..0x1000 if word => {
                let byte = ID_BYTES.get(((offset - IDS) / 4) as usize);
                byte.copied().unwrap_or(0).into()
            }
            _ => 0,
        }
    }

    /// Writes a register of the distributor (GICD), as `vcpu` sees it.
    pub fn write_distributor_v2(&mut self, vcpu: usize, offset: u64, size_bytes: u8, value: u64) {
        let word = size_bytes == 4 && offset & 3 == 0;
        match offset {
            CTLR if word => self.set_groups(Groups {
                group0: value & 1 != 0,
                group1: value & 2 != 0,
            }),
            // One CPU: RAZ/WI, and every interrupt is for it.
            TARGETS..TARGETS_END if self.vcpus == 1 => {}
            TARGETS..TARGETS_END if has_bytes(offset, size_bytes) => {
                for i in 0..u64::from(size_bytes) {
                    let intid = Intid((offset - TARGETS + i) as u32);
                    if let Some(spi) = spi(intid) {
                        let all = ((1_u16 << self.vcpus) - 1) as u8;
                        self.routes[spi].targets = (value >> (8 * i)) as u8 & all;
                        self.reroute(spi);
                    }
                }
            }
            0x80..0xd00 => {
                // An SGI is pending or not by who raised it: GICD_SPENDSGIR.
                self.write_interrupts(Scope::Both(vcpu), offset, size_bytes, value);
            }
            SGIR if word => self.sgir(vcpu, value),
            CLEAR_SGIS..SET_SGIS_END if has_bytes(offset, size_bytes) => {
                for i in 0..usize::from(size_bytes) {
                    let sources = (value >> (8 * i)) as u8;
                    let intid = (offset & 15) as usize + i;
                    self.set_sgi_pending(vcpu, intid, sources, offset >= SET_SGIS);
                }
            }
            _ => {}
        }
    }

    /// GICD_SGIR.
    fn sgir(&mut self, sender: usize, value: u64) {
        let all = ((1_u16 << self.vcpus) - 1) as u8;
        let myself = 1_u8 << (sender & 7);
        let list = match value >> 24 & 3 {
            0 => (value >> 16) as u8,
            1 => all & !myself,
            2 => myself,
            _ => return, // reserved
        };
        let request = SgiRequest {
            intid: Intid((value & 15) as u32),
            target: SgiTarget::List {
                cluster: 0,
                first_aff0: 0,
                list: list.into(),
            },
        };
        for vcpu in (0..self.vcpus).filter(|vcpu| list >> vcpu & 1 != 0) {
            self.sgi_sources[vcpu][request.intid.0 as usize] |= myself;
        }
        // The groups of this register (NSATT) are for the Secure side alone.
        self.sgi(sender, request, SgiGroup::Group1);
    }

    fn sgi_pending(&self, vcpu: usize, intid: usize) -> u8 {
        let (Some(here), Some(there)) = (self.sgi_sources.get(vcpu), self.list_sources.get(vcpu))
        else {
            return 0;
        };
        let is_listed = self.private[vcpu].list_pending >> intid & 1 != 0;
        here[intid] | if is_listed { there[intid] } else { 0 }
    }

    fn set_sgi_pending(&mut self, vcpu: usize, intid: usize, sources: u8, pending: bool) {
        let all = ((1_u16 << self.vcpus) - 1) as u8;
        let (Some(here), Some(cleared)) = (
            self.sgi_sources.get_mut(vcpu),
            self.cleared_sources.get_mut(vcpu),
        ) else {
            return;
        };
        let (here, bank, bit) = (&mut here[intid], &mut self.private[vcpu], 1 << intid);
        if pending {
            *here |= sources & all;
            bank.latched |= if *here != 0 { bit } else { 0 };
        } else {
            *here &= !sources;
            if *here == 0 {
                bank.latched &= !bit;
            }
            if bank.listed & bit != 0 {
                bank.recalled |= bit; // to be handed over without these
                cleared[intid] |= sources;
            }
        }
        self.mark(vcpu);
    }

    /// GICD_ITARGETSR: for a private interrupt, the vCPU that asks.
    fn targets(&self, vcpu: usize, intid: u32) -> u8 {
        match spi(Intid(intid)) {
            _ if self.vcpus == 1 => 0, // RAZ/WI
            Some(spi) => self.routes[spi].targets,
            None if (intid as usize) < BANK => 1 << (vcpu & 7),
            None => 0,
        }
    }
}
