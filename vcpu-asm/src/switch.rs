//! Into the guest and back.

use core::{
    arch::{asm, naked_asm},
    mem::offset_of,
};

use static_assertions::const_assert;
use vcpu_hal::{BranchHistory, Guard};
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
    kept: u64,
    /// What the guest's HCR_EL2 changes; 0: nothing is to be written.
    hcr_difference: u64,
    sp_el0: u64,
    tpidr_el0: u64,
    /// Where a vector puts the guest's X0 and X1 to have two registers for itself.
    scratch: [u64; 2],
    guest: u64,
    /// The result, X2 and X3 while firmware is called.
    result: u64,
    x2_x3: [u64; 2],
}

/// What the host has that an entry changes, and how exits are guarded: made once for each load.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// The host's VBAR_EL2.
    vbar: u64,
    /// The host's TPIDR_EL1.
    tpidr_el1: u64,
    /// Our vectors.
    vectors: u64,
    /// What the vectors do about branch history: so many turns of a loop, or one of the two words
    /// below; 0 for nothing.
    branch_history: u64,
}

/// Bit 63 tells the other ways from a count, bit 0 tells them apart.
const CLEAR_BY_INSTRUCTION: u64 = 1 << 63;
const CLEAR_BY_FIRMWARE: u64 = 1 << 63 | 1;
const KEPT_VECTORS: usize = offset_of!(Kept, vectors);
const KEPT_BRANCH_HISTORY: usize = offset_of!(Kept, branch_history);
const_assert!(offset_of!(Kept, vbar) == 0);
const_assert!(offset_of!(Kept, tpidr_el1) == 8); // one `ldp` with VBAR

/// Bytes of a vector table.
const TABLE: u64 = 0x800;
/// There are four tables, the first plain. This many tables on, an exit synchronises errors first.
const WITH_ERROR_BARRIER: u64 = 1;
/// This many on, it does something about branch history.
const WITH_BRANCH_HISTORY: u64 = 2;

impl Kept {
    /// Returns what is kept of a host with these registers.
    pub(crate) fn new(vbar: u64, tpidr_el1: u64, guard: Guard) -> Self {
        let branch_history = match guard.branch_history {
            BranchHistory::Keep => 0,
            BranchHistory::Loop(turns) => turns.get().into(),
            BranchHistory::Instruction => CLEAR_BY_INSTRUCTION,
            BranchHistory::Firmware => CLEAR_BY_FIRMWARE,
        };
        let mut table = 0;
        if guard.error_barrier {
            table += WITH_ERROR_BARRIER;
        }
        if branch_history != 0 {
            table += WITH_BRANCH_HISTORY;
        }
        let first = (vectors as *const () as u64).next_multiple_of(TABLE);
        Self {
            vbar,
            tpidr_el1,
            vectors: first + table * TABLE,
            branch_history,
        }
    }
}

const HOST_X18: usize = offset_of!(HostFrame, x18_x19);
const HOST_GUEST: usize = offset_of!(HostFrame, guest);
const HOST_KEPT: usize = offset_of!(HostFrame, kept);
const HOST_SP_EL0: usize = offset_of!(HostFrame, sp_el0);
const HOST_SIZE: usize = size_of::<HostFrame>();
const_assert!(offset_of!(HostFrame, x29_x30) == 0); // stored as SP moves
const_assert!(offset_of!(HostFrame, hcr_difference) == HOST_KEPT + 8); // the pairs below
const_assert!(offset_of!(HostFrame, tpidr_el0) == HOST_SP_EL0 + 8);
const_assert!(HOST_SIZE <= 504); // so does every offset in it

