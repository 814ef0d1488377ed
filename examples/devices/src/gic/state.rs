//! The distributor and every vCPU's private interrupts.

use vcpu_exits::{SgiGroup, SgiRequest};
use vcpu_regs::Intid;

use super::{BANK, FIRST_SPI, MAX_VCPUS, Mask, SHARED_BANKS, SPIS, V2_VCPUS, bank::Bank, bit};

/// The interrupt controller of one VM.
#[derive(Clone, Debug)]
pub struct Gic {
    pub(super) version: Version,
    pub(super) vcpus: usize,
    pub(super) groups: Groups,
    pub(super) private: [Bank; MAX_VCPUS],
    pub(super) shared: [Bank; SHARED_BANKS],
    pub(super) routes: [Route; SPIS],
    /// GICv2: who raised each pending SGI, a bit for each vCPU.
    pub(super) sgi_sources: [[u8; 16]; V2_VCPUS],
    /// The same of those that wait in a list, as of the last survey.
    pub(super) list_sources: [[u8; 16]; V2_VCPUS],
    /// Of these: cleared since.
    pub(super) cleared_sources: [[u8; 16]; V2_VCPUS],
    /// vCPUs, a bit for each, whose lists are to be surveyed.
    pub(super) asked: Mask,
    /// GICR_WAKER.ProcessorSleep, a bit for each vCPU.
    pub(super) asleep: Mask,
    /// vCPUs whose list may have to change, since [`Gic::take_changed`].
    changed: Mask,
}

/// Which architecture the guest's registers follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Version {
    /// GICv2 (IHI 0048).
    V2,
    /// GICv3 (IHI 0069), affinity routing on, one Security state.
    V3,
}

/// Which groups the distributor forwards (GICD_CTLR).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Groups {
    /// Group 0.
    pub group0: bool,
    /// Group 1.
    pub group1: bool,
}

/// Who gets an SPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// GICv3: GICD_IROUTER as written.
    pub affinity: u64,
    /// GICv2: GICD_ITARGETSR.
    pub targets: u8,
    /// Whose list has it.
    pub holder: u8,
}

/// An interrupt on its way to the list of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Offer {
    /// Which.
    pub intid: Intid,
    /// 0 is the most urgent.
    pub priority: u8,
    /// Group 1, not Group 0.
    pub is_group1: bool,
    /// Edge-triggered. A level has to be told about at its end: [`Gic::ended`].
    pub is_edge: bool,
    /// GICv2: the vCPU that raised this SGI; 0 for any other.
    pub source: u8,
}

impl Gic {
    /// Returns the controller after reset, for `vcpus` of affinity 0, 1 and so on.
    ///
    /// `None` when there are more than [`MAX_VCPUS`], or [`V2_VCPUS`], or none.
    pub const fn new(version: Version, vcpus: usize) -> Option<Self> {
        let most = match version {
            Version::V2 => V2_VCPUS,
            Version::V3 => MAX_VCPUS,
        };
        if vcpus == 0 || vcpus > most {
            return None;
        }
        // Without firmware to hand them over, a GICv3's interrupts are Group 1 from the start, as
        // under KVM; a GICv2's are Group 0, as its reset says.
        let group1 = match version {
            Version::V2 => 0,
            Version::V3 => !0,
        };
        let route = Route {
            affinity: 0,
            targets: match version {
                Version::V2 => 1, // where there is only one vCPU, always; else kind to guests
                Version::V3 => 0,
            },
            holder: 0,
        };
        Some(
            Self {
                version,
                vcpus,
                groups: Groups {
                    group0: false,
                    group1: false,
                },
                private: [const { Bank::new(0, 0xffff) }; MAX_VCPUS],
                shared: [const { Bank::new(0, 0) }; SHARED_BANKS],
                routes: [route; SPIS],
                sgi_sources: [[0; 16]; V2_VCPUS],
                list_sources: [[0; 16]; V2_VCPUS],
                cleared_sources: [[0; 16]; V2_VCPUS],
                asked: 0,
                asleep: 0,
                changed: 0,
            }
            .with_groups(group1),
        )
    }

    const fn with_groups(mut self, group1: u32) -> Self {
        let mut i = 0;
        while i < MAX_VCPUS {
            self.private[i].group1 = group1;
            i += 1;
        }
        i = 0;
        while i < SHARED_BANKS {
            self.shared[i].group1 = group1;
            i += 1;
        }
        self
    }

    /// Returns which architecture it follows.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Returns how many vCPUs it serves.
    pub const fn vcpus(&self) -> usize {
        self.vcpus
    }

    /// Sets the input line of a private interrupt: a PPI, INTID 16 to 31.
    pub fn set_private_line(&mut self, vcpu: usize, intid: Intid, high: bool) {
        if let (16..FIRST_SPI, Some(bank)) = (intid.0, self.private.get_mut(vcpu)) {
            let bit = 1 << intid.0;
            if (bank.lines & bit != 0) != high {
                bank.set_lines(bit, high);
                self.mark(vcpu);
            }
        }
    }

    /// Sets the input line of an SPI, INTID 32 or more.
    pub fn set_line(&mut self, intid: Intid, high: bool) {
        let Some(spi) = spi(intid) else { return };
        let bit = 1 << (spi % BANK);
        let bank = &mut self.shared[spi / BANK];
        if (bank.lines & bit != 0) != high {
            bank.set_lines(bit, high);
            self.mark_spi(spi);
        }
    }

