//! Tags, memory copy and set, cache maintenance, Guarded Control Stack stores.

use vcpu_regs::SysReg;

use super::decode::{base_only, bit, bits, general, rn, rs, rt, signed};
use super::{Address, Form, Index, LoadStore, MemoryInsn, NotDecoded, Op, Order};

/// Allocation tags of one or more 16-byte granules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TagAccess {
    /// What happens.
    pub op: TagOp,
    /// Register with the tag or tags; the first of the pair for [`TagOp::StorePair`].
    pub reg: u8,
    /// Where.
    pub address: Address,
}

/// What happens to allocation tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TagOp {
    /// `LDG`
    Load,
    /// `LDGM`
    LoadMultiple,
    /// `STG`, `ST2G`, `STZG`, `STZ2G`
    Store {
        /// 1 or 2.
        granules: u8,
        /// Their data becomes zero too.
        zeroes_data: bool,
    },
    /// `STGM`, `STZGM`
    StoreMultiple {
        /// Their data becomes zero too.
        zeroes_data: bool,
    },
    /// `STGP`: the tag, and two X registers of data.
    StorePair {
        /// The second data register.
        second: u8,
    },
}

/// Which of the three instructions of a memory copy or set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Stage {
    /// `…P`
    Prologue,
    /// `…M`
    Main,
    /// `…E`
    Epilogue,
}

/// `CPY*` (FEAT_MOPS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryCopy {
    /// Which of the three.
    pub stage: Stage,
    /// `CPYF*`: forwards only, the areas do not overlap.
    pub is_forward_only: bool,
    /// Unprivileged and non-temporal reads and writes, as encoded.
    pub options: u8,
    /// Register of the destination address.
    pub dest: u8,
    /// Register of the source address.
    pub src: u8,
    /// Register of the size.
    pub size: u8,
}

/// `SET*` (FEAT_MOPS).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemorySet {
    /// Which of the three.
    pub stage: Stage,
    /// `SETG*`: tags too.
    pub sets_tags: bool,
    /// Unprivileged and non-temporal writes, as encoded.
    pub options: u8,
    /// Register of the destination address.
    pub dest: u8,
    /// Register of the value.
    pub value: u8,
    /// Register of the size.
    pub size: u8,
}

/// An operation on the cache, or a translation, by virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Maintenance {
    /// Which operation.
    pub op: SysReg,
    /// X register with the address.
    pub reg: u8,
}

impl Maintenance {
    /// Returns whether this writes zeros or tags rather than moving lines: `DC ZVA`, `GVA`, `GZVA`.
    pub const fn is_zeroing(self) -> bool {
        self.op.crm() == 4 && self.op.op1() == 3
    }
}

type Decoded = Result<MemoryInsn, NotDecoded>;

/// `GCSSTR` and `GCSSTTR` (FEAT_GCS).
pub(super) fn guarded_stack(insn: u32) -> Decoded {
    if insn & 0xffff_ec00 != 0xd91f_0c00 {
        return Err(NotDecoded::Unallocated);
    }
    let form = if bit(insn, 12) {
        Form::GuardedStackUnprivileged
    } else {
        Form::GuardedStack
    };
    Ok(MemoryInsn::LoadStore(LoadStore {
        op: Op::Store,
        regs: general(insn, true),
        size_bytes: 8,
        address: base_only(insn),
        order: Order::Plain,
        form,
    }))
}

/// FEAT_MTE.
pub(super) fn tags(insn: u32) -> Decoded {
    let offset = signed(insn, 12, 9) * 16;
    let (opc, op2) = (bits(insn, 23, 22), bits(insn, 11, 10));
    let index = match op2 {
        0b00 if opc == 1 => {
            let address = Address::Immediate {
                base: rn(insn),
                offset,
                index: Index::None,
            };
            return Ok(MemoryInsn::Tag(TagAccess {
                op: TagOp::Load,
                reg: rt(insn),
                address,
            }));
        }
        0b00 if offset == 0 => {
            let op = match opc {
                0 => TagOp::StoreMultiple { zeroes_data: true },
                2 => TagOp::StoreMultiple { zeroes_data: false },
                _ => TagOp::LoadMultiple,
            };
            return Ok(MemoryInsn::Tag(TagAccess {
                op,
                reg: rt(insn),
                address: base_only(insn),
            }));
        }
        0b00 => return Err(NotDecoded::Unallocated),
        0b01 => Index::Post,
        0b10 => Index::None,
        _ => Index::Pre,
    };
    let op = TagOp::Store {
        granules: 1 + (opc >> 1),
        zeroes_data: opc & 1 != 0,
    };
    let address = Address::Immediate {
        base: rn(insn),
        offset,
        index,
    };
    Ok(MemoryInsn::Tag(TagAccess {
        op,
        reg: rt(insn),
        address,
    }))
}

const fn stage(bits: u8) -> Option<Stage> {
    match bits {
        0b00 => Some(Stage::Prologue),
        0b01 => Some(Stage::Main),
        0b10 => Some(Stage::Epilogue),
        _ => None,
    }
}

/// FEAT_MOPS.
pub(super) fn copy_set(insn: u32) -> Decoded {
    let (dest, src, size) = (rt(insn), rs(insn), rn(insn));
    // The three registers differ; the addresses and the size are never register 31.
    if dest == src || dest == size || src == size || dest == 31 || size == 31 {
        return Err(NotDecoded::Unallocated);
    }
    if let Some(stage) = stage(bits(insn, 23, 22)) {
        if src == 31 {
            return Err(NotDecoded::Unallocated);
        }
        let is_forward_only = !bit(insn, 26);
        let options = bits(insn, 15, 12);
        return Ok(MemoryInsn::Copy(MemoryCopy {
            stage,
            is_forward_only,
            options,
            dest,
            src,
            size,
        }));
    }
    let stage = stage(bits(insn, 15, 14)).ok_or(NotDecoded::Unallocated)?;
    let (sets_tags, options) = (bit(insn, 26), bits(insn, 13, 12));
    Ok(MemoryInsn::Set(MemorySet {
        stage,
        sets_tags,
        options,
        dest,
        value: src,
        size,
    }))
}
