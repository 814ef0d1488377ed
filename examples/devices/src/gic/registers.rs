//! What the registers of both versions share: GICD_IGROUPR to GICD_ICFGR, and their like in the
//! SGI_base of a GICv3's redistributor.

use super::{
    BANK, Gic,
    bank::{Bank, Bits},
};

/// Whose registers an access means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// GICD: SPIs.
    Shared,
    /// SGI_base of a vCPU: SGIs and PPIs.
    Private(usize),
    /// The distributor of a GICv2, accessed by a vCPU: both.
    Both(usize),
}

/// Returns whether a register that has a byte for each interrupt is accessed as it may be.
pub(super) fn has_bytes(offset: u64, size_bytes: u8) -> bool {
    size_bytes == 1 || size_bytes == 4 && offset & 3 == 0
}

impl Gic {
    pub(super) fn read_interrupts(&self, scope: Scope, offset: u64, size_bytes: u8) -> u64 {
        if let Some((register, word)) = Bits::at(offset) {
            if size_bytes != 4 || offset & 3 != 0 {
                return 0;
            }
            return self
                .bank(scope, word)
                .map_or(0, |bank| bank.read(register).into());
        }
        match offset {
            0x400..0x800 if has_bytes(offset, size_bytes) => {
                let first = (offset - 0x400) as usize;
                let Some(bank) = self.bank(scope, first / BANK) else {
                    return 0;
                };
                (0..usize::from(size_bytes)).fold(0, |all, i| {
                    all | u64::from(bank.priority(first % BANK + i)) << (8 * i)
                })
            }
            0xc00..0xd00 if size_bytes == 4 && offset & 3 == 0 => {
                let half = (offset - 0xc00) as usize / 4;
                self.bank(scope, half / 2)
                    .map_or(0, |bank| bank.read_config(half).into())
            }
            _ => 0,
        }
    }

    pub(super) fn write_interrupts(
        &mut self,
        scope: Scope,
        offset: u64,
        size_bytes: u8,
        value: u64,
    ) {
        if let Some((register, word)) = Bits::at(offset) {
            if size_bytes == 4 && offset & 3 == 0 {
                self.write_bits(scope, register, word, value as u32);
            }
            return;
        }
        match offset {
            0x400..0x800 if has_bytes(offset, size_bytes) => {
                let first = (offset - 0x400) as usize;
                if let Some(bank) = self.bank_of(scope, first / BANK) {
                    for i in 0..usize::from(size_bytes) {
                        bank.set_priority(first % BANK + i, (value >> (8 * i)) as u8);
                    }
                }
                self.mark_scope(scope);
            }
            0xc00..0xd00 if size_bytes == 4 && offset & 3 == 0 => {
                let half = (offset - 0xc00) as usize / 4;
                if half == 0 {
                    return; // SGIs are edges
                }
                if let Some(bank) = self.bank_of(scope, half / 2) {
                    bank.write_config(half, value as u32);
                }
                self.mark_scope(scope);
            }
            _ => {}
        }
    }

    /// Writes a register that has a bit for each interrupt.
    pub(super) fn write_bits(&mut self, scope: Scope, register: Bits, word: usize, value: u32) {
        let is_v2_private = matches!(scope, Scope::Both(_)) && word == 0;
        let writable = match register {
            // GICv2: GICD_ISPENDR0 and GICD_ICPENDR0 do not concern SGIs.
            Bits::SetPending | Bits::ClearPending if is_v2_private => !0xffff,
            _ => !0,
        };
        let Some(bank) = self.bank_of(scope, word) else {
            return;
        };
        bank.write(register, value, writable);
        if matches!(register, Bits::ClearEnable) {
            self.recall_forbidden();
        }
        self.mark_scope(scope);
    }

    /// A message makes an SPI pending, or not.
    pub(super) fn message(&mut self, spi: usize, pending: bool) {
        let (bank, bit) = (&mut self.shared[spi / BANK], 1 << (spi % BANK));
        match pending {
            true => bank.latched |= bit,
            false => bank.write(Bits::ClearPending, bit, !0),
        }
        self.mark_all();
    }

    fn bank(&self, scope: Scope, word: usize) -> Option<&Bank> {
        match (scope, word) {
            (Scope::Private(vcpu) | Scope::Both(vcpu), 0) => self.private.get(vcpu),
            (Scope::Shared, 0) | (Scope::Private(_), _) => None,
            (Scope::Shared | Scope::Both(_), word) => self.shared.get(word - 1),
        }
    }

    fn bank_of(&mut self, scope: Scope, word: usize) -> Option<&mut Bank> {
        match (scope, word) {
            (Scope::Private(vcpu) | Scope::Both(vcpu), 0) => self.private.get_mut(vcpu),
            (Scope::Shared, 0) | (Scope::Private(_), _) => None,
            (Scope::Shared | Scope::Both(_), word) => self.shared.get_mut(word - 1),
        }
    }

    fn mark_scope(&mut self, scope: Scope) {
        match scope {
            Scope::Private(vcpu) => self.mark(vcpu),
            Scope::Shared | Scope::Both(_) => self.mark_all(),
        }
    }

    /// Takes an SPI back from a vCPU that is no longer its target.
    pub(super) fn reroute(&mut self, spi: usize) {
        let bit = 1 << (spi % BANK);
        let bank = &mut self.shared[spi / BANK];
        bank.recalled |= bank.listed & bit;
        self.mark_all();
    }
}
