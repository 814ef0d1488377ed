//! One physical CPU, ready to run guests.

use core::mem;

use vcpu_hal::{Cpu, HostMode, PerCpu, Platform};
use vcpu_regs::{Controls, DebugState, Features, IdRegisters, SwitchedReg};

/// This CPU at EL2. At most one guest is loaded on it; dropping it leaves none.
pub struct El2<'h, P: Platform, C: Cpu> {
    pub(crate) cpu: C,
    pub(crate) host: &'h P,
    pub(crate) features: Features,
    pub(crate) index: usize,
    /// The host's own controls while a guest is loaded.
    pub(crate) host_controls: Controls,
    pub(crate) is_loaded: bool,
    /// The host's own MDSCR_EL1 while a guest is loaded.
    pub(crate) host_mdscr: u64,
    /// The host's own breakpoints while a guest's are on the hardware.
    pub(crate) host_debug: Option<DebugState>,
    ids: IdRegisters,
}

/// Why a CPU cannot run guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EnableError {
    /// The code runs at this exception level, not at EL2.
    NotEl2(u8),
    /// `SCTLR_EL2` has the host sign pointers (EnIA, EnIB, EnDA or EnDB): a guest's keys would
    /// replace the host's.
    SignsPointers,
    /// The code runs on SP_EL0 (EL2t): an exception would leave its stack behind.
    NotOnOwnStack,
}

impl core::fmt::Display for EnableError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotEl2(el) => write!(f, "guests need EL2, but this code runs at EL{el}"),
            Self::SignsPointers => f.write_str("the host signs pointers; build it without"),
            Self::NotOnOwnStack => f.write_str("the host runs on SP_EL0; select SP_EL2 first"),
        }
    }
}

impl core::error::Error for EnableError {}

#[cfg(target_arch = "aarch64")]
impl<'h, P: Platform> El2<'h, P, vcpu_asm::El2Cpu> {
    /// Makes this CPU ready to run guests for `host`.
    pub fn enable(host: &'h P) -> Result<Self, EnableError> {
        match vcpu_asm::El2Cpu::current() {
            Ok(cpu) => Self::enable_on(cpu, host),
            Err(el) => Err(EnableError::NotEl2(el)),
        }
    }
}

impl<'h, P: Platform, C: Cpu> El2<'h, P, C> {
    /// Makes `cpu`, the calling one, ready to run guests for `host`.
    pub fn enable_on(cpu: C, host: &'h P) -> Result<Self, EnableError> {
        match cpu.host_mode() {
            HostMode { el, .. } if el != 2 => return Err(EnableError::NotEl2(el)),
            HostMode {
                own_stack: false, ..
            } => return Err(EnableError::NotOnOwnStack),
            HostMode {
                signs_pointers: true,
                ..
            } => return Err(EnableError::SignsPointers),
            _ => {}
        }
        let ids = cpu.id_registers();
        let index = host.per_cpu().index(&cpu);
        let features = ids.features();
        Ok(Self {
            cpu,
            host,
            features,
            index,
            host_controls: Controls::default(),
            is_loaded: false,
            host_mdscr: 0,
            host_debug: None,
            ids,
        })
    }

    /// Returns the CPU.
    pub fn cpu(&self) -> &C {
        &self.cpu
    }

    /// Returns the host.
    pub fn host(&self) -> &'h P {
        self.host
    }

    /// Returns what the CPU says it is.
    pub fn ids(&self) -> &IdRegisters {
        &self.ids
    }

    /// Returns the host's index of this CPU.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the physical counter, in ticks.
    pub fn counter(&self) -> u64 {
        self.cpu.counter()
    }

    /// Returns the ticks of the counters in a second.
    pub fn counter_freq_hz(&self) -> u64 {
        self.cpu.counter_freq_hz()
    }

    /// Reads what `restore_host` will put back.
    #[inline(always)]
    pub(crate) fn save_host(&mut self) {
        // SAFETY: `enable_on` found EL2 and read the features; every CPU has MDSCR_EL1.
        unsafe {
            self.host_mdscr = self.cpu.read_switched(SwitchedReg::MDSCR_EL1);
            self.host_controls = self.cpu.controls(self.features);
        }
    }

    /// Keeps the host's breakpoints, for a guest's are to come.
    pub(crate) fn save_host_debug(&mut self) {
        let debug = self.host_debug.insert(DebugState::default());
        // SAFETY: `enable_on` found EL2 and read the counts.
        unsafe { self.cpu.save_debug(debug, self.ids.debug_counts()) };
    }

    /// Takes the guest's controls off the CPU, if some are still there, and stops its timers, so
    /// that none fires into a host that knows nothing of it.
    pub(crate) fn restore_host(&mut self) {
        if mem::take(&mut self.is_loaded) {
            let counts = self.ids.debug_counts();
            // SAFETY: `enable_on` found EL2 and read the features and counts; every CPU has these
            // timers, and they are the guest's; the rest is the host's own, as `load` found it.
            // Debug comes before MDCR_EL2, which may let EL2 make debug exceptions again.
            unsafe {
                self.cpu.write_switched(SwitchedReg::CNTV_CTL_EL0, 0);
                self.cpu.write_switched(SwitchedReg::CNTP_CTL_EL0, 0);
                self.cpu
                    .write_switched(SwitchedReg::MDSCR_EL1, self.host_mdscr);
                if let Some(debug) = self.host_debug.take() {
                    self.cpu.load_debug(&debug, counts);
                }
                self.cpu.set_controls(&self.host_controls, self.features);
            }
        }
    }
}

/// A guest whose [`Live`](crate::Live) was forgotten instead of dropped leaves its controls here.
impl<P: Platform, C: Cpu> Drop for El2<'_, P, C> {
    fn drop(&mut self) {
        self.restore_host();
    }
}
