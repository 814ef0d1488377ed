//! A disk of bytes in the host's memory.

use super::{
    Memory,
    queue::{Broken, Buffer},
    registers::{CHANGED, NEEDS_RESET, Registers, USED},
};
use crate::lanes;

/// A read-only disk.
#[derive(Clone, Debug)]
pub struct Block<'d> {
    disk: &'d [u8],
    pub(super) registers: Registers,
    /// What the last notification did not get done.
    pub(super) copying: Option<Copying<'d>>,
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
    /// What one notification is worth, in bytes: a guest that asks for much does not keep its CPU
    /// from others.
    pub const BUDGET: u32 = 64 << 10;

    /// Returns a disk with these bytes, as many as make whole sectors.
    pub fn new(disk: &'d [u8]) -> Self {
        Self {
            disk,
            registers: Registers::default(),
            copying: None,
        }
    }

    /// Forgets the driver. What is on the disk stays.
    pub fn reset(&mut self) {
        self.registers = Registers::default();
        self.copying = None;
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

    /// Serves buffers that wait, but no more than [`Self::BUDGET`]; returns whether there is more
    /// to do. Whoever asked waits for it, and is to ask again: meanwhile others may run.
    pub(super) fn serve(&mut self, memory: &mut impl Memory) -> bool {
        let mut left = Self::BUDGET;
        while left != 0 {
            if !self.is_driven() {
                self.copying = None;
                return false;
            }
            match self.serve_some(memory, &mut left) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(Broken) => {
                    self.registers.status |= NEEDS_RESET;
                    self.registers.interrupts |= CHANGED;
                }
            }
        }
        true
    }

    /// Goes on with a buffer, or begins the next; returns whether there was one.
    fn serve_some(&mut self, memory: &mut impl Memory, left: &mut u32) -> Result<bool, Broken> {
        let mut copying = match self.copying.take() {
            Some(copying) => copying,
            None => match self.registers.queue.take(memory)? {
                Some(buffer) => self.begin(memory, buffer)?,
                None => return Ok(false),
            },
        };
        let Some(result) = copying.copy(memory, left) else {
            self.copying = Some(copying);
            return Ok(true);
        };
        let (buffer, written) = (&copying.buffer, copying.written);
        let Some(status) = buffer.parts().last() else {
            return Err(Broken);
        };
        if !memory.write(status.at, &[result]) {
            return Err(Broken);
        }
        let queue = &mut self.registers.queue;
        if queue.give_back(memory, buffer, written.saturating_add(1))? {
            self.registers.interrupts |= USED;
        }
        Ok(true)
    }

    fn begin(&self, memory: &impl Memory, buffer: Buffer) -> Result<Copying<'d>, Broken> {
        // A header to read first, a byte to write last, the data in between.
        let [header, .., status] = buffer.parts() else {
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
        let from = match u32::from_le_bytes([k0, k1, k2, k3]) {
            IN => self.bytes_at(sector).ok_or(IO_ERROR),
            GET_ID => Ok(ID.as_slice()),
            FLUSH => Err(OK),
            _ => Err(UNSUPPORTED),
        };
        Ok(Copying {
            buffer,
            from,
            part: 1,
            done: 0,
            written: 0,
        })
    }

    /// Returns the disk from a sector on, whole sectors.
    fn bytes_at(&self, sector: u64) -> Option<&'d [u8]> {
        let whole = self.disk.len() as u64 / SECTOR_BYTES * SECTOR_BYTES;
        let start = sector.checked_mul(SECTOR_BYTES)?;
        self.disk
            .get(usize::try_from(start).ok()?..usize::try_from(whole).ok()?)
    }
}

/// A buffer whose writable parts are being filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copying<'d> {
    buffer: Buffer,
    /// What is still to be copied; or the status, where nothing is.
    from: Result<&'d [u8], u8>,
    /// The part that is being filled, and how much of it was.
    part: usize,
    done: u32,
    written: u32,
}

impl Copying<'_> {
    /// Copies up to `left` bytes, which it counts down; a buffer by itself counts as some. Returns
    /// the status, once there is one.
    fn copy(&mut self, memory: &mut impl Memory, left: &mut u32) -> Option<u8> {
        *left = left.saturating_sub(Self::OVERHEAD);
        let rest = match &mut self.from {
            Ok(rest) => rest,
            Err(status) => return Some(*status),
        };
        let [_, parts @ .., _] = self.buffer.parts() else {
            return Some(IO_ERROR);
        };
        while let Some(part) = parts.get(self.part - 1) {
            let wanted = part.bytes - self.done;
            if !part.is_writable || wanted as usize > rest.len() {
                return Some(IO_ERROR); // beyond the end
            }
            let Some((bytes, after)) = rest.split_at_checked(wanted.min(*left) as usize) else {
                return Some(IO_ERROR);
            };
            let at = part.at.checked_add(self.done.into());
            if !at.is_some_and(|at| memory.write(at, bytes)) {
                return Some(IO_ERROR);
            }
            *rest = after;
            let copied = bytes.len() as u32;
            *left -= copied;
            self.done += copied;
            self.written = self.written.saturating_add(copied);
            if self.done != part.bytes {
                return None;
            }
            (self.part, self.done) = (self.part + 1, 0);
        }
        Some(OK)
    }

    const OVERHEAD: u32 = 1024;
}
