//! A virtio block device over MMIO (Virtio 1.2: "Virtio Over MMIO", "Split Virtqueues", "Block
//! Device"), from the device's side.
//!
//! The driver may be hostile: it can change its queue at any time, so each word is read once and
//! every address, length and index is checked where it is used. What cannot be served makes the
//! device ask for a reset (DEVICE_NEEDS_RESET), and nothing worse.

mod block;
mod queue;
mod registers;
#[cfg(test)]
mod tests;

pub use block::Block;
pub use registers::{SIZE_BYTES, read_empty};

/// The guest's RAM, by the guest's addresses.
///
/// The guest may write it at the same time: no reference to it is handed out.
pub trait Memory {
    /// Copies from `ipa` on; false where that is not all RAM.
    fn read(&self, ipa: u64, to: &mut [u8]) -> bool;
    /// Copies to `ipa` on; false, and nothing written, where that is not all RAM.
    fn write(&mut self, ipa: u64, from: &[u8]) -> bool;
}
