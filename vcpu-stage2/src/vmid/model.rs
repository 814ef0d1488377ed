//! The allocator over loom's atomics, and checks of both.

extern crate std;

use loom::sync::atomic;

macro_rules! constructor {
    ($(#[$doc:meta])* pub fn $($rest:tt)*) => { $(#[$doc])* pub fn $($rest)* };
}
macro_rules! atomics {
    ($new:expr; $count:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $new)
    };
}

fn pause() {
    loom::thread::yield_now();
}

#[allow(
    dead_code,
    clippy::duplicate_mod,
    reason = "the same code with atomics that loom watches"
)]
#[path = "generations.rs"]
mod generations;

use generations::{VcpuTag, VmTag, Vmids};
use loom::sync::{Arc, Mutex};
use std::{collections::BTreeMap, vec::Vec};
use vcpu_regs::{Invalidate, Vmid};

/// What the TLB of each CPU may hold: a VMID, and which VM's translations it tags.
#[derive(Debug, Default)]
struct Tlbs {
    held: [BTreeMap<Vmid, usize>; 2],
}

/// Enters VM `vm` on CPU `cpu`: the TLB must hold nothing of another VM under its VMID.
fn enter(
    vmids: &Vmids<2, 1>,
    vms: &[VmTag<2>],
    tlbs: &Mutex<Tlbs>,
    cpu: usize,
    vm: usize,
    vcpu: &mut VcpuTag,
) {
    // SAFETY: each thread of the test is one CPU, and carries out `before` here.
    let activation = unsafe { vmids.activate(cpu, &vms[vm], vcpu) }.unwrap();
    let mut tlbs = tlbs.lock().unwrap();
    let held = &mut tlbs.held[cpu];
    match activation.before {
        Some(Invalidate::LocalAllVmids) => held.clear(),
        Some(Invalidate::LocalVmid) => drop(held.remove(&activation.vmid)),
        _ => {}
    }
    let owner = *held.entry(activation.vmid).or_insert(vm);
    assert_eq!(owner, vm, "CPU {cpu} sees the translations of another VM");
}

/// Two CPUs enter more VMs than there are VMIDs, in every order: each rollover must keep what
/// runs and flush what does not.
fn check(schedules: [Vec<usize>; 2], preemptions: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let vmids = Arc::new(Vmids::<2, 1>::new(2).unwrap());
        let vms: Arc<[VmTag<2>; 4]> = Arc::new(core::array::from_fn(|_| VmTag::new()));
        let tlbs = Arc::new(Mutex::new(Tlbs::default()));
        let threads: Vec<_> = schedules
            .iter()
            .cloned()
            .enumerate()
            .map(|(cpu, schedule)| {
                let (vmids, vms, tlbs) = (vmids.clone(), vms.clone(), tlbs.clone());
                loom::thread::spawn(move || {
                    for vm in schedule {
                        enter(&vmids, &*vms, &tlbs, cpu, vm, &mut VcpuTag::new(0));
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn rollover_against_a_fast_entry_keeps_vms_apart() {
    // CPU 0 re-enters its VM without the lock while CPU 1 uses up the VMIDs.
    check([[0, 0, 0].into(), [1, 2, 3].into()], 3);
}

#[test]
fn two_rollovers_against_each_other_keep_vms_apart() {
    check([[0, 1, 0].into(), [2, 3, 2].into()], 2);
}
