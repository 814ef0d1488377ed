//! The instruction's text, made from the decoded value alone, as an assembler takes it.
//!
//! Tests hold it against a disassembler, so a wrong register, size, offset or order shows.

use core::fmt::{self, Display, Formatter};

use super::structure::Lanes;
use super::{
    Address, Atomic, Extend, Form, Index, LoadStore, MemoryInsn, NotDecoded, Op, Order, Regs,
    Structure,
};

/// A general-purpose register; 31 is the zero register.
pub(super) struct General(pub u8, pub bool);

impl Display for General {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = if self.1 { 'x' } else { 'w' };
        if self.0 == 31 {
            write!(f, "{width}zr")
        } else {
            write!(f, "{width}{}", self.0)
        }
    }
}

/// A base register; 31 is the stack pointer.
pub(super) struct Base(pub u8);

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 31 {
            f.write_str("sp")
        } else {
            write!(f, "x{}", self.0)
        }
    }
}

impl Display for NotDecoded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMemory => "not a memory access",
            Self::Unallocated => "an unallocated load or store",
            Self::SveOrSme => "a load or store of SVE or SME",
        })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Literal { offset } => write!(f, ".{offset:+}"),
            Self::Immediate {
                base,
                offset: 0,
                index: Index::None,
            } => write!(f, "[{}]", Base(base)),
            Self::Immediate {
                base,
                offset,
                index,
            } => match index {
                Index::None => write!(f, "[{}, #{offset}]", Base(base)),
                Index::Pre => write!(f, "[{}, #{offset}]!", Base(base)),
                Index::Post => write!(f, "[{}], #{offset}", Base(base)),
            },
            Self::Register {
                base,
                offset,
                extend,
                shift,
            } => {
                let (name, is_64bit) = match extend {
                    Extend::Uxtw => ("uxtw", false),
                    Extend::Lsl => ("lsl", true),
                    Extend::Sxtw => ("sxtw", false),
                    Extend::Sxtx => ("sxtx", true),
                };
                write!(f, "[{}, {}", Base(base), General(offset, is_64bit))?;
                match (extend, shift) {
                    (Extend::Lsl, 0) => f.write_str("]"),
                    (_, 0) => write!(f, ", {name}]"),
                    _ => write!(f, ", {name} #{shift}]"),
                }
            }
            Self::PostRegister { base, offset } => {
                write!(f, "[{}], {}", Base(base), General(offset, true))
            }
        }
    }
}

impl Display for MemoryInsn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoadStore(access) => Display::fmt(access, f),
            Self::Structure(structure) => Display::fmt(structure, f),
            Self::Tag(tag) => Display::fmt(tag, f),
            Self::Prefetch(prefetch) => Display::fmt(prefetch, f),
            Self::Copy(copy) => Display::fmt(copy, f),
            Self::Set(set) => Display::fmt(set, f),
            Self::Maintenance(maintenance) => Display::fmt(maintenance, f),
        }
    }
}

const fn order_suffix(order: Order) -> &'static str {
    match order {
        Order::Acquire => "a",
        Order::Release => "l",
        Order::AcquireRelease => "al",
        _ => "",
    }
}

impl LoadStore {
    const fn is_pair(&self) -> bool {
        matches!(
            self.regs,
            Regs::General {
                second: Some(_),
                ..
            } | Regs::Vector {
                second: Some(_),
                ..
            }
        )
    }