/// What [`enter`] returns for an exit that has no syndrome. No syndrome has bit 63 set.
pub(crate) const IRQ: u64 = !0;
pub(crate) const FIQ: u64 = !1;
pub(crate) const SERROR: u64 = !2;
/// An SError that waited, told by DISR_EL1. What else ended the run comes again: PC stands on it.
pub(crate) const DEFERRED: u64 = !3;

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
/// and the other EL2 controls the guest reaches no memory but its own. `kept` was made of what VBAR_EL2
/// and TPIDR_EL1 hold, and of a guard that this CPU can do.
#[inline(always)]
pub(crate) unsafe fn enter(frame: *mut GuestFrame, hcr_difference: u64, kept: &Kept) -> u64 {
    let syndrome;
    // SAFETY: the caller answers for what `exchange` asks; the operands are what its header says.
    unsafe {
        asm!(
            "bl {exchange}",
            exchange = sym exchange,
            inlateout("x0") frame => _,
            inlateout("x1") hcr_difference => syndrome,
            inlateout("x2") kept => _,
            lateout("x20") _, lateout("x21") _, lateout("x22") _, lateout("x23") _, lateout("x24") _,
            lateout("x25") _, lateout("x26") _, lateout("x27") _, lateout("x28") _,
            clobber_abi("C"),
        );
    }
    syndrome
}

/// Into the guest and back.
///
/// In: x0 = frame, x1 = what the guest's HCR_EL2 has other than the host's, x2 = [`Kept`]. Out: x1 =
/// ESR_EL2, or one of the words above. Lost: all but x18, x19, x29 and SP; NZCV, ESR_EL2, FAR_EL2,
/// HPFAR_EL2, ELR_EL2, SPSR_EL2. Stack: 112 bytes, which the vectors use too. As before: SP_EL0,
/// TPIDR_EL0; VBAR_EL2 and TPIDR_EL1 as [`Kept`] has them.
///
/// [`back`] is its other half, behind the [`vectors`].
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
        "str x0, [sp, #{host_guest}]",
        "stp x2, x1, [sp, #{host_kept}]",
        "mrs x4, sp_el0",
        "mrs x5, tpidr_el0",
        "stp x4, x5, [sp, #{host_sp_el0}]",
        "cbz x1, 2f",
        "mrs x7, hcr_el2", // not from memory: hardware clears VSE
        "eor x7, x7, x1",
        "msr hcr_el2, x7",
        "2:",
        "ldr x7, [x2, #{kept_vectors}]",
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
        pc = const PC,
        x30 = const X30,
        tpidr_el0 = const TPIDR_EL0,
        host_size = const HOST_SIZE,
        host_x18 = const HOST_X18,
        host_guest = const HOST_GUEST,
        host_kept = const HOST_KEPT,
        host_sp_el0 = const HOST_SP_EL0,
        kept_vectors = const KEPT_VECTORS,
    )
}

/// The way back, from a vector.
///
/// In: x0 = frame, x1 = result, the guest's X0 and X1 in the scratch pair of the [`HostFrame`] at SP.
/// Returns to the caller of [`exchange`].
///
/// # Safety
///
/// Branched to by [`vectors`] alone.
#[unsafe(naked)]
unsafe extern "C" fn back() {
    naked_asm!(
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
        "ldp x9, x10, [sp, #{host_sp_el0}]",
        "msr sp_el0, x9",
        "msr tpidr_el0, x10",
        "ldp x13, x12, [sp, #{host_kept}]",
        "ldp x14, x11, [x13]",
        "msr tpidr_el1, x11",
        "msr vbar_el2, x14",
        "cbz x12, 3f",
        "mrs x14, hcr_el2",
        "eor x14, x14, x12",
        "msr hcr_el2, x14",
        "3:",
        "isb", // VBAR and HCR hold before the caller unmasks anything
        "ldp x18, x19, [sp, #{host_x18}]",
        "ldp x29, x30, [sp], #{host_size}",
        "ret",
        pc = const PC,
        x30 = const X30,
        tpidr_el0 = const TPIDR_EL0,
        host_size = const HOST_SIZE,
        host_x18 = const HOST_X18,
        host_sp_el0 = const HOST_SP_EL0,
        host_kept = const HOST_KEPT,
        scratch = const offset_of!(HostFrame, scratch),
    )
}

