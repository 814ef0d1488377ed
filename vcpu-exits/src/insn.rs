//! A64 instructions that access memory: what to do when a syndrome has no ISV.
//!
//! [`MemoryInsn::decode`] reads the instruction word. It yields registers, sizes, addressing, write-back,
//! sign extension and ordering, and says so in a type where the word is no memory access, or one of SVE or
//! SME, whose shape this does not describe. What an access means for a device stays with the caller.

mod address;
mod decode;
mod newer;
mod pair;
mod special;
mod special_text;
mod structure;
mod system;
mod text;

pub use address::{Address, Extend, Index};
pub use special::{Maintenance, MemoryCopy, MemorySet, Stage, TagAccess, TagOp};
pub use structure::{Lanes, Structure};

/// An A64 instruction that accesses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MemoryInsn {
    /// Registers are loaded or stored.
    LoadStore(LoadStore),
    /// SIMD structures: `LD1` to `LD4`, `ST1` to `ST4`.
    Structure(Structure),
    /// Allocation tags (FEAT_MTE).
    Tag(TagAccess),
    /// A hint that never faults: `PRFM`.
    Prefetch(Prefetch),
    /// `CPY*` (FEAT_MOPS).
    Copy(MemoryCopy),
    /// `SET*` (FEAT_MOPS).
    Set(MemorySet),
    /// `DC`, `IC` or `AT` by address, `DC ZVA` among them.
    Maintenance(Maintenance),
}

/// Why a word is no [`MemoryInsn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NotDecoded {
    /// Not a memory access: the guest has changed the instruction since, or it is not one that aborts.
    NotMemory,
    /// In the space of loads and stores, but unallocated or not known here.
    Unallocated,
    /// A load or store of SVE or SME.
    SveOrSme,
}

/// A load, store, or both at once, of one or two registers, or eight (FEAT_LS64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LoadStore {
    /// What happens to memory.
    pub op: Op,
    /// Which registers.
    pub regs: Regs,
    /// Bytes of memory for each register; 64 for all of [`Regs::Block`].
    pub size_bytes: u8,
    /// Where.
    pub address: Address,
    /// Ordering against other accesses.
    pub order: Order,
    /// Variations that change no byte.
    pub form: Form,
}

/// What an instruction does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Op {
    /// Memory to registers.
    Load,
    /// Registers to memory.
    Store,
    /// A load that takes the exclusive monitor.
    LoadExclusive,
    /// A store if the monitor still holds; 0 or 1 into this W register.
    StoreExclusive {
        /// Register of the outcome.
        status: u8,
    },
    /// A load whose base pointer is authenticated first, with key DA or DB: `LDRAA`, `LDRAB`.
    LoadAuthenticated {
        /// With key DB.
        is_key_b: bool,
    },
    /// The old value to the register, `operation(old, operand)` to memory.
    Atomic {
        /// The operation.
        operation: Atomic,
        /// Register of the operand; with a pair of registers, these are operand and result both.
        operand: u8,
    },
    /// The old value to this register, or pair from it on, which is compared; the data registers to
    /// memory where it was equal.
    CompareAndSwap {
        /// Register of the comparand and the result.
        compare: u8,
    },
    /// A 64-byte store whose outcome is returned: `ST64BV`, `ST64BV0`.
    StoreWithStatus {
        /// Register of the outcome.
        status: u8,
        /// The low word comes from ACCDATA_EL1 (`ST64BV0`).
        from_accdata: bool,
    },
}

/// What an atomic instruction computes from old value and operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Atomic {
    /// The sum.
    Add,
    /// The old value without the operand's bits.
    Clear,
    /// The exclusive or.
    Xor,
    /// The or.
    Set,
    /// The greater, signed.
    SignedMax,
    /// The lesser, signed.
    SignedMin,
    /// The greater, unsigned.
    UnsignedMax,
    /// The lesser, unsigned.
    UnsignedMin,
    /// The operand.
    Swap,
}

