//! `load` and `put`: a vCPU's state onto this CPU, and back.
//!
//! A load that follows another of the same kind in [`Turns`](crate::Turns) writes only what
//! differs; what must be computed is kept in the vCPU ([`Prepared`]).

use vcpu_hal::{Cpu, Guard, HcrSwitch, Inject, Platform, inject::CpuInterface};
use vcpu_regs::{
    Controls, Features, GranuleSupport, Hcr, IdExcess, IdRegisters, Invalidate, VectorLengths, Vtcr,
};
use vcpu_stage2::Before;

use crate::{
    El2, Fp, Interrupts, Live, Vcpu, Vm, el2::Residency, number, policy::Identity, vectors,
};

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
    /// The host's backend delivers virtual interrupts by list registers (`ICH_LR<n>_EL2`), which
    /// this CPU lacks (`ID_AA64PFR0_EL1.GIC`).
    NoListRegisters,
    /// The stage 2 has no VMID of its own, and this [`El2`] none to give:
    /// [`with_vmids`](El2::with_vmids).
    NoVmid,
    /// The VMIDs to give have more bits than the stage 2 was made for.
    VmidTooWide {
        /// Bits of the VMIDs.
        given: u8,
        /// Bits that `VTCR_EL2.VS` says count.
        counted: u8,
    },
    /// The VM's ID registers promise what this CPU lacks: see [`Vm::narrow`].
    Lacks(IdExcess),
    /// The VM is shown SVE, and the vCPU has no memory for its registers: [`Vcpu::lend_sve`].
    NoSveState,
    /// This CPU has other vector lengths than the VM was promised: longer ones do not count, for
    /// they can be kept from it. See [`Vm::limit_vectors`].
    VectorLengths {
        /// What the VM's guest may have found.
        promised: VectorLengths,
        /// What this CPU has, up to the longest of them.
        available: VectorLengths,
    },
    /// The VM's clock is stopped: [`Vm::start_clock`] comes first.
    ClockStopped,
    /// The CPU's index is not below [`MAX_CPUS`](crate::MAX_CPUS), up to which VMIDs are given out.
    CpuIndex(usize),
}

/// The controls of a vCPU on one CPU, kept for its next stay there.
pub(crate) struct Prepared {
    /// As between two runs.
    pub(crate) controls: Controls,
    /// HCR_EL2 in the guest, and between two runs.
    hcr: HcrSwitch,
    /// What of the CPU's state is the guest's.
    granted: Features,
    /// Whether the guest has FP and SIMD.
    pub(crate) has_fp: bool,
    /// The bits of CPTR_EL2 that make FP trap in a guest that has not used it, beside a host that
    /// does.
    pub(crate) fp_trap: u64,
    guard: Guard,
    /// Whether the guest has SVE, which counts as granted from its first use of it.
    pub(crate) has_sve: bool,
    /// `ZCR_EL2` of a guest that has SVE.
    pub(crate) zcr: u64,
    /// What they were made of.
    of: Origin,
    /// Names what guests under one policy share of `controls`, and `guard`: equal where those are.
    kind: u64,
}

/// What the controls of a vCPU are made of, but for its policy and affinity, which it keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Origin {
    /// [`El2::host_words`], which tells the CPU too; 0 is none's.
    host: u64,
    /// [`Vm::number`], which tells the clock's settings too.
    vm: u64,
}

impl Default for Prepared {
    /// Returns what fits nowhere.
    fn default() -> Self {
        Self {
            controls: Controls::default(),
            hcr: HcrSwitch::new(Hcr::empty(), Hcr::empty()),
            granted: IdRegisters::default().features(),
            has_fp: false,
            fp_trap: 0,
            guard: Guard::default(),
            has_sve: false,
            zcr: 0,
            of: Origin { host: 0, vm: 0 },
            kind: 0,
        }
    }
}

