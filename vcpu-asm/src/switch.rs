//! Into the guest and back.

use core::{
    arch::{asm, naked_asm},
    mem::offset_of,
};

use static_assertions::const_assert;
use vcpu_regs::GuestFrame;

const X: usize = offset_of!(GuestFrame, x);
const X30: usize = X + 8 * 30;
const PC: usize = offset_of!(GuestFrame, pc);
const TPIDR_EL0: usize = offset_of!(GuestFrame, tpidr_el0);
const_assert!(X == 0); // pairs of X start at multiples of 16
const_assert!(offset_of!(GuestFrame, sp_el0) == X30 + 8); // one `ldp` with X30
const_assert!(offset_of!(GuestFrame, pstate) == PC + 8); // one `ldp` loads both
const_assert!(offset_of!(GuestFrame, tpidr_el1) == TPIDR_EL0 + 8); // one `ldp` loads both
const_assert!(TPIDR_EL0 <= 504); // `ldp` reach: signed 7 bits, scaled by 8

/// What the host leaves on its stack while the guest runs.
#[repr(C, align(16))]
struct HostFrame {
    x29_x30: [u64; 2],
    x18_x19: [u64; 2],
    guest: u64,
    sp_el0: u64,
    tpidr_el0: u64,
    tpidr_el1: u64,
    /// What the guest's HCR_EL2 changes; 0: nothing is to be written.
    hcr_difference: u64,
    vbar: u64,
    /// Where a vector puts the guest's X0 and X1 to have two registers for itself.
    scratch: [u64; 2],
}

const HOST_X18: usize = offset_of!(HostFrame, x18_x19);
const HOST_GUEST: usize = offset_of!(HostFrame, guest);
const HOST_TPIDR: usize = offset_of!(HostFrame, tpidr_el0);
const HOST_HCR_DIFFERENCE: usize = offset_of!(HostFrame, hcr_difference);
const HOST_SIZE: usize = size_of::<HostFrame>();
const_assert!(offset_of!(HostFrame, x29_x30) == 0); // stored as SP moves
const_assert!(offset_of!(HostFrame, sp_el0) == HOST_GUEST + 8); // the pairs below
const_assert!(offset_of!(HostFrame, tpidr_el1) == HOST_TPIDR + 8);
const_assert!(offset_of!(HostFrame, vbar) == HOST_HCR_DIFFERENCE + 8);
const_assert!(HOST_SIZE <= 504); // so does every offset in it

/// What [`enter`] returns for an exit that has no syndrome. No syndrome has bit 63 set.
pub(crate) const IRQ: u64 = !0;
pub(crate) const FIQ: u64 = !1;
pub(crate) const SERROR: u64 = !2;

/// Enters the guest; returns the syndrome of a synchronous exit, or what else ended the run.
///
/// The host's registers are lost but for those that no compiler gives up: it keeps what it needs on
/// its own stack, and a run loop needs little.
///
/// # Safety
///
/// Runs at EL2 on SP_EL2 with D, A, I and F masked. `frame` is valid for reads and writes, and
/// nobody else's, until the return; its PSTATE is one an `eret` takes to EL0 or EL1. HCR_EL2 is right
/// for this CPU, with the bits of `hcr_difference` inverted in the guest and without, and under it
/// and the other EL2 controls the guest reaches no memory but its own. `vbar` is what VBAR_EL2 holds.
#[inline(always)]
pub(crate) unsafe fn enter(frame: *mut GuestFrame, hcr_difference: u64, vbar: u64) -> u64 {
    let syndrome;
    // SAFETY: the caller answers for what `exchange` asks; the operands are what its header says.
    unsafe {
        asm!(
            "bl {exchange}",
            exchange = sym exchange,
            inlateout("x0") frame => _,
            inlateout("x1") hcr_difference => syndrome,
            inlateout("x2") vbar => _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            clobber_abi("C"),
        );
    }
    syndrome
}

