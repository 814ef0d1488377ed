//! Random instruction words, most of them of a class that a guest could want to do harm with.

use machine::Random;
use vcpu_regs::{SwitchedReg, SysReg};

/// A64: bits 31 to 22 of `MSR`, `MRS`, `SYS`, hints and barriers.
const SYSTEM: u32 = 0xd500_0000;
const ERET: u32 = 0xd69f_03e0;
/// WFI, WFE, SEV, YIELD, ESB; HVC #0, SMC #0, SVC #0; ISB, DSB SY; TLBI VMALLE1, TLBI ALLE1, IC IALLU.
const USUAL: [u32; 13] = [
    0xd503_207f,
    0xd503_205f,
    0xd503_209f,
    0xd503_203f,
    0xd503_221f,
    0xd400_0002,
    0xd400_0003,
    0xd400_0001,
    0xd503_3fdf,
    0xd503_3f9f,
    0xd508_871f,
    0xd50c_879f,
    0xd508_751f,
];

/// In place of a word that QEMU does not survive.
const A64_NOP: u32 = 0xd503_201f;
const A32_NOP: u32 = 0xe320_f000;

/// Returns a word for a guest in AArch64.
pub fn a64(random: &mut Random) -> u32 {
    let word = any_a64(random);
    // `msr` to CNTV_TVAL_EL0 and CNTV_CVAL_EL0: see `state::value`.
    match word & !0x1f {
        0xd51b_e300 | 0xd51b_e340 => A64_NOP,
        _ => word,
    }
}

fn any_a64(random: &mut Random) -> u32 {
    let word = random.word() as u32;
    match random.below(32) {
        0..=2 => word,
        3..=4 => USUAL[random.below(USUAL.len() as u64) as usize],
        5..=7 => SYSTEM | word & 0x003f_ffff,
        8..=10 => known_register(random),
        11..=12 => operation(random),
        // Loads and stores: op0 is x1x0.
        13..=17 => word & !(1 << 25) | 1 << 27,
        // SVC, HVC, SMC, BRK, HLT, DCPS: a small immediate means more to a host.
        18..=19 => {
            let imm = if word & 1 == 0 { 0 } else { word >> 8 & 0xffff };
            0xd400_0000 | imm << 5 | (word >> 1 & 7) << 21 | (word >> 4 & 3)
        }
        20 => ERET,
        // BR, BLR, RET, ERET and their signed forms.
        21 => 0xd600_0000 | word & 0x01ff_ffff,
        // Branches to somewhere near.
        22 => 0x5400_0000 | (word & 0x3f) << 5 | word >> 28,
        23 => 0x1400_0000 | word & 0x3f,
        // FP and SIMD, SVE, SME.
        24..=25 => word & 0xf1ff_ffff | 0x0e00_0000,
        26 => word & 0xe1ff_ffff | 0x0400_0000,
        27 => word & 0xe1ff_ffff | 0x8000_0000,
        // MSR (immediate): DAIF, SPSel, PAN, TCO, SVCR and what is not there.
        28 => 0xd500_401f | word & 0x0007_0fe0,
        // Data processing with registers, so that values spread.
        _ => word & !(1 << 26) | 5 << 25,
    }
}

/// Returns a word for a guest in AArch32: A32, or two of T32.
pub fn a32(random: &mut Random) -> u32 {
    let word = any_a32(random);
    let is_timer = word & 0x0f0f_0f10 == 0x0e0e_0f10 || word & 0x0ff0_0f0f == 0x0c40_0f0e;
    match is_timer {
        true => A32_NOP,
        false => word,
    }
}

fn any_a32(random: &mut Random) -> u32 {
    let word = random.word() as u32;
    match random.below(8) {
        // MRC, MCR, MRRC, MCRR, LDC, STC of the system coprocessors.
        0 => 0xec00_0e00 | word & 0x03ff_f1ff,
        1 => 0xee00_0e10 | word & 0x00ff_f1ef,
        // SVC, and what was once a coprocessor's.
        2 => 0xef00_0000 | word & 0x00ff_ffff,
        // Loads and stores, with conditions that hold.
        3 => 0xe400_0000 | word & 0x03ff_ffff,
        4 => 0xe000_0000 | word & 0x0fff_ffff,
        // Of the unconditional space.
        5 => 0xf000_0000 | word & 0x0fff_ffff,
        _ => word,
    }
}

/// `MRS` or `MSR` of a register that is switched, or of the ID space.
fn known_register(random: &mut Random) -> u32 {
    let reg = match random.below(4) {
        0 => SysReg::new(3, 0, 0, random.below(8) as u8, random.below(8) as u8),
        _ => SwitchedReg::ALL[random.below(SwitchedReg::ALL.len() as u64) as usize].sysreg(),
    };
    let is_read = random.below(2) as u32;
    access(reg, is_read, random.below(32) as u32)
}

/// `SYS` of cache, TLB and address-translation operations, those of EL2 among them.
fn operation(random: &mut Random) -> u32 {
    let reg = SysReg::new(
        1,
        random.below(8) as u8,
        7 + random.below(2) as u8,
        random.below(16) as u8,
        random.below(8) as u8,
    );
    access(reg, 0, random.below(32) as u32)
}

fn access(reg: SysReg, is_read: u32, rt: u32) -> u32 {
    SYSTEM
        | is_read << 21
        | u32::from(reg.op0()) << 19
        | u32::from(reg.op1()) << 16
        | u32::from(reg.crn()) << 12
        | u32::from(reg.crm()) << 8
        | u32::from(reg.op2()) << 5
        | rt
}
