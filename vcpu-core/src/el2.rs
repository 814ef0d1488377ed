//! One physical CPU, ready to run guests.

use core::cell::Cell;

use vcpu_hal::{Cpu, Guard, HostMode, PerCpu, Platform};
use vcpu_regs::{
    Cnthctl, Controls, DebugState, Features, Hcr, IccSre, IdRegisters, Mdcr, Pstate, SwitchedReg,
    VectorLengths,
};

use crate::{LoadError, Vmids, number};

/// This CPU at EL2. At most one guest is loaded on it; dropping it leaves none.
pub struct El2<'h, P: Platform, C: Cpu> {
    pub(crate) cpu: C,
    pub(crate) host: &'h P,
    pub(crate) features: Features,
    pub(crate) index: usize,
    /// What an entry needs of the host, read when the controls of this kind were written.
    pub(crate) kept: C::Kept,
    pub(crate) vmids: Option<&'h Vmids>,
    pub(crate) residency: Residency,
    /// Whether a `put` leaves the guest's controls ([`Turns`](crate::Turns)).
    pub(crate) keeps_controls: bool,
    /// What of the CPU's state is the loaded guest's.
    pub(crate) granted: Features,
    /// Names the controls last written for a guest, and what guests share of them.
    pub(crate) kind: u64,
    pub(crate) kind_words: Controls,
    pub(crate) kind_guard: Guard,
    /// The host's own controls while they are not in force.
    pub(crate) host_controls: Controls,
    /// Names those of the host's words of which a guest's are made, and this CPU.
    pub(crate) host_words: u64,
    /// The host's own PSTATE, of it what exits change, while a guest is loaded.
    pub(crate) host_pstate: Pstate,
    /// The host's own ZCR_EL2 while a guest's is in force: while SVE is granted.
    pub(crate) host_zcr: u64,
    /// The host's own MDSCR_EL1 while a guest is loaded.
    pub(crate) host_mdscr: u64,
    /// The host's own breakpoints while a guest's are on the hardware.
    pub(crate) host_debug: Option<DebugState>,
    ids: IdRegisters,
    /// Once they were asked for. No `OnceCell`: that panics where it is asked while it is filled.
    vector_lengths: Cell<Option<VectorLengths>>,
}

