//! The text of the instructions in `special`, as `text` makes that of loads and stores.

use core::fmt::{self, Display, Formatter};

use super::text::{Base, General};
use super::{Form, Maintenance, MemoryCopy, MemorySet, Prefetch, Stage, TagAccess, TagOp};

impl Display for TagAccess {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { op, reg, address } = *self;
        match op {
            TagOp::Load => write!(f, "ldg {}, {address}", General(reg, true)),
            TagOp::LoadMultiple => write!(f, "ldgm {}, {address}", General(reg, true)),
            TagOp::StoreMultiple { zeroes_data } => {
                let zero = if zeroes_data { "z" } else { "" };
                write!(f, "st{zero}gm {}, {address}", General(reg, true))
            }
            // The tag is taken from a register that may be SP.
            TagOp::Store {
                granules,
                zeroes_data,
            } => {
                let zero = if zeroes_data { "z" } else { "" };
                let two = if granules == 2 { "2" } else { "" };
                write!(f, "st{zero}{two}g {}, {address}", Base(reg))
            }
            TagOp::StorePair { second } => {
                write!(
                    f,
                    "stgp {}, {}, {address}",
                    General(reg, true),
                    General(second, true)
                )
            }
        }
    }
}

impl Display for Prefetch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = if self.form == Form::Unscaled {
            "prfum"
        } else {
            "prfm"
        };
        let kind = ["pld", "pli", "pst"].get(usize::from(self.hint >> 3));
        let level = self.hint >> 1 & 3;
        match kind {
            Some(kind) if level < 3 => {
                let policy = if self.hint & 1 == 0 { "keep" } else { "strm" };
                write!(f, "{verb} {kind}l{}{policy}, {}", level + 1, self.address)
            }
            _ => write!(f, "{verb} #{:#04x}, {}", self.hint, self.address),
        }
    }
}

const fn stage_letter(stage: Stage) -> char {
    match stage {
        Stage::Prologue => 'p',
        Stage::Main => 'm',
        Stage::Epilogue => 'e',
    }
}

/// Suffixes of the options of a memory copy: writes and reads unprivileged, then non-temporal.
const COPY_OPTIONS: [&str; 16] = [
    "", "wt", "rt", "t", "wn", "wtwn", "rtwn", "twn", "rn", "wtrn", "rtrn", "trn", "n", "wtn",
    "rtn", "tn",
];

/// Suffixes of the options of a memory set.
const SET_OPTIONS: [&str; 4] = ["", "t", "n", "tn"];

impl Display for MemoryCopy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let forward = if self.is_forward_only { "f" } else { "" };
        let options = COPY_OPTIONS[usize::from(self.options & 15)];
        write!(f, "cpy{forward}{}{options} ", stage_letter(self.stage))?;
        let (dest, src) = (General(self.dest, true), General(self.src, true));
        write!(f, "[{dest}]!, [{src}]!, {}!", General(self.size, true))
    }
}

impl Display for MemorySet {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tags = if self.sets_tags { "g" } else { "" };
        let options = SET_OPTIONS[usize::from(self.options & 3)];
        write!(f, "set{tags}{}{options} ", stage_letter(self.stage))?;
        let (dest, size) = (General(self.dest, true), General(self.size, true));
        write!(f, "[{dest}]!, {size}!, {}", General(self.value, true))
    }
}

impl Display for Maintenance {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let op = self.op;
        write!(
            f,
            "sys #{}, C{}, C{}, #{}",
            op.op1(),
            op.crn(),
            op.crm(),
            op.op2()
        )?;
        write!(f, ", {}", General(self.reg, true))
    }
}
