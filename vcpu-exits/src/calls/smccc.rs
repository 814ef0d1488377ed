//! Function identifiers of the SMC Calling Convention (Arm DEN0028).

use super::PsciFunction;
use super::names::NAMES;

/// An SMCCC function identifier: the lower half of the first register, never more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FunctionId(pub u32);

/// Whose function an identifier is (bits 29:24).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Owner {
    /// Arm architecture calls.
    Arch,
    /// CPU service calls.
    Cpu,
    /// SiP service calls.
    Sip,
    /// OEM service calls.
    Oem,
    /// Standard secure services: PSCI, TRNG, SDEI, FF-A.
    StandardSecure,
    /// Standard hypervisor services: stolen time.
    StandardHypervisor,
    /// The hypervisor vendor's own.
    VendorHypervisor,
    /// The EL3 vendor's own.
    VendorEl3,
    /// Trusted applications.
    TrustedApp,
    /// Trusted OS.
    TrustedOs,
    /// No one's.
    Reserved,
}

impl FunctionId {
    /// Returns the identifier that the first register holds; its upper half does not count.
    pub const fn from_x0(x0: u64) -> Self {
        Self(x0 as u32)
    }

    /// Returns whether this is a Fast Call: atomic to its caller (bit 31).
    pub const fn is_fast(self) -> bool {
        self.0 >> 31 != 0
    }

    /// Returns whether this is of the SMC64 convention: 64-bit arguments (bit 30).
    pub const fn is_64bit(self) -> bool {
        self.0 & 1 << 30 != 0
    }

    /// Returns whether the caller says that it holds no live SVE state (bit 16, SMCCC 1.3).
    pub const fn has_no_sve_state(self) -> bool {
        self.0 & 1 << 16 != 0
    }

    /// Returns the function number (bits 15:0).
    pub const fn number(self) -> u16 {
        self.0 as u16
    }

    /// Returns whose function it is.
    pub const fn owner(self) -> Owner {
        match self.0 >> 24 & 0x3f {
            0 => Owner::Arch,
            1 => Owner::Cpu,
            2 => Owner::Sip,
            3 => Owner::Oem,
            4 => Owner::StandardSecure,
            5 => Owner::StandardHypervisor,
            6 => Owner::VendorHypervisor,
            7 => Owner::VendorEl3,
            48..=49 => Owner::TrustedApp,
            50..=63 => Owner::TrustedOs,
            _ => Owner::Reserved,
        }
    }

    /// Returns the identifier without the hint of [`Self::has_no_sve_state`]: what to compare.
    pub const fn without_hint(self) -> Self {
        if self.is_fast() {
            Self(self.0 & !(1 << 16))
        } else {
            self
        }
    }

    /// Returns Arm's (or the vendor's) name of the function, where this width of it has one.
    pub fn name(self) -> Option<&'static str> {
        if let Some(function) = PsciFunction::from_id(self) {
            return Some(function.name());
        }
        let id = self.without_hint().0;
        let row = NAMES.binary_search_by_key(&id, |row| row.0).ok()?;
        NAMES.get(row).map(|row| row.1)
    }

    /// Returns the arguments of registers x1 to x6 as this call's convention has them.
    pub const fn arguments(self, x: [u64; 7]) -> [u64; 6] {
        let [_, a, b, c, d, e, f] = x;
        [
            self.argument(a),
            self.argument(b),
            self.argument(c),
            self.argument(d),
            self.argument(e),
            self.argument(f),
        ]
    }

    /// Returns the argument as this call's convention has it: SMC32 takes the lower halves only.
    pub const fn argument(self, register: u64) -> u64 {
        if self.is_64bit() {
            register
        } else {
            register & 0xffff_ffff
        }
    }
}

impl core::fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "FunctionId({:#010x})", self.0)
    }
}

impl core::fmt::Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Arch => "Arm architecture",
            Self::Cpu => "CPU",
            Self::Sip => "silicon vendor",
            Self::Oem => "OEM",
            Self::StandardSecure => "standard secure",
            Self::StandardHypervisor => "standard hypervisor",
            Self::VendorHypervisor => "vendor hypervisor",
            Self::VendorEl3 => "vendor EL3",
            Self::TrustedApp => "trusted application",
            Self::TrustedOs => "trusted OS",
            Self::Reserved => "reserved",
        })
    }
}

/// The name, or what the bits say: "fast 64-bit call 0x12 of the silicon vendor".
impl core::fmt::Display for FunctionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if let Some(name) = self.name() {
            return f.write_str(name);
        }
        let speed = if self.is_fast() { "fast" } else { "yielding" };
        let width = if self.is_64bit() { 64 } else { 32 };
        write!(
            f,
            "{speed} {width}-bit {} call {:#x}",
            self.owner(),
            self.number()
        )
    }
}
