//! A virtual CPU whose state is on this physical one.

use core::{
    mem,
    ops::{Deref, DerefMut},
};

use vcpu_hal::{Cause, Cpu, FetchIrq, HcrSwitch, Inject, Platform};
use vcpu_regs::{
    Cnthctl, Controls, GranuleSupport, Hcr, IccSre, Invalidate, Mdcr, SwitchedReg, Vtcr,
};
use vcpu_stage2::Stage2;

use crate::{El2, Exit, Registers, Vcpu, Vm, policy::Identity};

/// What a run of this host's guests ends with.
pub type ExitOf<P> = Exit<<<P as Platform>::FetchIrq as FetchIrq>::Token>;

/// Why a vCPU was not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// Stage 2 is on already (`HCR_EL2.VM`): another [`El2`] of this CPU has a guest loaded, or had
    /// one that was forgotten.
    Occupied,
    /// The stage 2 was made for CPUs with larger physical addresses than this one's.
    PaTooWide {
        /// Bits that `VTCR_EL2.PS` asks for.
        needed: u8,
        /// Bits that `ID_AA64MMFR0_EL1.PARange` offers.
        available: u8,
    },
    /// `VTCR_EL2` asks for a granule, a descriptor format, a VMID width or an update by hardware
    /// that this CPU lacks.
    NotWalkable(Vtcr),
    /// The stage 2 was made for CPUs with FEAT_S2FWB, which this one lacks.
    NoForceWriteBack,
}

/// A vCPU that is live on this CPU: only this runs. Dropping it takes the state back.
///
/// It dereferences to [`Registers`]. The host keeps this CPU while it lives: nothing else uses
/// the EL1 registers, and the code does not move to another CPU.
pub struct Live<'a, 'h, P: Platform, C: Cpu> {
    pub(crate) vcpu: &'a mut Vcpu<P>,
    pub(crate) el2: &'a mut El2<'h, P, C>,
    pub(crate) vm: &'a Vm,
    hcr: HcrSwitch,
    /// The host's.
    vectors: u64,
}

impl<'a, 'h, P: Platform, C: Cpu> Live<'a, 'h, P, C> {
    #[inline(always)] // a value that would be copied from function to function
    pub(crate) fn load(
        vcpu: &'a mut Vcpu<P>,
        el2: &'a mut El2<'h, P, C>,
        vm: &'a Vm,
    ) -> Result<Self, LoadError> {
        let (hcr, vectors) = Live::occupy(vcpu, el2, vm)?;
        let mut live = Self {
            vcpu,
            el2,
            vm,
            hcr,
            vectors,
        };
        live.note_lines();
        Ok(live)
    }

    /// Puts the guest's state on this CPU; returns what an entry needs.
    fn occupy(
        vcpu: &'a mut Vcpu<P>,
        el2: &'a mut El2<'h, P, C>,
        vm: &'a Vm,
    ) -> Result<(HcrSwitch, u64), LoadError> {
        el2.restore_host(); // of a guest that was forgotten
        let features = el2.features;
        el2.save_host();
        let (host, index) = (&el2.host_controls, el2.index);
        if host.hcr.contains(Hcr::VM) {
            return Err(LoadError::Occupied);
        }
        let host_hcr = host.hcr;
        let prepared = match &mut vcpu.prepared {
            Some(prepared) if prepared.fits(index, host, vm) => prepared,
            prepared => {
                check(el2, vm)?;
                vcpu.registers.bind(el2.ids().has_a32_el0());
                let identity = Identity {
                    midr: vm.ids.midr(),
                    mpidr: vcpu.mpidr,
                    counter_offset: vm.counter_offset,
                };
                let guest = vcpu.policy.controls(el2.ids(), host, &vm.stage2, identity);
                prepared.insert(Prepared::new(index, host, guest, vm))
            }
        };
        let hcr = HcrSwitch {
            guest: prepared.hcr,
            host: between(prepared.hcr, host_hcr),
        };
        prepared.controls.hcr = hcr.host;
        el2.is_loaded = true;
        // SAFETY: EL2 and its features as above; these leave E2H and the routing of
        // interrupts as the host has them. `Live` keeps `el2`, so nothing else uses EL1 here, and
        // FP no longer traps; `Vcpu` holds what is put on the hardware.
        unsafe {
            el2.cpu.set_controls(&prepared.controls, features);
            el2.cpu.load_switched(&vcpu.switched, features);
            el2.cpu.load_fp(&vcpu.fp);
        }
        el2.host.inject().load(&el2.cpu, &mut vcpu.pending);
        let vectors = el2.cpu.vectors();
        let mut live = Self {
            vcpu,
            el2,
            vm,
            hcr,
            vectors,
        };
        live.forget_others();
        live.arm_debug();
        mem::forget(live); // it stays
        Ok((hcr, vectors))
    }

