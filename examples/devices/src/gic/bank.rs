//! Thirty-two interrupts: a bit of each word is one of them.

use super::{BANK, PRIORITY_MASK};

/// The state of INTIDs 32n to 32n+31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bank {
    /// Group 1 (IGROUPR).
    pub group1: u32,
    /// Enabled (ISENABLER).
    pub enabled: u32,
    /// Pending on its own: an edge, an SGI, a write to ISPENDR.
    pub latched: u32,
    /// Input lines that are high.
    pub lines: u32,
    /// Edge-triggered (ICFGR).
    pub edge: u32,
    /// Made active by a write to ISACTIVER.
    pub active: u32,
    /// In the list of a vCPU, as far as the distributor was told.
    pub listed: u32,
    /// Of those listed: pending there, as of the last survey.
    pub list_pending: u32,
    /// Of those listed: active there, as of the last survey.
    pub list_active: u32,
    /// Of those listed: levels that a write to ISPENDR made pending.
    pub written: u32,
    /// Of those listed: to be taken back.
    pub recalled: u32,
    /// Of those taken back: not to be pending again for having been pending there.
    pub dropped: u32,
    /// Of those listed: to be active no more.
    pub deactivated: u32,
    priorities: [u8; BANK],
}

/// The registers that have a bit for each interrupt, in their order from offset 0x080 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bits {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
}

impl Bank {
    pub const fn new(group1: u32, edge: u32) -> Self {
        Self {
            group1,
            enabled: 0,
            latched: 0,
            lines: 0,
            edge,
            active: 0,
            listed: 0,
            list_pending: 0,
            list_active: 0,
            written: 0,
            recalled: 0,
            dropped: 0,
            deactivated: 0,
            priorities: [0; BANK],
        }
    }

    /// Returns what is pending here, before any list.
    pub const fn pending(&self) -> u32 {
        self.latched | self.lines & !self.edge
    }

    /// Returns what may be handed over now, of the groups given as words of ones or zeros.
    #[inline]
    pub const fn ready(&self, group0: u32, group1: u32) -> u32 {
        self.pending() & self.allowed(group0, group1) & !self.active & !self.kept_back()
    }

    /// A level that a list has cannot be there twice; an edge can come again while its handler
    /// runs. What is being recalled waits.
    const fn kept_back(&self) -> u32 {
        self.listed & !self.edge | self.recalled
    }

    /// Returns what is enabled and of an enabled group.
    const fn allowed(&self, group0: u32, group1: u32) -> u32 {
        self.enabled & (self.group1 & group1 | !self.group1 & group0)
    }

    /// Takes back what is no longer allowed.
    pub const fn recall_forbidden(&mut self, group0: u32, group1: u32) {
        self.recalled |= self.listed & !self.allowed(group0, group1);
    }

    /// Sets the lines of `bits`.
    pub const fn set_lines(&mut self, bits: u32, high: bool) {
        let old = self.lines;
        if high {
            self.lines |= bits;
            self.latched |= self.lines & !old & self.edge;
        } else {
            self.lines &= !bits;
            self.recall_fallen();
        }
    }

    /// Takes back levels that nothing holds up any more.
    const fn recall_fallen(&mut self) {
        let fallen = self.listed & !self.edge & !self.pending() & !self.written;
        self.recalled |= fallen;
        self.dropped |= fallen;
    }

    /// Notes that `bits` went to a list, where they are pending.
    pub const fn list(&mut self, bits: u32) {
        self.listed |= bits;
        self.list_pending |= bits;
        self.written |= bits & self.latched & !self.edge;
        self.latched &= !bits;
        self.dropped &= !bits;
    }

    /// Returns what is active here, and can be so in a list.
    pub const fn active_alone(&self) -> u32 {
        self.active & !self.listed
    }

    /// Notes that `bits` went to a list, where they are active.
    pub const fn list_active(&mut self, bits: u32) {
        self.listed |= bits;
        self.list_active |= bits;
        self.active &= !bits;
    }

    /// Notes where `bits`, that are listed, stand in their list.
    pub const fn survey(&mut self, bits: u32, pending: bool, active: bool) {
        if !pending && !active {
            return self.unlist(bits, false);
        }
        if pending {
            // What came meanwhile, and found no room, is the same.
            self.written |= self.latched & bits & !self.edge;
            self.latched &= !bits;
        }
        self.list_pending = self.list_pending & !bits | if pending { bits } else { 0 };
        self.list_active = self.list_active & !bits | if active { bits } else { 0 };
    }

