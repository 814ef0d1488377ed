//! SVE registers of guests that are granted them, and of those that are not.

use std::cell::RefCell;

use vcpu_core::{El2, Exit, Extensions, Fp, LoadError, Policy, Vcpu, Vm};
use vcpu_hal::{
    fake::{ScriptedCpu, Step},
    inject::HcrLine,
    irq::LeavePending,
};
use vcpu_regs::{Controls, Hcr, Predicates, SveState, SwitchedReg, VectorLengths};

use crate::rig::*;

const FP: u64 = esr(0x07, 1 << 24 | 0xe << 20);
const SVE: u64 = esr(0x19, 0);
/// What the host left in ZCR_EL2.
const HOST_ZCR: u64 = 0xf;

/// A guest that is granted SVE alone, on a CPU with vectors of up to 512 bits.
fn guest(fp: Fp) -> Guest {
    let granted = Guest::granted();
    Guest {
        policy: Policy {
            fp,
            ..Policy::default()
        },
        extensions: Extensions::SVE,
        ..granted
    }
}

fn e2h() -> Controls {
    Controls {
        hcr: Hcr::RW | Hcr::E2H | Hcr::TGE,
        ..host_controls()
    }
}

/// A byte of its own for each place: `salt` tells guests apart.
fn z(salt: u8, n: usize) -> [u8; 256] {
    core::array::from_fn(|at| (n * 7 + at * 3) as u8 ^ salt)
}

fn predicates(salt: u8) -> Predicates {
    Predicates {
        p: core::array::from_fn(|n| [salt ^ n as u8; 32]),
        ffr: [!salt; 32],
    }
}

fn fill(vcpu: &mut Vcpu<Plain>, salt: u8) {
    for n in 0..32 {
        assert!(vcpu.set_z(n, &z(salt, n)));
    }
    *vcpu.predicates_mut().unwrap() = predicates(salt);
    vcpu.set_sysreg(SwitchedReg::ZCR_EL1, u64::from(salt));
}

/// Checks what is on the hardware, at a length.
#[track_caller]
fn assert_hardware(cpu: &ScriptedCpu<'_>, salt: u8, bytes: usize) {
    let (fp, sve) = (cpu.fp.borrow(), cpu.sve.borrow());
    for n in 0..32 {
        let expected = z(salt, n);
        assert_eq!(fp.q[n].to_le_bytes(), expected[..16], "Q{n}");
        assert_eq!(sve.z[n][16..bytes], expected[16..bytes], "Z{n}");
    }
    let expected = predicates(salt);
    for (p, expected) in sve.predicates.p.iter().zip(&expected.p) {
        assert_eq!(p[..bytes / 8], expected[..bytes / 8]);
    }
    let ffr = &sve.predicates.ffr;
    assert_eq!(ffr[..bytes / 8], expected.ffr[..bytes / 8]);
    let zcr_el1 = cpu.switched.borrow().get(SwitchedReg::ZCR_EL1);
    assert_eq!(zcr_el1, u64::from(salt));
}

fn run(live: &mut Running<'_, '_, '_>) {
    let exit = live.run();
    assert!(matches!(exit, Exit::Wfi(_)), "{exit:?}");
    live.reflect(exit);
}

