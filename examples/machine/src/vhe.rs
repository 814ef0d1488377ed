//! A host as FEAT_VHE has it: HCR_EL2.{E2H,TGE} = {1,1}, with the layouts of the EL2 registers and
//! of stage 1 that come with it.

use core::arch::naked_asm;
use core::ptr::addr_of_mut;
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::registers::{HCR_EL2, ID_AA64MMFR1_EL1, Readable};

use crate::boot::{Leaves, PS_48_BITS, Tables};

/// What `-append` says to have it.
pub(crate) const ARGUMENT: &str = "e2h";

/// E2H, RW, TGE, and AMO as before.
const HCR: u64 = (1 << 34) | (1 << 31) | (1 << 27) | (1 << 5);

/// T0SZ = T1SZ = 25, write-back inner-shareable walks, 4 KiB granules; EPD1: no walks of TTBR1.
/// IPS is filled in from the CPU.
const TCR: u64 = (0b10 << 30) | (1 << 23) | (25 << 16) | (3 << 12) | (1 << 10) | (1 << 8) | 25;

/// FPEN: nothing traps that a host may use.
const CPTR: u64 = 3 << 20;

/// EL1PCTEN and EL1PTEN.
const CNTHCTL: u64 = 3 << 10;

impl Leaves {
    /// EL2 and EL0: AP[1] would let EL0 in, which never executes anything here (UXN); PXN is
    /// bit 53.
    const EL2_AND_EL0: Self = Self {
        always: 1 << 54,
        execute_never: 1 << 53,
    };
}

static mut TABLES: Tables = Tables::EMPTY;
/// Whether the first CPU went on with E2H=1.
static IS_FILLED: AtomicBool = AtomicBool::new(false);

/// Goes on with E2H=1, or says why not.
///
/// # Safety
///
/// Called once, at EL2 as `enable_mmu` left it.
pub(crate) unsafe fn enter() {
    if ID_AA64MMFR1_EL1.read(ID_AA64MMFR1_EL1::VH) == 0 {
        return crate::println!("this CPU has no FEAT_VHE: the host runs with E2H=0");
    }
    let tables = addr_of_mut!(TABLES);
    // SAFETY: called once, so this is the only reference; the tables are in force afterwards, and
    // nothing refers to them.
    unsafe { &mut *tables }.fill(&Leaves::EL2_AND_EL0);
    IS_FILLED.store(true, Ordering::Release);
    // SAFETY: at EL2 with E2H=0 as the caller says; the tables map what is mapped now.
    unsafe { set_e2h(tables) };
    crate::println!("the host runs with E2H=1 and TGE=1");
}

/// Does on another CPU what the first one did.
///
/// # Safety
///
/// At EL2 as `enable_mmu` left it.
pub(crate) unsafe fn follow() {
    if HCR_EL2.matches_all(HCR_EL2::E2H::SET) || !IS_FILLED.load(Ordering::Acquire) {
        return;
    }
    // SAFETY: at EL2 with E2H=0; the tables were filled, and map what is mapped now. The CPUs of
    // `virt` are alike: FEAT_VHE is here too.
    unsafe { set_e2h(addr_of_mut!(TABLES)) };
}

/// Takes stage 1 down, and puts `tables` in force under E2H and TGE.
///
/// In: x0 = tables. Clobbers: x8-x11. Stack and memory: untouched. MAIR_EL2, VBAR_EL2 and SCTLR_EL2
/// stay: they mean the same under both.
///
/// # Safety
///
/// At EL2, E2H=0, where this code and its caller are mapped at their own addresses, by `tables` too.
#[unsafe(naked)]
unsafe extern "C" fn set_e2h(tables: *mut Tables) {
    naked_asm!(
        "mrs x11, daif",
        "msr daifset, #0xf",
        "dsb sy", // the stores to the tables, before the first walk
        "mrs x8, sctlr_el2",
        "bic x9, x8, #1",
        "msr sctlr_el2, x9",
        "isb", // no translation while its registers change their layout
        "ldr x9, ={hcr}",
        "msr hcr_el2, x9",
        "isb", // E2H=1 before the registers whose layout it selects
        "ldr x9, ={cptr}",
        "msr cptr_el2, x9",
        "ldr x9, ={cnthctl}",
        "msr cnthctl_el2, x9",
        "msr ttbr0_el2, x0",
        // TCR_EL2.IPS = min(PARange, 48 bits)
        "mrs x9, id_aa64mmfr0_el1",
        "and x9, x9, #0xf",
        "mov x10, #{ps_48_bits}",
        "cmp x9, x10",
        "csel x9, x9, x10, lo",
        "ldr x10, ={tcr}",
        "bfi x10, x9, #32, #3",
        "msr tcr_el2, x10",
        "isb", // the registers, before the TLB is cleaned of what came before them
        "tlbi alle2",
        "dsb nsh",
        "isb",
        "msr sctlr_el2, x8",
        "isb", // everything below is translated
        "msr daif, x11",
        "ret",
        hcr = const HCR,
        cptr = const CPTR,
        cnthctl = const CNTHCTL,
        tcr = const TCR,
        ps_48_bits = const PS_48_BITS,
    )
}
