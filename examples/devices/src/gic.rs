//! A guest's interrupt controller as its devices and its drivers see it: which interrupts are
//! enabled, pending, and whose.
//!
//! The CPU interfaces are hardware's: list registers of a GICv3, or the virtual interface of a
//! GICv2. So an interrupt has two places. Here it is configured and becomes pending;
//! [`Gic::next`] hands it over to a vCPU's list, where the guest acknowledges and ends it. What the
//! distributor takes back (disabled, cleared, sent elsewhere) it names in [`Gic::recall`]; where an
//! interrupt stands in a list, it learns from a [`Gic::survey`], which goes before an access that
//! depends on it.
//!
//! The state does not know which version a guest has: the registers are in [`v3`] and [`v2`].

mod bank;
mod lists;
#[cfg(test)]
mod lists_model;
#[cfg(test)]
mod model;
mod registers;
mod state;
#[cfg(test)]
mod tests;
pub mod v2;
pub mod v3;

pub use lists::Left;
pub use state::{Gic, Groups, Offer, Version};

/// The most vCPUs of one VM: what a GICv3 can name without a range selector.
pub const MAX_VCPUS: usize = 16;

/// The most vCPUs of a VM with a GICv2: what it can address.
pub const V2_VCPUS: usize = 8;

/// A bit for each vCPU.
pub type Mask = u16;

const fn bit(vcpu: usize) -> Mask {
    const { assert!(MAX_VCPUS == Mask::BITS as usize) };
    1 << (vcpu % MAX_VCPUS)
}

/// Shared peripheral interrupts: INTIDs 32 to 95.
pub const SPIS: usize = 64;

/// SGIs are INTIDs 0 to 15, PPIs 16 to 31.
const FIRST_SPI: u32 = 32;

/// INTIDs of a bank: a word of each register with a bit for each.
const BANK: usize = 32;

/// Banks of SPIs.
const SHARED_BANKS: usize = SPIS / BANK;

/// Priority bits that are kept: 5, as the list registers of small CPUs have.
const PRIORITY_MASK: u8 = 0xf8;
