//! AArch64 stage-2 translation: geometry from ID registers, tables, VMIDs and walks, as values.
//!
//! - [`Geometry::probe`] says which `VTCR_EL2` CPUs can walk, from their ID registers as values.
//! - [`Table`] maps and unmaps in memory the host provides ([`FrameSource`], [`AddressMap`]).
//! - Each change is a [`Change`]: it names what TLBs must forget, and stays owed until they have.
//! - [`Stage2`] is what a CPU loads.
//!
//! ```
//! use vcpu_regs::{Invalidate, Ipa, MemoryModel, Pa};
//! use vcpu_stage2::{Attributes, FrameSource, Geometry, LinearMap, MapError, Request, Table};
//!
//! fn guest_ram<F: FrameSource>(
//!     cpus: &MemoryModel, // of all CPUs: `MemoryModel::common`
//!     frames: F,
//!     memory: LinearMap,
//! ) -> Result<Table<F, LinearMap>, MapError> {
//!     let geometry = Geometry::probe(cpus, &Request::MOST).expect("every CPU has some stage 2");
//!     let mut table = Table::new(geometry, frames, memory)?;
//!     // SAFETY: this RAM is the guest's from now on.
//!     let change =
//!         unsafe { table.map(Ipa(0x4000_0000), Pa(0x8000_0000), 1 << 30, Attributes::RAM)? };
//!     assert_eq!(change.what(), Invalidate::Publish); // nothing was there before
//!     change.defer(); // no CPU uses the table yet
//!     Ok(table)
//! }
//! ```
//!
//! No instruction is executed here and no register read: `vcpu-asm` does both.
#![no_std]

mod attributes;
mod change;
mod debt;
mod descriptor;
mod geometry;
mod guest_walk;
mod harvest;
mod map;
mod memory;
mod pages;
mod protect;
mod request;
mod show;
mod stage1;
mod stage2;
mod table;
mod track;
mod unmap;
mod vmid;
mod walk;

#[cfg(test)]
mod tests;

pub use attributes::{Access, Attributes, Execute, MemoryType};
pub use change::Change;
pub use geometry::Geometry;
pub use guest_walk::GuestWalk;
pub use memory::{AddressMap, FrameSource, LinearMap};
pub use request::{GeometryError, IpaBits, Options, Request};
pub use show::Region;
pub use stage1::{Permissions, Stage1, Stage1Fault, Stage1Leaf};
pub use stage2::{RootError, Stage2};
pub use table::{MapError, Table};
pub use vmid::{Activation, Before, VcpuTag, VmTag, Vmids};
pub use walk::{Leaf, Walk};
