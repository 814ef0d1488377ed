//! What passes between the distributor and the lists of the vCPUs.
//!
//! A list is a vCPU's alone: the distributor says what it wants of it, and whoever runs the vCPU
//! carries it out: recalls, deactivations, then what is active, then what is pending.

use vcpu_regs::Intid;

use super::{
    BANK, FIRST_SPI, Gic, Mask, Offer, Version,
    bank::{Bank, Bits},
    bit,
    state::spi,
};

/// Where an interrupt stands in a list, or stood when the list let go of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Left {
    /// The guest had not acknowledged it.
    pub pending: bool,
    /// It has, and has not deactivated it: a list keeps that.
    pub active: bool,
    /// GICv2: which vCPUs, a bit for each, raised the SGI that is pending.
    pub sources: u8,
}

impl Gic {
    /// Hands the most urgent interrupt for `vcpu` over to its list.
    pub fn next(&mut self, vcpu: usize) -> Option<Offer> {
        let (_, intid) = self.best(vcpu)?;
        let source = match intid {
            0..16 => self.take_source(vcpu, intid),
            _ => None,
        };
        let offer = self.offer(vcpu, intid, source.unwrap_or(0), Bank::list)?;
        if intid < 16 && self.sources(vcpu, intid as usize) != 0 {
            self.private[vcpu].latched |= 1 << intid; // from another vCPU as well
        }
        Some(offer)
    }

    /// Takes an offer back that the list had no place for.
    pub fn refuse(&mut self, vcpu: usize, offer: Offer) {
        let bit = 1 << (offer.intid.0 as usize % BANK);
        if let Some(bank) = self.bank_mut(vcpu, offer.intid.0) {
            bank.unlist(bit, true);
        }
        if offer.intid.0 < 16 {
            self.add_sources(vcpu, offer.intid, 1 << (offer.source & 7));
        }
    }

    /// Hands an interrupt over that is to be active in the list of `vcpu`: a write to ISACTIVER
    /// made it so.
    pub fn next_active(&mut self, vcpu: usize) -> Option<Offer> {
        let private = self.private.get(vcpu)?.active_alone();
        let intid = match private {
            0 => self.active_shared(vcpu)?,
            private => private.trailing_zeros(),
        };
        self.offer(vcpu, intid, 0, Bank::list_active)
    }

    /// Takes an offer of [`next_active`](Self::next_active) back that the list had no place for.
    pub fn refuse_active(&mut self, vcpu: usize, offer: Offer) {
        let bit = 1 << (offer.intid.0 as usize % BANK);
        if let Some(bank) = self.bank_mut(vcpu, offer.intid.0) {
            bank.unlist(bit, false);
            bank.active |= bit;
        }
    }

    #[inline]
    fn offer(
        &mut self,
        vcpu: usize,
        intid: u32,
        source: u8,
        note: impl Fn(&mut Bank, u32),
    ) -> Option<Offer> {
        if let Some(spi) = spi(Intid(intid)) {
            self.routes[spi].holder = vcpu as u8;
        }
        let index = intid as usize % BANK;
        let bank = self.bank_mut(vcpu, intid)?;
        note(bank, 1 << index);
        Some(Offer {
            intid: Intid(intid),
            priority: bank.priority(index),
            is_group1: bank.group1 >> index & 1 != 0,
            is_edge: bank.edge >> index & 1 != 0,
            source,
        })
    }

    /// Returns an interrupt that the list of `vcpu` is to give back, if there is one: answer with
    /// [`Self::recalled`].
    pub fn recall(&self, vcpu: usize) -> Option<Intid> {
        self.first_held(vcpu, |bank| bank.recalled)
    }

    /// Notes what became of an interrupt that the list of `vcpu` was to give back.
    pub fn recalled(&mut self, vcpu: usize, intid: Intid, left: Left) {
        let mut was_pending = left.pending;
        if self.version == Version::V2 && intid.0 < 16 {
            let index = intid.0 as usize;
            let cleared = self
                .cleared_sources
                .get_mut(vcpu)
                .map(|sgis| &mut sgis[index]);
            let cleared = cleared.map_or(0, core::mem::take);
            was_pending &= left.sources & !cleared != 0;
            self.add_sources(vcpu, intid, left.sources & !cleared);
        }
        let bit = 1 << (intid.0 as usize % BANK);
        if let Some(bank) = self.bank_mut(vcpu, intid.0) {
            match left.active {
                true => bank.keep_active(bit, was_pending),
                false => bank.unlist(bit, was_pending),
            }
            self.mark_intid(vcpu, intid.0);
        }
    }

