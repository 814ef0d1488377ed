//! Stolen time: what a vCPU would have run and did not. Arm DEN0057.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The record that a guest reads, in its own memory.
///
/// A host has a reference to one through its mapping of the guest's memory; the guest may write
/// what it likes there, which nobody reads but itself.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct StolenTimeRecord {
    revision: AtomicU32,
    attributes: AtomicU32,
    /// Little-endian, as all of the record.
    nanoseconds: AtomicU64,
    reserved: [AtomicU64; 6],
}

static_assertions::const_assert!(size_of::<StolenTimeRecord>() == 64);

impl StolenTimeRecord {
    /// How far apart the records of two vCPUs are.
    pub const SIZE_BYTES: u64 = 64;
}

/// How much time was stolen from a vCPU so far; the host's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct StolenTime {
    ticks: u64,
    freq_hz: u64,
}

impl StolenTime {
    /// Returns the account of a vCPU from which nothing was stolen; counters have this frequency.
    pub const fn new(freq_hz: u64) -> Self {
        Self { ticks: 0, freq_hz }
    }

    /// Adds ticks for which the vCPU was ready to run and did not.
    pub const fn add(&mut self, ticks: u64) {
        self.ticks = self.ticks.saturating_add(ticks);
    }

    /// Returns the sum in nanoseconds; 0 where the frequency is not known.
    pub const fn nanoseconds(&self) -> u64 {
        let scaled = self.ticks as u128 * 1_000_000_000;
        match scaled.checked_div(self.freq_hz as u128) {
            Some(nanoseconds) if nanoseconds <= u64::MAX as u128 => nanoseconds as u64,
            Some(_) => u64::MAX,
            None => 0,
        }
    }

    /// Writes all of the record. The guest sees each word whole, whenever it looks.
    pub fn publish(&self, record: &StolenTimeRecord) {
        record.revision.store(0, Relaxed);
        record.attributes.store(0, Relaxed);
        record
            .nanoseconds
            .store(self.nanoseconds().to_le(), Relaxed);
    }
}
