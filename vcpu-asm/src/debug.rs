//! Breakpoints and watchpoints, as many as the CPU has.

use vcpu_regs::DebugState;

use crate::sysreg::{mrs, msr};

/// Repeats a statement for each index as a literal, which an encoding needs.
macro_rules! each_index {
    ($statement:ident) => {
        $statement!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
}

/// Reads the registers of the first breakpoints and watchpoints.
///
/// # Safety
///
/// The CPU is at EL2 and has `breakpoints` and `watchpoints` of them.
pub(crate) unsafe fn save(state: &mut DebugState, (breakpoints, watchpoints): (u8, u8)) {
    macro_rules! save {
        ($($n:literal)*) => {$(
            if $n < breakpoints {
                // SAFETY: at EL2, and the breakpoint exists; a read without a side effect.
                unsafe {
                    state.bvr[$n] = mrs!((2, 0, 0, $n, 4));
                    state.bcr[$n] = mrs!((2, 0, 0, $n, 5));
                }
            }
            if $n < watchpoints {
                // SAFETY: as above, for a watchpoint.
                unsafe {
                    state.wvr[$n] = mrs!((2, 0, 0, $n, 6));
                    state.wcr[$n] = mrs!((2, 0, 0, $n, 7));
                }
            }
        )*};
    }
    each_index!(save);
}

/// Writes the registers of the first breakpoints and watchpoints.
///
/// # Safety
///
/// As for [`save`], and debug exceptions do not come from EL2 meanwhile.
pub(crate) unsafe fn load(state: &DebugState, (breakpoints, watchpoints): (u8, u8)) {
    macro_rules! load {
        ($($n:literal)*) => {$(
            if $n < breakpoints {
                // SAFETY: at EL2, and the breakpoint exists; the caller keeps it from EL2.
                unsafe {
                    msr!((2, 0, 0, $n, 4), state.bvr[$n]);
                    msr!((2, 0, 0, $n, 5), state.bcr[$n]);
                }
            }
            if $n < watchpoints {
                // SAFETY: as above, for a watchpoint.
                unsafe {
                    msr!((2, 0, 0, $n, 6), state.wvr[$n]);
                    msr!((2, 0, 0, $n, 7), state.wcr[$n]);
                }
            }
        )*};
    }
    each_index!(load);
}