/// By an instruction of FP or of SVE, or with the load; on both kinds of host.
#[test]
fn first_use_brings_all_registers_and_put_takes_them() {
    for (host, policy, first) in [
        (host_controls(), Fp::Lazy, Some(SVE)),
        (host_controls(), Fp::Lazy, Some(FP)),
        (host_controls(), Fp::Eager, None),
        (e2h(), Fp::Lazy, Some(SVE)),
        (e2h(), Fp::Lazy, Some(FP)),
        (e2h(), Fp::Eager, None),
    ] {
        let guest = Guest {
            host,
            ..guest(policy)
        };
        let script: Vec<_> = first.into_iter().chain([WFI]).collect();
        let script: Vec<_> = script.into_iter().map(Step::synchronous).collect();
        let cpu = guest.cpu(&script);
        cpu.zcr_el2.set(HOST_ZCR);
        let log = RefCell::default();
        let watched = Watched {
            cpu: &cpu,
            log: &log,
        };
        let platform = Plain::new(HcrLine, LeavePending);
        let mut el2 = El2::enable_on(watched, &platform).unwrap();
        let vm = Vm::with(&el2, stage2(1), Extensions::SVE);
        let mut vcpu = guest.vcpu();
        fill(&mut vcpu, 0x55);

        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        assert_eq!(live.sysreg(SwitchedReg::ZCR_EL1), 0x55);
        assert_eq!(
            watched.take().contains(&Event::LoadSve),
            first.is_none(),
            "loaded before it was used"
        );
        run(&mut live);
        assert_eq!(cpu.steps_left(), 0);
        assert_hardware(&cpu, 0x55, 64);
        assert_eq!(cpu.zcr_el2.get(), 3);
        // The guest changes a Q register, and with it a Z register; and a predicate.
        cpu.fp.borrow_mut().q[5] = 5;
        cpu.sve.borrow_mut().z[5] = [0; 256];
        cpu.sve.borrow_mut().predicates.ffr = [7; 32];
        live.set_sysreg(SwitchedReg::ZCR_EL1, 2);
        assert_eq!(cpu.switched.borrow().get(SwitchedReg::ZCR_EL1), 2);
        drop(live);
        assert_eq!(cpu.zcr_el2.get(), HOST_ZCR);
        assert_eq!(cpu.controls.get(), host);
        assert_eq!(vcpu.sysreg(SwitchedReg::ZCR_EL1), 2);
        assert_eq!(vcpu.fp().q[5], 5);
        let z5 = vcpu.z(5).unwrap();
        assert_eq!((z5[0], &z5[1..64]), (5, &[0; 63][..]));
        assert_eq!(vcpu.z(6).unwrap()[..64], z(0x55, 6)[..64]);
        assert_eq!(vcpu.predicates().unwrap().ffr[..8], [7; 8]);
    }
}

/// One register by two names: what is written to either is in both.
#[test]
fn q_registers_are_parts_of_z_registers() {
    let guest = guest(Fp::Lazy);
    let script = [SVE, WFI].map(Step::synchronous);
    enabled!(guest.cpu(&script) => cpu, watched, platform, el2);
    let vm = Vm::with(&el2, stage2(1), Extensions::SVE);
    let mut vcpu = guest.vcpu();
    fill(&mut vcpu, 1);
    assert_eq!(vcpu.fp().q[9].to_le_bytes(), z(1, 9)[..16]);
    vcpu.fp_mut().q[9] = 99;
    assert_eq!(vcpu.z(9).unwrap()[0], 99);
    assert_eq!(vcpu.z(9).unwrap()[16..], z(1, 9)[16..]);
    assert_eq!(vcpu.z(32), None);
    assert!(!vcpu.set_z(32, &[0; 256]));
    run(&mut vcpu.load(&mut el2, &vm).unwrap());
    assert_eq!(cpu.fp.borrow().q[9], 99);
    let state = vcpu.take_sve().unwrap();
    assert_eq!((state.z[9][0], state.z[9][1]), (99, 0));
    assert_eq!(state.z[9][16..64], z(1, 9)[16..64]);
    assert_eq!(vcpu.z(9), None);
    assert!(!vcpu.set_z(9, &[0; 256]));
}