impl<'a, 'h, P: Platform, C: Cpu> Live<'a, 'h, P, C> {
    #[inline(always)] // a value that would be copied from function to function
    pub(crate) fn load(
        vcpu: &'a mut Vcpu<P>,
        el2: &'a mut El2<'h, P, C>,
        vm: &'a Vm,
    ) -> Result<Self, LoadError> {
        if el2.residency != Residency::Between {
            el2.arrive()?;
        }
        let of = Origin {
            host: el2.host_words,
            vm: vm.number(),
        };
        if vcpu.prepared.of != of {
            prepare(vcpu, el2, vm, of)?;
        }
        let before = occupy(vcpu, el2, vm)?;
        let prepared = &vcpu.prepared;
        let hcr = prepared.hcr;
        el2.granted = prepared.granted;
        // SAFETY: `arrive` found EL2, which has what is granted. `Live` keeps `el2`, so nothing
        // else uses EL1 here.
        unsafe { el2.cpu.load_switched(&vcpu.switched, el2.granted) };
        if vcpu.policy.interrupts == Interrupts::Virtual {
            let index = el2.index;
            el2.host.inject().load(&el2.cpu, &mut vcpu.pending, index);
        }
        vcpu.fp_is_live = false;
        if vcpu.serror_pending {
            // SAFETY: at EL2, as above, under this guest's controls.
            unsafe { el2.cpu.set_virtual_serror(true) };
        }
        let mut live = Self { vcpu, el2, vm, hcr };
        if let Some(what) = before {
            invalidate(live.el2, hcr, what);
        }
        if live.vcpu.policy.fp == Fp::Eager && live.vcpu.prepared.has_fp {
            vectors::load(live.vcpu, live.el2);
        }
        live.arm_debug();
        live.note_lines();
        Ok(live)
    }
}

impl<P: Platform, C: Cpu> Drop for Live<'_, '_, P, C> {
    fn drop(&mut self) {
        let El2 { cpu, granted, .. } = &*self.el2;
        // SAFETY: at EL2, which has what is granted, as `load` found.
        unsafe { cpu.save_switched(&mut self.vcpu.switched, *granted) };
        if self.vcpu.policy.interrupts == Interrupts::Virtual {
            self.el2.host.inject().put(cpu, &mut self.vcpu.pending);
        }
        if self.vcpu.serror_pending {
            // SAFETY: at EL2, as `load` found.
            self.vcpu.serror_pending = unsafe { cpu.virtual_serror() };
        }
        if self.vcpu.fp_is_live {
            vectors::put(self.vcpu, self.el2);
        }
        self.el2.leave();
    }
}

/// Drops translations of the loaded guest, which is entered with `hcr`.
#[cold]
#[inline(never)]
pub(crate) fn invalidate<P: Platform, C: Cpu>(
    el2: &El2<'_, P, C>,
    hcr: HcrSwitch,
    what: Invalidate,
) {
    let El2 { cpu, features, .. } = el2;
    let forget = || {
        for step in what.steps(&el2.ids().memory_model()) {
            // SAFETY: at EL2, as `load` found; these are the steps that this CPU's features
            // allow, and with TGE clear they act on the VMID in force.
            unsafe { cpu.invalidate(step) };
        }
    };
    if !hcr.host().contains(Hcr::TGE) {
        return forget();
    }
    // They would act on the host's translations: TGE is clear around them, which nothing is to
    // interrupt.
    let daif = cpu.mask_interrupts();
    // SAFETY: at EL2 with these features, as `load` found. E2H stays; TGE is as the host has
    // it again before interrupts are.
    unsafe {
        let host = cpu.controls(*features);
        let guest = Controls {
            hcr: hcr.guest(),
            ..host
        };
        cpu.set_controls(&guest, *features);
        forget();
        cpu.set_controls(&host, *features);
    }
    cpu.restore_interrupts(daif);
}

/// Puts the guest's controls in force; returns what this CPU must forget before it runs.
#[inline(always)]
fn occupy<P: Platform, C: Cpu>(
    vcpu: &mut Vcpu<P>,
    el2: &mut El2<'_, P, C>,
    vm: &Vm,
) -> Result<Option<Invalidate>, LoadError> {
    if vm.stage2.vmid().is_some() {
        // Nobody counted what this VMID was used for before.
        let before = match vm.tag.visit(el2.index, &mut vcpu.tag) {
            Some(Before::Same) => None,
            _ => Some(Invalidate::LocalVmid),
        };
        set_controls(vcpu, el2, before.is_some());
        return Ok(before);
    }
    let Some(vmids) = el2.vmids else {
        return Err(LoadError::NoVmid);
    };
    // The VMID is this CPU's until another is activated: no handler is to do that meanwhile. Once
    // stage 2 is on, it would find the CPU occupied.
    let daif = el2.cpu.mask_interrupts();
    // SAFETY: `PerCpu` promises an index that is this CPU's alone; `load` carries out what comes
    // before the guest; nothing interrupts.
    let activation = unsafe { vmids.activate(el2.index, &vm.tag, &mut vcpu.tag) };
    let before = match activation {
        Some(activation) => {
            let vttbr = vm.stage2.vttbr().with_vmid(activation.vmid);
            vcpu.prepared.controls.vttbr = vttbr.bits();
            set_controls(vcpu, el2, activation.before.is_some());
            Ok(activation.before)
        }
        None => Err(LoadError::CpuIndex(el2.index)),
    };
    el2.cpu.restore_interrupts(daif);
    before
}

