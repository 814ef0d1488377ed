//! The guest's memory: a window of RAM, and on both sides of it RAM that must stay as it is.

use core::ops::Range;

use machine::{Error, GuestRam, NotInRam, Random};

use crate::{state::Entry, words};

/// Of the window, and of the RAM on either side that is watched.
const BYTES: u64 = 64 << 10;
const PAGE: u64 = 4 << 10;
/// Where MMU-on guests have the window again, for EL0.
const EL0_OFFSET: u64 = 1 << 30;

/// What lies in the window.
pub struct Memory {
    /// All that stage 2 maps; IPA and physical address are the same.
    pub window: Range<u64>,
}

impl Memory {
    /// Takes the first RAM.
    pub fn new(ram: &GuestRam) -> Self {
        let start = ram.start() + BYTES;
        Self {
            window: start..start + BYTES,
        }
    }

    /// Random code, four pages.
    pub fn code(&self) -> Range<u64> {
        self.window.start..self.window.start + 4 * PAGE
    }

    /// Vectors that skip the instruction.
    pub fn vectors(&self) -> u64 {
        self.code().end
    }

    /// The root of stage 1: blocks of 1 GiB, level 1.
    pub fn root(&self) -> u64 {
        self.vectors() + PAGE
    }

    /// The address at which EL0 has what is at `address`, while the guest's MMU is on.
    pub fn for_el0(&self, address: u64) -> u64 {
        address + EL0_OFFSET
    }

    fn watched(&self) -> [Range<u64>; 2] {
        let Range { start, end } = self.window;
        [start - BYTES..start, end..end + BYTES]
    }

    /// Fills what the guest must not reach.
    pub fn fill_watched(&self, ram: &mut GuestRam) -> Result<(), NotInRam> {
        for range in self.watched() {
            for (at, byte) in ram.bytes_mut(range)?.iter_mut().enumerate() {
                *byte = pattern(at);
            }
        }
        Ok(())
    }

    /// Checks that it is as it was.
    pub fn check_watched(&self, ram: &GuestRam) -> Result<(), Error> {
        for range in self.watched() {
            let bytes = ram.bytes(range)?;
            if bytes
                .iter()
                .enumerate()
                .any(|(at, byte)| *byte != pattern(at))
            {
                return Err(Error::Guest("the guest wrote outside its memory"));
            }
        }
        Ok(())
    }

    /// Fills the window with code, its data too: a guest that goes astray there goes on.
    pub fn fill(&self, ram: &mut GuestRam, random: &mut Random) -> Result<(), NotInRam> {
        for bytes in ram.bytes_mut(self.window.clone())?.chunks_exact_mut(4) {
            bytes.copy_from_slice(&words::a64(random).to_le_bytes());
        }
        ram.publish(self.window.clone())
    }

    /// Makes some of the code new; vectors and tables as they should be.
    pub fn refresh(
        &self,
        ram: &mut GuestRam,
        random: &mut Random,
        entry: &Entry,
    ) -> Result<(), NotInRam> {
        let range = entry.code.clone();
        for bytes in ram.bytes_mut(range.clone())?.chunks_exact_mut(4) {
            let word = match entry.is_a32 {
                true => words::a32(random),
                false => words::a64(random),
            };
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ram.publish(range)?;
        self.vectors_and_root(ram, random)
    }

    fn vectors_and_root(&self, ram: &mut GuestRam, random: &mut Random) -> Result<(), NotInRam> {
        let at = self.vectors();
        for (index, bytes) in ram
            .bytes_mut(at..at + 0x800)?
            .chunks_exact_mut(4)
            .enumerate()
        {
            let word = SKIP.get(index % 32).copied().unwrap_or(0).to_le_bytes();
            // QEMU looks for translations at every store to a page that has some.
            if *bytes != word {
                bytes.copy_from_slice(&word);
            }
        }
        let at = self.root();
        let entries = ram.bytes_mut(at..at + 4 * 8)?;
        for (entry, bytes) in BLOCKS.iter().zip(entries.chunks_exact_mut(8)) {
            // AttrIndx, NS, AP, SH, AF, nG; PBHA, UXN, PXN, Contiguous, DBM, GP.
            let odd = match random.below(4) {
                0 => 1 << random.below(10) << 2,
                1 => 1 << (50 + random.below(14)),
                _ => 0,
            };
            bytes.copy_from_slice(&(entry ^ odd).to_le_bytes());
        }
        ram.publish(at..at + 4 * 8)?;
        ram.publish(self.vectors()..self.vectors() + 0x800)
    }
}

/// Skips the instruction, and counts it in TPIDRRO_EL0: `mrs x17, elr_el1; add x17, x17, #4; msr
/// elr_el1, x17; mrs x17, tpidrro_el0; add x17, x17, #1; msr tpidrro_el0, x17; eret`.
const SKIP: [u32; 7] = [
    0xd538_4031,
    0x9100_1231,
    0xd518_4031,
    0xd53b_d071,
    0x9100_0631,
    0xd51b_d071,
    0xd69f_03e0,
];

/// Instructions of a guest for each that its vectors skip.
pub const SKIP_COST: u64 = SKIP.len() as u64 + 1;

/// What lies below RAM, the window for EL1, the window for EL0, nothing.
const BLOCKS: [u64; 4] = [
    BLOCK | 1 << 2,
    BLOCK | RAM_BLOCK,
    BLOCK | RAM_BLOCK | AP_EL0,
    0,
];
/// A valid block with its access flag; attributes 0, normal memory.
const BLOCK: u64 = 1 << 10 | 3 << 8 | 1;
const RAM_BLOCK: u64 = 1 << 30;
const AP_EL0: u64 = 1 << 6;

fn pattern(at: usize) -> u8 {
    (at as u32).wrapping_mul(0x9e37_79b9).to_be_bytes()[0]
}
