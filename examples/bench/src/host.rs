//! What the host does for its guests, the same whichever library runs them.

use crate::guest::DEVICE;

/// Vendor-specific hypervisor calls (SMC64): an answer at once.
pub const PING: u32 = 0xc600_0000;
/// X1 is how long the loop took, in ticks of the counter.
pub const REPORT: u32 = 0xc600_0001;
/// OSLSR_EL1 of a CPU whose OS lock is implemented and open (OSLM = 0b10).
pub const OS_LOCK_OPEN: u64 = 1 << 3;

/// What becomes of a call.
pub enum Reply {
    /// X0.
    Value(u64),
    /// The guest is done, after so many ticks.
    Done(u64),
    /// There is no such function.
    Unknown,
}

/// The devices of a guest.
#[derive(Default)]
pub struct Host {
    /// A device of one register.
    register: u64,
    /// How many interrupts came.
    interrupts: u64,
}

impl Host {
    /// Answers a hypercall.
    pub fn call(&mut self, function: u32, argument: u64) -> Reply {
        match function {
            PING => Reply::Value(0),
            REPORT => Reply::Done(argument),
            _ => Reply::Unknown,
        }
    }

    /// Loads from a device.
    pub fn read(&mut self, address: u64, size_bytes: u8) -> Option<u64> {
        match (address, size_bytes) {
            (DEVICE, 4) => Some(self.register),
            _ => None,
        }
    }

    /// Stores to a device; false where none is.
    pub fn write(&mut self, address: u64, size_bytes: u8, value: u64) -> bool {
        match (address, size_bytes) {
            (DEVICE, 4) => self.register = value,
            _ => return false,
        }
        true
    }

    /// Handles a physical interrupt.
    pub fn interrupt(&mut self) {
        self.interrupts += 1;
    }

    /// Returns how many interrupts came.
    pub fn interrupts(&self) -> u64 {
        self.interrupts
    }
}
