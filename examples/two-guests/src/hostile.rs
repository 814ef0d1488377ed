//! A guest of four vCPUs that does all it can to others, and ends with the round in which `q` is
//! typed to it.
//!
//! All have interrupts masked, for good. The first accesses every byte of its devices, of the holes
//! around them and of some far away, with every size, aligned and not, in pairs and vectors, and in
//! between calls what firmware has or has not, sets its timers to odd values, raises SGIs at
//! everyone, and turns on vCPUs that are on. The second spins. The third floods SGIs and the
//! console. The fourth is turned on again and again, sleeps, and turns itself off.

use core::arch::global_asm;

/// How many vCPUs it has.
pub const VCPUS: usize = 4;

machine::guest_bytes! {
    /// Returns the program.
    pub bytes: { "hostile" } to { "hostile_end" }
}

global_asm!(include_str!("hostile.s"));
