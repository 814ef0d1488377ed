//! The Arm architecture service (DEN0028), random numbers (DEN0098), paravirtualised time (DEN0057).

use bitflags::bitflags;
use vcpu_exits::calls::{
    ArchCall, FunctionId, PvTimeCall, SmcccError, StandardCall, TrngCall, TrngError,
};

use super::{Caller, Decision, Firmware, NOT_SUPPORTED, Results, SMCCC_1_2, StolenTimeRecord};
use crate::power::AFFINITY;

/// What SMCCC_ARCH_SOC_ID tells of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SocId {
    /// JEP-106 bank and code, and the implementer's number. Bit 31 is not part of it.
    pub version: u32,
    /// The revision. Bit 31 is not part of it.
    pub revision: u32,
}

bitflags! {
    /// Mitigations of speculation, by the SMCCC_ARCH_WORKAROUND functions that carry them out.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Workarounds: u8 {
        /// SMCCC_ARCH_WORKAROUND_1: Spectre variant 2.
        const BRANCH_TARGETS = 1 << 0;
        /// SMCCC_ARCH_WORKAROUND_2: speculative store bypass.
        const STORE_BYPASS = 1 << 1;
        /// SMCCC_ARCH_WORKAROUND_3: Spectre-BHB.
        const BRANCH_HISTORY = 1 << 2;
        /// SMCCC_ARCH_WORKAROUND_4: CVE-2024-7881.
        const PREFETCHER = 1 << 3;
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Workarounds {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Workarounds({=u8:#x})", self.bits());
    }
}

impl Workarounds {
    fn has(self, number: u8) -> bool {
        number
            .checked_sub(1)
            .is_some_and(|bit| self.bits() >> bit & 1 != 0)
    }
}

/// The random number service.
#[derive(Clone, Copy)]
pub struct Trng<'a> {
    /// Which generator this is: w0 to w3 of TRNG_GET_UUID. The first is not `0xffff_ffff`, which
    /// would mean NOT_SUPPORTED.
    pub uuid: [u32; 4],
    /// Gives at least so many bits of entropy, at most 192, from the lowest of the first word up;
    /// or `None` when it has not got them now. It does not wait.
    pub entropy: &'a (dyn Fn(u32) -> Option<[u64; 3]> + Sync),
}

const TRNG_1_0: u64 = 0x1_0000;

impl Firmware<'_> {
    pub(super) fn arch(&self, call: ArchCall, caller: Caller) -> Option<Decision> {
        let x0 = match call {
            ArchCall::Version => SMCCC_1_2,
            ArchCall::Features { function } => return Some(self.arch_features(function, caller)),
            ArchCall::SocId { kind } => {
                let soc = self.soc?;
                match kind {
                    0 => soc.version & !(1 << 31),
                    1 => soc.revision & !(1 << 31),
                    _ => return Some(Results::one(SmcccError::InvalidParameter.as_x0()).into()),
                }
                .into()
            }
            // A mitigation that is not needed does nothing, and returns nothing.
            ArchCall::Workaround(number) if self.unneeded.has(number) => 0,
            _ => return None,
        };
        Some(Results::one(x0).into())
    }

    /// Answers SMCCC_ARCH_FEATURES. A question about a function that the filter gives away goes
    /// where the function goes.
    fn arch_features(&self, function: FunctionId, caller: Caller) -> Decision {
        /// The mitigation may be called, but this CPU does not need it.
        const NOT_NEEDED_HERE: u64 = 1;
        let x0 = match StandardCall::decode([function.0.into(), 0, 0, 0]) {
            StandardCall::Arch(ArchCall::Version | ArchCall::Features { .. }) => 0,
            StandardCall::Arch(ArchCall::SocId { .. }) if self.soc.is_some() => 0,
            StandardCall::Arch(ArchCall::Workaround(number)) if self.unneeded.has(number) => {
                match number {
                    2 => SmcccError::NotRequired.as_x0(),
                    _ => NOT_NEEDED_HERE,
                }
            }
            StandardCall::PvTime(PvTimeCall::Features { .. })
                if self.stolen_time_of(caller).is_some() =>
            {
                0
            }
            _ => return self.filtered(function),
        };
        Results::one(x0).into()
    }

    pub(super) fn trng(&self, call: TrngCall) -> Option<Results> {
        let trng = self.trng?;
        let x0 = match call {
            TrngCall::Version => TRNG_1_0,
            TrngCall::Features { function } => {
                match StandardCall::decode([function.0.into(), 0, 0, 0]) {
                    StandardCall::Trng(_) => 0,
                    _ => TrngError::NotSupported.as_x0(),
                }
            }
            TrngCall::GetUuid => return Some(Results::four(trng.uuid.map(u64::from))),
            TrngCall::Random { bits, is_64bit } => match trng.random(bits, is_64bit) {
                Ok([x1, x2, x3]) => return Some(Results::four([0, x1, x2, x3])),
                Err(error) => error.as_x0(),
            },
        };
        Some(Results::one(x0))
    }

    pub(super) fn pv_time(&self, call: PvTimeCall, caller: Caller) -> Option<Results> {
        let record = self.stolen_time_of(caller)?;
        let x0 = match call {
            PvTimeCall::Features { function } => {
                match StandardCall::decode([function.0.into(), 0, 0, 0]) {
                    StandardCall::PvTime(_) => 0,
                    _ => NOT_SUPPORTED,
                }
            }
            PvTimeCall::StolenTime => record,
        };
        Some(Results::one(x0))
    }

    /// Returns where the caller's record is.
    fn stolen_time_of(&self, caller: Caller) -> Option<u64> {
        let base = self.stolen_time?;
        let me = caller.mpidr & AFFINITY;
        let index = self.cpus.iter().position(|cpu| cpu.mpidr() == me)?;
        let offset = (index as u64).checked_mul(StolenTimeRecord::SIZE_BYTES)?;
        base.checked_add(offset).map(|record| record.0)
    }
}

impl Trng<'_> {
    /// Returns x1 to x3 of TRNG_RND: the highest bits first, those beyond `bits` zero.
    fn random(self, bits: u64, is_64bit: bool) -> Result<[u64; 3], TrngError> {
        let register_bits = if is_64bit { 64 } else { 32 };
        if bits == 0 || bits > 3 * register_bits {
            return Err(TrngError::InvalidParameters);
        }
        let words = (self.entropy)(bits as u32).ok_or(TrngError::NoEntropy)?;
        let [low, middle, high] = match is_64bit {
            true => words,
            false => [words[0], words[0] >> 32, words[1]],
        };
        let part = |word: u64, below: u64| {
            let count = bits.saturating_sub(below).min(register_bits);
            match count {
                0 => 0,
                count => word & u64::MAX >> (64 - count),
            }
        };
        Ok([
            part(high, 2 * register_bits),
            part(middle, register_bits),
            part(low, 0),
        ])
    }
}
