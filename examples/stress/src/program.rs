//! The guest's program: a copy of this very image's code and constants, at the addresses that they
//! are linked at, entered at the guest's first instruction.
//!
//! So the guest is Rust, and needs no build of its own. What the host writes, its `.data` and
//! `.bss`, is not in the copy: a guest that came to use it would find RAM of its own.

use alloc::{vec, vec::Vec};
use core::slice;

use machine::layout::RAM_START;

unsafe extern "C" {
    /// Of `image.ld`.
    static text_begin: u8;
    static rodata_end: u8;
    /// Of `guest`.
    static stress_entry: u8;
}

/// A page in front of the copy, which begins with a branch: a flat program starts at its first byte.
const FRONT_BYTES: usize = 4096;

/// Returns the program.
pub fn bytes() -> Vec<u8> {
    let (start, end) = (&raw const text_begin, &raw const rodata_end);
    // SAFETY: the image between the two, code and constants, which nobody writes.
    let image = unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) };
    let mut program = vec![0; FRONT_BYTES];
    let distance = FRONT_BYTES + ((&raw const stress_entry).addr() - start.addr());
    program[..4].copy_from_slice(&branch(distance).to_le_bytes());
    program.extend_from_slice(image);
    program
}

/// Returns how far from the start of its RAM the guest finds the program.
pub fn offset() -> u64 {
    (&raw const text_begin).addr() as u64 - FRONT_BYTES as u64 - RAM_START
}

/// `b`, this many bytes forward.
fn branch(distance: usize) -> u32 {
    0x1400_0000 | (distance as u32 / 4) & 0x3ff_ffff
}
