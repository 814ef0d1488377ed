//! `MRS` and `MSR` by encoding: assemblers know all of these, whatever CPU they target.

/// Reads the system register `(op0, op1, CRn, CRm, op2)`.
macro_rules! mrs {
    (($op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal)) => {{
        let value: u64;
        core::arch::asm!(
            concat!("mrs {}, S", $op0, "_", $op1, "_C", $crn, "_C", $crm, "_", $op2),
            out(reg) value,
            options(nomem, nostack, preserves_flags),
        );
        value
    }};
}

/// Writes the system register `(op0, op1, CRn, CRm, op2)`.
macro_rules! msr {
    (($op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal), $value:expr) => {
        core::arch::asm!(
            concat!("msr S", $op0, "_", $op1, "_C", $crn, "_C", $crm, "_", $op2, ", {}"),
            in(reg) $value,
            options(nomem, nostack, preserves_flags),
        )
    };
}

pub(crate) use {mrs, msr};
