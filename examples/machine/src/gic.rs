//! The machine's own interrupt controller, as far as a host of guests needs it: a kick from CPU to
//! CPU, the private timers, the console's interrupt.
//!
//! Acknowledging and ending is the fetch backend's, of `vcpu-hal`; priority drop and deactivation
//! are separate (EOImode 1), for an interrupt may be the guest's to deactivate.

use core::{arch::asm, ptr};

use aarch64_cpu::asm::barrier::{SY, dsb, isb};
use vcpu_regs::Intid;

use crate::layout::{GIC_CPU_0, GIC_DISTRIBUTOR, GICV2_CPU};

/// The interrupt with which a CPU has another look at what it runs.
pub const KICK: Intid = Intid(0);
/// A list register wants something of the host.
pub const MAINTENANCE: Intid = Intid(25);
/// The EL2 physical timer.
pub const EL2_TIMER: Intid = Intid(26);
/// The EL1 virtual timer.
pub const VIRTUAL_TIMER: Intid = Intid(27);
/// The EL1 physical timer.
pub const PHYSICAL_TIMER: Intid = Intid(30);
/// The console's UART.
pub const CONSOLE: Intid = Intid(33);

/// Which controller `virt` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// `gic-version=2`.
    V2,
    /// `gic-version=3`.
    V3,
}

/// Offsets that GICD of both versions and SGI_base of GICv3 share.
mod at {
    pub const CTLR: u64 = 0;
    pub const GROUPS: u64 = 0x80;
    pub const SET_ENABLE: u64 = 0x100;
    pub const SET_ACTIVE: u64 = 0x300;
    pub const CLEAR_ACTIVE: u64 = 0x380;
    pub const PRIORITIES: u64 = 0x400;
    pub const TARGETS: u64 = 0x800;
    pub const SGIR: u64 = 0xf00;
    pub const ROUTERS: u64 = 0x6000;
    pub const WAKER: u64 = 0x14;
}

/// GICC, of a GICv2.
mod cpu_at {
    pub const CTLR: u64 = 0;
    pub const PMR: u64 = 4;
}

/// What a GICv3 has for each CPU: RD_base, then SGI_base.
const REDISTRIBUTOR_BYTES: u64 = 0x2_0000;
const SGI_BASE: u64 = 0x1_0000;
/// Every byte of IPRIORITYR: the middle.
const PRIORITIES: u32 = 0x8080_8080;

impl Gic {
    /// Sets the distributor up.
    ///
    /// # Safety
    ///
    /// This is what `virt` has, and nothing else uses it.
    pub(crate) unsafe fn enable(self) {
        let (word, bit) = (u64::from(CONSOLE.0) / 32 * 4, 1 << (CONSOLE.0 % 32));
        match self {
            Self::V2 => {
                write(
                    GIC_DISTRIBUTOR.start + at::TARGETS + u64::from(CONSOLE.0) / 4 * 4,
                    0x0101_0101,
                );
                write(GIC_DISTRIBUTOR.start + at::CTLR, 1);
            }
            Self::V3 => {
                const ARE: u32 = 1 << 4;
                const ENABLE_GROUP1: u32 = 1 << 1;
                write(GIC_DISTRIBUTOR.start + at::CTLR, ARE);
                write(GIC_DISTRIBUTOR.start + at::CTLR, ARE | ENABLE_GROUP1);
                write(GIC_DISTRIBUTOR.start + at::GROUPS + word, !0);
                write(
                    GIC_DISTRIBUTOR.start + at::ROUTERS + 8 * u64::from(CONSOLE.0),
                    0,
                );
            }
        }
        write(
            GIC_DISTRIBUTOR.start + at::PRIORITIES + u64::from(CONSOLE.0) / 4 * 4,
            PRIORITIES,
        );
        write(GIC_DISTRIBUTOR.start + at::SET_ENABLE + word, bit);
    }

