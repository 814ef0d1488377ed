//! Cache maintenance and address translation by virtual address: `SYS` instructions that can abort.

use vcpu_regs::SysReg;

use super::decode::rt;
use super::{Maintenance, MemoryInsn, NotDecoded};

pub(super) fn decode(insn: u32) -> Result<MemoryInsn, NotDecoded> {
    let op = SysReg::from_bits((insn >> 5) as u16);
    if op.op0() != 1 || op.crn() != 7 || insn >> 21 & 1 != 0 {
        return Err(NotDecoded::NotMemory);
    }
    let by_address = match (op.op1(), op.crm(), op.op2()) {
        // IC IVAU
        (3, 5, 1) => true,
        // DC IVAC, IGVAC, IGDVAC
        (0, 6, 1 | 3 | 5) => true,
        // DC ZVA, GVA, GZVA, ZGBVA, GBVA
        (3, 4, 1 | 3..=5 | 7) => true,
        // DC CVAC, CVAP, CVADP, CIVAC, and each with tags
        (3, 10 | 12..=14, 1 | 3 | 5) => true,
        // DC CVAOC, CVAU, CGDVAOC; CIVAOC, CIGDVAOC
        (3, 11, 0 | 1 | 7) | (3, 15, 0 | 7) => true,
        // DC CIVAPS, CIGDVAPS
        (0, 15, 1 | 5) => true,
        // AT S1E1R and so on
        (0, 8, 0..=3) | (4, 8, 0 | 1 | 4..=7) | (6, 8, 0 | 1) => true,
        // AT S1E1RP, S1E1WP, S1E1A, S1E2A, S1E3A
        (0, 9, 0..=2) | (4 | 6, 9, 2) => true,
        _ => false,
    };
    if by_address {
        Ok(MemoryInsn::Maintenance(Maintenance { op, reg: rt(insn) }))
    } else {
        Err(NotDecoded::NotMemory)
    }
}
