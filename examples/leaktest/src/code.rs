//! What the two guests execute. `MRS` and `MSR` are made here word by word, so that every encoding
//! there is can be tried, named or not.

use machine::{Error, GuestRam, guest_code};
use vcpu_regs::SysReg;

/// `hvc #DONE`: the code came to its end.
pub const DONE: u16 = 0x10;
/// `hvc #EXCEPTION`: the writing guest took an exception.
pub const EXCEPTION: u16 = 0x11;
/// What stands for a register that is undefined.
pub const UNDEFINED: u64 = 0xdead_dead_0000_0bad;

/// Bytes of a vector table.
const VECTORS_BYTES: u64 = 0x800;
/// The first encoding with an op0 of 2: registers begin there.
const FIRST_REGISTER: u16 = 2 << 14;

guest_code! {
    /// Steps over the undefined instruction, whose result is x7. X2 is lost.
    skip:
    "mrs x2, elr_el1",
    "add x2, x2, #4",
    "msr elr_el1, x2",
    "mov x0, x7",
    "eret",
}

guest_code! {
    /// Stores all that no `MRS` gives, and what an exception would change, from x1 on, in the order
    /// of [`Word`]; goes on at x6. X5 is memory for the vectors that should not be there.
    state:
    ".arch_extension fp",
    ".arch_extension simd",
    ".arch_extension sve",
    "str x0, [x1], #8",
    ".irp n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30",
    "str x\\n, [x1], #8",
    ".endr",
    "mov x0, sp",
    "str x0, [x1], #8",
    ".irp reg, elr_el1, spsr_el1, esr_el1, far_el1, S3_0_C1_C2_0", // ZCR_EL1
    "mrs x0, \\reg",
    "str x0, [x1], #8",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "str q\\n, [x1], #16",
    ".endr",
    // A pending interrupt shows itself where its group is enabled; where there is no interface,
    // these are stepped over.
    "mov x0, #0xff",
    "msr S3_0_C4_C6_0, x0", // ICC_PMR_EL1
    "mov x0, #1",
    "msr S3_0_C12_C12_7, x0", // ICC_IGRPEN1_EL1
    "isb",
    // Each leaves x0 alone where it can be executed.
    ".irp word, 0x0420e3e0, 0xe58044a0, 0xe58000a0, 0x2519f000, 0xd503477f, 0x04bf5820",
    "mov x0, #0",
    ".inst \\word", // cntb x0; str z0, [x5, #1, mul vl]; str p0, [x5]; rdffr p0.b; smstart; rdsvl x0, #1
    "str x0, [x1], #8",
    ".endr",
    // All of SVE, at the longest vectors; what is undefined leaves its place as it was.
    "mov x0, #0xf",
    "msr S3_0_C1_C2_0, x0",
    "isb",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "str z\\n, [x1]",
    "add x1, x1, #256",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "str p\\n, [x1]",
    "add x1, x1, #32",
    ".endr",
    "rdffr p0.b",
    "str p0, [x1]",
    "add x1, x1, #32",
    "br x6",
}

guest_code! {
    /// Fills Q0 to Q31, FPCR and FPSR from x0; Z0 to Z31, P0 to P15 and FFR too where they are
    /// there. X5 is memory.
    fill_fp:
    ".arch_extension sve",
    ".arch_extension fp",
    ".arch_extension simd",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "dup v\\n\\().2d, x0",
    ".endr",
    "msr fpcr, x0",
    "msr fpsr, x0",
    // SVE, at the longest vectors, where it is granted; an exception ends this.
    "mov x1, #0xf",
    "msr S3_0_C1_C2_0, x1", // ZCR_EL1
    "isb",
    "str x0, [x5]",
    "str x0, [x5, #8]",
    "str x0, [x5, #16]",
    "str x0, [x5, #24]",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
    "dup z\\n\\().d, x0",
    ".endr",
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "ldr p\\n, [x5]",
    ".endr",
    "wrffr p0.b",
    "hvc #0x10",
}

/// Names of the words that [`state`] stores after X0 and X2 to X30.
const AFTER_X: [&str; 6] = ["SP", "ELR_EL1", "SPSR_EL1", "ESR_EL1", "FAR_EL1", "ZCR_EL1"];
/// Names of the last of them: instructions that a guest has not got.
const PROBES: [&str; 6] = ["CNTB", "Z0", "P0", "FFR", "SMSTART", "RDSVL"];
/// Words of a Z register at the longest vectors, and of a predicate.
const Z_WORDS: usize = 32;
const P_WORDS: usize = 4;
/// Where each part starts: [`AFTER_X`], Q0 to Q31, [`PROBES`], Z0 to Z31, P0 to P15, FFR.
const AFTER_X_AT: usize = 30;
const Q_AT: usize = AFTER_X_AT + AFTER_X.len();
/// CNTB, the first of [`PROBES`]: bytes of a Z register.
pub const PROBES_AT: usize = Q_AT + 64;
const Z_AT: usize = PROBES_AT + PROBES.len();
const P_AT: usize = Z_AT + 32 * Z_WORDS;
const FFR_AT: usize = P_AT + 16 * P_WORDS;
/// All of them, after X0 and X2 to X30.
pub const STATE_WORDS: usize = FFR_AT + P_WORDS;

