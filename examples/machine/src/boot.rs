//! From reset to Rust: stage 1 of EL2 with caches on, or a plain word when this is not EL2.
//!
//! aarch64-rt's entry point calls [`enable_mmu`] before anything else, then clears `.bss` and calls
//! the `main!` of the example. Its own `enable_mmu` writes PARange to the position it has in
//! TCR_EL1; this one builds W^X tables first and follows the EL2 layout.
//!
//! Every host starts with E2H=0; one that wants E2H=1 goes on to [`crate::vhe`].

use core::arch::naked_asm;
use core::ptr::{addr_of, addr_of_mut};

use crate::layout::{IMAGE, MAPPED_END, RAM_START};

/// Attr0: Device-nGnRE. Attr1: Normal, write-back, read and write allocate.
const MAIR: u64 = 0xff04;

/// T0SZ = 25 (39 bits, walks start at level 1), write-back inner-shareable walks, 4 KiB granule.
/// Bits 31 and 23 are RES1 with E2H=0. PS is filled in from the CPU.
const TCR: u64 = (1 << 31) | (1 << 23) | (3 << 12) | (1 << 10) | (1 << 8) | 25;

/// M, C, SA, I and WXN, and what is RES1 with E2H=0 (4, 5, 11, 16, 18, 22, 23, 28, 29).
const SCTLR: u64 = 0x30c5_0830 | (1 << 19) | (1 << 12) | (1 << 3) | (1 << 2) | 1;

/// RW: EL1 is AArch64. AMO: an SError of the host reaches EL2. E2H=0, which TCR and SCTLR here
/// assume.
const HCR: u64 = (1 << 31) | (1 << 5);

/// 48 bits: the most that TCR_EL2.PS may say with 4 KiB pages and DS=0.
pub(crate) const PS_48_BITS: u64 = 5;

const VALID: u64 = 1;
/// Bit 1: a table at levels 1 and 2, a page at level 3; a block has it clear.
const TABLE_OR_PAGE: u64 = 1 << 1;
const ATTR_NORMAL: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;

/// What a translation regime asks of every leaf.
pub(crate) struct Leaves {
    /// Set in each.
    pub always: u64,
    /// EL2 does not execute it.
    pub execute_never: u64,
}

impl Leaves {
    /// EL2 by itself: AP[1] is RES1, XN is bit 54.
    const EL2: Self = Self {
        always: 1 << 6,
        execute_never: 1 << 54,
    };

    const fn device(&self) -> u64 {
        VALID | ACCESSED | self.always | self.execute_never
    }

    const fn data(&self) -> u64 {
        self.device() | ATTR_NORMAL | INNER_SHAREABLE
    }

    const fn constants(&self) -> u64 {
        self.data() | READ_ONLY
    }

    const fn code(&self) -> u64 {
        self.constants() & !self.execute_never
    }
}

const GIB: u64 = 1 << 30;
const BLOCK: u64 = 2 << 20;
const PAGE: u64 = 4 << 10;
/// Flash: nothing the hypervisor reads. Left unmapped, so a null pointer faults.
const FLASH_BLOCKS: usize = (0x0800_0000 / BLOCK) as usize;
const IMAGE_BLOCK: usize = ((IMAGE.start - RAM_START) / BLOCK) as usize;
const IMAGE_TABLES: usize = ((IMAGE.end - IMAGE.start) / BLOCK) as usize;

#[repr(C, align(4096))]
struct Table([u64; 512]);

impl Table {
    const EMPTY: Self = Self([0; 512]);
}

/// All of stage 1. `root[0]` is 0 until the first CPU has filled the rest.
#[repr(C)]
pub(crate) struct Tables {
    root: Table,
    devices: Table,
    ram: Table,
    image: [Table; IMAGE_TABLES],
}

impl Tables {
    pub(crate) const EMPTY: Self = Self {
        root: Table::EMPTY,
        devices: Table::EMPTY,
        ram: Table::EMPTY,
        image: [Table::EMPTY; IMAGE_TABLES],
    };
}

// In `.data`: aarch64-rt clears `.bss` once the MMU walks these.
#[unsafe(link_section = ".data.tables")]
static mut TABLES: Tables = Tables::EMPTY;

// From image.ld of aarch64-rt; each starts a page.
unsafe extern "C" {
    static text_begin: u8;
    static rodata_begin: u8;
    static data_begin: u8;
    static boot_stack_begin: u8;
}

