//! A table for people: what is mapped, adjacent leaves merged.

use crate::{Access, AddressMap, Attributes, Execute, FrameSource, MemoryType, Table};
use core::{fmt, sync::atomic::Ordering::Relaxed};
use vcpu_regs::{Ipa, Pa};

/// A run of addresses that map to a run of memory with the same attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    /// First address.
    pub ipa: Ipa,
    /// Where it goes.
    pub pa: Pa,
    /// Size.
    pub bytes: u64,
    /// What all of it permits.
    pub attributes: Attributes,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Attributes {
            memory,
            access,
            execute,
            accessed,
        } = self.attributes;
        let flag = |flag, name| if access.contains(flag) { name } else { '-' };
        let execute = match execute {
            Execute::Always => "x",
            Execute::El0Only => "x0",
            Execute::El1Only => "x1",
            Execute::Never => "-",
        };
        let memory = match memory {
            MemoryType::WriteBack => "write-back",
            MemoryType::NonCacheable => "non-cacheable",
            MemoryType::DeviceGre => "device-GRE",
            MemoryType::DeviceNgre => "device-nGRE",
            MemoryType::DeviceNgnre => "device-nGnRE",
            MemoryType::DeviceNgnrne => "device-nGnRnE",
        };
        write!(
            f,
            "{:#014x}..{:#014x} -> {:#014x} {}{}{execute} {memory}{}",
            self.ipa.0,
            self.ipa.0.wrapping_add(self.bytes),
            self.pa.0,
            flag(Access::READ, 'r'),
            flag(Access::WRITE, 'w'),
            if accessed { "" } else { ", not accessed" },
        )
    }
}

impl<F: FrameSource, M: AddressMap> Table<F, M> {
    /// Calls `show` with every region, in order. An entry that waits for an invalidation is told
    /// as what it will be.
    pub fn for_each_region(&self, mut show: impl FnMut(Region)) {
        let mut open: Option<Region> = None;
        let span = 0..self.geometry.ipa_end().0;
        self.visit(
            self.root,
            self.geometry.start_level(),
            span,
            &mut |entry, level, leaf| {
                let word = entry.load(Relaxed);
                let shift = self.geometry.granule().entry_shift(level);
                let next = Region {
                    ipa: Ipa(leaf.start),
                    pa: self.format.pa(word, shift),
                    bytes: leaf.end - leaf.start,
                    attributes: self.format.decode(word),
                };
                match &mut open {
                    Some(region)
                        if region.ipa.0 + region.bytes == next.ipa.0
                            && region.pa.0 + region.bytes == next.pa.0
                            && region.attributes == next.attributes =>
                    {
                        region.bytes += next.bytes;
                    }
                    _ => {
                        if let Some(region) = open.replace(next) {
                            show(region);
                        }
                    }
                }
            },
        );
        if let Some(region) = open {
            show(region);
        }
    }
}

/// One line a region.
impl<F: FrameSource, M: AddressMap> fmt::Display for Table<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        self.for_each_region(|region| {
            if result.is_ok() {
                result = writeln!(f, "{region}");
            }
        });
        result
    }
}
