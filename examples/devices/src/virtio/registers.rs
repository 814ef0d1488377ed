//! The registers of a virtio device over MMIO.

use super::{
    Block, Memory,
    queue::{MOST, Queue},
};
use crate::lanes;

/// Bytes of the registers, the configuration among them.
pub const SIZE_BYTES: u64 = 0x200;

/// Virtio 1.2, "MMIO Device Register Layout".
mod at {
    pub const MAGIC: u64 = 0x000;
    pub const VERSION: u64 = 0x004;
    pub const DEVICE_ID: u64 = 0x008;
    pub const VENDOR_ID: u64 = 0x00c;
    pub const DEVICE_FEATURES: u64 = 0x010;
    pub const DEVICE_FEATURES_SELECT: u64 = 0x014;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SELECT: u64 = 0x024;
    pub const QUEUE_SELECT: u64 = 0x030;
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    pub const QUEUE_NUM: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const INTERRUPT_STATUS: u64 = 0x060;
    pub const INTERRUPT_ACK: u64 = 0x064;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_DESCRIPTORS: u64 = 0x080;
    pub const QUEUE_DRIVER: u64 = 0x090;
    pub const QUEUE_DEVICE: u64 = 0x0a0;
    pub const GENERATION: u64 = 0x0fc;
    pub const CONFIGURATION: u64 = 0x100;
}

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const BLOCK: u32 = 2;
/// Nobody: the number QEMU has is QEMU's.
const VENDOR: u32 = 0;
/// VIRTIO_F_VERSION_1, bit 32; VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_RO.
const VERSION_1: u64 = 1 << 32;
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
/// Device status.
const FEATURES_OK: u32 = 8;
const DRIVER_OK: u32 = 4;
pub(super) const NEEDS_RESET: u32 = 64;
/// InterruptStatus: a buffer was used; the configuration changed.
pub(super) const USED: u32 = 1;
pub(super) const CHANGED: u32 = 2;

/// Reads a register where no device is: programs look whether there is one, and find its ID 0.
pub fn read_empty(offset: u64, size_bytes: u8) -> u64 {
    match (offset, size_bytes) {
        (at::MAGIC, 4) => MAGIC.into(),
        (at::VERSION, 4) => 2,
        _ => 0,
    }
}

/// What the driver wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers {
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    queue_select: u32,
    pub queue: Queue,
    pub interrupts: u32,
    pub status: u32,
}

impl Block<'_> {
    /// Reads a register, or part of the configuration.
    pub fn read(&self, offset: u64, size_bytes: u8) -> u64 {
        let own = &self.registers;
        if let Some(at) = offset.checked_sub(at::CONFIGURATION) {
            return self.configuration(at, size_bytes);
        }
        if size_bytes != 4 || offset & 3 != 0 {
            return 0;
        }
        let selected = own.queue_select == 0;
        let value = match offset {
            at::MAGIC => MAGIC,
            at::VERSION => 2,
            at::DEVICE_ID => BLOCK,
            at::VENDOR_ID => VENDOR,
            at::DEVICE_FEATURES => match own.device_features_select {
                0 => self.features() as u32,
                1 => (self.features() >> 32) as u32,
                _ => 0,
            },
            at::QUEUE_NUM_MAX if selected => MOST.into(),
            at::QUEUE_READY if selected => own.queue.is_ready.into(),
            at::INTERRUPT_STATUS => own.interrupts,
            at::STATUS => own.status,
            at::GENERATION => 0, // the configuration never changes
            _ => 0,
        };
        value.into()
    }

    /// Writes a register; a notification is served at once, from and to `memory`. Returns whether
    /// only in part: the same write goes on with it.
    #[must_use]
    pub fn write(
        &mut self,
        memory: &mut impl Memory,
        offset: u64,
        size_bytes: u8,
        value: u64,
    ) -> bool {
        if size_bytes != 4 || offset & 3 != 0 {
            return false;
        }
        let value = value as u32;
        let own = &mut self.registers;
        let is_set_up = own.status & (FEATURES_OK | DRIVER_OK) != 0;
        let selected = own.queue_select == 0 && !own.queue.is_ready;
        match offset {
            at::DEVICE_FEATURES_SELECT => own.device_features_select = value,
            at::DRIVER_FEATURES_SELECT => own.driver_features_select = value,
            at::DRIVER_FEATURES if !is_set_up && own.driver_features_select < 2 => {
                let at = 4 * u64::from(own.driver_features_select);
                own.driver_features = lanes::write(own.driver_features, at, 4, value.into());
            }
            at::QUEUE_SELECT => own.queue_select = value,
            at::QUEUE_NUM if selected => {
                let is_size = value.is_power_of_two() && value <= MOST.into();
                own.queue.size = if is_size { value as u16 } else { 0 };
            }
            at::QUEUE_READY if own.queue_select == 0 => {
                self.copying = None;
                match value & 1 {
                    0 => own.queue.is_ready = false,
                    _ => own.queue.start(),
                }
            }
            at::QUEUE_NOTIFY if value == 0 => return self.serve(memory),
            at::INTERRUPT_ACK => own.interrupts &= !value,
            at::STATUS => self.set_status(value),
            at if selected => {
                let place = match at & !4 {
                    at::QUEUE_DESCRIPTORS => &mut own.queue.descriptors,
                    at::QUEUE_DRIVER => &mut own.queue.available,
                    at::QUEUE_DEVICE => &mut own.queue.used,
                    _ => return false,
                };
                *place = lanes::write(*place, at & 4, 4, value.into());
            }
            _ => {}
        }
        false
    }

    /// Returns whether the driver may use its queue.
    pub(super) fn is_driven(&self) -> bool {
        self.registers.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let accepted = self.registers.driver_features;
        let is_fit = accepted & !self.features() == 0 && accepted & VERSION_1 != 0;
        let refused = if is_fit { 0 } else { FEATURES_OK };
        let kept = self.registers.status & NEEDS_RESET;
        self.registers.status = value & 0x8f & !refused | kept;
    }

    fn features(&self) -> u64 {
        let read_only = if self.is_read_only() { READ_ONLY } else { 0 };
        VERSION_1 | SEG_MAX | read_only
    }
}
