//! From encoding to name and back.

use super::SysReg;
use super::names::NAMES;

/// Which ways a system register can be accessed. An operation with an argument counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

    /// `S<op0>_<op1>_C<CRn>_C<CRm>_<op2>`
    fn from_generic(name: &str) -> Option<Self> {
        let mut fields = name.split('_');
        let mut field = |prefix: &[char], max: u8| -> Option<u8> {
            let text = fields.next()?;
            let digits = if prefix.is_empty() {
                text
            } else {
                text.strip_prefix(prefix)?
            };
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse()
                .ok()
                .filter(|&value| is_number && value <= max)
        };
        let op0 = field(&['S', 's'], 3)?;
        let op1 = field(&[], 7)?;
        let crn = field(&['C', 'c'], 15)?;
        let crm = field(&['C', 'c'], 15)?;
        let op2 = field(&[], 7)?;
        fields
            .next()
            .is_none()
            .then(|| Self::new(op0, op1, crn, crm, op2))
    }
}
