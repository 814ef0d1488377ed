//! What PSCI, SMCCC and the random number service answer: return codes, and the words of CPU_SUSPEND.

/// Why PSCI refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(i32)]
pub enum PsciError {
    /// NOT_SUPPORTED
    NotSupported = -1,
    /// INVALID_PARAMETERS
    InvalidParameters = -2,
    /// DENIED
    Denied = -3,
    /// ALREADY_ON
    AlreadyOn = -4,
    /// ON_PENDING
    OnPending = -5,
    /// INTERNAL_FAILURE
    InternalFailure = -6,
    /// NOT_PRESENT
    NotPresent = -7,
    /// DISABLED
    Disabled = -8,
    /// INVALID_ADDRESS
    InvalidAddress = -9,
    /// TIMEOUT
    Timeout = -10,
    /// RATE_LIMITED
    RateLimited = -11,
    /// BUSY
    Busy = -12,
}

/// What AFFINITY_INFO answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u64)]
pub enum AffinityState {
    /// ON
    On = 0,
    /// OFF
    Off = 1,
    /// ON_PENDING
    OnPending = 2,
}

macro_rules! as_x0 {
    ($($name:ident)*) => {$(
        impl $name {
            /// Returns the value for x0, sign-extended so that either width reads it right.
            pub const fn as_x0(self) -> u64 {
                self as i32 as i64 as u64
            }
        }
    )*};
}

/// Why an Arm architecture call is refused. Arm DEN0028, return codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(i32)]
pub enum SmcccError {
    /// NOT_SUPPORTED: of any service, the function is not there.
    NotSupported = -1,
    /// NOT_REQUIRED
    NotRequired = -2,
    /// INVALID_PARAMETER
    InvalidParameter = -3,
}

/// Why a call of the random number service is refused. Arm DEN0098, return codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(i32)]
pub enum TrngError {
    /// NOT_SUPPORTED
    NotSupported = -1,
    /// INVALID_PARAMETERS
    InvalidParameters = -2,
    /// NO_ENTROPY: not now; the caller may ask again.
    NoEntropy = -3,
}

as_x0!(PsciError SmcccError TrngError);

/// The `power_state` of CPU_SUSPEND in the original format, which a PSCI without the flag for the
/// extended one uses. Arm DEN0022, `CPU_SUSPEND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PowerState(pub u32);

impl PowerState {
    /// Returns whether the state loses what the CPU holds, so that it resumes at an entry point
    /// (StateType).
    pub const fn is_power_down(self) -> bool {
        self.0 >> 16 & 1 != 0
    }

    /// Returns the highest affinity level that the state concerns (PowerLevel).
    pub const fn power_level(self) -> u8 {
        (self.0 >> 24 & 3) as u8
    }

    /// Returns the platform's own name of the state (StateID).
    pub const fn state_id(self) -> u16 {
        self.0 as u16
    }

    /// Returns whether no reserved bit is set.
    pub const fn is_valid(self) -> bool {
        self.0 & !(3 << 24 | 1 << 16 | 0xffff) == 0
    }
}
