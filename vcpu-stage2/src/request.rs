//! What a host may ask of a stage 2, and why it may not get it.

use bitflags::bitflags;
use vcpu_regs::Granule;

bitflags! {
    /// What a stage 2 may use beyond the first version of the architecture.
    ///
    /// In a [`Request`]: use it where the CPUs have it. In a [`Geometry`]: it is used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Options: u16 {
        /// Hardware sets the access flag of a page it uses (FEAT_HAFDBS, `VTCR_EL2.HA`).
        const ACCESS_FLAG = 1 << 0;
        /// Hardware records dirty pages (FEAT_HAFDBS, `VTCR_EL2.HD`); brings [`Self::ACCESS_FLAG`].
        const DIRTY = 1 << 1;
        /// Write-back whatever the guest says, caches off included (FEAT_S2FWB, `HCR_EL2.FWB`).
        /// Descriptors are encoded for it: it must be set whenever the table is in use.
        const FORCE_WRITE_BACK = 1 << 2;
        /// 52-bit descriptors (FEAT_LPA2, `VTCR_EL2.DS`) even where 48 bits of IPA would do: for
        /// output addresses above 48 bits, or 512 GiB blocks of 4 KiB pages. An IPA above 48 bits
        /// brings it by itself.
        const WIDE_DESCRIPTORS = 1 << 3;
        /// The contiguous hint on aligned groups of leaves.
        const CONTIGUOUS = 1 << 4;
        /// CPUs may share TLB entries of a VMID (FEAT_TTCNP, `VTTBR_EL2.CnP`): every CPU that
        /// uses the VMID uses this same table.
        const COMMON_NOT_PRIVATE = 1 << 5;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Options {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Options({=u16:#x})", self.bits());
    }
}

/// How large an IPA space is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IpaBits {
    /// As many bits as the CPUs and the granule allow.
    Most,
    /// This many, or fewer where the CPUs have fewer.
    AtMost(u8),
    /// This many, or an error.
    Exactly(u8),
}

/// What a host asks of a stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Request {
    /// Size of the IPA space.
    pub ipa: IpaBits,
    /// Page size; `None` takes the smallest the CPUs have that can satisfy [`Self::ipa`].
    pub granule: Option<Granule>,
    /// Levels of tables, 1 to 5, for a host whose tables exist; `None` takes the fewest.
    pub levels: Option<u8>,
    /// What to use where the CPUs have it.
    pub options: Options,
}

impl Request {
    /// The smallest pages, as much address space as they give, nothing optional.
    pub const MOST: Self = Self {
        ipa: IpaBits::Most,
        granule: None,
        levels: None,
        options: Options::empty(),
    };

    /// Exactly `bits` of IPA with the smallest pages that can, nothing optional.
    pub const fn exactly(bits: u8) -> Self {
        Self {
            ipa: IpaBits::Exactly(bits),
            ..Self::MOST
        }
    }
}

/// Why there is no such stage 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum GeometryError {
    /// Stage 2 has no page of this size, or of any (`None`), says `ID_AA64MMFR0_EL1`.
    NoGranule {
        /// What was asked for.
        granule: Option<Granule>,
        /// `ID_AA64MMFR0_EL1` of the CPUs.
        mmfr0: u64,
    },
    /// More IPA bits than the CPUs or the granule allow.
    IpaTooWide {
        /// What was asked for.
        requested: u8,
        /// The most there is.
        limit: u8,
    },
    /// No walk of so many levels resolves these IPA bits on these CPUs.
    NoSuchWalk {
        /// What was asked for.
        levels: u8,
        /// The IPA bits it was asked for with.
        ipa_bits: u8,
    },
    /// Fewer IPA bits than `VTCR_EL2.T0SZ` can say.
    IpaTooNarrow {
        /// What was asked for.
        requested: u8,
        /// The least there is.
        limit: u8,
    },
}

impl core::fmt::Display for GeometryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoGranule {
                granule: Some(granule),
                mmfr0,
            } => write!(
                f,
                "no stage-2 page of {} KiB (ID_AA64MMFR0_EL1 = {mmfr0:#x})",
                granule.bytes() >> 10,
            ),
            Self::NoGranule {
                granule: None,
                mmfr0,
            } => {
                write!(
                    f,
                    "no stage-2 page of any size (ID_AA64MMFR0_EL1 = {mmfr0:#x})"
                )
            }
            Self::IpaTooWide { requested, limit } => {
                write!(f, "an IPA of {requested} bits asked for, {limit} at most")
            }
            Self::NoSuchWalk { levels, ipa_bits } => {
                write!(
                    f,
                    "an IPA of {ipa_bits} bits cannot be walked in {levels} levels"
                )
            }
            Self::IpaTooNarrow { requested, limit } => {
                write!(f, "an IPA of {requested} bits asked for, {limit} at least")
            }
        }
    }
}

impl core::error::Error for GeometryError {}
