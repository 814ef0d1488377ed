//! Calls that a hypervisor answers itself, with their arguments.

use super::{FunctionId, PsciCall};

/// A call of a standard service, its arguments truncated where its form takes 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StandardCall {
    /// Arm DEN0022.
    Psci(PsciCall),
    /// Arm DEN0028.
    Arch(ArchCall),
    /// Arm DEN0098.
    Trng(TrngCall),
    /// Arm DEN0057.
    PvTime(PvTimeCall),
    /// Any other: SMCCC wants NOT_SUPPORTED (-1) in the first register.
    Other(FunctionId),
}

/// A call of the Arm architecture service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ArchCall {
    /// SMCCC_VERSION.
    Version,
    /// SMCCC_ARCH_FEATURES.
    Features {
        /// The function asked about.
        function: FunctionId,
    },
    /// SMCCC_ARCH_SOC_ID.
    SocId {
        /// 0 version, 1 revision, 2 name.
        kind: u32,
    },
    /// SMCCC_ARCH_FEATURE_AVAILABILITY.
    FeatureAvailability {
        /// The register asked about, by a bitmask selector.
        selector: u32,
    },
    /// SMCCC_ARCH_WORKAROUND_1 to 4: mitigations, with their number.
    Workaround(u8),
}

/// A call of the true random number generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TrngCall {
    /// TRNG_VERSION.
    Version,
    /// TRNG_FEATURES.
    Features {
        /// The function asked about.
        function: FunctionId,
    },
    /// TRNG_GET_UUID.
    GetUuid,
    /// TRNG_RND.
    Random {
        /// Bits wanted: at most 96 in the SMC32 form, 192 in the other.
        bits: u64,
        /// Results are 64 bits in each register.
        is_64bit: bool,
    },
}

/// A call of the paravirtualised time service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PvTimeCall {
    /// PV_TIME_FEATURES.
    Features {
        /// The function asked about.
        function: FunctionId,
    },
    /// PV_TIME_ST: where this vCPU's stolen time is.
    StolenTime,
}

impl StandardCall {
    /// Decodes a call from the first four argument registers, x0 to x3. The upper half of x0 never counts.
    pub const fn decode(x: [u64; 4]) -> Self {
        if let Some(call) = PsciCall::decode(x) {
            return Self::Psci(call);
        }
        let id = FunctionId::from_x0(x[0]);
        let argument = id.argument(x[1]);
        let function = FunctionId(argument as u32);
        match id.without_hint().0 {
            0x8000_0000 => Self::Arch(ArchCall::Version),
            0x8000_0001 | 0xc000_0001 => Self::Arch(ArchCall::Features { function }),
            0x8000_0002 | 0xc000_0002 => Self::Arch(ArchCall::SocId {
                kind: argument as u32,
            }),
            0x8000_0003 | 0xc000_0003 => Self::Arch(ArchCall::FeatureAvailability {
                selector: argument as u32,
            }),
            0x8000_8000 | 0xc000_8000 => Self::Arch(ArchCall::Workaround(1)),
            0x8000_7fff | 0xc000_7fff => Self::Arch(ArchCall::Workaround(2)),
            0x8000_3fff | 0xc000_3fff => Self::Arch(ArchCall::Workaround(3)),
            0x8000_3ffe | 0xc000_3ffe => Self::Arch(ArchCall::Workaround(4)),
            0x8400_0050 => Self::Trng(TrngCall::Version),
            0x8400_0051 => Self::Trng(TrngCall::Features { function }),
            0x8400_0052 => Self::Trng(TrngCall::GetUuid),
            0x8400_0053 | 0xc400_0053 => Self::Trng(TrngCall::Random {
                bits: argument,
                is_64bit: id.is_64bit(),
            }),
            0xc500_0020 => Self::PvTime(PvTimeCall::Features { function }),
            0xc500_0021 => Self::PvTime(PvTimeCall::StolenTime),
            _ => Self::Other(id),
        }
    }
}
