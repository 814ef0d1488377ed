//! What PSCI answers. Arm DEN0022, return codes.

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

impl PsciError {
    /// Returns the value for x0, sign-extended so that either width reads it right.
    pub const fn as_x0(self) -> u64 {
        self as i32 as i64 as u64
    }
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
