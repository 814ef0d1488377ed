//! SIMD structures: whole registers, single lanes, and one element to all lanes.

use super::decode::{base_only, bit, bits, rn, rs, rt};
use super::{Address, Index, MemoryInsn, NotDecoded, Order};

/// `LD1` to `LD4R` and `ST1` to `ST4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Structure {
    /// Memory to registers.
    pub is_load: bool,
    /// First register; the others follow it, V0 after V31.
    pub first: u8,
    /// How many registers: 1 to 4.
    pub registers: u8,
    /// Elements of one structure, each to a register of its own: 1 to 4. Where `registers` is greater,
    /// they are filled one after the other (`LD1` of several registers).
    pub elements: u8,
    /// Bytes of one element: 1, 2, 4 or 8.
    pub element_bytes: u8,
    /// Which elements of the registers.
    pub lanes: Lanes,
    /// Where.
    pub address: Address,
    /// [`Order::Plain`], or of `LDAP1` and `STL1` (FEAT_LRCPC3).
    pub order: Order,
}

/// Which elements of its registers a [`Structure`] moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Lanes {
    /// All; of 16-byte registers, or of their lower 8 bytes.
    All {
        /// 16 bytes.
        is_128bit: bool,
    },
    /// This one; the rest stay.
    One(u8),
    /// One element from memory to every lane.
    Replicated {
        /// 16 bytes.
        is_128bit: bool,
    },
}

impl Structure {
    /// Returns the bytes of memory it covers.
    pub const fn size_bytes(&self) -> u8 {
        match self.lanes {
            Lanes::All { is_128bit } => {
                self.registers
                    .saturating_mul(if is_128bit { 16 } else { 8 })
            }
            Lanes::One(_) | Lanes::Replicated { .. } => {
                self.elements.saturating_mul(self.element_bytes)
            }
        }
    }
}

/// The post-index of an access of `size_bytes`: Rm is a register, or 31 for the size itself.
const fn post_index(insn: u32, size_bytes: u8) -> Address {
    match rs(insn) {
        31 => Address::Immediate {
            base: rn(insn),
            offset: size_bytes as i32,
            index: Index::Post,
        },
        offset => Address::PostRegister {
            base: rn(insn),
            offset,
        },
    }
}

pub(super) fn decode(insn: u32) -> Result<MemoryInsn, NotDecoded> {
    let is_post = bit(insn, 23);
    if bit(insn, 31) {
        return Err(NotDecoded::Unallocated);
    }
    let mut structure = if bit(insn, 24) {
        single(insn)
    } else {
        multiple(insn)
    }
    .ok_or(NotDecoded::Unallocated)?;
    if is_post {
        structure.address = post_index(insn, structure.size_bytes());
    }
    Ok(MemoryInsn::Structure(structure))
}

fn multiple(insn: u32) -> Option<Structure> {
    let (is_128bit, size) = (bit(insn, 30), bits(insn, 11, 10));
    let (registers, elements) = match bits(insn, 15, 12) {
        0b0000 => (4, 4),
        0b0010 => (4, 1),
        0b0100 => (3, 3),
        0b0110 => (3, 1),
        0b0111 => (1, 1),
        0b1000 => (2, 2),
        0b1010 => (2, 1),
        _ => return None,
    };
    let must_be_zero = if bit(insn, 23) { 1 << 21 } else { 0x3f << 16 };
    // A structure of doublewords needs two of them in a register.
    if insn & must_be_zero != 0 || size == 3 && !is_128bit && elements != 1 {
        return None;
    }
    Some(Structure {
        is_load: bit(insn, 22),
        first: rt(insn),
        registers,
        elements,
        element_bytes: 1 << size,
        lanes: Lanes::All { is_128bit },
        address: base_only(insn),
        order: Order::Plain,
    })
}

fn single(insn: u32) -> Option<Structure> {
    let (is_load, opcode, size) = (bit(insn, 22), bits(insn, 15, 13), bits(insn, 11, 10));
    // Q, S and size form the lane's number, from the top.
    let (q, s) = (bits(insn, 30, 30), bits(insn, 12, 12));
    let elements = 1 + ((opcode & 1) << 1) + bits(insn, 21, 21);
    let (scale, lanes) = match opcode >> 1 {
        0 => (0, Lanes::One(q << 3 | s << 2 | size)),
        1 if size & 1 == 0 => (1, Lanes::One(q << 2 | s << 1 | size >> 1)),
        2 if size == 0 => (2, Lanes::One(q << 1 | s)),
        2 if size == 1 && s == 0 => (3, Lanes::One(q)),
        3 if is_load && s == 0 => (size, Lanes::Replicated { is_128bit: q != 0 }),
        _ => return None,
    };
    // `LDAP1` and `STL1` are `LD1` and `ST1` of a doubleword with the lowest bit of Rm's place set.
    let order = match (bit(insn, 23), rs(insn)) {
        (true, _) | (false, 0) => Order::Plain,
        (false, 1) if scale == 3 && elements == 1 && lanes == Lanes::One(q) => {
            if is_load {
                Order::AcquirePc
            } else {
                Order::Release
            }
        }
        _ => return None,
    };
    Some(Structure {
        is_load,
        first: rt(insn),
        registers: elements,
        elements,
        element_bytes: 1 << scale,
        lanes,
        address: base_only(insn),
        order,
    })
}
