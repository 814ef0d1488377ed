//! What a host names, once.

use crate::{FetchIrq, Inject, PerCpu};

/// A host: three backends, each swapped alone.
pub trait Platform {
    /// How virtual interrupts reach a guest.
    type Inject: Inject;
    /// How a physical interrupt is fetched.
    type FetchIrq: FetchIrq;
    /// Which CPU this is.
    type PerCpu: PerCpu;

    /// Returns the virtual-interrupt backend.
    fn inject(&self) -> &Self::Inject;

    /// Returns the interrupt-fetch backend.
    fn fetch_irq(&self) -> &Self::FetchIrq;

    /// Returns the per-CPU backend.
    fn per_cpu(&self) -> &Self::PerCpu;
}
