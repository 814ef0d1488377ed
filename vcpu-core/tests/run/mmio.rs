//! Loads and stores that the host emulates.

use vcpu_core::Exit;
use vcpu_hal::fake::Step;
use vcpu_regs::{Gpr, Ipa, Va};

use crate::rig::*;

/// What a load of `raw` leaves in its register: said by hand, for each width and extension.
const LOADS: &[(u64, u64, u64, u64)] = &[
    // bytes, SSE and SF, what the bus gives, what the register holds
    (1, 0, 0xffff_ffff_ffff_ff80, 0x80),        // ldrb w
    (2, 0, 0xffff_ffff_ffff_8001, 0x8001),      // ldrh w
    (4, 0, 0xffff_ffff_8000_0001, 0x8000_0001), // ldr w
    (8, SF, 0x8000_0000_0000_0001, 0x8000_0000_0000_0001), // ldr x
    (1, SSE, 0x80, 0xffff_ff80),                // ldrsb w
    (1, SSE, 0x7f, 0x7f),
    (2, SSE, 0x8000, 0xffff_8000),                     // ldrsh w
    (1, SSE | SF, 0x80, 0xffff_ffff_ffff_ff80),        // ldrsb x
    (2, SSE | SF, 0x8000, 0xffff_ffff_ffff_8000),      // ldrsh x
    (4, SSE | SF, 0x8000_0000, 0xffff_ffff_8000_0000), // ldrsw x
    (4, SSE | SF, 0xdead_beef_7fff_ffff, 0x7fff_ffff),
];

#[test]
fn load_fills_its_register_as_the_instruction_would() {
    for &(size, bits, raw, expected) in LOADS {
        for reg in [0, 7, 30] {
            let script = [at_uart(transfer(size, reg, bits))];
            Guest::default().play(&script, |live, _| {
                let Exit::Mmio(access) = live.run() else {
                    panic!("no MMIO")
                };
                assert_eq!(access.ipa(), Ipa(UART));
                assert_eq!(access.va(), Va(UART_VA));
                assert_eq!(u64::from(access.size_bytes()), size);
                assert_eq!(access.write(), None);
                assert_eq!(live.pc(), PC, "moved before completion");
                assert_regs(live, &[]);
                live.complete(access, raw);
                assert_eq!(live.pc(), PC + 4);
                assert_regs(live, &[(reg as u8, expected)]);
            });
        }
    }
}

#[test]
fn load_into_the_zero_register_changes_nothing_but_pc() {
    let script = [at_uart(transfer(8, 31, SF))];
    Guest::default().play(&script, |live, _| {
        let Exit::Mmio(access) = live.run() else {
            panic!("no MMIO")
        };
        live.complete(access, 0x1234);
        assert_eq!(live.pc(), PC + 4);
        assert_eq!(live.reg(Gpr::XZR), 0);
        assert_eq!(live.sp_el0(), 0, "31 is XZR, not SP");
        assert_regs(live, &[]);
    });
}

#[test]
fn store_gives_the_low_bytes_of_its_register() {
    let x5 = pattern(5);
    for (size, value) in [
        (1, x5 & 0xff),
        (2, x5 & 0xffff),
        (4, x5 & 0xffff_ffff),
        (8, x5),
    ] {
        // SF says X for the 8-byte store alone; the smaller ones take w5.
        let bits = WNR | if size == 8 { SF } else { 0 };
        let script = [at_uart(transfer(size, 5, bits))];
        Guest::default().play(&script, |live, _| {
            let Exit::Mmio(access) = live.run() else {
                panic!("no MMIO")
            };
            assert_eq!(access.write(), Some(value));
            assert_eq!(live.pc(), PC);
            live.complete(access, 0x5a5a); // a bus may answer anything to a store
            assert_eq!(live.pc(), PC + 4);
            assert_regs(live, &[]);
        });
    }
}