/// Turns stage 1 and the caches on. Symbol and convention are aarch64-rt's.
///
/// In: x0-x3 = boot arguments. Out: the same. Clobbers: x8-x11, x19-x23, and, on the CPU that comes
/// first, what a C function may. Stack: the boot stack, on the CPU that comes first. Does not
/// return below EL2.
///
/// # Safety
///
/// For aarch64-rt's entry points: MMU off, interrupts masked, no stack in use yet.
#[unsafe(naked)]
#[unsafe(link_section = ".init")]
#[unsafe(export_name = "enable_mmu")]
unsafe extern "C" fn enable_mmu() {
    naked_asm!(
        "mrs x8, CurrentEL",
        "cmp x8, #(2 << 2)",
        "b.ne 2f",
        "mov x19, x0",
        "mov x20, x1",
        "mov x21, x2",
        "mov x22, x3",
        "mov x23, x30",
        // The first CPU builds the tables, on the boot stack; the others find them built.
        "adrp x9, {tables}",
        "add x9, x9, :lo12:{tables}",
        "ldr x8, [x9]",
        "cbnz x8, 1f",
        "adrp x8, boot_stack_end",
        "add x8, x8, :lo12:boot_stack_end",
        "mov sp, x8",
        "bl {build_tables}",
        "1:",
        "adrp x9, {tables}",
        "add x9, x9, :lo12:{tables}",
        "ldr x8, ={hcr}",
        "msr hcr_el2, x8",
        "isb", // E2H=0 before the registers whose layout it selects
        "ldr x8, ={mair}",
        "msr mair_el2, x8",
        "msr ttbr0_el2, x9",
        // TCR_EL2.PS = min(PARange, 48 bits)
        "mrs x8, id_aa64mmfr0_el1",
        "and x8, x8, #0xf",
        "mov x10, #{ps_48_bits}",
        "cmp x8, x10",
        "csel x8, x8, x10, lo",
        "ldr x10, ={tcr}",
        "bfi x10, x8, #16, #3",
        "msr tcr_el2, x10",
        "dsb sy", // the stores to the tables, before the first walk
        "isb", // the four registers, before the TLB is cleaned of what came before them
        "tlbi alle2",
        "ic iallu",
        "dsb nsh",
        "isb",
        "ldr x8, ={sctlr}",
        "msr sctlr_el2, x8",
        "isb", // everything below is translated
        "mov x0, x19",
        "mov x1, x20",
        "mov x2, x21",
        "mov x3, x22",
        "ret x23",
        // Not EL2. `.bss` is not cleared, the MMU stays off: `.bss` is zero because QEMU's RAM is.
        "2:",
        "adrp x9, boot_stack_end",
        "add x9, x9, :lo12:boot_stack_end",
        "mov sp, x9",
        "lsr x0, x8, #2",
        "b {not_at_el2}",
        tables = sym TABLES,
        build_tables = sym build_tables,
        not_at_el2 = sym not_at_el2,
        hcr = const HCR,
        mair = const MAIR,
        tcr = const TCR,
        sctlr = const SCTLR,
        ps_48_bits = const PS_48_BITS,
    )
}

/// Fills [`TABLES`].
///
/// Runs with the MMU off, before `.bss` is cleared.
extern "C" fn build_tables() {
    let tables = addr_of_mut!(TABLES);
    // SAFETY: `enable_mmu` calls this on the first CPU only, before any other code: nothing else
    // refers to `TABLES`.
    unsafe { &mut *tables }.fill(&Leaves::EL2);
}

impl Tables {
    /// Fills the identity map: devices, RAM, and the image page by page so that no page is writable
    /// and executable.
    pub(crate) fn fill(&mut self, leaves: &Leaves) {
        let devices = self.devices.0.iter_mut().enumerate();
        for (index, entry) in devices.skip(FLASH_BLOCKS) {
            *entry = (index as u64 * BLOCK) | leaves.device();
        }

        for (index, entry) in self.ram.0.iter_mut().enumerate() {
            *entry = (RAM_START + index as u64 * BLOCK) | leaves.data();
        }
        let code = addr_of!(text_begin) as u64..addr_of!(rodata_begin) as u64;
        let constants = addr_of!(rodata_begin) as u64..addr_of!(data_begin) as u64;
        let guard = addr_of!(boot_stack_begin) as u64;
        for (index, table) in self.image.iter_mut().enumerate() {
            self.ram.0[IMAGE_BLOCK + index] = addr_of!(*table) as u64 | TABLE_OR_PAGE | VALID;
            for (page, entry) in table.0.iter_mut().enumerate() {
                let at = IMAGE.start + index as u64 * BLOCK + page as u64 * PAGE;
                *entry = match at {
                    at if code.contains(&at) => at | leaves.code() | TABLE_OR_PAGE,
                    at if constants.contains(&at) => at | leaves.constants() | TABLE_OR_PAGE,
                    // A stack that grows too far stops here.
                    at if at == guard => 0,
                    _ => at | leaves.data() | TABLE_OR_PAGE,
                };
            }
        }

        for at in (RAM_START..MAPPED_END).step_by(GIB as usize) {
            self.root.0[(at / GIB) as usize] = at | leaves.data();
        }
        self.root.0[(RAM_START / GIB) as usize] = addr_of!(self.ram) as u64 | TABLE_OR_PAGE | VALID;
        self.root.0[0] = addr_of!(self.devices) as u64 | TABLE_OR_PAGE | VALID;
    }
}

/// Says that the hypervisor cannot run here, and ends QEMU. MMU off: strings and whole words only.
extern "C" fn not_at_el2(level: u64) -> ! {
    crate::console::enable();
    crate::println!(
        "this hypervisor needs EL2, but was started at EL{level}: \
         start QEMU with -machine virtualization=on (cargo xtask qemu does)"
    );
    defmt::error!(
        "this hypervisor needs EL2, but was started at EL{=u64}: \
         start QEMU with -machine virtualization=on (cargo xtask qemu does)",
        level
    );
    crate::power_off()
}