/// Each at its own length, and neither without a trap.
#[test]
fn guests_in_turns_find_their_own() {
    let guest = guest(Fp::Lazy);
    let script = [SVE, WFI, SVE, WFI, FP, WFI, WFI].map(Step::synchronous);
    let cpu = guest.cpu(&script);
    cpu.zcr_el2.set(HOST_ZCR);
    let log = RefCell::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let platform = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &platform).unwrap();
    let mut vms = [1, 2].map(|vmid| Vm::with(&el2, stage2(vmid), Extensions::SVE));
    vms[1].limit_vectors(256).unwrap();
    let (mut a, mut b) = (guest.vcpu(), guest.vcpu());
    fill(&mut a, 1);
    fill(&mut b, 2);
    let mut turns = el2.take_turns();
    run(&mut a.load(&mut turns, &vms[0]).unwrap());
    assert_hardware(&cpu, 1, 64);
    assert_eq!(cpu.zcr_el2.get(), HOST_ZCR);
    run(&mut b.load(&mut turns, &vms[1]).unwrap());
    assert_hardware(&cpu, 2, 32);
    // What is beyond its vectors stays for a VM with longer ones.
    assert_eq!(b.z(3).unwrap(), z(2, 3));
    let mut live = a.load(&mut turns, &vms[0]).unwrap();
    run(&mut live);
    assert_hardware(&cpu, 1, 64);
    assert_eq!(cpu.zcr_el2.get(), 3);
    // Even if it is forgotten: the trap is back, and the host's length between guests.
    core::mem::forget(live);
    let mut live = b.load(&mut turns, &vms[1]).unwrap();
    assert_eq!(cpu.zcr_el2.get(), HOST_ZCR);
    watched.take();
    run(&mut live);
    assert!(!watched.take().contains(&Event::LoadFp));
    drop(live);
    drop(turns);
    assert_eq!(cpu.controls.get(), host_controls());
}

#[test]
fn guest_forgotten_for_good_leaves_the_host_its_length() {
    let guest = guest(Fp::Eager);
    let cpu = guest.cpu(&[]);
    cpu.zcr_el2.set(HOST_ZCR);
    let log = RefCell::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let platform = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &platform).unwrap();
    let vm = Vm::with(&el2, stage2(1), Extensions::SVE);
    core::mem::forget(guest.vcpu().load(&mut el2, &vm).unwrap());
    assert_eq!(cpu.zcr_el2.get(), 3);
    drop(el2);
    assert_eq!(cpu.zcr_el2.get(), HOST_ZCR);
    assert_eq!(cpu.controls.get(), host_controls());
}

/// SVE is undefined there, before the first use of FP and after.
#[test]
fn guest_without_the_grant_has_none() {
    for policy in [Fp::Lazy, Fp::Eager] {
        let guest = Guest {
            extensions: Extensions::empty(),
            ..guest(policy)
        };
        let first = matches!(policy, Fp::Lazy).then_some(FP);
        let script: Vec<_> = [SVE].into_iter().chain(first).chain([WFI, SVE]).collect();
        let script: Vec<_> = script.into_iter().map(Step::synchronous).collect();
        guest.play(&script, |live, watched| {
            assert_eq!(live.vm().vector_lengths(), VectorLengths::default());
            assert_eq!(live.vm().ids().pfr0() >> 32 & 0xf, 0);
            let undefined = |live: &mut Running<'_, '_, '_>| {
                let exit = live.run();
                assert!(matches!(exit, Exit::Other(_)), "{exit:?}");
                live.reflect(exit);
                assert_eq!(live.sysreg(SwitchedReg::ESR_EL1), esr(0, 0));
            };
            undefined(live);
            run(live);
            undefined(live);
            assert_eq!(live.sysreg(SwitchedReg::ZCR_EL1), 0);
            let log = watched.take();
            let of_sve = |event: &Event| matches!(event, Event::LoadSve | Event::Zcr(_));
            assert!(log.contains(&Event::LoadFp) && !log.iter().any(of_sve));
        });
    }
}

/// As after a template without it: the grant alone is not enough.
#[test]
fn vm_narrowed_to_none_has_none() {
    let guest = guest(Fp::Lazy);
    let script = [SVE].map(Step::synchronous);
    enabled!(guest.cpu(&script) => cpu, watched, platform, el2);
    let mut vm = Vm::with(&el2, stage2(1), Extensions::SVE);
    let mut ids = vm.ids().clone();
    ids.set_pfr0(ids.pfr0() & !(0xf << 32));
    vm.narrow(&ids).unwrap();
    let mut vcpu = guest.vcpu();
    vcpu.take_sve().unwrap(); // it needs none then
    let exit = vcpu.load(&mut el2, &vm).unwrap().run();
    assert!(matches!(exit, Exit::Other(_)));
}