#[test]
fn store_of_the_zero_register_gives_zero() {
    for size in [1, 2, 4, 8] {
        let script = [at_uart(transfer(size, 31, WNR))];
        Guest::default().play(&script, |live, _| {
            let Exit::Mmio(access) = live.run() else {
                panic!("no MMIO")
            };
            assert_eq!(access.write(), Some(0));
            live.complete(access, 0);
        });
    }
}

#[test]
fn dropped_access_is_retried() {
    let load = at_uart(transfer(4, 2, 0));
    Guest::default().play(&[load, load], |live, _| {
        assert!(matches!(live.run(), Exit::Mmio(_)));
        assert_eq!(live.pc(), PC);
        let Exit::Mmio(access) = live.run() else {
            panic!("no MMIO")
        };
        assert_eq!(live.pc(), PC);
        live.complete(access, 9);
        assert_regs(live, &[(2, 9)]);
        assert_eq!(live.pc(), PC + 4);
    });
}

/// What is not a translation fault with a valid syndrome and address is no MMIO: completing it by
/// its fields would lose the instruction.
#[test]
fn undescribed_access_is_a_fault_on_its_instruction() {
    let undescribed = [
        esr(0x24, TRANSLATION_L3),                 // ldp
        esr(0x24, TRANSLATION_L3 | WNR),           // stp
        esr(0x24, TRANSLATION_L3 | CM | WNR),      // dc civac
        transfer(4, 1, 0) & !0x3f | PERMISSION_L2, // mapped read-only
        transfer(4, 1, 0) & !0x3f | 0b00_1011,     // access flag
        transfer(4, 1, 0) & !0x3f | 0b10_0001,     // alignment
        transfer(4, 1, 0) & !0x3f | 0b01_0000,     // external
        transfer(4, 1, S1PTW),                     // the guest's own table
        esr(0x20, TRANSLATION_L3),                 // a fetch
    ];
    for word in undescribed {
        Guest::default().play(&[at_uart(word)], |live, _| {
            let exit = live.run();
            assert!(matches!(exit, Exit::Fault(_)), "{word:#x}: {exit:?}");
            assert_eq!(live.pc(), PC);
            assert_regs(live, &[]);
        });
    }
}

#[test]
fn completion_clears_what_an_executed_instruction_clears() {
    const BTYPE: u64 = 3 << 10;
    const SS: u64 = 1 << 21;
    const NZCV: u64 = 0xf << 28;
    let guest = Guest::at(EL1H | BTYPE | SS | NZCV | 0x3c0);
    guest.play(&[at_uart(transfer(4, 2, 0))], |live, _| {
        let Exit::Mmio(access) = live.run() else {
            panic!("no MMIO")
        };
        assert_eq!(live.pstate().bits(), EL1H | BTYPE | SS | NZCV | 0x3c0);
        live.complete(access, 0);
        assert_eq!(live.pstate().bits(), EL1H | NZCV | 0x3c0);
    });
}

#[test]
fn hole_reflects_as_an_external_abort() {
    for (word, wnr) in [(transfer(4, 2, 0), 0), (transfer(4, 2, WNR), WNR)] {
        Guest::default().play(&[at_uart(word)], |live, watched| {
            let exit = live.run();
            live.reflect(exit);
            let el1 = &watched.cpu.switched.borrow().el1;
            assert_eq!(el1.esr_el1, esr(0x25, 0x10 | wnr));
            assert_eq!(el1.far_el1, UART_VA);
            assert_eq!(el1.elr_el1, PC);
        });
    }
}

#[test]
fn far_beyond_the_page_does_not_leak_into_the_ipa() {
    let script = [Step::fault(
        transfer(1, 0, 0),
        0xffff_ffff_ffff_ffff,
        hpfar(0x0900_0000) | 0xf << 60 | 0xf,
    )];
    Guest::default().play(&script, |live, _| {
        let Exit::Mmio(access) = live.run() else {
            panic!("no MMIO")
        };
        assert_eq!(access.ipa(), Ipa(0x0900_0fff));
    });
}
