//! What may differ, and why.

use vcpu_regs::{Fate, Hcr, SwitchedReg, SysReg, Trap};

const CNTPCT_EL0: SysReg = SysReg::new(3, 3, 14, 0, 1);
const CNTVCT_EL0: SysReg = SysReg::new(3, 3, 14, 0, 2);
const CNTPCTSS_EL0: SysReg = SysReg::new(3, 3, 14, 0, 5);
const CNTVCTSS_EL0: SysReg = SysReg::new(3, 3, 14, 0, 6);
const CNTV_TVAL_EL0: SysReg = SysReg::new(3, 3, 14, 3, 0);
const CNTP_TVAL_EL0: SysReg = SysReg::new(3, 3, 14, 2, 0);
const RNDR: SysReg = SysReg::new(3, 3, 2, 4, 0);
const RNDRRS: SysReg = SysReg::new(3, 3, 2, 4, 1);

/// Returns why a register of a guest differs from one reading to the next, if it may.
pub fn in_guest(reg: SysReg) -> Option<&'static str> {
    match reg {
        CNTPCT_EL0 | CNTVCT_EL0 | CNTPCTSS_EL0 | CNTVCTSS_EL0 => Some("it is the time"),
        CNTV_TVAL_EL0 | CNTP_TVAL_EL0 => Some("it is what is left of the time"),
        RNDR | RNDRRS => Some("it is random"),
        _ => None,
    }
}

/// Returns why a register of the host differs from before the first guest, if it may.
pub fn in_host(reg: SysReg) -> Option<&'static str> {
    const ESR_EL2: SysReg = SysReg::new(3, 4, 5, 2, 0);
    const FAR_EL2: SysReg = SysReg::new(3, 4, 6, 0, 0);
    const HPFAR_EL2: SysReg = SysReg::new(3, 4, 6, 0, 4);
    const SPSR_EL2: SysReg = SysReg::new(3, 4, 4, 0, 0);
    const ELR_EL2: SysReg = SysReg::new(3, 4, 4, 0, 1);
    const CNTHP_TVAL_EL2: SysReg = SysReg::new(3, 4, 14, 2, 0);
    const CNTHP_CTL_EL2: SysReg = SysReg::new(3, 4, 14, 2, 1);
    const CNTHP_CVAL_EL2: SysReg = SysReg::new(3, 4, 14, 2, 2);
    const CNTHV_TVAL_EL2: SysReg = SysReg::new(3, 4, 14, 3, 0);
    const CNTPS_TVAL_EL1: SysReg = SysReg::new(3, 7, 14, 2, 0);
    const CCSIDR_EL1: SysReg = SysReg::new(3, 1, 0, 0, 0);
    const CCSIDR2_EL1: SysReg = SysReg::new(3, 1, 0, 0, 2);
    const NZCV: SysReg = SysReg::new(3, 3, 4, 2, 0);
    const FPCR: SysReg = SysReg::new(3, 3, 4, 4, 0);
    const FPSR: SysReg = SysReg::new(3, 3, 4, 4, 1);
    match reg {
        ESR_EL2 | FAR_EL2 | HPFAR_EL2 | SPSR_EL2 | ELR_EL2 => Some("it is of the last exception"),
        CNTHP_CTL_EL2 | CNTHP_CVAL_EL2 => Some("this program sets it"),
        CNTHP_TVAL_EL2 | CNTHV_TVAL_EL2 | CNTPS_TVAL_EL1 => Some("it is what is left of the time"),
        CCSIDR_EL1 | CCSIDR2_EL1 => Some("CSSELR_EL1, of the last guest, selects it"),
        NZCV => Some("flags come and go"),
        FPCR | FPSR => Some("a host does without FP; it is of the last guest"),
        _ if is_interface(reg) => Some("each load of a guest with an interface writes it"),
        _ if is_guests(reg) => Some("it is of the last guest, and switched"),
        _ => plain(reg).into_iter().find_map(in_guest),
    }
}

/// Returns whether it is of the virtual CPU interface, which ICH_HCR_EL2 turns off with each put and
/// no guest without list registers reaches: ICH_VMCR_EL2 and ICH_ELRSR_EL2; `ICH_AP0R<n>_EL2`,
/// `ICH_AP1R<n>_EL2` and `ICH_LR<n>_EL2`.
fn is_interface(reg: SysReg) -> bool {
    let is_numbered = match (reg.op0(), reg.op1(), reg.crn(), reg.crm()) {
        (3, 4, 12, 8 | 9) => reg.op2() < 4,
        (3, 4, 12, 12 | 13) => true,
        _ => false,
    };
    is_numbered
        || [5, 7]
            .map(|op2| SysReg::new(3, 4, 12, 11, op2))
            .contains(&reg)
}

/// Returns whether it belongs to whatever guest is loaded: all that is switched, but for
/// MDSCR_EL1, which acts at EL2 too.
fn is_guests(reg: SysReg) -> bool {
    let is = |plain| {
        let mut switched = SwitchedReg::ALL.iter();
        switched.any(|&row| row.sysreg() == plain && row != SwitchedReg::MDSCR_EL1)
    };
    plain(reg).into_iter().any(is)
}

/// Returns what `_EL12` and `_EL02` may be other names of, which QEMU has without E2H too; for any
/// other register, itself.
fn plain(reg: SysReg) -> [SysReg; 2] {
    let with = |op1| SysReg::new(reg.op0(), op1, reg.crn(), reg.crm(), reg.op2());
    match reg.op1() {
        5 => [with(0), with(3)],
        _ => [reg; 2],
    }
}

/// Returns why a register of this fate can be read, although it should trap, if it may.
pub fn untrapped(fate: Option<Fate>) -> Option<&'static str> {
    match fate? {
        Fate::Trapped([Trap::Hcr(Hcr::TIDCP)]) => {
            Some("QEMU 7.2 has no HCR_EL2.TIDCP; what it has behind are constants")
        }
        Fate::Interface([Trap::IccSreClear(_)]) => {
            Some("ICC_SRE_EL2.Enable is stuck at 1, and so is all of ICC_SRE_EL1")
        }
        _ => None,
    }
}

/// Returns why a row of the table would not be missed here, if so.
pub fn unnoticed(reg: SwitchedReg, takes_turns: bool) -> Option<&'static str> {
    match reg {
        SwitchedReg::MDSCR_EL1 if !takes_turns => Some("the host has its own back with each put"),
        SwitchedReg::CNTV_CTL_EL0 => Some("a put leaves the timer off"),
        SwitchedReg::AFSR0_EL1 | SwitchedReg::AFSR1_EL1 | SwitchedReg::AMAIR_EL1 => {
            Some("it holds nothing on QEMU's CPUs")
        }
        SwitchedReg::SMPRI_EL1 => Some("QEMU's streaming mode has no priorities"),
        SwitchedReg::VSESR_EL2 => Some("only an SError that the host injects shows it"),
        SwitchedReg::CNTP_CTL_EL0 | SwitchedReg::CNTP_CVAL_EL0 => {
            Some("the physical timer traps, and is the host's")
        }
        _ => None,
    }
}
