//! A split virtqueue, as the device walks it.

use super::Memory;

/// The most entries that we offer (QueueNumMax).
pub(super) const MOST: u16 = 64;

/// Where a queue is, by its driver's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    pub size: u16,
    pub is_ready: bool,
    pub descriptors: u64,
    /// The driver's area: the available ring.
    pub available: u64,
    /// The device's area: the used ring.
    pub used: u64,
    /// How many buffers were taken, modulo 2^16.
    taken: u16,
    /// How many were given back.
    returned: u16,
}

/// A part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub at: u64,
    pub bytes: u32,
    /// For the device to write.
    pub is_writable: bool,
}

/// A buffer: its parts, and the index it is returned by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffer {
    head: u16,
    parts: [Part; Self::PARTS],
    count: usize,
}

/// The queue makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const DESCRIPTOR_BYTES: u64 = 16;
/// VIRTQ_AVAIL_F_NO_INTERRUPT.
const NO_INTERRUPT: u16 = 1;

impl Buffer {
    /// A longer chain is refused: the driver was told of fewer (`seg_max`).
    pub const PARTS: usize = 18;

    pub fn parts(&self) -> &[Part] {
        self.parts.get(..self.count).unwrap_or(&[])
    }
}

impl Queue {
    /// Makes it ready: both sides start to count at 0.
    pub fn start(&mut self) {
        self.is_ready = self.size != 0;
        (self.taken, self.returned) = (0, 0);
    }

    /// Takes the next buffer, if there is one.
    pub fn take(&mut self, memory: &impl Memory) -> Result<Option<Buffer>, Broken> {
        if !self.is_ready || self.size == 0 {
            return Ok(None);
        }
        let offered = half(memory, self.available.checked_add(2))?;
        let waiting = offered.wrapping_sub(self.taken);
        if waiting == 0 {
            return Ok(None);
        }
        if waiting > self.size {
            return Err(Broken);
        }
        let place = u64::from(self.taken % self.size);
        let head = half(memory, self.available.checked_add(4 + 2 * place))?;
        let buffer = self.chain(memory, head)?;
        self.taken = self.taken.wrapping_add(1);
        Ok(Some(buffer))
    }

    fn chain(&self, memory: &impl Memory, head: u16) -> Result<Buffer, Broken> {
        let nothing = Part {
            at: 0,
            bytes: 0,
            is_writable: false,
        };
        let mut buffer = Buffer {
            head,
            parts: [nothing; Buffer::PARTS],
            count: 0,
        };
        let mut index = head;
        loop {
            if index >= self.size {
                return Err(Broken);
            }
            let mut bytes = [0; DESCRIPTOR_BYTES as usize];
            let at = self
                .descriptors
                .checked_add(DESCRIPTOR_BYTES * u64::from(index));
            if !memory.read(at.ok_or(Broken)?, &mut bytes) {
                return Err(Broken);
            }
            let [
                a0,
                a1,
                a2,
                a3,
                a4,
                a5,
                a6,
                a7,
                l0,
                l1,
                l2,
                l3,
                f0,
                f1,
                n0,
                n1,
            ] = bytes;
            let flags = u16::from_le_bytes([f0, f1]);
            // A chain that comes back to itself has more parts than there is room for.
            let place = buffer.parts.get_mut(buffer.count).ok_or(Broken)?;
            if flags & INDIRECT != 0 {
                return Err(Broken); // not offered
            }
            *place = Part {
                at: u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
                bytes: u32::from_le_bytes([l0, l1, l2, l3]),
                is_writable: flags & WRITE != 0,
            };
            buffer.count += 1;
            if flags & NEXT == 0 {
                return Ok(buffer);
            }
            index = u16::from_le_bytes([n0, n1]);
        }
    }

    /// Gives a buffer back, with so many bytes written; returns whether the driver wants an
    /// interrupt.
    pub fn give_back(
        &mut self,
        memory: &mut impl Memory,
        buffer: &Buffer,
        written: u32,
    ) -> Result<bool, Broken> {
        let place = u64::from(self.returned.checked_rem(self.size).ok_or(Broken)?);
        let mut element = [0; 8];
        let (head, length) = element.split_at_mut(4);
        head.copy_from_slice(&u32::from(buffer.head).to_le_bytes());
        length.copy_from_slice(&written.to_le_bytes());
        let at = self.used.checked_add(4 + 8 * place).ok_or(Broken)?;
        if !memory.write(at, &element) {
            return Err(Broken);
        }
        self.returned = self.returned.wrapping_add(1);
        // The driver looks at the element once the index says so.
        core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
        let at = self.used.checked_add(2).ok_or(Broken)?;
        if !memory.write(at, &self.returned.to_le_bytes()) {
            return Err(Broken);
        }
        let flags = half(memory, Some(self.available))?;
        Ok(flags & NO_INTERRUPT == 0)
    }
}

fn half(memory: &impl Memory, at: Option<u64>) -> Result<u16, Broken> {
    let mut bytes = [0; 2];
    match at {
        Some(at) if memory.read(at, &mut bytes) => Ok(u16::from_le_bytes(bytes)),
        _ => Err(Broken),
    }
}