/// Into the guest and back.
///
/// In: x0 = frame, x1 = what the guest's HCR_EL2 has other than the host's, x2 = the host's VBAR_EL2.
/// Out: x1 =
/// ESR_EL2, or one of the words above. Lost: all but x18, x19, x29 and SP; NZCV, ESR_EL2, FAR_EL2,
/// HPFAR_EL2, ELR_EL2, SPSR_EL2. Stack: 96 bytes, which the vectors use too. Kept: SP_EL0,
/// TPIDR_EL0, TPIDR_EL1.
///
/// The vector table is ours from the `msr vbar_el2` to the one on the way out. An exception that
/// EL2 itself takes in between (a fault on the frame: a bug, no guest can cause it) goes on to the
/// host's own vector, on the host's stack, with only x17 lost.
///
/// # Safety
///
/// As for [`enter`]; it and the one of `beside` call this, and the convention is theirs.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn exchange() {
    naked_asm!(
        // The host's own, onto its stack.
        "stp x29, x30, [sp, #-{host_size}]!",
        "stp x18, x19, [sp, #{host_x18}]",
        "mrs x4, sp_el0",
        "stp x0, x4, [sp, #{host_guest}]",
        "mrs x5, tpidr_el0",
        "mrs x6, tpidr_el1",
        "stp x5, x6, [sp, #{host_tpidr}]",
        "stp x1, x2, [sp, #{hcr_difference}]",
        "cbz x1, 2f",
        "mrs x7, hcr_el2", // not from memory: hardware clears VSE
        "eor x7, x7, x1",
        "msr hcr_el2, x7",
        "2:",
        "adr x7, 5f",
        "msr vbar_el2, x7", // the `eret` synchronises this and every write below
        // The guest's.
        "ldp x8, x9, [x0, #{pc}]",
        "msr elr_el2, x8",
        "msr spsr_el2, x9",
        "ldp x10, x11, [x0, #{tpidr_el0}]",
        "msr tpidr_el0, x10",
        "msr tpidr_el1, x11",
        "ldp x30, x12, [x0, #{x30}]",
        "msr sp_el0, x12",
        "ldp x28, x29, [x0, #224]",
        "ldp x26, x27, [x0, #208]",
        "ldp x24, x25, [x0, #192]",
        "ldp x22, x23, [x0, #176]",
        "ldp x20, x21, [x0, #160]",
        "ldp x18, x19, [x0, #144]",
        "ldp x16, x17, [x0, #128]",
        "ldp x14, x15, [x0, #112]",
        "ldp x12, x13, [x0, #96]",
        "ldp x10, x11, [x0, #80]",
        "ldp x8, x9, [x0, #64]",
        "ldp x6, x7, [x0, #48]",
        "ldp x4, x5, [x0, #32]",
        "ldp x2, x3, [x0, #16]",
        "ldp x0, x1, [x0]",
        "eret",
        "dsb nsh", // nothing past an `eret` is to be speculated
        "isb",
        // Back: x0 = frame, x1 = result, the guest's X0 and X1 in the scratch pair.
        "6:",
        "stp x2, x3, [x0, #16]",
        "stp x4, x5, [x0, #32]",
        "stp x6, x7, [x0, #48]",
        "stp x8, x9, [x0, #64]",
        "stp x10, x11, [x0, #80]",
        "stp x12, x13, [x0, #96]",
        "stp x14, x15, [x0, #112]",
        "stp x16, x17, [x0, #128]",
        "stp x18, x19, [x0, #144]",
        "stp x20, x21, [x0, #160]",
        "stp x22, x23, [x0, #176]",
        "stp x24, x25, [x0, #192]",
        "stp x26, x27, [x0, #208]",
        "stp x28, x29, [x0, #224]",
        "mrs x2, sp_el0",
        "stp x30, x2, [x0, #{x30}]",
        "ldp x3, x4, [sp, #{scratch}]",
        "stp x3, x4, [x0]",
        "mrs x5, elr_el2",
        "mrs x6, spsr_el2",
        "stp x5, x6, [x0, #{pc}]",
        "mrs x7, tpidr_el0",
        "mrs x8, tpidr_el1",
        "stp x7, x8, [x0, #{tpidr_el0}]",
        // The host's.
        "ldr x9, [sp, #{host_sp_el0}]",
        "msr sp_el0, x9",
        "ldp x10, x11, [sp, #{host_tpidr}]",
        "msr tpidr_el0, x10",
        "msr tpidr_el1, x11",
        "ldp x12, x13, [sp, #{hcr_difference}]",
        "msr vbar_el2, x13",
        "cbz x12, 3f",
        "mrs x14, hcr_el2",
        "eor x14, x14, x12",
        "msr hcr_el2, x14",
        "3:",
        "isb", // VBAR and HCR hold before the caller unmasks anything
        "ldp x18, x19, [sp, #{host_x18}]",
        "ldp x29, x30, [sp], #{host_size}",
        "ret",
        // The vectors, with `VBAR_EL2`'s alignment.
        ".p2align 11",
        "5:",
        // From EL2 itself: the host's vector of the same offset.
        ".irp offset, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380",
        ".p2align 7",
        "ldr x17, [sp, #{host_vbar}]",
        "msr vbar_el2, x17",
        "isb",
        "add x17, x17, #\\offset",
        "br x17",
        ".endr",
        // From the guest, AArch64 and then AArch32.
        ".rept 2",
        ".p2align 7",
        "stp x0, x1, [sp, #{scratch}]",
        "ldr x0, [sp, #{host_guest}]",
        "mrs x1, esr_el2",
        "b 6b",
        ".irp result, {irq}, {fiq}, {serror}",
        ".p2align 7",
        "stp x0, x1, [sp, #{scratch}]",
        "ldr x0, [sp, #{host_guest}]",
        "mov x1, #\\result",
        "b 6b",
        ".endr",
        ".endr",
        ".p2align 7",
        irq = const IRQ as i64,
        fiq = const FIQ as i64,
        serror = const SERROR as i64,
        pc = const PC,
        x30 = const X30,
        tpidr_el0 = const TPIDR_EL0,
        host_size = const HOST_SIZE,
        host_x18 = const HOST_X18,
        host_guest = const HOST_GUEST,
        host_sp_el0 = const offset_of!(HostFrame, sp_el0),
        host_tpidr = const HOST_TPIDR,
        host_vbar = const offset_of!(HostFrame, vbar),
        hcr_difference = const HOST_HCR_DIFFERENCE,
        scratch = const offset_of!(HostFrame, scratch),
    )
}
