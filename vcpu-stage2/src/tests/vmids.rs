//! The VMID allocator on one thread: numbers, generations, who must forget what.

extern crate std;

use crate::{VcpuTag, VmTag, Vmids};
use proptest::prelude::*;
use std::{collections::BTreeMap, vec::Vec};
use vcpu_regs::{Invalidate, Vmid};

/// Enters a vCPU; returns its VMID and what must go first.
fn enter<const CPUS: usize, const WORDS: usize>(
    vmids: &Vmids<CPUS, WORDS>,
    cpu: usize,
    vm: &VmTag<CPUS>,
    vcpu: &mut VcpuTag,
) -> (u16, Option<Invalidate>) {
    // SAFETY: no guest runs in a test.
    let activation = unsafe { vmids.activate(cpu, vm, vcpu) }.unwrap();
    (activation.vmid.get(), activation.before)
}

#[test]
fn a_vm_keeps_its_vmid_and_a_cpu_flushes_once() {
    static VMIDS: Option<Vmids<2, 4>> = Vmids::new(8);
    let vmids = VMIDS.as_ref().unwrap();
    let (a, b) = (VmTag::new(), VmTag::new());
    let (mut vcpu_a, mut vcpu_b) = (VcpuTag::new(0), VcpuTag::new(0));
    assert_eq!(a.vmid(), None);
    assert_eq!(
        enter(vmids, 0, &a, &mut vcpu_a),
        (1, Some(Invalidate::LocalAllVmids))
    );
    assert_eq!(enter(vmids, 0, &b, &mut vcpu_b), (2, None));
    assert_eq!(enter(vmids, 0, &a, &mut vcpu_a), (1, None));
    assert_eq!(a.vmid(), Vmid::new(1));
}

#[test]
fn vcpus_taking_turns_and_vcpus_that_moved_forget() {
    let vmids = Vmids::<2, 4>::new(8).unwrap();
    let vm = VmTag::new();
    let (mut a, mut b) = (VcpuTag::new(0), VcpuTag::new(1));
    enter(&vmids, 0, &vm, &mut a);
    enter(&vmids, 1, &vm, &mut b);
    let local = Some(Invalidate::LocalVmid);
    assert_eq!(enter(&vmids, 0, &vm, &mut a), (1, None));
    assert_eq!(
        enter(&vmids, 1, &vm, &mut a),
        (1, local),
        "b ran there last"
    );
    assert_eq!(enter(&vmids, 1, &vm, &mut a), (1, None));
    assert_eq!(
        enter(&vmids, 0, &vm, &mut a),
        (1, local),
        "a was elsewhere meanwhile"
    );
    assert_eq!(enter(&vmids, 1, &vm, &mut b), (1, local));
}

#[test]
fn a_cpu_that_does_not_exist_gets_nothing() {
    let vmids = Vmids::<1, 4>::new(8).unwrap();
    // SAFETY: no guest runs in a test.
    let nothing = unsafe { vmids.activate(1, &VmTag::new(), &mut VcpuTag::new(0)) };
    assert_eq!(nothing, None);
    assert!(Vmids::<2, 1>::new(1).is_none(), "one VMID for two CPUs");
    assert!(Vmids::<255, 4>::new(8).is_none());
    assert!(Vmids::<254, 4>::new(8).is_some());
}

#[test]
#[cfg_attr(miri, ignore = "no unsafe code in it")]
fn sixteen_bits_are_all_used() {
    let vmids = std::boxed::Box::new(Vmids::<1>::new(16).unwrap());
    let mut seen = [false; 1 << 16];
    for _ in 1..1u32 << 16 {
        let (vmid, _) = enter(&vmids, 0, &VmTag::new(), &mut VcpuTag::new(0));
        assert!(!core::mem::replace(&mut seen[usize::from(vmid)], true));
    }
    assert!(!seen[0]);
    let (_, before) = enter(&vmids, 0, &VmTag::new(), &mut VcpuTag::new(0));
    assert_eq!(before, Some(Invalidate::LocalAllVmids));
}

proptest! {
    #![proptest_config(super::cases(256))]

    /// Any order of entries on any CPUs: no TLB ever holds two VMs under one VMID, no two CPUs
    /// run two VMs under one.
    #[test]
    fn vms_stay_apart(entries in prop::collection::vec((0..3usize, 0..9usize), 1..300)) {
        let vmids = Vmids::<3, 1>::new(3).unwrap();
        let vms: [VmTag<3>; 9] = core::array::from_fn(|_| VmTag::new());
        let mut vcpus: Vec<Vec<VcpuTag>> =
            (0..9).map(|_| (0..3).map(VcpuTag::new).collect()).collect();
        let mut tlbs: [BTreeMap<u16, usize>; 3] = Default::default();
        let mut running: [Option<(u16, usize)>; 3] = [None; 3];
        for (cpu, vm) in entries {
            let (vmid, before) = enter(&vmids, cpu, &vms[vm], &mut vcpus[vm][cpu]);
            if before == Some(Invalidate::LocalAllVmids) {
                tlbs[cpu].clear();
            }
            prop_assert_eq!(*tlbs[cpu].entry(vmid).or_insert(vm), vm);
            running[cpu] = Some((vmid, vm));
            for other in running.iter().flatten() {
                prop_assert!(other.0 != vmid || other.1 == vm);
            }
        }
    }
}
