//! Stage-2 descriptors: bits to values and back.
//!
//! Arm ARM (DDI 0487), VMSAv8-64 stage-2 block, page and table descriptors.

use crate::{Access, Attributes, Execute, Geometry, MemoryType, Options};
use vcpu_regs::{Granule, Pa};

/// The entry means something to hardware.
pub(crate) const VALID: u64 = 1 << 0;
/// A table (or, at level 3, a page) rather than a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
const MEM_ATTR: u64 = 0xf << 2;
const S2AP_READ: u64 = 1 << 6;
pub(crate) const S2AP_WRITE: u64 = 1 << 7;
/// SH of a narrow descriptor: inner shareable. A wide one holds address bits there.
const INNER_SHAREABLE: u64 = 3 << 8;
pub(crate) const ACCESS_FLAG: u64 = 1 << 10;
/// One of a group of leaves that a TLB may hold as one.
pub(crate) const CONTIGUOUS: u64 = 1 << 52;
const XN: u64 = 3 << 53;
/// Hardware may make a leaf writable instead of faulting, where `VTCR_EL2.HD` is set.
pub(crate) const DIRTY_MODIFIER: u64 = 1 << 51;
/// Ignored by hardware.
const SOFTWARE: u64 = 0xf << 55;
/// Ignored by hardware, ours: writes are permitted, and logged. Such a leaf is a page.
pub(crate) const LOGGED: u64 = 1 << 56;
/// Ignored by hardware, ours: a descriptor that becomes valid when what preceded it is out of
/// the TLBs. Never together with [`VALID`].
pub(crate) const PARKED: u64 = 1 << 55;

/// What an entry is to software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Empty,
    /// The next table.
    Table(Pa),
    /// A block or a page.
    Leaf,
}

/// How a geometry's descriptors are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    granule: Granule,
    wide: bool,
    force_write_back: bool,
    xnx: bool,
    /// Table walks set the access flag (`VTCR_EL2.HA`).
    sets_access_flag: bool,
    /// Table walks make leaves writable (`VTCR_EL2.HD`).
    sets_dirty: bool,
    /// Bits of an address that stand at their own place.
    low: u64,
    /// Those above, from bit `high_shift` under the mask `high`, stand from bit `high_place`.
    high: u64,
    high_shift: u32,
    high_place: u32,
}

impl Format {
    pub(crate) const fn new(geometry: &Geometry) -> Self {
        let wide = geometry.has_wide_descriptors();
        let (high_shift, high, high_place) = match (wide, geometry.granule()) {
            (true, _) => (50, 3, 8),
            (false, Granule::Kib64) => (48, 0xf, 12),
            (false, _) => (48, 0, 0),
        };
        Self {
            granule: geometry.granule(),
            wide,
            force_write_back: geometry.options().contains(Options::FORCE_WRITE_BACK),
            xnx: geometry.has_xnx(),
            sets_access_flag: geometry.options().contains(Options::ACCESS_FLAG),
            sets_dirty: geometry.options().contains(Options::DIRTY),
            low: (1 << high_shift) - 1,
            high,
            high_shift,
            high_place,
        }
    }

    /// Whether a table walk may still write this leaf. What walks record, they never take back:
    /// a leaf in which all is recorded is software's alone to write until software clears it.
    pub(crate) const fn walks_may_write(self, leaf: u64) -> bool {
        self.sets_access_flag && leaf & ACCESS_FLAG == 0
            || self.sets_dirty && leaf & (DIRTY_MODIFIER | S2AP_WRITE) == DIRTY_MODIFIER
    }

    /// Places an address of at most 52 bits.
    #[inline]
    pub(crate) const fn address(self, pa: u64) -> u64 {
        pa & self.low | (pa >> self.high_shift & self.high) << self.high_place
    }

    /// Takes the address out, as far as it selects memory of `1 << shift` bytes.
    #[inline]
    pub(crate) const fn pa(self, descriptor: u64, shift: u32) -> Pa {
        let low = descriptor & self.low & !((1 << shift) - 1);
        Pa(low | (descriptor >> self.high_place & self.high) << self.high_shift)
    }

    /// The descriptor of a table, valid.
    pub(crate) const fn table(self, pa: Pa) -> u64 {
        self.address(pa.0) | TABLE_OR_PAGE | VALID
    }

