//! A guest's breakpoints: always emulated, on the hardware only while enabled.

use vcpu_hal::fake::Step;
use vcpu_regs::{DebugState, Gpr, Hcr, Mdcr, SwitchedReg, SysReg};

use vcpu_core::{El2, Vm};
use vcpu_hal::{inject::HcrLine, irq::LeavePending};

use crate::rig::{Event, Guest, Plain, Watched, after, enabled, stage2, sysreg};

const DBGBVR0: SysReg = SysReg::new(2, 0, 0, 0, 4);
const DBGBCR0: SysReg = SysReg::new(2, 0, 0, 0, 5);
const DBGBVR9: SysReg = SysReg::new(2, 0, 0, 9, 4);
const DBGCLAIMSET: SysReg = SysReg::new(2, 0, 7, 8, 6);
const MDSCR: SysReg = SysReg::new(2, 0, 0, 2, 2);
const MDE: u64 = 1 << 15;

fn mrs(reg: SysReg, rt: u8) -> u64 {
    sysreg(reg, rt, true)
}

fn msr(reg: SysReg, rt: u8) -> u64 {
    sysreg(reg, rt, false)
}

fn host_debug() -> DebugState {
    DebugState {
        bvr: [0x77; 16],
        ..DebugState::default()
    }
}

#[test]
fn debug_registers_trap() {
    Guest::default().play(&[], |_, watched| {
        assert!(watched.cpu.controls.get().mdcr.contains(Mdcr::TDA));
    });
}

#[test]
fn breakpoint_reaches_the_hardware_when_enabled_and_leaves_it_with_the_guest() {
    let set = |reg: u8, value: u64| {
        move |frame: &mut vcpu_regs::GuestFrame| frame.x[usize::from(reg)] = value
    };
    let (bvr, bcr, mdscr) = (set(1, 0xffff_0000), set(2, 0x1e5), set(3, MDE));
    let script = [
        after(&bvr, msr(DBGBVR0, 1)),
        after(&bcr, msr(DBGBCR0, 2)),
        after(&mdscr, msr(MDSCR, 3)),
        Step::synchronous(mrs(DBGBVR0, 4)),
    ];
    let guest = Guest::default();
    let cpu = guest.cpu(&script);
    *cpu.debug.borrow_mut() = host_debug();
    cpu.switched
        .borrow_mut()
        .set(SwitchedReg::MDSCR_EL1, 0x1000);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let mut vcpu = guest.vcpu();
    {
        let mut live = vcpu.load(&mut el2, &vm).unwrap();
        for _ in 0..2 {
            let exit = live.run();
            live.reflect(exit);
            assert_eq!(*watched.cpu.debug.borrow(), host_debug(), "not enabled yet");
        }
        for _ in 0..2 {
            let exit = live.run();
            live.reflect(exit);
        }
        assert_eq!(watched.cpu.debug.borrow().bvr[0], 0xffff_0000);
        assert_eq!(watched.cpu.debug.borrow().bcr[0], 0x1e5);
        assert_eq!(live.reg(Gpr::X4), 0xffff_0000);
        assert_eq!(live.sysreg(SwitchedReg::MDSCR_EL1), MDE);
    }
    assert_eq!(*cpu.debug.borrow(), host_debug());
    assert_eq!(
        cpu.switched.borrow().get(SwitchedReg::MDSCR_EL1),
        0x1000,
        "the host's own"
    );
}

#[test]
fn guest_that_debugs_is_loaded_with_its_breakpoints() {
    let guest = Guest::default();
    let cpu = guest.cpu(&[]);
    let mut vcpu = guest.vcpu();
    vcpu.debug_mut().wcr[0] = 0x1f;
    vcpu.set_sysreg(SwitchedReg::MDSCR_EL1, MDE);
    let log = Default::default();
    let watched = Watched {
        cpu: &cpu,
        log: &log,
    };
    let host = Plain::new(HcrLine, LeavePending);
    let mut el2 = El2::enable_on(watched, &host).unwrap();
    let vm = Vm::new(&el2, stage2(1));
    let _live = vcpu.load(&mut el2, &vm).unwrap();
    assert!(watched.take().contains(&Event::LoadDebug));
    assert_eq!(cpu.debug.borrow().wcr[0], 0x1f);
}

/// KDE of a guest would let its breakpoints fire at EL2, where HCR_EL2.TGE takes debug exceptions.
#[test]
fn kernel_breakpoints_stay_out_of_a_host_that_takes_debug_exceptions() {
    const TGE: u64 = 1 << 27;
    const E2H: u64 = 1 << 34;
    let all = MDE | 1 << 13 | 1; // KDE, SS
    for (bits, kept) in [(0, all), (E2H, all), (E2H | TGE, MDE | 1)] {
        let mut guest = Guest::default();
        guest.host.hcr = Hcr::from_bits_retain(guest.host.hcr.bits() | bits);
        let script = [
            Step::synchronous(msr(MDSCR, 3)),
            Step::synchronous(mrs(MDSCR, 4)),
        ];
        // As the guest writes it, once unarmed and once armed.
        guest.play(&[script, script].concat(), |live, watched| {
            for _ in 0..2 {
                live.set_reg(Gpr::X3, all);
                for _ in 0..2 {
                    let exit = live.run();
                    live.reflect(exit);
                }
                assert_eq!(live.reg(Gpr::X4), kept);
                let held = watched.cpu.switched.borrow().get(SwitchedReg::MDSCR_EL1);
                assert_eq!(held, kept, "{bits:#x}");
            }
        });
        // As it comes from elsewhere.
        enabled!(guest.cpu(&[]) => cpu, watched, host, el2);
        let vm = Vm::new(&el2, stage2(1));
        let mut vcpu = guest.vcpu();
        vcpu.set_sysreg(SwitchedReg::MDSCR_EL1, all);
        let _live = vcpu.load(&mut el2, &vm).unwrap();
        assert_eq!(cpu.switched.borrow().get(SwitchedReg::MDSCR_EL1), kept);
    }
}

#[test]
fn breakpoint_beyond_the_count_is_undefined_and_claim_tags_are_nobodys() {
    let script = [
        Step::synchronous(msr(DBGCLAIMSET, 0)),
        Step::synchronous(mrs(DBGCLAIMSET, 5)),
        Step::synchronous(mrs(DBGBVR9, 5)),
    ];
    Guest::default().play(&script, |live, _| {
        live.set_reg(Gpr::X0, 0xff);
        live.set_reg(Gpr::X5, 0xff);
        for _ in 0..2 {
            let exit = live.run();
            live.reflect(exit);
        }
        assert_eq!(live.reg(Gpr::X5), 0);
        let at = live.pc();
        let exit = live.run();
        live.reflect(exit);
        assert_eq!(live.sysreg(SwitchedReg::ELR_EL1), at, "an exception");
    });
}
