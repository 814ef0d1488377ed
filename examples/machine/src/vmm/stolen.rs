//! Stolen time: how long each vCPU of a guest was ready to run and did not, where the guest reads it
//! (Arm DEN0057).

use core::ops::Range;

use devices::gic::MAX_VCPUS;
use vcpu_core::{StolenTime, StolenTimeRecord};
use vcpu_stage2::FrameSource;

use crate::{Error, Frames, timer};

/// A record for each vCPU of a guest, in a page of the hypervisor's that the guest can read.
pub(super) struct StolenTimes {
    records: &'static [StolenTimeRecord; MAX_VCPUS],
}

impl StolenTimes {
    /// What stage 2 shows: the smallest granule, so that nothing else is in it.
    const PAGE_BYTES: u64 = 4096;

    /// Takes a page of `frames`, for good. Nothing was stolen yet.
    pub fn new(frames: &mut Frames) -> Result<Self, Error> {
        const { assert!(size_of::<[StolenTimeRecord; MAX_VCPUS]>() as u64 <= Self::PAGE_BYTES) };
        let frame = frames.allocate(Self::PAGE_BYTES);
        let frame = frame.ok_or(Error::Guest("no memory is left for a guest's stolen time"))?;
        let page = frame.0 as *mut [u64; Self::PAGE_BYTES as usize / 8];
        // SAFETY: a page of RAM, mapped where it lies and aligned to its size, which is nobody
        // else's (`Frames`).
        unsafe { page.write([0; Self::PAGE_BYTES as usize / 8]) };
        // SAFETY: as above, for good; of atomic words, for which any value will do, and large
        // enough, as asserted.
        let records = unsafe { &*page.cast() };
        Ok(Self { records })
    }

    /// Returns where the page is, for stage 2 to show and no guest to write.
    pub fn page(&self) -> Range<u64> {
        let at = core::ptr::from_ref(self.records) as u64;
        at..at + Self::PAGE_BYTES
    }

    /// Tells a vCPU that it has waited so long in all: ticks of the counter.
    pub fn publish(&self, vcpu: usize, waited: u64) {
        if let Some(record) = self.records.get(vcpu) {
            let mut stolen = StolenTime::new(timer::frequency_hz());
            stolen.add(waited);
            stolen.publish(record);
        }
    }
}