    /// What makes a leaf of `level`, with the bits `attributes` gave.
    pub(crate) const fn leaf(self, level: i8, pa: u64, bits: u64) -> u64 {
        let kind = if level == 3 {
            TABLE_OR_PAGE | VALID
        } else {
            VALID
        };
        self.address(pa) | bits | kind
    }

    /// Whether a live leaf may become another only by way of an invalid entry: the address, how
    /// it is cached, or a hint about its neighbours changes. Permissions and flags may change in
    /// place.
    pub(crate) const fn needs_break(self, old: u64, new: u64) -> bool {
        const IN_PLACE: u64 = S2AP_READ | S2AP_WRITE | ACCESS_FLAG | XN | SOFTWARE | DIRTY_MODIFIER;
        (old ^ new) & !IN_PLACE != 0 || old & CONTIGUOUS != 0
    }

    /// What an entry of `level` is, parked or not.
    pub(crate) const fn kind(self, level: i8, entry: u64) -> Kind {
        if entry & (VALID | PARKED) == 0 {
            Kind::Empty
        } else if level < 3 && entry & TABLE_OR_PAGE != 0 {
            Kind::Table(self.pa(entry, self.granule.shift()))
        } else {
            Kind::Leaf
        }
    }

    /// The attribute bits of a leaf, without its address, size and validity.
    pub(crate) const fn attribute_bits(self, leaf: u64, level: i8) -> u64 {
        let address = self.address(self.pa(leaf, self.granule.entry_shift(level)).0);
        leaf & !(address | TABLE_OR_PAGE | VALID | PARKED | CONTIGUOUS)
    }

    /// The bits that say `attributes`, or `None` where only FEAT_XNX could.
    pub(crate) fn encode(self, attributes: &Attributes) -> Option<u64> {
        let mem_attr: u64 = match attributes.memory {
            MemoryType::DeviceNgnrne => 0b0000,
            MemoryType::DeviceNgnre => 0b0001,
            MemoryType::DeviceNgre => 0b0010,
            MemoryType::DeviceGre => 0b0011,
            MemoryType::NonCacheable => 0b0101,
            MemoryType::WriteBack if self.force_write_back => 0b0110,
            MemoryType::WriteBack => 0b1111,
        };
        let xn: u64 = match attributes.execute {
            Execute::Always => 0b00,
            Execute::El0Only if self.xnx => 0b01,
            Execute::Never => 0b10,
            Execute::El1Only if self.xnx => 0b11,
            Execute::El0Only | Execute::El1Only => return None,
        };
        let mut bits = mem_attr << 2 | xn << 53;
        if attributes.access.contains(Access::READ) {
            bits |= S2AP_READ;
        }
        if attributes.access.contains(Access::WRITE) {
            bits |= S2AP_WRITE;
        }
        if attributes.accessed {
            bits |= ACCESS_FLAG;
        }
        if !self.wide && !attributes.memory.is_device() {
            bits |= INNER_SHAREABLE;
        }
        Some(bits)
    }

    /// What a leaf's bits say. Bits that we never write are read as hardware would take them.
    pub(crate) fn decode(self, leaf: u64) -> Attributes {
        let memory = match ((leaf & MEM_ATTR) >> 2, self.force_write_back) {
            (0b0000, _) => MemoryType::DeviceNgnrne,
            (0b0001, _) => MemoryType::DeviceNgnre,
            (0b0010, _) => MemoryType::DeviceNgre,
            (0b0011, _) => MemoryType::DeviceGre,
            (0b1111, false) | (0b0110, true) => MemoryType::WriteBack,
            _ => MemoryType::NonCacheable,
        };
        let execute = match ((leaf & XN) >> 53, self.xnx) {
            (0b00, _) | (0b01, false) => Execute::Always,
            (0b01, true) => Execute::El0Only,
            (0b11, true) => Execute::El1Only,
            _ => Execute::Never,
        };
        let mut access = Access::empty();
        access.set(Access::READ, leaf & S2AP_READ != 0);
        access.set(Access::WRITE, leaf & S2AP_WRITE != 0);
        Attributes {
            memory,
            access,
            execute,
            accessed: leaf & ACCESS_FLAG != 0,
        }
    }
}
