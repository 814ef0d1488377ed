//! Random state of a guest: registers that point somewhere, controls that mean something.

use core::ops::Range;

use machine::{Random, layout};
use vcpu_core::{Registers, Vcpu};
use vcpu_hal::Platform;
use vcpu_regs::{Gpr, Pstate, SwitchedReg};

use crate::memory::Memory;

/// SCTLR_EL1: M, C and I.
const SCTLR_ON: u64 = 1 << 12 | 1 << 2 | 1;
/// After a reset.
const SCTLR_RESET: u64 = 0x30c5_0830;
/// T0SZ = 25, EPD1, write-back inner-shareable walks, 4 KiB granule, 40 bits.
const TCR: u64 = 2 << 32 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 25;
/// FPEN, ZEN and SMEN: nothing traps to EL1.
const CPACR: u64 = 3 << 24 | 3 << 20 | 3 << 16;
/// Attr0: Normal, write-back. Attr1: Device-nGnRE.
const MAIR: u64 = 0x04ff;

/// Of code, with each guest.
const NEW_BYTES: u64 = 64 * 4;

/// Where a guest starts, and how.
pub struct Entry {
    /// The code that is new.
    pub code: Range<u64>,
    /// AArch32.
    pub is_a32: bool,
    pstate: Pstate,
    is_mmu_on: bool,
}

impl Entry {
    /// Returns one of the many.
    pub fn new(random: &mut Random, memory: &Memory) -> Self {
        let code = memory.code();
        let start = (code.start + random.below(code.end - code.start - NEW_BYTES)) & !3;
        let mode = match random.below(8) {
            0..=2 => 0x05,
            3 => 0x04,
            4..=5 => 0x00,
            6 => 0x10,
            _ => random.word() & 0x1f,
        };
        // Mostly no illegal state, no software step: nothing would be executed.
        let odd = match random.below(8) {
            0 => 1 << 20 | 1 << 21,
            _ => 0,
        };
        let is_a32 = mode == 0x10;
        let thumb = if is_a32 { random.word() & 0x20 } else { 0 };
        let others = random.word() & !(0x1f | 0x20 | 1 << 20 | 1 << 21);
        let odd = random.word() & odd;
        // BTYPE means nothing much to most pages; in AArch32 it is IT, which skips.
        let others = match random.below(4) {
            0 => others,
            _ => others & !(3 << 25 | 0x3f << 10),
        };
        Self {
            code: start..start + NEW_BYTES,
            is_a32,
            pstate: Pstate::from_bits_retain(others | odd | thumb | mode),
            is_mmu_on: random.below(2) == 0,
        }
    }

    /// Sets a vCPU at rest to it.
    pub fn apply<P: Platform>(&self, random: &mut Random, vcpu: &mut Vcpu<P>, memory: &Memory) {
        for &reg in SwitchedReg::ALL {
            if random.below(4) == 0 {
                vcpu.set_sysreg(reg, value(random, memory));
            }
        }
        controls(random, vcpu, memory, self.is_mmu_on);
        if random.below(8) == 0 {
            let debug = vcpu.debug_mut();
            let points = debug.bvr.iter_mut().chain(&mut debug.wvr);
            points.for_each(|point| *point = value(random, memory));
            let controls = debug.bcr.iter_mut().chain(&mut debug.wcr);
            controls.for_each(|control| *control = random.word());
        }
        for n in 0..31 {
            vcpu.set_reg(Gpr::new(n), value(random, memory));
        }
        if random.below(2) == 0 {
            vcpu.set_reg(Gpr::X0, 0x8400_0000 | random.word() & 0x4000_001f); // PSCI
        }
        vcpu.set_sp_el0(value(random, memory));
        vcpu.set_thread_ids(random.word(), random.word());
        self.start(vcpu, random, memory);
    }

    /// Sends a guest to somewhere in its code.
    pub fn start(&self, registers: &mut Registers, random: &mut Random, memory: &Memory) {
        let unaligned = self.code.start + random.below(NEW_BYTES / 2);
        let at = if random.below(64) == 0 {
            unaligned
        } else {
            unaligned & !3
        };
        registers.set_pstate(self.pstate);
        let is_el0 = self.pstate.bits() & 0xf == 0;
        let pc = match self.is_mmu_on && is_el0 {
            true => memory.for_el0(at),
            false => at,
        };
        registers.set_pc(pc);
    }
}

/// Sets what decides whether the guest gets anywhere: mostly so that it does.
fn controls<P: Platform>(
    random: &mut Random,
    vcpu: &mut Vcpu<P>,
    memory: &Memory,
    is_mmu_on: bool,
) {
    let mut rarely = |often: u64| match random.below(8) {
        0 => random.word(),
        1 => often ^ 1 << random.below(64),
        _ => often,
    };
    let sctlr = if is_mmu_on {
        SCTLR_RESET | SCTLR_ON
    } else {
        SCTLR_RESET
    };
    let settings = [
        (SwitchedReg::SCTLR_EL1, rarely(sctlr)),
        (SwitchedReg::TCR_EL1, rarely(TCR)),
        (SwitchedReg::TTBR0_EL1, rarely(memory.root())),
        (SwitchedReg::MAIR_EL1, rarely(MAIR)),
        (SwitchedReg::VBAR_EL1, rarely(memory.vectors())),
        (SwitchedReg::CPACR_EL1, rarely(CPACR)),
        (SwitchedReg::MDSCR_EL1, rarely(0)),
    ];
    for (reg, value) in settings {
        vcpu.set_sysreg(reg, value);
    }
}

/// Returns a value that an instruction could do something with.
///
/// None is within a few minutes of 2^64: QEMU 7.2 never returns from its own timer when the virtual
/// timer's compare value and CNTVOFF_EL2 together overflow. So the guest does not write it either: only the host does, with one of these.
pub fn value(random: &mut Random, memory: &Memory) -> u64 {
    let window = memory.window.clone();
    let word = random.word();
    match random.below(16) {
        0..=4 => (window.start + word % (window.end - window.start)) & !7,
        5 => window.start + word % (window.end - window.start),
        6 => memory.for_el0(window.start + word % (window.end - window.start)),
        // The edges of the window.
        7 => window.start.wrapping_add(word % 64).wrapping_sub(32),
        8 => window.end.wrapping_add(word % 64).wrapping_sub(32),
        // The host's memory, and devices.
        9 => layout::RAM_START + word % 0x0400_0000,
        10 => 0x0800_0000 + word % 0x0400_0000,
        // Function numbers of PSCI and of SMCCC.
        11 => 0x8400_0000 | word & 0x4000_001f,
        12 => 0x8000_0000 | word & 0x7f00_ffff,
        13 => word % 256,
        14 => !(word % 256) ^ 1 << 55,
        _ => word,
    }
}
