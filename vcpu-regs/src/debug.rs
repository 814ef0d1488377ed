//! Breakpoints and watchpoints.

use crate::SysReg;

/// The self-hosted debug registers of a CPU: up to 16 breakpoints and 16 watchpoints.
///
/// Arm ARM (DDI 0487), `DBGBVR<n>_EL1`, `DBGBCR<n>_EL1`, `DBGWVR<n>_EL1`, `DBGWCR<n>_EL1`. How
/// many there are is [`IdRegisters::debug_counts`](crate::IdRegisters::debug_counts).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugState {
    /// DBGBVR.
    pub bvr: [u64; 16],
    /// DBGBCR.
    pub bcr: [u64; 16],
    /// DBGWVR.
    pub wvr: [u64; 16],
    /// DBGWCR.
    pub wcr: [u64; 16],
}

impl DebugState {
    /// The most breakpoints and watchpoints that a CPU has.
    pub const MOST: (u8, u8) = (16, 16);

    /// Returns the identity of each of the registers.
    pub fn registers() -> impl Iterator<Item = SysReg> {
        (0..16).flat_map(|n| (4..8).map(move |op2| SysReg::new(2, 0, 0, n, op2)))
    }

    /// Returns the value of the register with this identity, or `None` when it is none of them.
    pub fn get(&self, reg: SysReg) -> Option<u64> {
        if (reg.op0(), reg.op1(), reg.crn()) != (2, 0, 0) {
            return None;
        }
        let bank = match reg.op2() {
            4 => &self.bvr,
            5 => &self.bcr,
            6 => &self.wvr,
            7 => &self.wcr,
            _ => return None,
        };
        bank.get(usize::from(reg.crm())).copied()
    }

    /// Returns the register with this identity, or `None` when it is none of them, or beyond
    /// `counts` of breakpoints and watchpoints.
    pub fn register(&mut self, reg: SysReg, counts: (u8, u8)) -> Option<&mut u64> {
        if (reg.op0(), reg.op1(), reg.crn()) != (2, 0, 0) {
            return None;
        }
        let (bank, count) = match reg.op2() {
            4 => (&mut self.bvr, counts.0),
            5 => (&mut self.bcr, counts.0),
            6 => (&mut self.wvr, counts.1),
            7 => (&mut self.wcr, counts.1),
            _ => return None,
        };
        bank[..usize::from(count)].get_mut(usize::from(reg.crm()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_is_found_by_its_encoding_and_not_beyond_the_count() {
        let mut state = DebugState::default();
        let bcr3 = SysReg::new(2, 0, 0, 3, 5);
        *state.register(bcr3, (4, 2)).unwrap() = 7;
        assert_eq!(state.bcr[3], 7);
        assert_eq!(state.register(bcr3, (3, 2)), None);
        let wvr1 = SysReg::new(2, 0, 0, 1, 6);
        *state.register(wvr1, (1, 2)).unwrap() = 9;
        assert_eq!(state.wvr[1], 9);
        let mdscr = SysReg::new(2, 0, 0, 2, 2);
        assert_eq!(state.register(mdscr, (16, 16)), None);
    }
}
