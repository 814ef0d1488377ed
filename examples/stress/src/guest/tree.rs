//! What the device tree says.

use core::slice;

use dtoolkit::{Node, Property, fdt::Fdt, standard::NodeStandard};

use super::{MAX_VCPUS, gic::Version};

/// What there is, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many vCPUs there are, of affinity 0, 1 and so on.
    pub vcpus: usize,
    /// Which interrupt controller.
    pub gic: Version,
    /// `seconds=` of the command line.
    pub seconds: u64,
    /// `seed=`.
    pub seed: u64,
}

impl Settings {
    /// Reads the tree at an address.
    ///
    /// # Safety
    ///
    /// There is one, or something else of 40 bytes, which nobody writes.
    pub unsafe fn read(address: usize) -> Option<Self> {
        let start = core::ptr::with_exposed_provenance::<u8>(address);
        // SAFETY: the caller's promise; the second word of a header is the size.
        let tree: &'static [u8] = unsafe {
            let header = slice::from_raw_parts(start, 8);
            let size_bytes = u32::from_be_bytes(header[4..].try_into().ok()?);
            slice::from_raw_parts(start, size_bytes as usize)
        };
        let tree = Fdt::new(tree).ok()?;
        let mut nodes = tree.root().children();
        let gic = nodes.find_map(|node| {
            let v3 = node.is_compatible("arm,gic-v3").then_some(Version::V3);
            let v2 = || node.is_compatible("arm,gic-400").then_some(Version::V2);
            v3.or_else(v2)
        })?;
        let line: &str = tree
            .find_node("/chosen")?
            .property("bootargs")?
            .value_as()
            .ok()?;
        let number = |name: &str| -> Option<u64> {
            let mut words = line.split_ascii_whitespace();
            words.find_map(|word| word.strip_prefix(name))?.parse().ok()
        };
        let cpus = tree.find_node("/cpus")?.children();
        let vcpus = cpus.filter(|node| node.name().starts_with("cpu@")).count();
        Some(Self {
            vcpus: vcpus.min(MAX_VCPUS),
            gic,
            seconds: number("seconds=")?,
            seed: number("seed=")?,
        })
    }
}