    /// Sets up what the calling CPU, of this index, has of it.
    ///
    /// # Safety
    ///
    /// As for [`enable`](Self::enable), which came before; interrupts are masked.
    pub(crate) unsafe fn enable_cpu(self, cpu: usize) {
        let private = self.private(cpu);
        if self == Self::V3 {
            const PROCESSOR_SLEEP: u32 = 1 << 1;
            const CHILDREN_ASLEEP: u32 = 1 << 2;
            let waker = private - SGI_BASE + at::WAKER;
            write(waker, read(waker) & !PROCESSOR_SLEEP);
            while read(waker) & CHILDREN_ASLEEP != 0 {}
            write(private + at::GROUPS, !0);
        }
        for word in 0..8 {
            write(private + at::PRIORITIES + 4 * word, PRIORITIES);
        }
        let mine = [KICK, MAINTENANCE, EL2_TIMER, VIRTUAL_TIMER, PHYSICAL_TIMER];
        let bits = mine.iter().fold(0, |bits, intid| bits | 1 << intid.0);
        write(private + at::SET_ENABLE, bits);
        match self {
            Self::V2 => {
                const ENABLE: u32 = 1;
                const EOI_MODE: u32 = 1 << 9;
                write(GICV2_CPU.start + cpu_at::PMR, 0xff);
                write(GICV2_CPU.start + cpu_at::CTLR, ENABLE | EOI_MODE);
            }
            Self::V3 => {
                const EOI_MODE: u64 = 1 << 1;
                // SAFETY: a GICv3 is there (`enable`); SRE makes its registers ours, and the other
                // writes let interrupts of Group 1 through, which are masked now.
                unsafe {
                    asm!(
                        "mrs {x}, icc_sre_el2",
                        "orr {x}, {x}, #1",
                        "msr icc_sre_el2, {x}",
                        "isb",
                        "msr icc_pmr_el1, {all}",
                        "msr icc_bpr1_el1, xzr",
                        "msr icc_ctlr_el1, {eoi_mode}",
                        "msr icc_igrpen1_el1, {one}",
                        "isb",
                        x = out(reg) _,
                        all = in(reg) 0xff_u64,
                        eoi_mode = in(reg) EOI_MODE,
                        one = in(reg) 1_u64,
                        options(nostack),
                    );
                }
            }
        }
    }

    /// Has another CPU look at what it runs, once all that was written before is visible to it.
    pub fn kick(self, cpu: usize) {
        dsb(SY); // the news, before the interrupt that tells of them
        match self {
            Self::V2 => write(
                GIC_DISTRIBUTOR.start + at::SGIR,
                1 << (16 + cpu as u32) | KICK.0,
            ),
            Self::V3 => {
                let value = u64::from(KICK.0) << 24 | 1 << cpu;
                // SAFETY: an interrupt that every CPU of ours expects.
                unsafe { asm!("msr icc_sgi1r_el1, {}", in(reg) value, options(nostack)) };
                isb(SY);
            }
        }
    }

    /// Makes a private interrupt of the calling CPU, of this index, active or not: an active one
    /// does not come again.
    pub fn set_active(self, cpu: usize, intid: Intid, active: bool) {
        let register = if active {
            at::SET_ACTIVE
        } else {
            at::CLEAR_ACTIVE
        };
        write(self.private(cpu) + register, 1 << (intid.0 & 31));
    }

    /// Returns where the registers of the CPU's private interrupts are.
    fn private(self, cpu: usize) -> u64 {
        match self {
            Self::V2 => GIC_DISTRIBUTOR.start,
            Self::V3 => GIC_CPU_0.start + cpu as u64 * REDISTRIBUTOR_BYTES + SGI_BASE,
        }
    }
}

fn write(register: u64, value: u32) {
    // SAFETY: called with registers of the machine's interrupt controller, mapped as Device, which
    // is ours (`Gic::enable`).
    unsafe { ptr::write_volatile(register as *mut u32, value) };
}

fn read(register: u64) -> u32 {
    // SAFETY: as in `write`.
    unsafe { ptr::read_volatile(register as *const u32) }
}
