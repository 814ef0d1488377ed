//! What the host does for its guests, the same whichever library runs them.

use core::cell::Cell;

use crate::guest::DEVICE;

/// Vendor-specific hypervisor calls (SMC64): an answer at once.
pub const PING: u32 = 0xc600_0000;
/// X1 is how long the loop took, in ticks of the counter.
pub const REPORT: u32 = 0xc600_0001;
/// OSLSR_EL1 of a CPU whose OS lock is implemented and open (OSLM = 0b10).
pub const OS_LOCK_OPEN: u64 = 1 << 3;

/// The answer of SMCCC to a function that is not there.
pub const UNKNOWN_FUNCTION: u64 = !0;

/// What becomes of a call.
pub enum Reply {
    /// X0.
    Value(u64),
    /// The guest is done, after so many ticks.
    Done(u64),
    /// There is no such function.
    Unknown,
}

/// The devices of a guest, which its vCPUs share.
#[derive(Default)]
pub struct Host {
    /// A device of one register.
    register: Cell<u64>,
    /// How many interrupts came.
    interrupts: Cell<u64>,
}

impl Host {
    /// Answers a hypercall.
    pub fn call(&self, function: u32, argument: u64) -> Reply {
        match function {
            PING => Reply::Value(0),
            REPORT => Reply::Done(argument),
            _ => Reply::Unknown,
        }
    }

    /// Loads from a device.
    pub fn read(&self, address: u64, size_bytes: u8) -> Option<u64> {
        match (address, size_bytes) {
            (DEVICE, 4) => Some(self.register.get()),
            _ => None,
        }
    }

    /// Stores to a device; false where none is.
    pub fn write(&self, address: u64, size_bytes: u8, value: u64) -> bool {
        match (address, size_bytes) {
            (DEVICE, 4) => self.register.set(value),
            _ => return false,
        }
        true
    }

    /// Handles a physical interrupt.
    pub fn interrupt(&self) {
        self.interrupts.set(self.interrupts.get() + 1);
    }

    /// Returns how many interrupts came.
    pub fn interrupts(&self) -> u64 {
        self.interrupts.get()
    }
}