/// Four vector tables, from the first address on that `VBAR_EL2` can hold: by [`WITH_ERROR_BARRIER`]
/// and [`WITH_BRANCH_HISTORY`].
///
/// # Safety
///
/// No function: exceptions come here, while a [`HostFrame`] is at SP_EL2.
#[unsafe(naked)]
unsafe extern "C" fn vectors() {
    naked_asm!(
        ".p2align 11",
        ".irp clears, 0, 1",
        ".irp barrier, 0, 1",
        // From EL2 itself: the host's vector of the same offset.
        ".irp offset, 0x000, 0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380",
        ".p2align 7",
        "ldr x17, [sp, #{host_kept}]",
        "ldr x17, [x17]",
        "msr vbar_el2, x17",
        "isb",
        "add x17, x17, #\\offset",
        "br x17",
        ".endr",
        // From the guest, AArch64 and then AArch32: synchronous, and then by number.
        ".rept 2",
        ".irp result, 0, {irq}, {fiq}, {serror}",
        ".p2align 7",
        "stp x0, x1, [sp, #{scratch}]",
        ".if \\barrier && \\result != {serror}",
        "hint #16", // ESB: what the guest did wrong is in DISR_EL1, if anything is
        "mrs x1, S3_0_C12_C1_1",
        ".if \\result",
        "cbnz x1, 9f",
        ".else",
        "cbnz x1, 8f",
        ".endif",
        ".endif",
        ".if \\result",
        "mov x1, #\\result",
        ".else",
        "mrs x1, esr_el2",
        ".endif",
        ".if \\clears",
        "b 7f",
        ".else",
        "ldr x0, [sp, #{host_guest}]",
        "b {back}",
        ".endif",
        ".endr",
        ".endr",
        ".endr",
        ".endr",
        ".p2align 7",
        // Before the host branches by anything but an offset, the history that the guest made of
        // its branches is overwritten. x0 is free, x1 = result.
        "7:",
        "ldr x0, [sp, #{host_kept}]",
        "ldr x0, [x0, #{kept_branch_history}]",
        "cbz x0, 79f",
        "tbnz x0, #63, 71f",
        "70:",
        "b 701f", // each turn: branches that are taken
        "701:",
        "subs x0, x0, #1",
        "b.ne 70b",
        "dsb nsh",
        "isb",
        "b 79f",
        "71:",
        "tbnz x0, #0, 72f",
        "hint #22", // CLRBHB
        "isb",
        "b 79f",
        "72:",
        "str x1, [sp, #{result}]",
        "stp x2, x3, [sp, #{x2_x3}]",
        "mov w0, #0x3fff", // SMCCC_ARCH_WORKAROUND_3; x0 to x3 are its to lose
        "movk w0, #0x8000, lsl #16",
        "smc #0",
        "ldp x2, x3, [sp, #{x2_x3}]",
        "ldr x1, [sp, #{result}]",
        "79:",
        "ldr x0, [sp, #{host_guest}]",
        "b {back}",
        // An error of the guest's was outstanding. The exit comes again: `hvc` alone has left PC
        // behind it.
        "8:",
        "mrs x1, esr_el2",
        "ubfx x1, x1, #26, #6",
        "cmp x1, #0x16",
        "b.ne 9f",
        "mrs x1, elr_el2",
        "sub x1, x1, #4",
        "msr elr_el2, x1",
        "9:",
        "mov x1, #{deferred}",
        "b 7b",
        back = sym back,
        irq = const IRQ as i64,
        fiq = const FIQ as i64,
        serror = const SERROR as i64,
        deferred = const DEFERRED as i64,
        host_guest = const HOST_GUEST,
        host_kept = const HOST_KEPT,
        kept_branch_history = const KEPT_BRANCH_HISTORY,
        result = const offset_of!(HostFrame, result),
        x2_x3 = const offset_of!(HostFrame, x2_x3),
        scratch = const offset_of!(HostFrame, scratch),
    )
}
