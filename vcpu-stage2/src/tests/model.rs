//! A table as a map of intervals: what random changes are held against.

extern crate std;

use crate::Attributes;
use std::{collections::BTreeMap, vec::Vec};

/// What one page maps to, by page number; runs of pages are split at every edge ever used.
#[derive(Debug, Default)]
pub struct Model {
    /// First address to end, memory, attributes.
    pub runs: BTreeMap<u64, (u64, u64, Attributes)>,
}

impl Model {
    /// Makes a run end at `at`.
    pub fn cut(&mut self, at: u64) {
        let Some((&start, &(end, pa, attributes))) = self.runs.range(..at).next_back() else {
            return;
        };
        if end > at {
            self.runs.insert(start, (at, pa, attributes));
            self.runs.insert(at, (end, pa + (at - start), attributes));
        }
    }

    pub fn within(&mut self, start: u64, end: u64) -> Vec<u64> {
        self.cut(start);
        self.cut(end);
        self.runs.range(start..end).map(|(&at, _)| at).collect()
    }

    pub fn unmap(&mut self, start: u64, end: u64) {
        for at in self.within(start, end) {
            self.runs.remove(&at);
        }
    }

    pub fn map(&mut self, start: u64, end: u64, pa: u64, attributes: Attributes) {
        self.runs.insert(start, (end, pa, attributes));
    }

    pub fn first_mapped(&mut self, start: u64, end: u64) -> Option<u64> {
        self.within(start, end).first().copied()
    }

    pub fn is_mapped(&mut self, start: u64, end: u64) -> bool {
        let mut at = start;
        for run in self.within(start, end) {
            if run != at {
                return false;
            }
            at = self.runs[&run].0;
        }
        at == end
    }

    pub fn get(&self, at: u64) -> Option<(u64, Attributes)> {
        let (&start, &(end, pa, attributes)) = self.runs.range(..=at).next_back()?;
        (at < end).then(|| (pa + (at - start), attributes))
    }
}