    /// Drops translations that another vCPU of the same VMID, or an earlier stay of this one,
    /// left on this CPU: vCPUs share a VMID and yet believe their TLBs to be their own.
    fn forget_others(&mut self) {
        let here = self.el2.index;
        // From here on, not from `drop`: a guest that is forgotten was here all the same.
        let was_last = self.vm.came_to(here, self.vcpu.number);
        let last_cpu = self.vcpu.last_cpu.replace(here);
        if !was_last || last_cpu != Some(here) {
            self.invalidate(Invalidate::LocalVmid);
        }
    }

    /// Drops translations of the guest.
    pub(crate) fn invalidate(&self, what: Invalidate) {
        let El2 { cpu, features, .. } = &*self.el2;
        let forget = || {
            for step in what.steps(&self.el2.ids().memory_model()) {
                // SAFETY: at EL2, as `load` found; these are the steps that this CPU's features
                // allow, and with TGE clear they act on the VMID in force.
                unsafe { cpu.invalidate(step) };
            }
        };
        if !self.hcr.host.contains(Hcr::TGE) {
            return forget();
        }
        // They would act on the host's translations: TGE is clear around them, which nothing is to
        // interrupt.
        let daif = cpu.mask_interrupts();
        // SAFETY: at EL2 with these features, as `load` found. E2H stays; TGE is as the host has
        // it again before interrupts are.
        unsafe {
            let host = cpu.controls(*features);
            cpu.set_controls(
                &Controls {
                    hcr: self.hcr.guest,
                    ..host
                },
                *features,
            );
            forget();
            cpu.set_controls(&host, *features);
        }
        cpu.restore_interrupts(daif);
    }

    /// Runs the guest until it needs the host.
    ///
    /// Returns with the interrupt masks as they were. What else the host sees of itself is as
    /// before too: stack pointers, thread registers, vectors, routing of interrupts.
    #[inline(always)]
    pub fn run(&mut self) -> ExitOf<P> {
        if self.vcpu.pending_serror.is_some() {
            self.deliver_serror();
        }
        let El2 { cpu, host, .. } = &*self.el2;
        let frame = &mut self.vcpu.registers.frame;
        let daif = cpu.mask_interrupts();
        let mut hcr = self.hcr;
        if !P::Inject::LINES_KEEP {
            hcr.guest |= host.inject().lines(&self.vcpu.pending).hcr();
        }
        // SAFETY: `load` found EL2 on its own stack and put the guest's controls in force, whose
        // stage 2 its maker promised to the guest; interrupts are masked; `Registers` lets no
        // PSTATE in that leads elsewhere than EL0 or EL1, and exits from there bring none;
        // `Policy::controls` sets VM, AMO and RW, keeps E2H, and leaves TGE clear.
        let words = unsafe { cpu.enter(frame, hcr, self.vectors) };
        match words.cause {
            Cause::Synchronous if words.is_abort_class() => {
                cpu.restore_interrupts(daif);
                Exit::abort(&self.vcpu.registers, words)
            }
            Cause::Synchronous => {
                cpu.restore_interrupts(daif);
                Exit::instruction(&self.vcpu.registers, words.esr)
            }
            Cause::Irq => {
                host.inject().interrupted(cpu, &mut self.vcpu.pending);
                let token = host.fetch_irq().fetch(cpu);
                cpu.restore_interrupts(daif);
                Exit::Irq(token)
            }
            Cause::Fiq => {
                cpu.restore_interrupts(daif);
                Exit::Fiq
            }
            Cause::SError => {
                cpu.restore_interrupts(daif);
                Exit::serror(words.esr)
            }
        }
    }

    /// Takes the guest's state back into its [`Vcpu`]; the same as dropping this.
    pub fn put(self) {}

    /// Returns this CPU.
    pub fn cpu(&self) -> &C {
        self.el2.cpu()
    }

    /// Returns the VM it runs for.
    pub fn vm(&self) -> &'a Vm {
        self.vm
    }

    /// Takes the lines over into what entries are made with, where they keep until the next call.
    pub(crate) fn note_lines(&mut self) {
        if P::Inject::LINES_KEEP {
            let lines = self.el2.host.inject().lines(&self.vcpu.pending);
            self.hcr.guest = self.hcr.guest.difference(Hcr::VI | Hcr::VF) | lines.hcr();
        }
    }

    /// Returns a system register of the guest.
    pub fn sysreg(&self, reg: SwitchedReg) -> u64 {
        if !reg.exists(self.el2.features) {
            return self.vcpu.switched.get(reg);
        }
        // SAFETY: at EL2, as `load` found; the CPU has the register.
        unsafe { self.el2.cpu.read_switched(reg) }
    }

    /// Replaces a system register of the guest.
    pub fn set_sysreg(&mut self, reg: SwitchedReg, value: u64) {
        if reg.exists(self.el2.features) {
            // SAFETY: at EL2, as `load` found; the CPU has the register, and while the guest is
            // loaded it is the guest's.
            unsafe { self.el2.cpu.write_switched(reg, value) };
        } else {
            self.vcpu.switched.set(reg, value);
        }
    }
}

