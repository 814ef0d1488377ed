//! Where an access goes, and what becomes of its base register.

/// Where an access goes. A base of 31 is SP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Address {
    /// Relative to the instruction itself.
    Literal {
        /// In bytes.
        offset: i32,
    },
    /// Base and a constant.
    Immediate {
        /// Base register.
        base: u8,
        /// In bytes.
        offset: i32,
        /// Whether and when the base moves.
        index: Index,
    },
    /// Base and a register.
    Register {
        /// Base register.
        base: u8,
        /// Offset register; 31 is the zero register.
        offset: u8,
        /// How it becomes 64 bits.
        extend: Extend,
        /// How far it is shifted left then.
        shift: u8,
    },
    /// The base alone, which then moves by a register's value.
    PostRegister {
        /// Base register.
        base: u8,
        /// Offset register.
        offset: u8,
    },
}

/// Whether and when the base register moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Index {
    /// It does not.
    None,
    /// Before: the access is at the new base.
    Pre,
    /// After: the access is at the old base.
    Post,
}

/// How an offset register becomes 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Extend {
    /// W, zero-extended.
    Uxtw,
    /// X.
    Lsl,
    /// W, sign-extended.
    Sxtw,
    /// X, written as sign-extended.
    Sxtx,
}

impl Address {
    /// Returns the virtual address of the access.
    ///
    /// `x` gives a register's value: 0 to 30, 31 for SP as a base. The zero register is never asked for.
    pub fn resolve(self, pc: u64, x: impl Fn(u8) -> u64) -> u64 {
        match self {
            Self::Literal { offset } => pc.wrapping_add_signed(offset.into()),
            Self::Immediate {
                base,
                offset,
                index,
            } => match index {
                Index::Post => x(base),
                Index::None | Index::Pre => x(base).wrapping_add_signed(offset.into()),
            },
            Self::Register {
                base,
                offset,
                extend,
                shift,
            } => {
                let offset = if offset == 31 { 0 } else { x(offset) };
                let offset = match extend {
                    Extend::Uxtw => offset & 0xffff_ffff,
                    Extend::Sxtw => offset as i32 as i64 as u64,
                    Extend::Lsl | Extend::Sxtx => offset,
                };
                x(base).wrapping_add(offset << (shift & 63))
            }
            Self::PostRegister { base, .. } => x(base),
        }
    }

    /// Returns the base register and its new value, where the instruction moves it.
    pub fn write_back(self, x: impl Fn(u8) -> u64) -> Option<(u8, u64)> {
        match self {
            Self::Immediate {
                base,
                offset,
                index: Index::Pre | Index::Post,
            } => Some((base, x(base).wrapping_add_signed(offset.into()))),
            Self::PostRegister { base, offset } => Some((base, x(base).wrapping_add(x(offset)))),
            _ => None,
        }
    }
}
