//! What a CPU is given to run a guest under a table.

use crate::{Geometry, Options};
use vcpu_regs::{Pa, Vmid, Vtcr, Vttbr};

/// A stage-2 translation, ready to load: the registers that select it.
///
/// Whoever has one may let a guest run under it, so making one is `unsafe`: from a table
/// ([`Table::stage2`](crate::Table::stage2)) or, for a host that owns its tables, from a root
/// ([`Stage2::from_root`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stage2 {
    vtcr: Vtcr,
    vttbr: Vttbr,
    force_write_back: bool,
}

/// Why a root cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RootError {
    /// The root is not aligned to its size.
    Misaligned {
        /// The root.
        root: Pa,
        /// What it must be a multiple of.
        alignment: u64,
    },
    /// The root is beyond the output addresses of the geometry.
    PaTooWide(Pa),
    /// The VMID has more than the 8 bits the CPUs have.
    VmidTooWide(Vmid),
}

impl core::fmt::Display for RootError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Misaligned { root, alignment } => {
                write!(f, "the root at {root} is not aligned to {alignment:#x}")
            }
            Self::PaTooWide(root) => write!(f, "the root at {root} is beyond the output addresses"),
            Self::VmidTooWide(vmid) => write!(f, "VMID {} needs more than 8 bits", vmid.get()),
        }
    }
}

impl core::error::Error for RootError {}

impl Stage2 {
    /// Returns the stage 2 of a root that the host filled itself.
    ///
    /// # Safety
    ///
    /// For as long as a guest may run under the value or a copy:
    /// - `root` is a table in the descriptor format of `geometry`, and stays one;
    /// - the guest may do with the physical memory it maps what its attributes allow;
    /// - no other table is used with `vmid`, on any CPU, unless what TLBs held of `vmid` was
    ///   invalidated in between;
    /// - if the table is still changed, it is used under no other VMID: what settles a change of it
    ///   for a VM invalidates the one of that VM.
    pub unsafe fn from_root(root: Pa, geometry: &Geometry, vmid: Vmid) -> Result<Self, RootError> {
        // SAFETY: the same contract, and the VMID is the caller's promise.
        let unnumbered = unsafe { Self::unnumbered(root, geometry)? };
        if geometry.vmid_bits() == 8 && vmid.get() > 0xff {
            return Err(RootError::VmidTooWide(vmid));
        }
        Ok(unnumbered.with_vmid(vmid))
    }

    /// Returns the stage 2 of a root that the host filled itself, for a VM that gets its VMIDs
    /// from a [`Vmids`](crate::Vmids).
    ///
    /// # Safety
    ///
    /// For as long as a guest may run under the value or a copy:
    /// - `root` is a table in the descriptor format of `geometry`, and stays one;
    /// - the guest may do with the physical memory it maps what its attributes allow;
    /// - if the table is still changed, one VM alone is made of the value and its copies: what settles
    ///   a change of it for a VM invalidates the VMID of that VM.
    pub unsafe fn unnumbered(root: Pa, geometry: &Geometry) -> Result<Self, RootError> {
        // A root smaller than a table could be aligned to less, but to 64 bytes at least.
        let alignment = (geometry.root_entries() as u64 * 8)
            .next_power_of_two()
            .max(64);
        if !root.is_aligned_to(alignment) {
            return Err(RootError::Misaligned { root, alignment });
        }
        if root.0 >> geometry.pa_bits() != 0 {
            return Err(RootError::PaTooWide(root));
        }
        let options = geometry.options();
        Ok(Self {
            vtcr: geometry.vtcr(),
            vttbr: Vttbr::new(root, None, options.contains(Options::COMMON_NOT_PRIVATE)),
            force_write_back: options.contains(Options::FORCE_WRITE_BACK),
        })
    }

    /// Returns the same under another VMID.
    fn with_vmid(self, vmid: Vmid) -> Self {
        Self {
            vttbr: self.vttbr.with_vmid(vmid),
            ..self
        }
    }

    /// Returns its own VMID; `None` if each CPU that loads it takes one from a
    /// [`Vmids`](crate::Vmids).
    pub fn vmid(&self) -> Option<Vmid> {
        self.vttbr.vmid()
    }

    /// Returns `VTCR_EL2`.
    pub const fn vtcr(&self) -> Vtcr {
        self.vtcr
    }

    /// Returns `VTTBR_EL2`.
    pub const fn vttbr(&self) -> Vttbr {
        self.vttbr
    }

    /// Returns whether `HCR_EL2.FWB` must be set while this is in use: the descriptors are
    /// written for it. Otherwise it must be clear.
    pub const fn needs_force_write_back(&self) -> bool {
        self.force_write_back
    }
}
