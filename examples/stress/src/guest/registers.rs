//! System registers and barriers.

/// Reads a system register.
macro_rules! read {
    ($name:ident) => {{
        let value: u64;
        // SAFETY: at EL1, which has the register; a read changes no memory of Rust's.
        unsafe {
            core::arch::asm!(
                concat!("mrs {}, ", stringify!($name)), out(reg) value, options(nostack)
            )
        };
        value
    }};
}

/// Writes a system register that leaves memory as Rust knows it.
macro_rules! write {
    ($name:ident, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: at EL1, which has the register; none of those written here moves what Rust uses.
        unsafe {
            core::arch::asm!(
                concat!("msr ", stringify!($name), ", {}"), in(reg) value, options(nostack)
            )
        };
    }};
}

/// Executes a barrier, a hint or an invalidation, without an operand or with one.
macro_rules! execute {
    ($instruction:literal) => {
        // SAFETY: it moves nothing that Rust uses, and memory accesses do not move across it.
        unsafe { core::arch::asm!($instruction, options(nostack, preserves_flags)) }
    };
    ($instruction:literal, $operand:expr) => {{
        let operand: u64 = $operand;
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                concat!($instruction, ", {}"), in(reg) operand, options(nostack, preserves_flags)
            )
        };
    }};
}

pub(super) use {execute, read, write};

/// Where a device's registers are.
#[derive(Clone, Copy, Debug)]
pub struct Device(pub usize);

impl Device {
    /// Reads 32 bits.
    pub fn read(self, offset: usize) -> u32 {
        let value: u32;
        // SAFETY: a device of the machine, mapped as Device memory. One plain load, which a
        // hypervisor can emulate; a volatile read may become any other.
        unsafe {
            core::arch::asm!("ldr {:w}, [{}]", out(reg) value, in(reg) self.0 + offset, options(nostack, preserves_flags))
        };
        value
    }

    /// Writes 32 bits.
    pub fn write(self, offset: usize, value: u32) {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!("str {:w}, [{}]", in(reg) value, in(reg) self.0 + offset, options(nostack, preserves_flags))
        };
    }

    /// Writes 64 bits.
    pub fn write_long(self, offset: usize, value: u64) {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!("str {}, [{}]", in(reg) value, in(reg) self.0 + offset, options(nostack, preserves_flags))
        };
    }

    /// Writes a byte.
    pub fn write_byte(self, offset: usize, value: u8) {
        // SAFETY: as above.
        unsafe {
            core::arch::asm!("strb {:w}, [{}]", in(reg) u32::from(value), in(reg) self.0 + offset, options(nostack, preserves_flags))
        };
    }
}
