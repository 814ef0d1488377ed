//! The guest: each piece inverts what it was entered with, and leaves by an instruction of its own.

use machine::guest_code;

/// Memory where stage 2 maps nothing; below 4 GiB, for AArch32.
pub const HOLE: u64 = 0x0b00_0000;
/// The register that points there once it is inverted.
pub const POINTER: u8 = 4;

/// x8 to x10 take SP_EL0, TPIDR_EL0 and TPIDR_EL1 as they were on entry; these then take x5 to x7.
/// Every other register is inverted.
macro_rules! piece {
    ($name:ident: $($leave:literal),+) => {
        guest_code! {
            $name:
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30",
            "mvn x\\n, x\\n",
            ".endr",
            "mrs x8, sp_el0",
            "mrs x9, tpidr_el0",
            "mrs x10, tpidr_el1",
            "msr sp_el0, x5",
            "msr tpidr_el0, x6",
            "msr tpidr_el1, x7",
            $($leave,)+
        }
    };
}

piece!(by_hvc: "hvc #1");
piece!(by_smc: "smc #2");
piece!(by_wfi: "wfi");
piece!(by_mrs: "mrs x3, id_aa64pfr0_el1");
piece!(by_load: "ldr x3, [x4]");
piece!(by_fetch: "ret x4"); // `br` would leave BTYPE

guest_code! {
    /// A32: `mvn rN, rN` for r0 to r14, then `ldr r3, [r4]`.
    by_a32_load:
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14",
    ".word 0xe1e00000 + (\\n << 12) + \\n",
    ".endr",
    ".word 0xe5943000",
}

guest_code! {
    /// Inverts Q0 to Q31, and swaps FPCR and FPSR by way of their values.
    by_fp:
    ".arch_extension fp",
    ".arch_extension simd",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "mvn v\\n\\().16b, v\\n\\().16b",
    ".endr",
    "mrs x0, fpcr",
    "mrs x1, fpsr",
    "msr fpcr, x2",
    "msr fpsr, x3",
    "hvc #1",
}

/// A piece of guest code, and what it takes to enter it.
pub struct Piece {
    pub name: &'static str,
    pub code: fn() -> &'static [u8],
    pub is_a32: bool,
}

const fn a64(name: &'static str, code: fn() -> &'static [u8]) -> Piece {
    Piece {
        name,
        code,
        is_a32: false,
    }
}

pub const PIECES: &[Piece] = &[
    a64("hvc", by_hvc),
    a64("smc", by_smc),
    a64("wfi", by_wfi),
    a64("mrs", by_mrs),
    a64("load", by_load),
    a64("fetch", by_fetch),
    Piece {
        name: "load at AArch32 EL0",
        code: by_a32_load,
        is_a32: true,
    },
];

pub const FP: fn() -> &'static [u8] = by_fp;