    /// Notes that the guest ended a level-triggered interrupt: it is pending again if its line is
    /// still high.
    pub fn ended(&mut self, vcpu: usize, intid: Intid) {
        let bit = 1 << (intid.0 as usize % BANK);
        if let Some(bank) = self.bank_mut(vcpu, intid.0) {
            bank.unlist(bit, false);
            self.mark_intid(vcpu, intid.0);
        }
    }

    /// Returns an interrupt that is to be active no more in the list of `vcpu`, if there is one:
    /// answer with [`Self::deactivated`].
    pub fn deactivation(&self, vcpu: usize) -> Option<Intid> {
        self.first_held(vcpu, |bank| bank.deactivated)
    }

    /// Notes that it is not; `left` is where it stands now.
    pub fn deactivated(&mut self, vcpu: usize, intid: Intid, left: Left) {
        let bit = 1 << (intid.0 as usize % BANK);
        if let Some(bank) = self.bank_mut(vcpu, intid.0) {
            bank.deactivated &= !bit;
            bank.survey(bit, left.pending, false);
            self.mark_intid(vcpu, intid.0);
        }
    }

    /// GICC_DIR of a GICv2: `vcpu` deactivates the interrupt that `value` names.
    pub fn deactivate_v2(&mut self, vcpu: usize, value: u64) {
        let intid = (value & 0x3ff) as usize;
        let scope = super::registers::Scope::Both(vcpu);
        self.write_bits(scope, Bits::ClearActive, intid / BANK, 1 << (intid % BANK));
    }

    /// Returns whether the list of `vcpu` is to give something back, or to have something active.
    #[inline]
    pub fn wants(&self, vcpu: usize) -> bool {
        let is_wanted = |bank: &Bank| bank.recalled | bank.deactivated | bank.active_alone() != 0;
        let Some(private) = self.private.get(vcpu) else {
            return false;
        };
        is_wanted(private)
            || self.shared.iter().any(is_wanted)
                && (self.recall(vcpu).is_some()
                    || self.deactivation(vcpu).is_some()
                    || self.active_shared(vcpu).is_some())
    }

    fn active_shared(&self, vcpu: usize) -> Option<u32> {
        self.first_shared(Bank::active_alone, |spi| self.target(spi) == Some(vcpu))
    }

    /// Has the list of `vcpu` surveyed, by whoever runs the vCPU.
    pub const fn ask(&mut self, vcpu: usize) {
        self.asked |= bit(vcpu);
    }

    /// Returns whether it is to be.
    pub const fn is_asked(&self, vcpu: usize) -> bool {
        self.asked & bit(vcpu) != 0
    }

    /// Notes where everything stands that is in the list of `vcpu`, once nothing of it is to be
    /// recalled or deactivated: the answer to [`ask`](Self::ask).
    pub fn survey(&mut self, vcpu: usize, mut left: impl FnMut(Intid) -> Left) {
        self.asked &= !bit(vcpu);
        let Some(private) = self.private.get_mut(vcpu) else {
            return;
        };
        let mut bits = private.listed;
        while bits != 0 {
            let index = bits.trailing_zeros();
            bits &= bits - 1;
            let left = left(Intid(index));
            private.survey(1 << index, left.pending, left.active);
            if let (0..16, Some(sgis)) = (index, self.list_sources.get_mut(vcpu)) {
                sgis[index as usize] = left.sources;
                if self.sgi_sources[vcpu][index as usize] != 0 {
                    private.latched |= 1 << index; // of another vCPU, not the same
                }
            }
        }
        for (i, bank) in self.shared.iter_mut().enumerate() {
            let mut bits = bank.listed;
            while bits != 0 {
                let index = bits.trailing_zeros();
                bits &= bits - 1;
                let spi = i * BANK + index as usize;
                if usize::from(self.routes[spi].holder) == vcpu {
                    let left = left(Intid(spi as u32 + FIRST_SPI));
                    bank.survey(1 << index, left.pending, left.active);
                }
            }
        }
    }