/// Puts the guest's controls in force: at once if something is to be done under them.
#[inline(always)]
fn set_controls<P: Platform, C: Cpu>(vcpu: &Vcpu<P>, el2: &mut El2<'_, P, C>, at_once: bool) {
    let Prepared {
        controls,
        kind,
        guard,
        ..
    } = &vcpu.prepared;
    let in_force = el2.residency == Residency::Between && el2.kind == *kind && !at_once;
    el2.residency = Residency::Guest;
    // SAFETY: `arrive` found EL2; the controls were made for this CPU's features and this host:
    // they leave E2H and the routing of interrupts as the host has them. What `set_guest` does not
    // write is in force, as the kind says.
    unsafe {
        if in_force {
            el2.cpu.set_guest(controls);
        } else {
            el2.cpu.set_controls(controls, el2.features);
            el2.kind = *kind;
            el2.kind_words = controls.shared();
            el2.kind_guard = *guard;
            el2.kept = el2.cpu.keep(*guard);
        }
    }
}

/// Computes what a load needs, for the vCPU to keep.
#[cold]
#[inline(never)]
fn prepare<P: Platform, C: Cpu>(
    vcpu: &mut Vcpu<P>,
    el2: &El2<'_, P, C>,
    vm: &Vm,
    of: Origin,
) -> Result<(), LoadError> {
    if vm.is_clock_stopped() {
        return Err(LoadError::ClockStopped);
    }
    check(el2, vm)?;
    let has_lists = P::Inject::CPU_INTERFACE == CpuInterface::SystemRegisters;
    let is_virtual = vcpu.policy.interrupts == Interrupts::Virtual;
    if has_lists && is_virtual && !el2.features.gicv3() {
        return Err(LoadError::NoListRegisters);
    }
    vcpu.registers
        .bind(el2.ids().has_a32_el0() && vm.ids.has_a32_el0());
    let granted = vcpu.policy.granted(el2.features, vm.ids.features());
    let has_fp = vm.ids.has_fp();
    let has_sve = has_fp && granted.sve();
    if has_sve && vcpu.sve.is_none() {
        return Err(LoadError::NoSveState);
    }
    let granted = granted.with_sve(false);
    let identity = Identity {
        granted,
        has_fp,
        has_sve,
        midr: vm.ids.midr(),
        mpidr: vcpu.mpidr,
        counter_offset: vm.counter_offset(),
        has_physical_offset: vm.physical_offset() != 0,
    };
    let host = &el2.host_controls;
    let interface = P::Inject::CPU_INTERFACE;
    let mut controls = vcpu
        .policy
        .controls(el2.ids(), host, &vm.stage2, interface, identity);
    let hcr = HcrSwitch::new(controls.hcr, between(controls.hcr, host.hcr));
    controls.hcr = hcr.host();
    let fp_trap = match el2.cpu.host_uses_fp() {
        true => vectors::keep_open(&mut controls),
        false => 0,
    };
    let guard = Guard {
        error_barrier: el2.features.ras(),
        branch_history: vcpu.policy.branch_history,
    };
    let is_of_last_kind = controls.shared() == el2.kind_words && guard == el2.kind_guard;
    vcpu.prepared = Prepared {
        controls,
        hcr,
        granted,
        has_fp,
        fp_trap,
        guard,
        has_sve,
        zcr: vm.vectors.zcr(),
        of,
        kind: if is_of_last_kind {
            el2.kind
        } else {
            number::fresh()
        },
    };
    Ok(())
}

/// Returns HCR_EL2 between two runs: a host with E2H has its own, TGE, its EL0 and all. Another
/// sees only where interrupts go, and the rest stays: clearing VM costs a TLB on some machines.
///
/// What is of stage 2 alone (VM, PTW, FWB) is the guest's in either case: VM says that a guest is
/// loaded, and no entry changes any.
fn between(guest: Hcr, host: Hcr) -> Hcr {
    const STAGE2: Hcr = Hcr::VM.union(Hcr::PTW).union(Hcr::FWB);
    if host.contains(Hcr::E2H) {
        host.difference(STAGE2) | guest & STAGE2
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
    if let Some(excess) = vm.excess(el2) {
        return Err(LoadError::Lacks(excess));
    }
    if vm.ids.features().sve() {
        let available = el2.vector_lengths().up_to(vm.vectors.longest_bits());
        if available != vm.vectors {
            return Err(LoadError::VectorLengths {
                promised: vm.vectors,
                available,
            });
        }
    }
    if vm.stage2.vmid().is_none() {
        let given = el2.vmids.ok_or(LoadError::NoVmid)?.bits();
        let counted = if vtcr.wide_vmid { 16 } else { 8 };
        if given > counted {
            return Err(LoadError::VmidTooWide { given, counted });
        }
    }
    Ok(())
}
