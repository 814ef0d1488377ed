//! Addresses on QEMU's `virt`, and who owns which part of its RAM.

use core::ops::Range;

/// RAM of `virt` starts here, and with it QEMU's device tree.
pub const RAM_START: u64 = 0x4000_0000;

/// RAM the hypervisor keeps: QEMU's device tree, the image, the boot stack.
pub const HYPERVISOR: Range<u64> = RAM_START..0x4400_0000;

/// The end of that part, for stage-2 tables.
pub const TABLES: Range<u64> = 0x4100_0000..HYPERVISOR.end;

/// RAM from here to the end of the machine is the guest's.
pub const GUEST_RAM_START: u64 = HYPERVISOR.end;

/// End of the RAM that the hypervisor's stage 1 maps; `-m` above 16 GiB goes unused.
pub const MAPPED_END: u64 = RAM_START + (16 << 30);

/// Where `machine.ld` puts the image.
pub(crate) const IMAGE: Range<u64> = 0x4020_0000..0x40a0_0000;

/// PL011, the only UART of `virt` without `secure=on`.
pub const UART: u64 = 0x0900_0000;

/// virtio-mmio slot 31, the last: the log console. A guest gets neither the slot nor its page.
pub const LOG_CONSOLE: u64 = 0x0a00_3e00;

/// All of its registers.
pub const UART_REGISTERS: Range<u64> = UART..UART + 0x1000;

/// The GICv3 distributor.
pub const GIC_DISTRIBUTOR: Range<u64> = 0x0800_0000..0x0801_0000;

/// The CPU interface of a GICv2: GICC.
pub const GICV2_CPU: Range<u64> = 0x0801_0000..0x0802_0000;

/// The list registers of a GICv2: GICH.
pub const GICV2_LISTS: Range<u64> = 0x0803_0000..0x0804_0000;

/// The virtual CPU interface of a GICv2, but for the page of GICV_DIR: one that deactivates what
/// is in no list register could not be told.
pub const GICV2_VIRTUAL_CPU: Range<u64> = 0x0804_0000..0x0804_1000;

/// The GICv3 redistributor of the first CPU.
pub const GIC_CPU_0: Range<u64> = 0x080a_0000..0x080c_0000;
