//! The number of a general-purpose register.

use core::fmt;

/// A general-purpose register: X0 to X30, or 31, the zero register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Gpr(u8);

impl Gpr {
    /// Reads as zero and ignores writes.
    pub const XZR: Self = Self(31);

    /// Returns the register with this number; only its low five bits count, as in an instruction.
    pub const fn new(number: u8) -> Self {
        Self(number & 31)
    }

    /// Returns the number, 0 to 31.
    pub const fn number(self) -> u8 {
        self.0
    }
}

macro_rules! consts {
    ($($name:ident $number:literal)*) => {
        impl Gpr {
            $(
                #[doc = concat!(stringify!($name), ".")]
                pub const $name: Self = Self($number);
            )*
        }
    };
}

consts! {
    X0 0 X1 1 X2 2 X3 3 X4 4 X5 5 X6 6 X7 7 X8 8 X9 9 X10 10 X11 11 X12 12 X13 13 X14 14 X15 15
    X16 16 X17 17 X18 18 X19 19 X20 20 X21 21 X22 22 X23 23 X24 24 X25 25 X26 26 X27 27 X28 28
    X29 29 X30 30
}

impl fmt::Display for Gpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            31 => f.write_str("xzr"),
            number => write!(f, "x{number}"),
        }
    }
}

impl fmt::Debug for Gpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
