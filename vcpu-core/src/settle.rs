//! Settling what a change of a VM's table owes: one CPU makes all of them forget.

use core::fmt;

use vcpu_hal::{Cpu, Platform};
use vcpu_regs::{Controls, Hcr, Invalidate, Pa};
use vcpu_stage2::{AddressMap, Change, FrameSource};

use crate::{El2, Live, Vm};

/// A change is not of the table that the VM runs under. It is still owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct OtherTable {
    /// The root of the table that changed.
    pub changed: Pa,
    /// The root that the VM runs under.
    pub vm: Pa,
}

impl fmt::Display for OtherTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changed, vm } = self;
        write!(
            f,
            "the table at {changed} changed, the VM's is the one at {vm}"
        )
    }
}

impl core::error::Error for OtherTable {}

impl<P: Platform, C: Cpu> El2<'_, P, C> {
    /// Settles a change of the table that `vm` runs under: when this returns, no CPU uses what the
    /// change took away, and the frames it freed are back at their source.
    ///
    /// One CPU settles for all, whether a guest runs there or not; here none is loaded. What must
    /// be invalidated is, under the VM's VMID, on every CPU of the inner shareable domain.
    ///
    /// # Errors
    ///
    /// The change is of another table, and still owed.
    pub fn settle<F: FrameSource, M: AddressMap>(
        &mut self,
        vm: &Vm,
        change: Change<'_, F, M>,
    ) -> Result<(), OtherTable> {
        settle(self, vm, change)
    }
}

impl<P: Platform, C: Cpu> Live<'_, '_, P, C> {
    /// Settles a change of the table that this guest runs under, as [`El2::settle`] does: after a
    /// fault that the host answered, say.
    ///
    /// # Errors
    ///
    /// The change is of another table, and still owed.
    pub fn settle<F: FrameSource, M: AddressMap>(
        &mut self,
        change: Change<'_, F, M>,
    ) -> Result<(), OtherTable> {
        settle(self.el2, self.vm, change)
    }
}

fn settle<P: Platform, C: Cpu, F: FrameSource, M: AddressMap>(
    el2: &El2<'_, P, C>,
    vm: &Vm,
    change: Change<'_, F, M>,
) -> Result<(), OtherTable> {
    let (changed, vm_root) = (change.root(), vm.stage2.vttbr().root());
    if changed != vm_root {
        return Err(OtherTable {
            changed,
            vm: vm_root,
        });
    }
    // SAFETY: the steps are carried out under the VMID that `vm` has or had last. It is the only
    // one: who made its `Stage2` promised that one VM uses the table, whose root is this, for as
    // long as a guest may run under it. Of what it was used under before, a generation ago, each
    // CPU forgets all before it enters a guest again.
    unsafe { change.settle(|what| carry_out(el2, vm, what)) };
    Ok(())
}

/// Carries out an invalidation for `vm`, loaded here or not.
fn carry_out<P: Platform, C: Cpu>(el2: &El2<'_, P, C>, vm: &Vm, what: Invalidate) {
    // Every CPU is to understand a broadcast: one that has run the VM has what the VM's ID
    // registers say, for `load` checks it.
    let model = el2.ids().memory_model().common(&vm.ids.memory_model());
    let execute = |what: Invalidate| {
        for step in what.steps(&model) {
            // SAFETY: at EL2, as `enable_on` found, on a CPU with what `model` has; what acts on a
            // VMID is executed below, with the VM's in force and TGE clear.
            unsafe { el2.cpu.invalidate(step) };
        }
    };
    // Asked now: the change has been written.
    let (Some(vmid), false) = (vm.vmid(), what == Invalidate::Publish) else {
        // A VM that has not run is in no TLB.
        return execute(Invalidate::Publish);
    };
    // A handler could find the VM's stage 2 in force, or the host's TGE gone.
    let daif = el2.cpu.mask_interrupts();
    // SAFETY: at EL2 with these features, as `enable_on` found.
    let in_force = unsafe { el2.cpu.controls(el2.features) };
    let under_vm = Controls {
        hcr: in_force.hcr.difference(Hcr::TGE) | Hcr::VM,
        vtcr: vm.stage2.vtcr().bits(),
        vttbr: vm.stage2.vttbr().with_vmid(vmid).bits(),
        ..in_force
    };
    let switch = under_vm != in_force;
    if switch {
        // SAFETY: as above. E2H stays, and nothing interrupts until the rest is as it was. No
        // guest runs meanwhile.
        unsafe { el2.cpu.set_controls(&under_vm, el2.features) };
    }
    execute(what);
    if switch {
        // SAFETY: as it was.
        unsafe { el2.cpu.set_controls(&in_force, el2.features) };
    }
    el2.cpu.restore_interrupts(daif);
}