/// Whose state is on a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Residency {
    /// The host's.
    Host,
    /// The controls of the guest that was here last.
    Between,
    /// A guest's, all of it.
    Guest,
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
            kept: cpu.keep(Guard::default()),
            cpu,
            host,
            features,
            index,
            vmids: None,
            residency: Residency::Host,
            keeps_controls: false,
            granted: features.with_sve(false),
            kind: 0,
            kind_words: Controls::default(),
            kind_guard: Guard::default(),
            host_controls: Controls::default(),
            host_words: number::fresh(),
            host_pstate: Pstate::empty(),
            host_zcr: 0,
            host_mdscr: 0,
            host_debug: None,
            ids,
            vector_lengths: Cell::new(None),
        })
    }

    /// Gives VMIDs to the VMs whose [`Stage2`](vcpu_stage2::Stage2) has none.
    ///
    /// # Safety
    ///
    /// All CPUs that share memory get the same `vmids`, none goes without, and no stage 2 with a
    /// VMID of its own is used beside it.
    pub unsafe fn with_vmids(mut self, vmids: &'h Vmids) -> Self {
        self.vmids = Some(vmids);
        self
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

    /// Returns the lengths of vectors that this CPU has (FEAT_SVE): none without SVE. They are found
    /// out once, under a `ZCR_EL2` that the host has back then.
    pub fn vector_lengths(&self) -> VectorLengths {
        if let Some(lengths) = self.vector_lengths.get() {
            return lengths;
        }
        let lengths = match self.features.sve() {
            // SAFETY: `enable_on` found EL2, and SVE. What a guest has of it is at rest, for a
            // loaded one borrows this.
            true => unsafe { self.cpu.vector_lengths() },
            false => VectorLengths::default(),
        };
        self.vector_lengths.set(Some(lengths));
        lengths
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

    /// Makes ready for a guest's controls: takes a forgotten guest off, and notes the host's.
    #[inline(never)]
    pub(crate) fn arrive(&mut self) -> Result<(), LoadError> {
        if self.residency == Residency::Guest {
            self.abandon();
        }
        if self.residency == Residency::Between {
            return Ok(());
        }
        // SAFETY: `enable_on` found EL2 and read the features; every CPU has MDSCR_EL1.
        let (mdscr, controls) = unsafe {
            (
                self.cpu.read_switched(SwitchedReg::MDSCR_EL1),
                self.cpu.controls(self.features),
            )
        };
        if controls.hcr.contains(Hcr::VM) {
            return Err(LoadError::Occupied);
        }
        if HostPart::of(&controls) != HostPart::of(&self.host_controls) {
            self.host_words = number::fresh();
        }
        (self.host_mdscr, self.host_controls) = (mdscr, controls);
        self.host_pstate = self.cpu.pstate();
        Ok(())
    }

    /// Takes a guest off that was forgotten instead of dropped: its state is lost.
    #[cold]
    fn abandon(&mut self) {
        self.kind = 0; // FP may have been let through since
        self.kind_words = Controls::default();
        self.release_sve();
        self.leave();
    }

    /// Ends the stay of a guest, whose state was saved.
    #[inline(always)]
    pub(crate) fn leave(&mut self) {
        self.stop_timers();
        self.residency = Residency::Between;
        if !self.keeps_controls || self.host_debug.is_some() {
            self.restore_host();
        }
    }

    /// Stops the guest's timers, so that none fires into a host that knows nothing of it.
    fn stop_timers(&self) {
        // SAFETY: `enable_on` found EL2; the timers that are granted are there, and the guest's.
        unsafe {
            self.cpu.write_switched(SwitchedReg::CNTV_CTL_EL0, 0);
            if self.granted.physical_timer() {
                self.cpu.write_switched(SwitchedReg::CNTP_CTL_EL0, 0);
            }
        }
    }

    /// Keeps the host's breakpoints, for a guest's are to come.
    pub(crate) fn save_host_debug(&mut self) {
        let debug = self.host_debug.insert(DebugState::default());
        // SAFETY: `enable_on` found EL2 and read the counts.
        unsafe { self.cpu.save_debug(debug, self.ids.debug_counts()) };
    }

    /// Puts the host's controls in force again, if a guest's are.
    #[inline(never)]
    pub(crate) fn restore_host(&mut self) {
        match self.residency {
            Residency::Host => return,
            Residency::Guest => {
                self.release_sve();
                self.stop_timers();
            }
            Residency::Between => {}
        }
        self.residency = Residency::Host;
        let counts = self.ids.debug_counts();
        // SAFETY: `enable_on` found EL2 and read the features and counts; every CPU has MDSCR_EL1;
        // all of it is the host's own, as `arrive` found it. Debug comes before MDCR_EL2, which
        // may let EL2 make debug exceptions again.
        unsafe {
            self.cpu
                .write_switched(SwitchedReg::MDSCR_EL1, self.host_mdscr);
            if let Some(debug) = self.host_debug.take() {
                self.cpu.load_debug(&debug, counts);
            }
            self.cpu.set_controls(&self.host_controls, self.features);
            self.cpu.set_pstate(self.host_pstate);
        }
    }
}

/// The host's words of which a guest's keep something.
#[derive(PartialEq, Eq)]
struct HostPart {
    hcr: Hcr,
    mdcr: Mdcr,
    cnthctl: Cnthctl,
    icc_sre: IccSre,
    mpam2: u64,
}

impl HostPart {
    fn of(host: &Controls) -> Self {
        Self {
            hcr: host.hcr,
            mdcr: host.mdcr,
            cnthctl: host.cnthctl,
            icc_sre: host.icc_sre,
            mpam2: host.mpam2,
        }
    }
}

/// A guest whose [`Live`](crate::Live) was forgotten instead of dropped leaves its controls here.
impl<P: Platform, C: Cpu> Drop for El2<'_, P, C> {
    fn drop(&mut self) {
        self.restore_host();
    }
}
