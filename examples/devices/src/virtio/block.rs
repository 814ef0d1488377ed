//! A disk of bytes in the host's memory.

use super::{
    Memory,
    queue::{Broken, Buffer, Part},
    registers::{CHANGED, NEEDS_RESET, Registers, USED},
};
use crate::lanes;

/// A read-only disk.
#[derive(Clone, Debug)]
pub struct Block<'d> {
    disk: &'d [u8],
    pub(super) registers: Registers,
}

const SECTOR_BYTES: u64 = 512;
/// Request types.
const IN: u32 = 0;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
/// The status byte.
const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// Type, a reserved word, the sector.
const HEADER_BYTES: u32 = 16;
const ID: [u8; 20] = *b"vcpu\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

impl<'d> Block<'d> {
    /// Returns a disk with these bytes, as many as make whole sectors.
    pub fn new(disk: &'d [u8]) -> Self {
        Self {
            disk,
            registers: Registers::default(),
        }
    }

    /// Returns the interrupt line.
    pub fn line(&self) -> bool {
        self.registers.interrupts != 0
    }

    pub(super) fn is_read_only(&self) -> bool {
        true
    }

    /// Block Device, "Device configuration layout": `capacity` at 0, `seg_max` at 12.
    pub(super) fn configuration(&self, at: u64, size_bytes: u8) -> u64 {
        let sectors = self.disk.len() as u64 / SECTOR_BYTES;
        let word = match at & !7 {
            0 => sectors,
            8 => (Buffer::PARTS as u64 - 2) << 32,
            _ => 0,
        };
        match at % u64::from(size_bytes.max(1)) {
            0 => lanes::read(word, at, size_bytes),
            _ => 0,
        }
    }

    /// Serves all buffers that wait.
    pub(super) fn serve(&mut self, memory: &mut impl Memory) {
        while self.is_driven() {
            match self.serve_one(memory) {
                Ok(true) => {}
                Ok(false) => return,
                Err(Broken) => {
                    self.registers.status |= NEEDS_RESET;
                    self.registers.interrupts |= CHANGED;
                }
            }
        }
    }

    fn serve_one(&mut self, memory: &mut impl Memory) -> Result<bool, Broken> {
        let Some(buffer) = self.registers.queue.take(memory)? else {
            return Ok(false);
        };
        // A header to read first, a byte to write last, the data in between.
        let [header, data @ .., status] = buffer.parts() else {
            return Err(Broken);
        };
        let mut bytes = [0; HEADER_BYTES as usize];
        let is_header = !header.is_writable && header.bytes == HEADER_BYTES;
        let is_status = status.is_writable && status.bytes == 1;
        if !is_header || !is_status || !memory.read(header.at, &mut bytes) {
            return Err(Broken);
        }
        let [k0, k1, k2, k3, _, _, _, _, s0, s1, s2, s3, s4, s5, s6, s7] = bytes;
        let sector = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
        let (result, written) = match u32::from_le_bytes([k0, k1, k2, k3]) {
            IN => match self.bytes_at(sector) {
                Some(from) => copy(memory, from, data),
                None => (IO_ERROR, 0),
            },
            GET_ID => copy(memory, &ID, data),
            FLUSH => (OK, 0),
            _ => (UNSUPPORTED, 0),
        };
        if !memory.write(status.at, &[result]) {
            return Err(Broken);
        }
        let queue = &mut self.registers.queue;
        if queue.give_back(memory, &buffer, written.saturating_add(1))? {
            self.registers.interrupts |= USED;
        }
        Ok(true)
    }

    /// Returns the disk from a sector on, whole sectors.
    fn bytes_at(&self, sector: u64) -> Option<&'d [u8]> {
        let whole = self.disk.len() as u64 / SECTOR_BYTES * SECTOR_BYTES;
        let start = sector.checked_mul(SECTOR_BYTES)?;
        self.disk
            .get(usize::try_from(start).ok()?..usize::try_from(whole).ok()?)
    }
}

/// Fills writable parts from `from`; returns the status, and how many bytes were written.
fn copy(memory: &mut impl Memory, from: &[u8], parts: &[Part]) -> (u8, u32) {
    let mut rest = from;
    let mut written = 0_u32;
    for part in parts {
        let Some((bytes, after)) = rest.split_at_checked(part.bytes as usize) else {
            return (IO_ERROR, written); // beyond the end
        };
        if !part.is_writable || !memory.write(part.at, bytes) {
            return (IO_ERROR, written);
        }
        rest = after;
        written = written.saturating_add(part.bytes);
    }
    (OK, written)
}
