//! Software-generated interrupts: what a guest writes to `ICC_SGI1R_EL1`, `ICC_ASGI1R_EL1` or `ICC_SGI0R_EL1`.

use vcpu_regs::{Intid, SysReg};

/// Which group, of which Security state, an SGI is for: which register it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SgiGroup {
    /// `ICC_SGI1R_EL1`: Group 1 of the own Security state.
    Group1,
    /// `ICC_ASGI1R_EL1`: Group 1 of the other Security state.
    OtherGroup1,
    /// `ICC_SGI0R_EL1`: Group 0.
    Group0,
}

/// A request for a software-generated interrupt. GIC architecture (IHI 0069), `ICC_SGI1R_EL1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SgiRequest {
    /// The interrupt, 0 to 15 (INTID).
    pub intid: Intid,
    /// Who gets it.
    pub target: SgiTarget,
}

/// Who gets an SGI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SgiTarget {
    /// Every CPU but the one that asks (IRM).
    AllOthers,
    /// CPUs of one cluster.
    List {
        /// Aff3, Aff2 and Aff1 of all of them, in their places of an MPIDR.
        cluster: u64,
        /// Aff0 of the list's lowest bit: 16 times the range selector (RS).
        first_aff0: u8,
        /// One bit for each of sixteen CPUs (TargetList).
        list: u16,
    },
}

impl SgiRequest {
    /// Reads the value written to one of the three registers.
    pub const fn decode(value: u64) -> Self {
        let target = if value & 1 << 40 != 0 {
            SgiTarget::AllOthers
        } else {
            let (aff1, aff2, aff3) = (value >> 16 & 0xff, value >> 32 & 0xff, value >> 48 & 0xff);
            SgiTarget::List {
                cluster: aff3 << 32 | aff2 << 16 | aff1 << 8,
                first_aff0: (value >> 44 & 15) as u8 * 16,
                list: value as u16,
            }
        };
        Self {
            intid: Intid((value >> 24 & 15) as u32),
            target,
        }
    }

    /// Returns the value that asks for this.
    pub const fn encode(self) -> u64 {
        let intid = (self.intid.0 as u64 & 15) << 24;
        match self.target {
            SgiTarget::AllOthers => intid | 1 << 40,
            SgiTarget::List {
                cluster,
                first_aff0,
                list,
            } => {
                let (aff1, aff2, aff3) = (
                    cluster >> 8 & 0xff,
                    cluster >> 16 & 0xff,
                    cluster >> 32 & 0xff,
                );
                let range = (first_aff0 / 16) as u64;
                intid | aff3 << 48 | range << 44 | aff2 << 32 | aff1 << 16 | list as u64
            }
        }
    }
}

impl SgiTarget {
    /// Returns whether the CPU with this MPIDR affinity gets it, when `sender` asks.
    pub const fn includes(self, mpidr: u64, sender: u64) -> bool {
        const AFFINITY: u64 = 0xff_00ff_ffff;
        match self {
            Self::AllOthers => mpidr & AFFINITY != sender & AFFINITY,
            Self::List {
                cluster,
                first_aff0,
                list,
            } => {
                let aff0 = (mpidr & 0xff) as u8;
                mpidr & AFFINITY & !0xff == cluster
                    && aff0 & 0xf0 == first_aff0
                    && list >> (aff0 & 15) & 1 != 0
            }
        }
    }

    /// Returns the MPIDR affinities of a list, lowest first; nothing for [`Self::AllOthers`].
    pub fn affinities(self) -> impl Iterator<Item = u64> {
        let (cluster, first_aff0, list) = match self {
            Self::AllOthers => (0, 0, 0),
            Self::List {
                cluster,
                first_aff0,
                list,
            } => (cluster, first_aff0, list),
        };
        (0..16)
            .filter(move |bit| list >> bit & 1 != 0)
            .map(move |bit| cluster | first_aff0 as u64 | bit)
    }
}

impl SgiGroup {
    /// Returns the group that a write to `reg` asks for, or `None` where it is no such register.
    pub const fn of(reg: SysReg) -> Option<Self> {
        const SGI1R: u16 = SysReg::new(3, 0, 12, 11, 5).bits();
        const ASGI1R: u16 = SysReg::new(3, 0, 12, 11, 6).bits();
        const SGI0R: u16 = SysReg::new(3, 0, 12, 11, 7).bits();
        match reg.bits() {
            SGI1R => Some(Self::Group1),
            ASGI1R => Some(Self::OtherGroup1),
            SGI0R => Some(Self::Group0),
            _ => None,
        }
    }
}
