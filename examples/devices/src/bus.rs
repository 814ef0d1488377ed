//! Who answers at which address of a guest.

use core::{
    fmt::{self, Display, Formatter},
    ops::Range,
};

/// A guest's address space: ranges that do not overlap, each with its owner.
///
/// `D` is how the host names its devices; `N` is how many ranges there may be.
#[derive(Clone, Debug)]
pub struct Bus<D, const N: usize> {
    ranges: [Option<(Range<u64>, D)>; N],
}

/// Why a range was not put on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BusError {
    /// It has no bytes, or wraps around.
    Empty(Range<u64>),
    /// Part of it is another's.
    Overlap {
        /// What was to be added.
        new: Range<u64>,
        /// What is there already.
        old: Range<u64>,
    },
    /// The bus has no place for one more.
    Full(Range<u64>),
}

impl Display for BusError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(range) => write!(f, "the range {range:#x?} has no bytes"),
            Self::Overlap { new, old } => write!(
                f,
                "{:#x}..{:#x} overlaps {:#x}..{:#x}, which is in use",
                new.start, new.end, old.start, old.end
            ),
            Self::Full(range) => write!(f, "no place on the bus for {range:#x?}"),
        }
    }
}

impl core::error::Error for BusError {}

impl<D: Copy, const N: usize> Bus<D, N> {
    /// Returns a bus without devices.
    pub const fn new() -> Self {
        Self {
            ranges: [const { None }; N],
        }
    }

    /// Gives `range` to `device`.
    pub fn add(&mut self, range: Range<u64>, device: D) -> Result<(), BusError> {
        if range.is_empty() {
            return Err(BusError::Empty(range));
        }
        for place in &mut self.ranges {
            match place {
                Some((old, _)) if old.start < range.end && range.start < old.end => {
                    let old = old.clone();
                    return Err(BusError::Overlap { new: range, old });
                }
                Some(_) => {}
                None => {
                    *place = Some((range, device));
                    return Ok(());
                }
            }
        }
        Err(BusError::Full(range))
    }

    /// Returns who answers an access of `size_bytes` at `at`, and the offset into its range.
    ///
    /// `None` where nobody is, or where the access leaves the range.
    #[inline(always)]
    pub fn find(&self, at: u64, size_bytes: u8) -> Option<(D, u64)> {
        for place in &self.ranges {
            let Some((range, device)) = place else {
                return None; // they are filled from the front
            };
            let offset = at.wrapping_sub(range.start);
            let bytes = range.end - range.start;
            if offset < bytes {
                let fits = u64::from(size_bytes) <= bytes - offset;
                return fits.then_some((*device, offset));
            }
        }
        None
    }
}

impl<D: Copy, const N: usize> Default for Bus<D, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn overlap_names_both_ranges() {
        let mut bus = Bus::<_, 4>::new();
        bus.add(0x1000..0x2000, 'a').unwrap();
        bus.add(0x2000..0x3000, 'b').unwrap();
        let refused = bus.add(0x1fff..0x2000, 'c');
        let (new, old) = (0x1fff..0x2000, 0x1000..0x2000);
        assert_eq!(refused, Err(BusError::Overlap { new, old }));
        assert_eq!(bus.find(0x1fff, 1), Some(('a', 0xfff)));
    }

    #[test]
    fn what_wraps_or_is_too_much_is_refused() {
        let mut bus = Bus::<_, 1>::new();
        assert_eq!(bus.add(8..8, 'a'), Err(BusError::Empty(8..8)));
        bus.add(u64::MAX - 8..u64::MAX, 'a').unwrap();
        assert_eq!(bus.add(0..8, 'b'), Err(BusError::Full(0..8)));
        assert_eq!(bus.find(u64::MAX - 1, 8), None);
    }

    proptest! {
        /// Whatever was accepted, each address has at most the owner that asked for it first.
        #[test]
        fn every_address_has_the_owner_that_came_first(
            ranges in proptest::collection::vec((0_u64..64, 0_u64..16), 1..12),
            at in 0_u64..96,
        ) {
            let mut bus = Bus::<usize, 16>::new();
            let mut accepted = Vec::new();
            for (device, (start, bytes)) in ranges.into_iter().enumerate() {
                let range = start..start + bytes;
                if bus.add(range.clone(), device).is_ok() {
                    accepted.push((range, device));
                }
            }
            let mut owners = accepted.iter().filter(|(range, _)| range.contains(&at));
            let owner = owners.next().map(|(range, device)| (*device, at - range.start));
            prop_assert!(owners.next().is_none());
            prop_assert_eq!(bus.find(at, 1), owner);
        }
    }

    extern crate std;
    use std::vec::Vec;
}
