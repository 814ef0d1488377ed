//! What is done between a guest's last instruction and the host's next branch.

use core::num::NonZeroU8;

/// How an exit is guarded before the host goes on with its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Guard {
    /// Errors of the guest's that are still outstanding end the run as an SError, and are not taken
    /// for the host's: `ESB` (FEAT_RAS, which the CPU needs to have).
    pub error_barrier: bool,
    /// What becomes of the history that the guest made of its branches.
    pub branch_history: BranchHistory,
}

/// What becomes of a guest's branch history on the way out (Spectre-BHB), before the host branches
/// by it. Which CPU needs what: Arm's "Spectre-BHB" advisory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum BranchHistory {
    /// It stays: for CPUs that are not affected (`ID_AA64PFR0_EL1.CSV2` = 3), or guests that are
    /// trusted.
    #[default]
    Keep,
    /// So many turns of a loop overwrite it.
    Loop(NonZeroU8),
    /// `CLRBHB` drops it (FEAT_CLRBHB; does nothing on another CPU).
    Instruction,
    /// The firmware does: SMCCC_ARCH_WORKAROUND_3 by `SMC`. For hosts whose firmware offers it; where
    /// nothing answers `SMC`, the host takes an exception with each exit.
    Firmware,
}
