//! The guest's device tree, made from QEMU's: what the guest does not get goes, the rest is set
//! right.

use core::ops::Range;

use defmt::{Display2Format, Format};
use dtoolkit::error::FdtMutError;
use dtoolkit::fdt_mut::{FdtBuffer, FdtMut, FdtNodeMut};
use dtoolkit::{Node, ToPropertyValue};

use crate::HostTree;

/// What a guest is told about its machine.
///
/// `/cpus`, `/memory`, `/chosen` and `/psci` are always there.
#[derive(Clone, Debug)]
pub struct GuestTree<'a> {
    /// Other nodes of the root that the guest gets, by name with or without unit address. Their
    /// children stay behind: the ITS below a GICv3 would be a way to write all of memory.
    pub devices: &'a [&'a str],
    /// How many CPUs, the first of QEMU's.
    pub cpus: usize,
    /// The guest's RAM.
    pub ram: Range<u64>,
    /// The kernel's command line.
    pub bootargs: &'a str,
    /// Where the initial RAM disk is.
    pub ramdisk: Option<Range<u64>>,
}

/// Why there is no tree for the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// QEMU's tree lacks a node, named by its path.
    Missing(&'static str),
    /// The copy of QEMU's tree is not one.
    Malformed,
    /// The buffer is too small: see [`GuestTree::ROOM_BYTES`].
    Full(FdtMutError),
    /// The buffer cannot even hold QEMU's tree, which has this many bytes.
    TooLong(usize),
}

impl Format for TreeError {
    fn format(&self, to: defmt::Formatter) {
        match self {
            Self::Missing(path) => defmt::write!(to, "QEMU's device tree has no {=str}", path),
            Self::Malformed => defmt::write!(to, "QEMU's device tree cannot be copied"),
            Self::Full(error) => defmt::write!(to, "guest device tree: {}", Display2Format(error)),
            Self::TooLong(size) => {
                defmt::write!(
                    to,
                    "QEMU's device tree of {=u64} bytes does not fit",
                    *size as u64
                )
            }
        }
    }
}

impl From<FdtMutError> for TreeError {
    fn from(error: FdtMutError) -> Self {
        Self::Full(error)
    }
}

impl GuestTree<'_> {
    /// Room that is always enough: QEMU makes a tree of 1 MiB, mostly empty, which is copied before
    /// it shrinks. Also the most that arm64 Linux reads.
    pub const ROOM_BYTES: u64 = 2 << 20;

    /// Nodes of the root that a guest always gets.
    const BASICS: [&'static str; 4] = ["cpus", "memory", "chosen", "psci"];

    /// Writes the tree to the start of `room` and returns its size in bytes.
    pub fn write(&self, host: &HostTree, room: &mut [u8]) -> Result<usize, TreeError> {
        let source = host.fdt().data();
        room.get_mut(..source.len())
            .ok_or(TreeError::TooLong(source.len()))?
            .copy_from_slice(source);
        let mut tree = FdtMut::from_slice(room).map_err(|_| TreeError::Malformed)?;

        self.remove(&mut tree);
        tree.compact();

        let (start, size) = (self.ram.start, self.ram.end - self.ram.start);
        let reg = [
            (start >> 32) as u32,
            start as u32,
            (size >> 32) as u32,
            size as u32,
        ];
        set(&mut node(&mut tree, "/memory")?, "reg", reg)?;
        // The guest calls us, not QEMU.
        set(&mut node(&mut tree, "/psci")?, "method", "hvc")?;
        let mut chosen = node(&mut tree, "/chosen")?;
        set(&mut chosen, "bootargs", self.bootargs)?;
        if let Some(ramdisk) = &self.ramdisk {
            set(&mut chosen, "linux,initrd-start", ramdisk.start)?;
            set(&mut chosen, "linux,initrd-end", ramdisk.end)?;
        }
        Ok(tree.as_read_only().data().len())
    }

    fn remove<B: FdtBuffer>(&self, tree: &mut FdtMut<B>) {
        let mut root = tree.root_mut();
        retain(&mut root, |_, node| self.keeps(node));
        let mut nodes = root.children_mut();
        while let Some(mut node) = nodes.next() {
            // `cpu-map` goes: it names CPUs that may be gone.
            let cpus = if node.name() == "cpus" { self.cpus } else { 0 };
            retain(&mut node, |index, child| {
                child.name_without_address() == "cpu" && index < cpus
            });
        }
    }

    fn keeps(&self, node: &impl Node) -> bool {
        let is_named = |name: &&str| {
            node.name().as_ref() == *name || node.name_without_address().as_ref() == *name
        };
        Self::BASICS.iter().any(is_named) || self.devices.iter().any(is_named)
    }
}

/// Removes the children that `keeps` refuses, given how many are kept before it.
fn retain<B: FdtBuffer>(parent: &mut FdtNodeMut<B>, keeps: impl Fn(usize, &FdtNodeMut<B>) -> bool) {
    // From the start after each removal: the iterator steps over what follows a removed node.
    'removed: loop {
        let mut children = parent.children_mut();
        let mut index = 0;
        while let Some(child) = children.next() {
            if !keeps(index, &child) {
                child.remove();
                continue 'removed;
            }
            index += 1;
        }
        return;
    }
}

fn node<'t, B: FdtBuffer>(
    tree: &'t mut FdtMut<B>,
    path: &'static str,
) -> Result<FdtNodeMut<'t, B>, TreeError> {
    tree.find_node_mut(path).ok_or(TreeError::Missing(path))
}

fn set<B: FdtBuffer>(
    node: &mut FdtNodeMut<B>,
    name: &str,
    value: impl ToPropertyValue,
) -> Result<(), FdtMutError> {
    match node.property_mut(name) {
        Some(mut property) => property.set_value(value),
        None => node.add_property(name, value).map(drop),
    }
}