    /// Returns the vCPUs, a bit for each, whose lists are to be surveyed before `vcpu` accesses the
    /// distributor at `offset`.
    pub fn behind_distributor(&self, vcpu: usize, offset: u64) -> Mask {
        /// GICD_CPENDSGIR, GICD_SPENDSGIR.
        const SGIS: core::ops::Range<u64> = 0xf10..0xf30;
        match (self.version, Bits::at(offset)) {
            (Version::V2, Some((_, 0))) => bit(vcpu),
            (Version::V2, None) if SGIS.contains(&offset) => bit(vcpu),
            (_, Some((register, word))) if register.depends_on_lists() => self.holders(word),
            _ => 0,
        }
    }

    /// Returns the same for the redistributors.
    pub fn behind_redistributor(&self, offset: u64) -> Mask {
        let vcpu = (offset / super::v3::REDISTRIBUTOR_BYTES) as usize;
        let offset = offset % super::v3::REDISTRIBUTOR_BYTES;
        match offset.checked_sub(super::v3::SGI_BASE).and_then(Bits::at) {
            Some((_, 0)) if vcpu < self.vcpus => bit(vcpu),
            _ => 0,
        }
    }

    /// Returns the vCPUs whose lists hold SPIs of a word of the registers.
    fn holders(&self, word: usize) -> Mask {
        let Some(bank) = word.checked_sub(1).and_then(|i| self.shared.get(i)) else {
            return 0;
        };
        let held = (0..BANK).filter(|index| bank.listed >> index & 1 != 0);
        held.fold(0, |mask, index| {
            mask | bit(self.routes[(word - 1) * BANK + index].holder.into())
        })
    }

    /// Returns whether a private interrupt is pending here, and not in the vCPU's list.
    pub fn keeps(&self, vcpu: usize, intid: Intid) -> bool {
        let bit = 1_u32.checked_shl(intid.0).unwrap_or(0);
        let bank = self.private.get(vcpu);
        bank.is_some_and(|bank| bank.pending() & !bank.listed & bit != 0)
    }

    /// Returns the first interrupt of `bits` that the list of `vcpu` holds.
    fn first_held(&self, vcpu: usize, bits: impl Fn(&Bank) -> u32) -> Option<Intid> {
        let private = bits(self.private.get(vcpu)?);
        if private != 0 {
            return Some(Intid(private.trailing_zeros()));
        }
        let is_held = |spi: usize| usize::from(self.routes[spi].holder) == vcpu;
        self.first_shared(bits, is_held).map(Intid)
    }

    /// Returns the INTID of the first SPI of `bits` that `is_it`.
    #[inline]
    fn first_shared(
        &self,
        bits: impl Fn(&Bank) -> u32,
        is_it: impl Fn(usize) -> bool,
    ) -> Option<u32> {
        self.shared.iter().enumerate().find_map(|(i, bank)| {
            let mut left = bits(bank);
            while left != 0 {
                let spi = i * BANK + left.trailing_zeros() as usize;
                if is_it(spi) {
                    return Some(spi as u32 + FIRST_SPI);
                }
                left &= left - 1;
            }
            None
        })
    }

    fn take_source(&mut self, vcpu: usize, intid: u32) -> Option<u8> {
        let sources = self.sgi_sources.get_mut(vcpu)?.get_mut(intid as usize)?;
        let source = sources.trailing_zeros();
        *sources &= sources.wrapping_sub(1);
        (source < 8).then_some(source as u8)
    }

    fn sources(&self, vcpu: usize, intid: usize) -> u8 {
        let sgis = self.sgi_sources.get(vcpu);
        sgis.and_then(|sgis| sgis.get(intid)).copied().unwrap_or(0)
    }

    fn add_sources(&mut self, vcpu: usize, intid: Intid, sources: u8) {
        let sgis = self.sgi_sources.get_mut(vcpu);
        if let (Version::V2, Some(sgi)) = (
            self.version,
            sgis.and_then(|sgis| sgis.get_mut(intid.0 as usize)),
        ) {
            *sgi |= sources;
        }
    }
}