/// One of the words that the reading guest stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// X0 to X30.
    X(usize),
    /// A part of the state that has a name of its own.
    Named(&'static str),
    /// Q0 to Q31, half of it.
    Q(usize),
    /// Z0 to Z31, a part.
    Z(usize),
    /// P0 to P15, a part.
    P(usize),
    /// What `MRS` gives.
    Register(SysReg),
}

impl Word {
    /// Returns the word that [`state`] stores at `index`.
    pub fn of_state(index: usize) -> Self {
        match index {
            0 => Self::X(0),
            1..30 => Self::X(index + 1),
            AFTER_X_AT..Q_AT => Self::Named(AFTER_X[index - AFTER_X_AT]),
            Q_AT..PROBES_AT => Self::Q((index - Q_AT) / 2),
            PROBES_AT..Z_AT => Self::Named(PROBES[index - PROBES_AT]),
            Z_AT..P_AT => Self::Z((index - Z_AT) / Z_WORDS),
            P_AT..FFR_AT => Self::P((index - P_AT) / P_WORDS),
            _ => Self::Named("FFR"),
        }
    }
}

impl core::fmt::Display for Word {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::X(n) => write!(f, "X{n}"),
            Self::Named(name) => f.write_str(name),
            Self::Q(n) => write!(f, "Q{n}"),
            Self::Z(n) => write!(f, "Z{n}"),
            Self::P(n) => write!(f, "P{n}"),
            Self::Register(reg) => write!(f, "{reg}"),
        }
    }
}

/// Every register there could be: op0 of 2 and 3.
pub fn registers() -> impl Iterator<Item = SysReg> {
    (FIRST_REGISTER..=u16::MAX).map(SysReg::from_bits)
}

/// Every register and operation there could be: op0 of 1 to 3.
pub fn everything() -> impl Iterator<Item = SysReg> {
    (1 << 14..=u16::MAX).map(SysReg::from_bits)
}

/// `mrs x<rt>, reg`.
const fn mrs(rt: u32, reg: SysReg) -> u32 {
    0xd520_0000 | (reg.bits() as u32) << 5 | rt
}

/// `msr reg, x0`; of an operation, `sys` with x0.
pub const fn msr(reg: SysReg) -> u32 {
    0xd500_0000 | (reg.bits() as u32) << 5
}

/// `hvc #imm`.
pub const fn hvc(imm: u16) -> u32 {
    0xd400_0002 | (imm as u32) << 5
}

/// `str x0, [x1], #8`.
const STORE: u32 = 0xf800_8420;

/// Code on its way into guest RAM.
pub struct Writer<'r> {
    ram: &'r mut GuestRam,
    start: u64,
    at: u64,
}

impl<'r> Writer<'r> {
    /// Returns a writer of code that starts at `start`.
    pub fn new(ram: &'r mut GuestRam, start: u64) -> Self {
        let at = start;
        Self { ram, start, at }
    }

    /// Adds bytes.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.at + bytes.len() as u64;
        self.ram.bytes_mut(self.at..end)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Adds an instruction.
    pub fn word(&mut self, word: u32) -> Result<(), Error> {
        self.bytes(&word.to_le_bytes())
    }

    /// Makes the code what guests fetch.
    pub fn finish(self) -> Result<(), Error> {
        Ok(self.ram.publish(self.start..self.at)?)
    }
}

/// Writes the vectors of the reading guest: it steps over what is undefined.
pub fn write_skipping_vectors(ram: &mut GuestRam, at: u64) -> Result<(), Error> {
    write_exception_vectors(ram, at)?;
    const SYNCHRONOUS_EL1H: u64 = 0x200;
    let mut code = Writer::new(ram, at + SYNCHRONOUS_EL1H);
    code.bytes(skip())?;
    code.finish()
}

/// Writes the vectors of the writing guest: an exception ends its run.
pub fn write_exception_vectors(ram: &mut GuestRam, at: u64) -> Result<(), Error> {
    for entry in (at..at + VECTORS_BYTES).step_by(0x80) {
        let mut code = Writer::new(ram, entry);
        code.word(hvc(EXCEPTION))?;
        code.finish()?;
    }
    Ok(())
}

/// Writes code that stores the state, and then each of `registers`; its size is below 1 MiB.
pub fn write_reader(
    ram: &mut GuestRam,
    at: u64,
    registers: impl Iterator<Item = SysReg>,
) -> Result<(), Error> {
    let mut code = Writer::new(ram, at);
    for reg in registers {
        code.word(mrs(0, reg))?;
        code.word(STORE)?;
    }
    code.word(hvc(DONE))?;
    code.finish()
}

/// Writes the code that comes before any reader.
pub fn write_state_reader(ram: &mut GuestRam, at: u64) -> Result<(), Error> {
    let mut code = Writer::new(ram, at);
    code.bytes(state())?;
    code.finish()
}

/// Writes the code that fills the FP registers.
pub fn write_fp_filler(ram: &mut GuestRam, at: u64) -> Result<(), Error> {
    let mut code = Writer::new(ram, at);
    code.bytes(fill_fp())?;
    code.finish()
}
