//! The firmware that a guest finds below it: PSCI and the services of SMCCC, as functions of values.
//!
//! [`Firmware::decide`] makes of the argument registers what to answer and what the host has to do;
//! [`Live::serve`](crate::Live::serve) carries it out. Both conduits get one answer.

mod filter;
mod live;
mod psci;
mod services;
mod stolen;

use core::ops::Range;

use vcpu_exits::calls::{FunctionId, PowerState, SmcccError, StandardCall};
use vcpu_regs::Ipa;

use crate::{PowerCell, Start};

pub use filter::{Action, Rule};
pub use live::Outcome;
pub use services::{SocId, Trng, Workarounds};
pub use stolen::{StolenTime, StolenTimeRecord};

/// What a VM's firmware offers. One for all vCPUs of the VM.
///
/// What is not offered here goes through the filter: by default it is refused.
#[derive(Clone, Copy)]
pub struct Firmware<'a> {
    /// The power states of the VM's vCPUs. An index into them is what the host is told.
    pub cpus: &'a [PowerCell],
    /// Memory that a vCPU may start in; any other entry point is an INVALID_ADDRESS.
    pub entries: &'a [Range<Ipa>],
    /// The optional functions of PSCI that the host carries out.
    pub psci: PsciOptions,
    /// What SMCCC_ARCH_SOC_ID tells.
    pub soc: Option<SocId>,
    /// The mitigations that no CPU of this machine needs.
    pub unneeded: Workarounds,
    /// The random number service.
    pub trng: Option<Trng<'a>>,
    /// Where the guest finds its stolen time: a [`StolenTimeRecord`] for each vCPU, in the order of
    /// `cpus`.
    pub stolen_time: Option<Ipa>,
    /// What becomes of every other function. The first rule that names it decides; where none
    /// does, it is refused.
    pub filter: &'a [Rule],
}

/// Which optional functions of PSCI a host carries out. None to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PsciOptions {
    /// SYSTEM_SUSPEND.
    pub system_suspend: bool,
    /// SYSTEM_RESET2, the architecture's warm reset.
    pub warm_reset: bool,
    /// SYSTEM_RESET2, the vendor's own kinds, of which the host knows what they mean.
    pub vendor_resets: bool,
    /// SYSTEM_OFF2, to hibernate. It makes this PSCI 1.3; without, it is 1.1.
    pub hibernate: bool,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Caller {
    /// Its `MPIDR_EL1`.
    pub mpidr: u64,
    /// Its byte order at EL1 (`SCTLR_EL1.EE`), which a vCPU that it turns on starts with.
    pub big_endian: bool,
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Decision {
    /// Give the results; then do what the guest asked for, if anything.
    Answer(Results, Option<PowerRequest>),
    /// The host answers it itself.
    ToHost,
    /// The machine's firmware answers it.
    ToFirmware,
}

/// What a guest asks of its host's power management. Its call is answered already.
///
/// Where PSCI says that a call does not return, the answer is INTERNAL_FAILURE, which the guest
/// sees if the host runs it on all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the guest believes that it will be done"]
#[non_exhaustive]
pub enum PowerRequest {
    /// The vCPU of this index is to run: its runner [takes the start](PowerCell::take_start) and
    /// [starts](crate::Vcpu::start) there.
    StartVcpu(usize),
    /// The caller stops: its host puts it, then [turns its cell off](PowerCell::turn_off).
    StopSelf,
    /// The caller waits as by `WFI`.
    Suspend(Suspend),
    /// The VM powers off.
    SystemOff,
    /// The VM stores its memory and powers off.
    Hibernate,
    /// The VM starts anew.
    SystemReset(ResetKind),
    /// The VM sleeps, and this vCPU, the only one on, starts here when something wakes it.
    SystemSuspend(Start),
}

/// A CPU_SUSPEND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Suspend {
    /// The state asked for.
    pub state: PowerState,
    /// Where to resume from a state that loses the registers. A host may wake the guest behind its
    /// call instead: then the CPU was woken before it went that deep.
    pub resume: Option<Start>,
}

/// How a VM starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResetKind {
    /// SYSTEM_RESET: as after power-on.
    Cold,
    /// SYSTEM_WARM_RESET of SYSTEM_RESET2.
    Warm,
    /// A vendor's own kind.
    Vendor {
        /// Its number; bit 31 is set.
        reset_type: u32,
        /// Its argument.
        cookie: u64,
    },
}

/// What a call returns: x0, or more registers from x0 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Results {
    x: [u64; 4],
    count: u8,
}

impl Results {
    const fn one(x0: u64) -> Self {
        Self {
            x: [x0, 0, 0, 0],
            count: 1,
        }
    }

    const fn four(x: [u64; 4]) -> Self {
        Self { x, count: 4 }
    }

    /// Returns the results, x0 first. Registers beyond them keep what they held.
    pub fn as_slice(&self) -> &[u64] {
        self.x.get(..usize::from(self.count)).unwrap_or(&self.x)
    }
}

impl From<Results> for Decision {
    fn from(results: Results) -> Self {
        Self::Answer(results, None)
    }
}

/// SMCCC_VERSION: 1.2.
const SMCCC_1_2: u64 = 0x1_0002;
/// The answer to a function that is not there.
const NOT_SUPPORTED: u64 = SmcccError::NotSupported.as_x0();

impl<'a> Firmware<'a> {
    /// Returns the firmware of a VM that has nothing but PSCI's mandatory functions.
    pub const fn new(cpus: &'a [PowerCell], entries: &'a [Range<Ipa>]) -> Self {
        Self {
            cpus,
            entries,
            psci: PsciOptions {
                system_suspend: false,
                warm_reset: false,
                vendor_resets: false,
                hibernate: false,
            },
            soc: None,
            unneeded: Workarounds::empty(),
            trng: None,
            stolen_time: None,
            filter: &[],
        }
    }

    /// Returns what to do with the call whose first four argument registers these are.
    ///
    /// A CPU_ON claims its target: of callers at once, exactly one is told to start it.
    pub fn decide(&self, x: [u64; 4], caller: Caller) -> Decision {
        let known = match StandardCall::decode(x) {
            StandardCall::Psci(call) => self.psci(call, caller),
            StandardCall::Arch(call) => self.arch(call, caller),
            StandardCall::Trng(call) => self.trng(call).map(Decision::from),
            StandardCall::PvTime(call) => self.pv_time(call, caller).map(Decision::from),
            _ => None,
        };
        known.unwrap_or_else(|| self.filtered(FunctionId::from_x0(x[0])))
    }

    /// Returns what the filter makes of a function that is not answered here.
    fn filtered(&self, function: FunctionId) -> Decision {
        match filter::action(self.filter, function) {
            Action::Deny => Results::one(NOT_SUPPORTED).into(),
            Action::Host => Decision::ToHost,
            Action::Forward => Decision::ToFirmware,
        }
    }
}
