//! An AArch32 program at EL0, under a guest kernel that is AArch64.

use vcpu_core::Exit;
use vcpu_regs::Gpr;

use crate::rig::*;

const T32: u64 = 1 << 5;
const IL: u64 = 1 << 25;

/// PSTATE of AArch32 EL0 with this ITSTATE, T32.
const fn it(it: u64) -> u64 {
    A32 | T32 | (it >> 2) << 10 | (it & 3) << 25
}

#[test]
fn pc_moves_by_the_length_of_the_instruction() {
    for (pstate, word, length) in [
        (A32, transfer(4, 3, 0), 4),
        (A32 | T32, transfer(4, 3, 0), 4),
        (A32 | T32, transfer(4, 3, 0) & !IL, 2),
    ] {
        Guest::at(pstate).play(&[at_uart(word)], |live, _| {
            let Exit::Mmio(access) = live.run() else {
                panic!("no MMIO")
            };
            assert_eq!(live.pc(), PC);
            live.complete(access, 0x8000_0000);
            assert_eq!(live.pc(), PC + length);
            assert_eq!(live.reg(Gpr::X3), 0x8000_0000);
        });
    }
    for (word, length) in [(WFI, 4), (WFI & !IL, 2), (WFE & !IL, 2)] {
        Guest::at(A32 | T32).play(&[at_uart(word)], |live, _| {
            let exit = live.run();
            live.reflect(exit);
            assert_eq!(live.pc(), PC + length);
        });
    }
}

/// An instruction in an IT block that completes moves the block on: all 256 values, against
/// Arm ARM (DDI 0487), pseudocode `AArch32.ITAdvance`.
#[test]
fn it_block_moves_on() {
    for itstate in 0..=0xff {
        let next = if itstate & 7 == 0 {
            0
        } else {
            itstate & 0b1110_0000 | (itstate << 1) & 0b0001_1111
        };
        Guest::at(it(itstate)).play(&[at_uart(transfer(1, 0, 0))], |live, _| {
            let Exit::Mmio(access) = live.run() else {
                panic!("no MMIO")
            };
            assert_eq!(live.pstate().bits(), it(itstate));
            live.complete(access, 0);
            assert_eq!(live.pstate().bits(), it(next), "IT {itstate:#010b}");
        });
    }
}

/// PSTATE bits 11:10 are BTYPE in AArch64 and IT in AArch32.
#[test]
fn a32_outside_a_block_keeps_flags_and_ge() {
    const KEPT: u64 = A32 | 0xf << 28 | 1 << 27 | 0xf << 16 | 1 << 9 | 1 << 7;
    Guest::at(KEPT).play(&[at_uart(transfer(1, 0, WNR))], |live, _| {
        let Exit::Mmio(access) = live.run() else {
            panic!("no MMIO")
        };
        live.complete(access, 0);
        assert_eq!(live.pstate().bits(), KEPT);
    });
}

#[test]
fn cpu_without_a32_never_enters_it() {
    let guest = Guest {
        ids: ids(&[(4, 0, 0, 1), (4, 0, 4, 1), (7, 0, 0, 2)]),
        pstate: A32 | T32,
        ..Guest::default()
    };
    let script = [at_uart(WFI), at_uart(WFI)];
    // `Watched::enter` refuses an illegal return.
    guest.play(&script, |live, _| {
        let _ = live.run();
        live.set_pstate(vcpu_regs::Pstate::from_bits_retain(A32));
        let _ = live.run();
    });
}
