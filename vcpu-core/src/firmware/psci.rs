//! PSCI for guests. Arm DEN0022, to version 1.3.

use vcpu_exits::calls::{
    AffinityState, ArchCall, FunctionId, PowerState, PsciCall, PsciError, PsciFunction,
    StandardCall,
};
use vcpu_regs::Ipa;

use super::{Caller, Decision, Firmware, PowerRequest, ResetKind, Results, Suspend};
use crate::{Start, power::AFFINITY};

const PSCI_1_1: u64 = 0x1_0001;
const PSCI_1_3: u64 = 0x1_0003;
/// MIGRATE_INFO_TYPE: the trusted OS does not mind where the CPUs are, or there is none.
const NO_MIGRATION_NEEDED: u64 = 2;
/// The `reset_type` of SYSTEM_RESET2 is a vendor's own.
const VENDOR_RESET: u32 = 1 << 31;
/// HIBERNATE_OFF of SYSTEM_OFF2, and its bit in PSCI_FEATURES.
const HIBERNATE_OFF: u32 = 1;

type Answer = Result<u64, PsciError>;

impl Firmware<'_> {
    /// Answers a call; `None` where it is of an optional function that is not offered.
    pub(super) fn psci(&self, call: PsciCall, caller: Caller) -> Option<Decision> {
        if !self.offers_psci(call.function()) {
            return None;
        }
        let answer = match call {
            PsciCall::Version if self.psci.hibernate => Ok(PSCI_1_3),
            PsciCall::Version => Ok(PSCI_1_1),
            PsciCall::MigrateInfoType => Ok(NO_MIGRATION_NEEDED),
            PsciCall::Features { function } => self.psci_features(function),
            PsciCall::AffinityInfo {
                target,
                lowest_level,
            } => self.affinity_info(target, lowest_level),
            call => return Some(self.psci_request(call, caller)),
        };
        Some(answered(answer))
    }

    /// Returns whether the function is there, in the width it was asked for by.
    fn offers_psci(&self, function: PsciFunction) -> bool {
        match function {
            PsciFunction::Version
            | PsciFunction::CpuSuspend
            | PsciFunction::CpuOff
            | PsciFunction::CpuOn
            | PsciFunction::AffinityInfo
            | PsciFunction::MigrateInfoType
            | PsciFunction::SystemOff
            | PsciFunction::SystemReset
            | PsciFunction::Features => true,
            PsciFunction::SystemSuspend => self.psci.system_suspend,
            PsciFunction::SystemReset2 => self.psci.warm_reset || self.psci.vendor_resets,
            PsciFunction::SystemOff2 => self.psci.hibernate,
            _ => false,
        }
    }

    fn psci_features(&self, function: FunctionId) -> Answer {
        match PsciFunction::from_id(function) {
            Some(PsciFunction::SystemOff2) if self.psci.hibernate => Ok(HIBERNATE_OFF.into()),
            // CPU_SUSPEND: platform-coordinated, power_state in the original format.
            Some(function) if self.offers_psci(function) => Ok(0),
            _ => match StandardCall::decode([function.0.into(), 0, 0, 0]) {
                StandardCall::Arch(ArchCall::Version) => Ok(0),
                _ => Err(PsciError::NotSupported),
            },
        }
    }

    /// Answers what concerns more than registers.
    fn psci_request(&self, call: PsciCall, caller: Caller) -> Decision {
        let request = match call {
            PsciCall::CpuOn {
                target,
                entry,
                context,
            } => self.cpu_on(target, || self.start(entry, context, caller)),
            PsciCall::CpuSuspend {
                power_state,
                entry,
                context,
            } => self.cpu_suspend(PowerState(power_state), entry, context, caller),
            PsciCall::CpuOff => Ok(PowerRequest::StopSelf),
            PsciCall::SystemOff => Ok(PowerRequest::SystemOff),
            PsciCall::SystemReset => Ok(PowerRequest::SystemReset(ResetKind::Cold)),
            PsciCall::SystemReset2 { reset_type, cookie } => self.system_reset2(reset_type, cookie),
            PsciCall::SystemOff2 { off_type, cookie } => match (off_type, cookie) {
                (0 | HIBERNATE_OFF, 0) => Ok(PowerRequest::Hibernate),
                _ => Err(PsciError::InvalidParameters),
            },
            PsciCall::SystemSuspend { entry, context } => {
                self.system_suspend(entry, context, caller)
            }
            _ => Err(PsciError::NotSupported),
        };
        match request {
            Ok(request @ (PowerRequest::StartVcpu(_) | PowerRequest::Suspend(_))) => {
                Decision::Answer(Results::one(0), Some(request))
            }
            // These do not return, unless the host cannot do them.
            Ok(request) => {
                let failed = Results::one(PsciError::InternalFailure.as_x0());
                Decision::Answer(failed, Some(request))
            }
            Err(error) => answered(Err(error)),
        }
    }

    fn start(&self, entry: u64, context: u64, caller: Caller) -> Result<Start, PsciError> {
        let entry = Ipa(entry);
        // A64 instructions are words.
        if !entry.is_aligned_to(4) || !self.entries.iter().any(|range| range.contains(&entry)) {
            return Err(PsciError::InvalidAddress);
        }
        Ok(Start {
            entry,
            context,
            big_endian: caller.big_endian,
        })
    }

    fn cpu_on(
        &self,
        target: u64,
        start: impl FnOnce() -> Result<Start, PsciError>,
    ) -> Result<PowerRequest, PsciError> {
        // Bits beside the affinities must be zero: equality sees to it.
        let mut cpus = self.cpus.iter().enumerate();
        let (index, cpu) = cpus
            .find(|(_, cpu)| cpu.mpidr() == target)
            .ok_or(PsciError::InvalidParameters)?;
        cpu.turn_on(&start()?)?;
        Ok(PowerRequest::StartVcpu(index))
    }

    fn affinity_info(&self, target: u64, lowest_level: u32) -> Answer {
        let counts = match lowest_level {
            0 => AFFINITY,
            1 => AFFINITY & !0xff,
            2 => AFFINITY & !0xffff,
            3 => AFFINITY & !0xff_ffff,
            _ => return Err(PsciError::InvalidParameters),
        };
        if target & !AFFINITY != 0 {
            return Err(PsciError::InvalidParameters);
        }
        let mut states = self
            .cpus
            .iter()
            .filter(|cpu| (cpu.mpidr() ^ target) & counts == 0)
            .map(|cpu| cpu.state());
        let first = states.next().ok_or(PsciError::InvalidParameters)?;
        // A cluster is on when one of its CPUs is, and about to be when one is about to.
        let state = states.fold(first, |all, one| match (all, one) {
            (AffinityState::On, _) | (_, AffinityState::On) => AffinityState::On,
            (AffinityState::Off, AffinityState::Off) => AffinityState::Off,
            _ => AffinityState::OnPending,
        });
        Ok(state as u64)
    }

    fn cpu_suspend(
        &self,
        state: PowerState,
        entry: u64,
        context: u64,
        caller: Caller,
    ) -> Result<PowerRequest, PsciError> {
        if !state.is_valid() {
            return Err(PsciError::InvalidParameters);
        }
        let resume = match state.is_power_down() {
            true => Some(self.start(entry, context, caller)?),
            false => None,
        };
        Ok(PowerRequest::Suspend(Suspend { state, resume }))
    }

    fn system_suspend(
        &self,
        entry: u64,
        context: u64,
        caller: Caller,
    ) -> Result<PowerRequest, PsciError> {
        let resume = self.start(entry, context, caller)?;
        let me = caller.mpidr & AFFINITY;
        let mut others = self.cpus.iter().filter(|cpu| cpu.mpidr() != me);
        match others.all(|cpu| cpu.state() == AffinityState::Off) {
            true => Ok(PowerRequest::SystemSuspend(resume)),
            false => Err(PsciError::Denied),
        }
    }

    fn system_reset2(&self, reset_type: u32, cookie: u64) -> Result<PowerRequest, PsciError> {
        let kind = match reset_type {
            0 if self.psci.warm_reset => ResetKind::Warm,
            VENDOR_RESET.. if self.psci.vendor_resets => ResetKind::Vendor { reset_type, cookie },
            _ => return Err(PsciError::InvalidParameters),
        };
        Ok(PowerRequest::SystemReset(kind))
    }
}

fn answered(answer: Answer) -> Decision {
    Results::one(answer.unwrap_or_else(PsciError::as_x0)).into()
}