    /// Notes that `bits` are active in their list, and no longer pending: `pending` those that
    /// were.
    pub const fn keep_active(&mut self, bits: u32, pending: bool) {
        self.unlist(bits, pending);
        self.listed |= bits;
        self.list_active |= bits;
    }

    /// Notes that a list let go of `bits`; `pending` are those that it never gave to the guest.
    pub const fn unlist(&mut self, bits: u32, pending: bool) {
        if pending {
            self.latched |= bits & (self.edge | self.written) & !self.dropped;
        }
        self.listed &= !bits;
        self.list_pending &= !bits;
        self.list_active &= !bits;
        self.written &= !bits;
        self.recalled &= !bits;
        self.dropped &= !bits;
        self.deactivated &= !bits;
    }

    #[inline(always)]
    pub const fn read(&self, register: Bits) -> u32 {
        match register {
            Bits::Group => self.group1,
            Bits::SetEnable | Bits::ClearEnable => self.enabled,
            Bits::SetPending | Bits::ClearPending => self.pending() | self.list_pending,
            Bits::SetActive | Bits::ClearActive => self.active | self.list_active,
        }
    }

    /// Writes a register, but for the bits outside of `writable`.
    pub const fn write(&mut self, register: Bits, value: u32, writable: u32) {
        let bits = value & writable;
        match register {
            Bits::Group => {
                self.group1 = self.group1 & !writable | bits;
                self.recalled |= self.listed & writable; // to be handed over with its new group
            }
            Bits::SetEnable => self.enabled |= bits,
            Bits::ClearEnable => self.enabled &= !bits,
            Bits::SetPending => {
                // One that waits in a list is pending already, and will not be twice.
                self.latched |= bits & !self.list_pending;
                self.written |= bits & self.list_pending & !self.edge;
            }
            Bits::ClearPending => {
                self.latched &= !bits;
                self.written &= !bits;
                let taken = self.listed & bits & (self.edge | !self.lines);
                self.recalled |= taken;
                self.dropped |= taken;
            }
            Bits::SetActive => {
                self.active |= bits & !self.list_active;
                self.recalled |= bits & self.listed & !self.list_active; // for it is not due now
            }
            Bits::ClearActive => {
                self.active &= !bits;
                self.deactivated |= bits & self.listed;
            }
        }
    }

    pub fn priority(&self, index: usize) -> u8 {
        self.priorities.get(index).copied().unwrap_or(0)
    }

    pub fn set_priority(&mut self, index: usize, value: u8) {
        if let Some(priority) = self.priorities.get_mut(index) {
            *priority = value & PRIORITY_MASK;
        }
    }

    /// Returns the most urgent of `bits`: the lowest priority value, then the lowest INTID.
    pub fn most_urgent(&self, bits: u32) -> Option<(u8, u32)> {
        let mut left = bits;
        let mut best: Option<(u8, u32)> = None;
        while left != 0 {
            let index = left.trailing_zeros();
            left &= left - 1;
            let candidate = (self.priority(index as usize), index);
            if best.is_none_or(|best| candidate < best) {
                best = Some(candidate);
            }
        }
        best
    }

    /// ICFGR: two bits for each of sixteen; the upper says edge.
    pub fn read_config(&self, half: usize) -> u32 {
        let bits = self.edge >> (16 * (half & 1));
        (0..16).fold(0, |config, i| config | (bits >> i & 1) << (2 * i + 1))
    }

    pub fn write_config(&mut self, half: usize, value: u32) {
        let edge = (0..16).fold(0, |bits, i| bits | (value >> (2 * i + 1) & 1) << i);
        let shift = 16 * (half & 1);
        self.edge = self.edge & !(0xffff << shift) | edge << shift;
        self.recall_fallen();
    }
}

impl Bits {
    /// Returns whether what is read or written is also in the lists of the vCPUs.
    pub const fn depends_on_lists(self) -> bool {
        matches!(
            self,
            Self::SetPending | Self::ClearPending | Self::SetActive | Self::ClearActive
        )
    }

    /// Returns the register at an offset of 0x080 to 0x3ff, and which word of it.
    #[inline(always)]
    pub const fn at(offset: u64) -> Option<(Self, usize)> {
        let register = match offset / 0x80 {
            1 => Self::Group,
            2 => Self::SetEnable,
            3 => Self::ClearEnable,
            4 => Self::SetPending,
            5 => Self::ClearPending,
            6 => Self::SetActive,
            7 => Self::ClearActive,
            _ => return None,
        };
        Some((register, (offset % 0x80 / 4) as usize))
    }
}
