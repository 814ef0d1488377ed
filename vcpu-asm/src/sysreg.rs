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

/// Reads two system registers, one after the other: what the compiler can store as a pair.
macro_rules! mrs_pair {
    (($op0:literal, $op1:literal, $crn:literal, $crm:literal, $op2:literal),
     ($op0_b:literal, $op1_b:literal, $crn_b:literal, $crm_b:literal, $op2_b:literal)) => {{
        let (a, b): (u64, u64);
        core::arch::asm!(
            concat!("mrs {}, S", $op0, "_", $op1, "_C", $crn, "_C", $crm, "_", $op2),
            concat!("mrs {}, S", $op0_b, "_", $op1_b, "_C", $crn_b, "_C", $crm_b, "_", $op2_b),
            out(reg) a,
            out(reg) b,
            options(nomem, nostack, preserves_flags),
        );
        (a, b)
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

pub(crate) use {mrs, mrs_pair, msr};