/// The controls of a vCPU on one CPU, kept for its next stay there.
pub(crate) struct Prepared {
    /// The guest's, but for HCR_EL2: that is as between two runs.
    controls: Controls,
    /// HCR_EL2 in the guest.
    hcr: Hcr,
    /// Where, and what they were made of that may differ the next time.
    index: usize,
    stage2: Stage2,
    host: HostPart,
}

/// The host's words of which the guest's keep something.
#[derive(PartialEq, Eq)]
struct HostPart {
    mdcr: Mdcr,
    cnthctl: Cnthctl,
    icc_sre: IccSre,
    mpam2: u64,
}

impl HostPart {
    fn of(host: &Controls) -> Self {
        Self {
            mdcr: host.mdcr,
            cnthctl: host.cnthctl,
            icc_sre: host.icc_sre,
            mpam2: host.mpam2,
        }
    }
}

impl Prepared {
    fn new(index: usize, host: &Controls, guest: Controls, vm: &Vm) -> Self {
        Self {
            controls: guest,
            hcr: guest.hcr,
            index,
            stage2: vm.stage2,
            host: HostPart::of(host),
        }
    }

    /// Returns whether they are right once more. A CPU keeps its features and its E2H, a vCPU its
    /// policy, and a [`Vm`] all that it was made with.
    fn fits(&self, index: usize, host: &Controls, vm: &Vm) -> bool {
        self.index == index
            && self.stage2 == vm.stage2
            && self.controls.cntvoff == vm.counter_offset
            && self.host == HostPart::of(host)
    }
}

/// Returns HCR_EL2 between two runs: a host with E2H has its own, TGE, its EL0 and all. Another
/// sees only where interrupts go, and the rest stays: clearing VM costs a TLB on some machines.
///
/// VM says in either case that a guest is loaded; under E2H and TGE it does nothing else.
fn between(guest: Hcr, host: Hcr) -> Hcr {
    if host.contains(Hcr::E2H) {
        host | Hcr::VM
    } else {
        guest.difference(Hcr::ROUTING) | host & Hcr::ROUTING
    }
}

/// Finds a stage 2 that this CPU cannot walk: CPUs of one machine may differ.
fn check<P: Platform, C: Cpu>(el2: &El2<'_, P, C>, vm: &Vm) -> Result<(), LoadError> {
    let model = el2.ids().memory_model();
    let Some(vtcr) = vm.stage2.vtcr().fields() else {
        return Err(LoadError::NotWalkable(vm.stage2.vtcr()));
    };
    if vtcr.pa_bits > model.pa_bits() {
        return Err(LoadError::PaTooWide {
            needed: vtcr.pa_bits,
            available: model.pa_bits(),
        });
    }
    let granule = model.stage2_granule(vtcr.granule);
    let walkable = granule != GranuleSupport::Absent
        && (!vtcr.wide_descriptors || granule == GranuleSupport::Lpa2)
        && (!vtcr.wide_vmid || model.vmid_bits() == 16)
        && (!vtcr.access_flag_updates || model.has_access_flag_updates())
        && (!vtcr.dirty_updates || model.has_dirty_updates());
    if !walkable {
        return Err(LoadError::NotWalkable(vm.stage2.vtcr()));
    }
    if vm.stage2.needs_force_write_back() && !model.has_force_write_back() {
        return Err(LoadError::NoForceWriteBack);
    }
    Ok(())
}

impl<P: Platform, C: Cpu> Drop for Live<'_, '_, P, C> {
    fn drop(&mut self) {
        let features = self.el2.features;
        let cpu = &self.el2.cpu;
        // SAFETY: at EL2 with these features, as `load` found; under the guest's controls FP does
        // not trap.
        unsafe {
            cpu.save_switched(&mut self.vcpu.switched, features);
            cpu.save_fp(&mut self.vcpu.fp);
        }
        self.el2.host.inject().put(cpu, &mut self.vcpu.pending);
        self.el2.restore_host();
    }
}

impl<P: Platform, C: Cpu> Deref for Live<'_, '_, P, C> {
    type Target = Registers;

    fn deref(&self) -> &Registers {
        &self.vcpu.registers
    }
}

impl<P: Platform, C: Cpu> DerefMut for Live<'_, '_, P, C> {
    fn deref_mut(&mut self) -> &mut Registers {
        &mut self.vcpu.registers
    }
}