impl Atomic {
    /// Returns what memory holds after: `old` and `operand` are the low `size_bytes` of their values.
    pub const fn apply(self, old: u64, operand: u64, size_bytes: u8) -> u64 {
        let unused = 64
            - 8 * if size_bytes >= 8 {
                8
            } else if size_bytes == 0 {
                1
            } else {
                size_bytes as u32
            };
        let (signed_old, signed_operand) = (
            (old << unused) as i64 >> unused,
            (operand << unused) as i64 >> unused,
        );
        let (plain_old, plain_operand) = (old << unused >> unused, operand << unused >> unused);
        let new = match self {
            Self::Add => plain_old.wrapping_add(plain_operand),
            Self::Clear => plain_old & !plain_operand,
            Self::Xor => plain_old ^ plain_operand,
            Self::Set => plain_old | plain_operand,
            Self::SignedMax if signed_old > signed_operand => plain_old,
            Self::SignedMin if signed_old < signed_operand => plain_old,
            Self::UnsignedMax if plain_old > plain_operand => plain_old,
            Self::UnsignedMin if plain_old < plain_operand => plain_old,
            _ => plain_operand,
        };
        new << unused >> unused
    }
}

/// The data registers of a [`LoadStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Regs {
    /// General-purpose; 31 is the zero register.
    General {
        /// The first, at the lower address.
        first: u8,
        /// The second, of a pair.
        second: Option<u8>,
        /// X registers, not W.
        is_64bit: bool,
        /// A load extends the sign up to the register's width.
        sign_extend: bool,
    },
    /// SIMD and floating point.
    Vector {
        /// The first, at the lower address.
        first: u8,
        /// The second, of a pair.
        second: Option<u8>,
    },
    /// Eight X registers from this one on.
    Block {
        /// The first.
        first: u8,
    },
}

/// Ordering of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Order {
    /// None beyond dependencies.
    Plain,
    /// Load-acquire.
    Acquire,
    /// Load-acquire, processor consistent (FEAT_LRCPC).
    AcquirePc,
    /// Store-release.
    Release,
    /// Both, of an atomic.
    AcquireRelease,
    /// `LDLAR`: within the limited ordering regions (FEAT_LOR).
    LimitedAcquire,
    /// `STLLR`: within the limited ordering regions (FEAT_LOR).
    LimitedRelease,
}

/// Variations of an access that change no byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Form {
    /// None.
    Plain,
    /// The constant is not scaled by the size: `LDUR`.
    Unscaled,
    /// With the permissions of EL0: `LDTR`.
    Unprivileged,
    /// Not soon needed again: `LDNP`.
    NonTemporal,
    /// Both of these: `LDTNP` (FEAT_LSUI).
    UnprivilegedNonTemporal,
    /// Checked against the protections of a translation table: `RCWCAS` (FEAT_THE).
    ReadCheckWrite {
        /// The software's mask, not hardware's: `RCWSCAS`.
        is_soft: bool,
    },
    /// To a Guarded Control Stack: `GCSSTR`.
    GuardedStack,
    /// To a Guarded Control Stack, with the permissions of EL0: `GCSSTTR`.
    GuardedStackUnprivileged,
}

/// `PRFM`, `PRFUM`, `RPRFM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prefetch {
    /// Type, target and policy, as encoded in Rt.
    pub hint: u8,
    /// Where.
    pub address: Address,
    /// [`Form::Unscaled`] for `PRFUM`.
    pub form: Form,
}

impl MemoryInsn {
    /// Decodes the instruction word `insn`.
    pub fn decode(insn: u32) -> Result<Self, NotDecoded> {
        decode::decode(insn)
    }

    /// Returns where the access goes, where one address tells.
    pub const fn address(&self) -> Option<Address> {
        match self {
            Self::LoadStore(access) => Some(access.address),
            Self::Structure(structure) => Some(structure.address),
            Self::Tag(tag) => Some(tag.address),
            Self::Prefetch(prefetch) => Some(prefetch.address),
            Self::Copy(_) | Self::Set(_) | Self::Maintenance(_) => None,
        }
    }
}