    /// `b`, `h`, `sb`, `sh`, `sw`, or nothing for a whole register.
    const fn size_suffix(&self) -> &'static str {
        let Regs::General {
            sign_extend,
            is_64bit,
            ..
        } = self.regs
        else {
            return "";
        };
        match (self.size_bytes, sign_extend) {
            (1, false) => "b",
            (1, true) => "sb",
            (2, false) => "h",
            (2, true) => "sh",
            (4, true) if is_64bit => "sw",
            _ => "",
        }
    }

    fn mnemonic(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pair = if self.is_pair() { "p" } else { "" };
        let order = order_suffix(self.order);
        let size = self.size_suffix();
        let unprivileged = if self.form == Form::Unprivileged {
            "t"
        } else {
            ""
        };
        let exclusive = if self.is_pair() { "xp" } else { "xr" };
        if let Form::ReadCheckWrite { is_soft } = self.form {
            f.write_str(if is_soft { "rcws" } else { "rcw" })?;
        }
        match self.op {
            Op::LoadExclusive => write!(f, "ld{order}{unprivileged}{exclusive}{size}"),
            Op::StoreExclusive { .. } => write!(f, "st{order}{unprivileged}{exclusive}{size}"),
            Op::LoadAuthenticated { is_key_b } => {
                f.write_str(if is_key_b { "ldrab" } else { "ldraa" })
            }
            Op::CompareAndSwap { .. } => write!(f, "cas{pair}{order}{unprivileged}{size}"),
            Op::StoreWithStatus { from_accdata, .. } => {
                f.write_str(if from_accdata { "st64bv0" } else { "st64bv" })
            }
            Op::Atomic { operation, .. } => {
                let name = match operation {
                    Atomic::Add => "add",
                    Atomic::Clear => "clr",
                    Atomic::Xor => "eor",
                    Atomic::Set => "set",
                    Atomic::SignedMax => "smax",
                    Atomic::SignedMin => "smin",
                    Atomic::UnsignedMax => "umax",
                    Atomic::UnsignedMin => "umin",
                    Atomic::Swap => "swp",
                };
                match (operation, self.form) {
                    (_, Form::ReadCheckWrite { .. }) => write!(f, "{name}{pair}{order}{size}"),
                    (Atomic::Swap, _) => write!(f, "swp{unprivileged}{pair}{order}{size}"),
                    _ => write!(f, "ld{unprivileged}{name}{pair}{order}{size}"),
                }
            }
            Op::Load | Op::Store => self.plain_mnemonic(f),
        }
    }

    fn plain_mnemonic(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_load = self.op == Op::Load;
        let verb = if is_load { "ld" } else { "st" };
        let size = self.size_suffix();
        match self.regs {
            Regs::Block { .. } => return write!(f, "{verb}64b"),
            _ if self.is_pair() => {
                return match (self.order, self.form) {
                    (Order::AcquirePc, _) => f.write_str("ldiapp"),
                    (Order::Release, _) => f.write_str("stilp"),
                    (_, Form::NonTemporal) => write!(f, "{verb}np"),
                    (_, Form::Unprivileged) => write!(f, "{verb}tp"),
                    (_, Form::UnprivilegedNonTemporal) => write!(f, "{verb}tnp"),
                    _ => write!(f, "{verb}p{size}"),
                };
            }
            _ => {}
        }
        let order = match self.order {
            Order::Acquire => "a",
            Order::AcquirePc => "ap",
            Order::Release => "l",
            Order::LimitedAcquire => "la",
            Order::LimitedRelease => "ll",
            Order::Plain | Order::AcquireRelease => "",
        };
        // `ldur`, `ldtr`, `ldapur`: the letter goes before the r.
        let unit = match self.form {
            Form::GuardedStack => return f.write_str("gcsstr"),
            Form::GuardedStackUnprivileged => return f.write_str("gcssttr"),
            Form::Unscaled => "u",
            Form::Unprivileged => "t",
            _ => "",
        };
        write!(f, "{verb}{order}{unit}r{size}")
    }
}

/// The letter of a SIMD register of this size.
const fn vector_letter(size_bytes: u8) -> char {
    match size_bytes {
        1 => 'b',
        2 => 'h',
        4 => 's',
        8 => 'd',
        _ => 'q',
    }
}

impl Display for LoadStore {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.mnemonic(f)?;
        f.write_str(" ")?;
        let is_64bit = matches!(self.regs, Regs::General { is_64bit: true, .. });
        match self.op {
            Op::StoreExclusive { status } => write!(f, "{}, ", General(status, false))?,
            Op::StoreWithStatus { status, .. } => write!(f, "{}, ", General(status, true))?,
            Op::CompareAndSwap { compare } if self.is_pair() => {
                let second = General(compare | 1, is_64bit);
                write!(f, "{}, {second}, ", General(compare, is_64bit))?;
            }
            Op::CompareAndSwap { compare } => write!(f, "{}, ", General(compare, is_64bit))?,
            Op::Atomic { operand, .. } if !self.is_pair() => {
                write!(f, "{}, ", General(operand, is_64bit))?;
            }
            _ => {}
        }
        match self.regs {
            Regs::General { first, second, .. } => {
                write!(f, "{}", General(first, is_64bit))?;
                if let Some(second) = second {
                    write!(f, ", {}", General(second, is_64bit))?;
                }
            }
            Regs::Vector { first, second } => {
                let letter = vector_letter(self.size_bytes);
                write!(f, "{letter}{first}")?;
                if let Some(second) = second {
                    write!(f, ", {letter}{second}")?;
                }
            }
            Regs::Block { first } => write!(f, "{}", General(first, true))?,
        }
        write!(f, ", {}", self.address)
    }
}

impl Display for Structure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let element = vector_letter(self.element_bytes);
        match (self.order, self.is_load) {
            (Order::AcquirePc, _) => f.write_str("ldap1 {")?,
            (Order::Release, _) => f.write_str("stl1 {")?,
            (_, is_load) => {
                let verb = if is_load { "ld" } else { "st" };
                let replicated = matches!(self.lanes, Lanes::Replicated { .. });
                write!(
                    f,
                    "{verb}{}{} {{",
                    self.elements,
                    if replicated { "r" } else { "" }
                )?;
            }
        }
        for index in 0..self.registers {
            let register = self.first.wrapping_add(index) % 32;
            let separator = if index == 0 { "" } else { ", " };
            match self.lanes {
                Lanes::One(_) => write!(f, "{separator}v{register}.{element}")?,
                Lanes::All { is_128bit } | Lanes::Replicated { is_128bit } => {
                    let bytes: u8 = if is_128bit { 16 } else { 8 };
                    let lanes = bytes.checked_div(self.element_bytes).unwrap_or(0);
                    write!(f, "{separator}v{register}.{lanes}{element}")?;
                }
            }
        }
        f.write_str("}")?;
        if let Lanes::One(lane) = self.lanes {
            write!(f, "[{lane}]")?;
        }
        write!(f, ", {}", self.address)
    }
}