#[test]
fn vcpu_without_memory_for_it_is_refused() {
    let guest = guest(Fp::Lazy);
    enabled!(guest.cpu(&[]) => cpu, watched, platform, el2);
    let vm = Vm::with(&el2, stage2(1), Extensions::SVE);
    let mut vcpu = guest.vcpu();
    drop(vcpu.load(&mut el2, &vm).unwrap());
    let state = vcpu.take_sve().unwrap();
    let error = vcpu.load(&mut el2, &vm).err();
    assert_eq!(error, Some(LoadError::NoSveState));
    assert_eq!(cpu.controls.get(), host_controls());
    state.predicates.ffr[0] = 3;
    assert_eq!(vcpu.lend_sve(state), None);
    assert_eq!(vcpu.predicates().unwrap().ffr[0], 3);
    drop(vcpu.load(&mut el2, &vm).unwrap());
    let other: &'static mut SveState = Box::leak(Box::default());
    assert_eq!(vcpu.lend_sve(other).unwrap().predicates.ffr[0], 3);
}

/// CPUs of three kinds: what the VM was promised decides where it runs.
#[test]
fn cpu_with_other_lengths_refuses_the_vm() {
    let platform = Plain::new(HcrLine, LeavePending);
    let guest = guest(Fp::Lazy);
    let mut cpus = [0, 1, 0x100].map(|_| guest.cpu(&[]));
    cpus[1].mpidr.set(1 << 31 | 1);
    cpus[2].mpidr.set(1 << 31 | 0x100);
    cpus[1].vector_lengths = vectors(256);
    cpus[2].vector_lengths = VectorLengths::probe(|steps| u64::from(steps.min(3)) * 128);
    let logs: [RefCell<Vec<Event>>; 3] = Default::default();
    let [mut a, mut b, mut c] = [0, 1, 2].map(|i| {
        let watched = Watched {
            cpu: &cpus[i],
            log: &logs[i],
        };
        El2::enable_on(watched, &platform).unwrap()
    });
    let mut vm = Vm::with(&a, stage2(1), Extensions::SVE);
    assert_eq!(vm.vector_lengths(), vectors(512));
    let mut vcpu = guest.vcpu();
    drop(vcpu.load(&mut a, &vm).unwrap());
    for (el2, available) in [(&mut b, vectors(256)), (&mut c, cpus[2].vector_lengths)] {
        let error = vcpu.load(el2, &vm).err();
        let promised = vectors(512);
        let expected = LoadError::VectorLengths {
            promised,
            available,
        };
        assert_eq!(error, Some(expected));
    }
    assert_eq!(cpus[1].controls.get(), host_controls());
    // Three lengths are not two, though the longest is long enough.
    assert_eq!(vm.limit_vectors(127), Err(vectors(512)));
    vm.limit_vectors(384).unwrap();
    assert_eq!(vm.vector_lengths(), vectors(256));
    for el2 in [&mut a, &mut b, &mut c] {
        drop(vcpu.load(el2, &vm).unwrap());
    }
    // No way back, and none without the grant.
    vm.limit_vectors(2048).unwrap();
    assert_eq!(vm.vector_lengths(), vectors(256));
    let none = VectorLengths::default();
    assert_eq!(Vm::new(&a, stage2(2)).limit_vectors(2048), Err(none));
}

/// With 384 bits where the VM was promised powers of two, its guest would find a length too many.
#[test]
fn length_in_between_is_one_too_many() {
    let platform = Plain::new(HcrLine, LeavePending);
    let guest = guest(Fp::Lazy);
    let mut cpu = guest.cpu(&[]);
    cpu.vector_lengths = VectorLengths::probe(|steps| u64::from(steps.min(4)) * 128);
    let (other, log) = (guest.cpu(&[]), RefCell::default());
    let [promising, mut found] = [&other, &cpu].map(|cpu| {
        let watched = Watched { cpu, log: &log };
        El2::enable_on(watched, &platform).unwrap()
    });
    let vm = Vm::with(&promising, stage2(1), Extensions::SVE);
    let error = guest.vcpu().load(&mut found, &vm).err();
    let expected = LoadError::VectorLengths {
        promised: vectors(512),
        available: cpu.vector_lengths,
    };
    assert_eq!(error, Some(expected));
}
