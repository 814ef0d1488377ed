//! Syndromes for people: one line, every field, and hints.
//!
//! Nothing here is needed to run a guest; everything writes into a [`core::fmt::Write`] the caller has.

mod class;
mod fields;
mod hints;
mod meaning;
mod words;

use core::fmt::{self, Write};

pub use class::class_name;
pub use fields::{Field, Fields};
pub use hints::{Context, Hint};
pub use meaning::Meaning;

use crate::insn::MemoryInsn;
use crate::{Fault, Pc, SvcRoute, Syndrome};

/// Writes the summary, every field with its bits, value and meaning, and the hints.
pub fn explain(out: &mut dyn Write, context: &Context) -> fmt::Result {
    let esr = context.esr;
    writeln!(out, "ESR {:#018x}: {}", esr.0, Summary(context))?;
    for field in Fields::of(esr) {
        // Zeros where nothing is defined tell nobody anything.
        if field.is_reserved() && field.value == 0 {
            continue;
        }
        write!(out, "  {field}")?;
        writeln!(out)?;
    }
    if let Some(elr) = context.elr {
        let stands = match Syndrome::decode(esr) {
            Syndrome::Svc(_) => "past the SVC, or on it when HFGITR_EL2 trapped it",
            syndrome => match syndrome.pc(SvcRoute::Tge) {
                Pc::OnInstruction => "on the instruction",
                Pc::PastInstruction => "past the instruction",
                Pc::Unrelated => "on the next instruction, which is not to blame",
            },
        };
        writeln!(out, "  ELR {elr:#x} is {stands}")?;
    }
    if let Some(insn) = context.insn {
        match MemoryInsn::decode(insn) {
            Ok(access) => writeln!(out, "  instruction {insn:#010x}: {access}")?,
            Err(why) => writeln!(out, "  instruction {insn:#010x}: {why}")?,
        }
    }
    for hint in context.hints() {
        writeln!(out, "  hint: {hint}")?;
    }
    Ok(())
}

/// One line for a syndrome and the addresses that came with it.
pub struct Summary<'a>(pub &'a Context);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context {
            esr, far, hpfar, ..
        } = *self.0;
        match (far, hpfar) {
            (Some(far), Some(hpfar)) => match Fault::new(esr, far, hpfar) {
                Some(fault) => write!(f, "{fault}"),
                None => write!(f, "{}", Syndrome::decode(esr)),
            },
            (Some(far), None)
                if Fault::new(esr, far, 0).is_some_and(|fault| fault.va().is_some()) =>
            {
                write!(f, "{} (VA {far:#x})", Syndrome::decode(esr))
            }
            _ => write!(f, "{}", Syndrome::decode(esr)),
        }
    }
}
