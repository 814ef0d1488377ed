//! From encoding to name and back.

use super::SysReg;
use super::names::NAMES;

/// Which ways a system register can be accessed. An operation with an argument counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum SysRegDirections {
    /// `MRS` only.
    ReadOnly,
    /// `MSR` only.
    WriteOnly,
    /// Both.
    ReadWrite,
}

impl SysReg {
    /// The rows of this encoding: none, one, or one to read and one to write.
    fn rows(self) -> &'static [(u16, SysRegDirections, &'static str)] {
        let start = NAMES.partition_point(|row| row.0 < self.bits());
        let rest = NAMES.get(start..).unwrap_or(&[]);
        let count = rest.iter().take_while(|row| row.0 == self.bits()).count();
        rest.get(..count).unwrap_or(&[])
    }

    /// Returns Arm's name, as a read or a write has it: `DBGDTRRX_EL0` is `DBGDTRTX_EL0` when written.
    ///
    /// A register of one direction only has its name in the other too. An operation's name has its
    /// instruction before it: `DC CIVAC`.
    pub fn name_for(self, is_read: bool) -> Option<&'static str> {
        match self.rows() {
            [] => None,
            [only] => Some(only.2),
            [read, write, ..] => Some(if is_read { read.2 } else { write.2 }),
        }
    }

    /// Returns which ways it can be accessed, where it has a name.
    pub fn directions(self) -> Option<SysRegDirections> {
        match self.rows() {
            [] => None,
            [only] => Some(only.1),
            _ => Some(SysRegDirections::ReadWrite),
        }
    }

    /// Returns every named encoding, in order, with its directions and name.
    pub fn named() -> impl Iterator<Item = (Self, SysRegDirections, &'static str)> {
        NAMES
            .iter()
            .map(|&(bits, directions, name)| (Self::from_bits(bits), directions, name))
    }

    /// Returns the register or operation of this name, in either case, or of the generic form.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = NAMES.iter().find(|row| row.2.eq_ignore_ascii_case(name));
        match named {
            Some(row) => Some(Self::from_bits(row.0)),
            None => Self::from_generic(name),
        }
    }

    /// `S<op0>_<op1>_C<CRn>_C<CRm>_<op2>`, byte by byte: a `str` split can panic as far as a linker knows.
    fn from_generic(name: &str) -> Option<Self> {
        let rest = letter(name.as_bytes(), b's')?;
        let (op0, rest) = number(rest, 3)?;
        let (op1, rest) = number(letter(rest, b'_')?, 7)?;
        let (crn, rest) = number(letter(letter(rest, b'_')?, b'c')?, 15)?;
        let (crm, rest) = number(letter(letter(rest, b'_')?, b'c')?, 15)?;
        let (op2, rest) = number(letter(rest, b'_')?, 7)?;
        rest.is_empty().then(|| Self::new(op0, op1, crn, crm, op2))
    }
}

/// What follows `expected`, in either case.
fn letter(text: &[u8], expected: u8) -> Option<&[u8]> {
    let (first, rest) = text.split_first()?;
    first.eq_ignore_ascii_case(&expected).then_some(rest)
}

/// A decimal number of one or two digits, at most `max`, and what follows.
fn number(text: &[u8], max: u8) -> Option<(u8, &[u8])> {
    let digit = |text: &[u8]| {
        text.first()
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| byte - b'0')
    };
    let (mut value, mut rest) = (digit(text)?, text.get(1..)?);
    if let Some(next) = digit(rest) {
        (value, rest) = (value * 10 + next, rest.get(1..)?);
    }
    (value <= max).then_some((value, rest))
}
