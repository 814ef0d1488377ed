//! The cell. Its parent module says whose atomics it uses, so that a test can watch them.

use super::atomic::{
    AtomicBool, AtomicU8, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use vcpu_exits::calls::{AffinityState, PsciError};
use vcpu_regs::Ipa;

/// Where and how a vCPU begins: what CPU_ON and its kin pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Start {
    /// The first instruction, with the MMU off.
    pub entry: Ipa,
    /// What x0 holds there.
    pub context: u64,
    /// The byte order of data at EL1: the caller's own (`SCTLR_EL1.EE`).
    pub big_endian: bool,
}

/// Whether one vCPU is off, about to start, or on; and where it starts.
///
/// Of any callers at once, exactly one turns an idle vCPU on, and its [`Start`] is taken exactly
/// once, whole.
#[derive(Debug)]
pub struct PowerCell {
    mpidr: u64,
    state: AtomicU8,
    /// These three belong to whoever put the state to [`CLAIMED`] or [`TAKING`].
    entry: AtomicU64,
    context: AtomicU64,
    big_endian: AtomicBool,
}

const OFF: u8 = 0;
/// One caller has won, and writes where to start.
const CLAIMED: u8 = 1;
const PENDING: u8 = 2;
/// Its own runner reads where to start.
const TAKING: u8 = 3;
const ON: u8 = 4;

/// Aff3 to Aff0 of `MPIDR_EL1`.
pub(crate) const AFFINITY: u64 = 0xff_00ff_ffff;

impl PowerCell {
    constructor! {
        /// Returns a vCPU that waits to be turned on.
        pub fn off(mpidr: u64) -> Self {
            Self::new(mpidr, OFF)
        }
    }

    constructor! {
        /// Returns a vCPU that is on: the one a VM boots with.
        pub fn on(mpidr: u64) -> Self {
            Self::new(mpidr, ON)
        }
    }

    constructor! {
        fn new(mpidr: u64, state: u8) -> Self {
            Self {
                mpidr: mpidr & AFFINITY,
                state: AtomicU8::new(state),
                entry: AtomicU64::new(0),
                context: AtomicU64::new(0),
                big_endian: AtomicBool::new(false),
            }
        }
    }

    /// Returns the affinity fields of its `MPIDR_EL1`.
    pub const fn mpidr(&self) -> u64 {
        self.mpidr
    }

    /// Returns the state as AFFINITY_INFO tells it.
    pub fn state(&self) -> AffinityState {
        match self.state.load(Relaxed) {
            OFF => AffinityState::Off,
            ON => AffinityState::On,
            _ => AffinityState::OnPending,
        }
    }

    /// Has the vCPU start once its runner [takes](Self::take_start) that.
    ///
    /// Fails with ALREADY_ON or ON_PENDING, as CPU_ON does.
    pub fn turn_on(&self, start: &Start) -> Result<(), PsciError> {
        // Acquire: after all that was done before it went off.
        match self.state.compare_exchange(OFF, CLAIMED, Acquire, Relaxed) {
            Ok(_) => {}
            Err(ON) => return Err(PsciError::AlreadyOn),
            Err(_) => return Err(PsciError::OnPending),
        }
        self.entry.store(start.entry.0, Relaxed);
        self.context.store(start.context, Relaxed);
        self.big_endian.store(start.big_endian, Relaxed);
        self.state.store(PENDING, Release); // with all the caller did before
        Ok(())
    }

    /// Returns where to start, once, and leaves the vCPU on; `None` when nobody has turned it on.
    pub fn take_start(&self) -> Option<Start> {
        self.state
            .compare_exchange(PENDING, TAKING, Acquire, Relaxed)
            .ok()?;
        let start = Start {
            entry: Ipa(self.entry.load(Relaxed)),
            context: self.context.load(Relaxed),
            big_endian: self.big_endian.load(Relaxed),
        };
        self.state.store(ON, Release);
        Some(start)
    }

    /// Turns the vCPU off, also before it has taken its start; returns whether it was not.
    ///
    /// A host calls it when the vCPU has stopped: from then on others see it off, and may turn it
    /// on again.
    pub fn turn_off(&self) -> bool {
        loop {
            let state = self.state.load(Relaxed);
            match state {
                OFF => return false,
                ON | PENDING => {
                    // Release: its last deeds come before its next start.
                    let off = self.state.compare_exchange(state, OFF, Release, Relaxed);
                    if off.is_ok() {
                        return true;
                    }
                }
                _ => super::pause(), // another CPU is at it, for a few instructions
            }
        }
    }
}