    /// Raises an SGI, as a write of `request` by `sender` to the register of `group` asks for.
    pub fn sgi(&mut self, sender: usize, request: SgiRequest, group: SgiGroup) {
        let bit = 1 << (request.intid.0 & 15);
        for vcpu in 0..self.vcpus {
            if !request.target.includes(vcpu as u64, sender as u64) {
                continue;
            }
            // With one Security state: ICC_SGI0R raises what is Group 0; ICC_SGI1R, either.
            let bank = &mut self.private[vcpu];
            let is_group1 = bank.group1 & bit != 0;
            let raises = match group {
                SgiGroup::Group1 => true,
                SgiGroup::Group0 | SgiGroup::OtherGroup1 => !is_group1,
            };
            if raises {
                bank.latched |= bit;
                self.mark(vcpu);
            }
        }
    }

    /// Returns whether there is something for the list of `vcpu` to take or to give back, or to
    /// tell.
    #[inline]
    pub fn concerns(&self, vcpu: usize) -> bool {
        self.best(vcpu).is_some() || self.wants(vcpu) || self.is_asked(vcpu)
    }

    /// Returns whether an interrupt waits here for `vcpu`, which ends a `WFI`.
    #[inline]
    pub fn has_ready(&self, vcpu: usize) -> bool {
        self.best(vcpu).is_some()
    }

    /// Returns whether [`take_changed`](Self::take_changed) may have something to tell.
    #[inline(always)]
    pub const fn has_changed(&self) -> bool {
        self.changed != 0
    }

    /// Forgets that something changed for `vcpu`, which is just being seen to.
    pub const fn forget_changes(&mut self, vcpu: usize) {
        self.changed &= !bit(vcpu);
    }

    /// Returns the vCPUs, a bit for each, that the changes since the last call concern.
    pub fn take_changed(&mut self) -> Mask {
        let changed = core::mem::take(&mut self.changed);
        if changed == 0 {
            return 0;
        }
        (0..self.vcpus)
            .filter(|&vcpu| changed >> vcpu & 1 != 0 && self.concerns(vcpu))
            .fold(0, |mask, vcpu| mask | 1 << vcpu)
    }

    /// Returns priority and INTID of the most urgent interrupt that waits for `vcpu`.
    pub(super) fn best(&self, vcpu: usize) -> Option<(u8, u32)> {
        let (group0, group1) = (word(self.groups.group0), word(self.groups.group1));
        let private = self.private.get(vcpu)?;
        let mut best = private.most_urgent(private.ready(group0, group1));
        for (i, bank) in self.shared.iter().enumerate() {
            let ready = bank.ready(group0, group1);
            if ready == 0 {
                continue;
            }
            let first = i * BANK;
            let mine = (0..BANK)
                .filter(|index| self.target(first + index) == Some(vcpu))
                .fold(0, |mask, index| mask | 1 << index);
            if let Some((priority, index)) = bank.most_urgent(ready & mine) {
                let candidate = (priority, index + first as u32 + FIRST_SPI);
                if best.is_none_or(|best| candidate < best) {
                    best = Some(candidate);
                }
            }
        }
        best
    }

    /// Returns the vCPU that gets an SPI.
    pub(super) fn target(&self, spi: usize) -> Option<usize> {
        /// GICD_IROUTER.Interrupt_Routing_Mode: any CPU; ours is the first.
        const ANY: u64 = 1 << 31;
        const AFFINITY: u64 = 0xff_00ff_ffff;
        let route = self.routes.get(spi)?;
        let vcpu = match self.version {
            Version::V3 if route.affinity & ANY != 0 => 0,
            Version::V3 => (route.affinity & AFFINITY) as usize,
            Version::V2 => route.targets.trailing_zeros() as usize,
        };
        (vcpu < self.vcpus).then_some(vcpu)
    }

    pub(super) fn bank_mut(&mut self, vcpu: usize, intid: u32) -> Option<&mut Bank> {
        match spi(Intid(intid)) {
            Some(spi) => self.shared.get_mut(spi / BANK),
            None if intid < FIRST_SPI => self.private.get_mut(vcpu),
            None => None,
        }
    }

    pub(super) fn mark(&mut self, vcpu: usize) {
        self.changed |= bit(vcpu);
    }

    pub(super) fn mark_all(&mut self) {
        self.changed = !0;
    }

    pub(super) fn mark_intid(&mut self, vcpu: usize, intid: u32) {
        match spi(Intid(intid)) {
            Some(spi) => self.mark_spi(spi),
            None => self.mark(vcpu),
        }
    }

    /// Marks who gets an SPI, and who has it.
    fn mark_spi(&mut self, spi: usize) {
        if let Some(vcpu) = self.target(spi) {
            self.mark(vcpu);
        }
        self.mark(self.routes[spi].holder.into());
    }

    /// Enables and disables groups.
    pub(super) fn set_groups(&mut self, groups: Groups) {
        self.groups = groups;
        self.recall_forbidden();
        self.mark_all();
    }

    /// Takes back what a change of configuration forbids.
    pub(super) fn recall_forbidden(&mut self) {
        let (group0, group1) = (word(self.groups.group0), word(self.groups.group1));
        for bank in self.private.iter_mut().chain(&mut self.shared) {
            bank.recall_forbidden(group0, group1);
        }
    }
}

/// Returns which SPI it is, of those there are.
pub(super) fn spi(intid: Intid) -> Option<usize> {
    let spi = intid.0.checked_sub(FIRST_SPI)? as usize;
    (spi < SPIS).then_some(spi)
}

const fn word(all: bool) -> u32 {
    if all { !0 } else { 0 }
}
