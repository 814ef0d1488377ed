//! The host's own registers, all that can be read at EL2.

use core::arch::naked_asm;

use machine::Error;
use vcpu_regs::SysReg;

use crate::{code::UNDEFINED, known};

/// As many as there are encodings with an op0 of 2 and 3.
const WORDS: usize = 1 << 15;

const fn at(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> u16 {
    SysReg::new(op0, op1, crn, crm, op2).bits() - (2 << 14)
}

/// Registers whose reading does something: an acknowledge, a word taken from a channel.
const SKIPPED: [u16; 6] = [
    at(2, 0, 0, 0, 2),   // OSDTRRX_EL1
    at(2, 3, 0, 4, 0),   // DBGDTR_EL0
    at(2, 3, 0, 5, 0),   // DBGDTRRX_EL0
    at(3, 0, 12, 8, 0),  // ICC_IAR0_EL1
    at(3, 0, 12, 9, 5),  // ICC_NMIAR1_EL1
    at(3, 0, 12, 12, 0), // ICC_IAR1_EL1
];

/// Patterns in the thread registers of a host, which the guests' could be taken for otherwise.
///
/// # Safety
///
/// Nothing of the host depends on SP_EL0, TPIDR_EL0, TPIDR_EL1 and TPIDR_EL2.
#[unsafe(naked)]
pub unsafe extern "C" fn set_patterns(salt: u64) {
    naked_asm!(
        "msr sp_el0, x0",
        "add x0, x0, #1",
        "msr tpidr_el0, x0",
        "add x0, x0, #1",
        "msr tpidr_el1, x0",
        "add x0, x0, #1",
        "msr tpidr_el2, x0",
        "isb",
        "ret",
    )
}

/// Reads registers, named by their place among the encodings with an op0 of 2 and 3, into `out`;
/// what is undefined reads as [`UNDEFINED`].
///
/// In: x0 = places, x1 = how many, x2 = out. Clobbers: x3 to x8, x10, ESR_EL2, ELR_EL2, SPSR_EL2.
/// Stack: untouched.
///
/// # Safety
///
/// At EL2 on its own stack, D, A, I and F masked. `places` is valid for `count` halfwords, each
/// below [`WORDS`], and `out` for `count` words.
#[unsafe(naked)]
unsafe extern "C" fn read_some(places: *const u16, count: usize, out: *mut u64) {
    naked_asm!(
        "mrs x4, vbar_el2",
        "mov x10, x30",
        "adr x5, 9f",
        "msr vbar_el2, x5",
        "isb",
        "ldr x6, ={undefined}",
        "adrp x7, 8f",
        "add x7, x7, :lo12:8f",
        "cbz x1, 2f",
        "1:",
        "ldrh w8, [x0], #2",
        "add x8, x7, x8, lsl #3",
        "blr x8",
        "str x3, [x2], #8",
        "subs x1, x1, #1",
        "b.ne 1b",
        "2:",
        "msr vbar_el2, x4",
        "isb",
        "ret x10",
        ".ltorg",
        ".p2align 11",
        "9:",
        ".rept 4",
        ".p2align 7",
        "b .", // from EL2 on SP_EL0: not this code
        ".endr",
        ".p2align 7",
        "mrs x3, elr_el2",
        "add x3, x3, #4",
        "msr elr_el2, x3",
        "mov x3, x6",
        "eret",
        ".rept 11",
        ".p2align 7",
        "b .", // interrupts are masked, and no guest runs
        ".endr",
        ".p2align 3",
        "8:",
        ".set n, 0",
        ".rept {words}",
        ".if (n - {skipped0}) && (n - {skipped1}) && (n - {skipped2}) && (n - {skipped3}) && (n - {skipped4}) && (n - {skipped5})",
        ".inst 0xd5300003 | (n << 5)", // mrs x3, S2_0_C0_C0_0 and on
        ".else",
        "mov x3, x6",
        ".endif",
        "ret",
        ".set n, n + 1",
        ".endr",
        undefined = const UNDEFINED,
        words = const WORDS,
        skipped0 = const SKIPPED[0],
        skipped1 = const SKIPPED[1],
        skipped2 = const SKIPPED[2],
        skipped3 = const SKIPPED[3],
        skipped4 = const SKIPPED[4],
        skipped5 = const SKIPPED[5],
    )
}

/// More registers than one CPU has at EL2.
const MOST: usize = 2048;

/// The registers of the host as they were before the first guest.
pub struct Host {
    places: [u16; MOST],
    before: [u64; MOST],
    count: usize,
}

impl Host {
    /// Reads them.
    ///
    /// # Safety
    ///
    /// At EL2 on its own stack, interrupts masked, and they stay so while this lives.
    pub unsafe fn read() -> Result<Self, Error> {
        let mut host = Self {
            places: [0; MOST],
            before: [0; MOST],
            count: 0,
        };
        for place in 0..WORDS as u16 {
            let mut value = 0;
            // SAFETY: EL2 and masks as the caller says; one place, one word.
            unsafe { read_some(&place, 1, &mut value) };
            if value == UNDEFINED {
                continue;
            }
            let count = host.count;
            *host
                .places
                .get_mut(count)
                .ok_or(Error::Guest("more registers than expected"))? = place;
            host.before[count] = value;
            host.count += 1;
        }
        Ok(host)
    }

    /// Calls `differs` for each register that is not as it was, with it before and now.
    pub fn compare(&self, mut differs: impl FnMut(SysReg, u64, u64)) {
        let mut now = [0; MOST];
        // SAFETY: EL2 and masks as for `read`; both arrays are longer than `count`, and the places
        // are those of `read`.
        unsafe { read_some(self.places.as_ptr(), self.count, now.as_mut_ptr()) };
        for ((&place, &before), now) in self
            .places
            .iter()
            .zip(&self.before)
            .zip(now)
            .take(self.count)
        {
            let reg = SysReg::from_bits((2 << 14) + place);
            if before != now && known::in_host(reg).is_none() {
                differs(reg, before, now);
            }
        }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}
