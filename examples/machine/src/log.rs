//! defmt frames, out of QEMU by a virtio console that no guest owns.
//!
//! Bytes leave by the console's *emergency write* register: one store per byte, no queue, no driver
//! state, so a panic or an exception handler can log too. Without the device, frames go nowhere.
//! The contract with `cargo xtask`: a frame of level error means that the run failed.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use critical_section::RestoreState;
use defmt::{Encoder, Logger};
use safe_mmio::fields::{ReadPure, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};

use crate::layout::LOG_CONSOLE;

defmt::timestamp!("{=u64:us}", now_us());

/// Returns the time since reset in microseconds.
pub fn now_us() -> u64 {
    const US_PER_S: u64 = 1_000_000;
    let (ticks, freq_hz) = (CNTPCT_EL0.get(), CNTFRQ_EL0.get());
    ticks / freq_hz * US_PER_S + ticks % freq_hz * US_PER_S / freq_hz
}

/// virtio-mmio, as far as a console's emergency write needs it. Virtio 1.2: "MMIO Device Register
/// Layout", and "Console Device", "Device configuration layout".
#[repr(C)]
struct Registers {
    magic: ReadPure<u32>,
    version: ReadPure<u32>,
    device_id: ReadPure<u32>,
    unused_0c: [u32; 0x3d],
    /// Configuration space: cols and rows, max_nr_ports, then `emerg_wr`.
    unused_100: [u32; 2],
    emergency_write: WriteOnly<u32>,
}

const _: () = assert!(core::mem::offset_of!(Registers, emergency_write) == 0x108);

const MAGIC: u32 = u32::from_le_bytes(*b"virt");
const CONSOLE: u32 = 3;
/// The device sends the low byte and ignores the rest, but QEMU takes a whole word of 0 for nothing
/// to send.
const NOT_ZERO: u32 = 0x100;

/// The device, if QEMU has it.
struct Channel(UniqueMmioPointer<'static, Registers>);

impl Channel {
    fn find() -> Option<Self> {
        let registers = NonNull::new(LOG_CONSOLE as *mut Registers)?;
        // SAFETY: slot 31 of `virt`, mapped as Device for as long as the program runs. A `Channel`
        // lives between `acquire` and `release` of the logger, inside a critical section.
        let registers = unsafe { UniqueMmioPointer::new(registers) };
        let is_console = field_shared!(registers, magic).read() == MAGIC
            && field_shared!(registers, device_id).read() == CONSOLE;
        is_console.then_some(Self(registers))
    }

    fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            field!(self.0, emergency_write).write(NOT_ZERO | u32::from(byte));
        }
    }
}

/// What one frame needs, from `acquire` to `release`.
struct Frame {
    encoder: Encoder,
    channel: Option<Channel>,
    /// 1 inside a frame; 2 when a panic inside a frame logs its message.
    depth: u8,
    restore: RestoreState,
}

impl Frame {
    fn start(&mut self) {
        let Self {
            encoder, channel, ..
        } = self;
        encoder.start_frame(|bytes| send(channel, bytes));
    }

    fn write(&mut self, data: &[u8]) {
        let Self {
            encoder, channel, ..
        } = self;
        encoder.write(data, |bytes| send(channel, bytes));
    }

    fn end(&mut self) {
        let Self {
            encoder, channel, ..
        } = self;
        encoder.end_frame(|bytes| send(channel, bytes));
    }
}

fn send(channel: &mut Option<Channel>, bytes: &[u8]) {
    if let Some(channel) = channel {
        channel.send(bytes);
    }
}

struct Shared(UnsafeCell<Frame>);

// SAFETY: `VirtioLogger` reaches the cell inside a critical section only.
unsafe impl Sync for Shared {}

static FRAME: Shared = Shared(UnsafeCell::new(Frame {
    encoder: Encoder::new(),
    channel: None,
    depth: 0,
    restore: RestoreState::invalid(),
}));

#[defmt::global_logger]
struct VirtioLogger;

// SAFETY: `acquire` enters a critical section and `release` leaves it: one frame at a time over all
// CPUs, and no interrupt handler in between. A panic inside a frame ends that frame and starts its
// own, and never returns to it.
unsafe impl Logger for VirtioLogger {
    fn acquire() {
        // SAFETY: `release` pairs with it; defmt calls that once for each `acquire`, in the same
        // context.
        let restore = unsafe { critical_section::acquire() };
        // SAFETY: inside the critical section; no other reference lives across calls.
        let frame = unsafe { &mut *FRAME.0.get() };
        if frame.depth == 0 {
            frame.restore = restore;
            frame.channel = Channel::find();
        } else {
            frame.end();
        }
        frame.depth += 1;
        frame.start();
    }

    unsafe fn flush() {} // a byte is out when its store is done

    unsafe fn release() {
        // SAFETY: inside the critical section; no other reference lives across calls.
        let frame = unsafe { &mut *FRAME.0.get() };
        frame.end();
        frame.depth -= 1;
        if frame.depth == 0 {
            frame.channel = None;
            let restore = frame.restore;
            // SAFETY: what the outermost `acquire` returned, given back once.
            unsafe { critical_section::release(restore) };
        }
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: inside the critical section; no other reference lives across calls.
        let frame = unsafe { &mut *FRAME.0.get() };
        frame.write(bytes);
    }
}
