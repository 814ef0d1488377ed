//! QEMU's own device tree: how much RAM there is, and which guest images `-device guest-loader`
//! placed.

use alloc::vec::Vec;
use core::ops::Range;
use core::slice;

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::standard::NodeStandard;
use dtoolkit::{Node, Property, ToCellInt};

use crate::gic::Gic;
use crate::layout::{IMAGE, RAM_START};

/// The device tree QEMU left at the start of RAM.
#[derive(Clone, Copy, Debug)]
pub struct HostTree(Fdt<'static>);

/// A guest image that QEMU loaded: `-device guest-loader,addr=…,kernel=…` (or `initrd=…`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestImage {
    /// The bytes of the file, in guest RAM.
    pub range: Range<u64>,
    /// `bootargs=…` of the device.
    pub bootargs: Option<&'static str>,
}

impl HostTree {
    /// Reads the tree in place; `None` when there is none.
    pub(crate) fn find() -> Option<Self> {
        let most = (IMAGE.start - RAM_START) as usize;
        // SAFETY: RAM below the image, mapped, and written by nobody after QEMU.
        let bytes: &'static [u8] = unsafe { slice::from_raw_parts(RAM_START as *const u8, most) };
        // The second word of the header is the size; `Fdt` wants exactly as many bytes.
        let size = u32::from_be_bytes(bytes[4..8].try_into().ok()?) as usize;
        Fdt::new(bytes.get(..size)?).ok().map(Self)
    }

    /// Returns the tree, for what this type has no word for.
    pub fn fdt(&self) -> Fdt<'static> {
        self.0
    }

    /// Returns what follows `name` in a word of the command line that QEMU was given (`-append`).
    pub fn argument(&self, name: &str) -> Option<&'static str> {
        let line: &str = self
            .0
            .find_node("/chosen")?
            .property("bootargs")?
            .value_as()
            .ok()?;
        line.split_ascii_whitespace()
            .find_map(|word| word.strip_prefix(name))
    }

    /// Returns the machine's RAM, the hypervisor's part included.
    pub fn ram(&self) -> Option<Range<u64>> {
        reg(self.0.find_node("/memory")?)
    }

    /// Returns the machine's interrupt controller.
    pub fn gic(&self) -> Option<Gic> {
        let mut nodes = self.0.root().children();
        nodes.find_map(|node| {
            let v3 = node.is_compatible("arm,gic-v3").then_some(Gic::V3);
            let v2 = || node.is_compatible("arm,cortex-a15-gic").then_some(Gic::V2);
            v3.or_else(v2)
        })
    }

    /// Returns the guest kernel that QEMU loaded.
    pub fn kernel(&self) -> Option<GuestImage> {
        self.guest_image("multiboot,kernel")
    }

    /// Returns the guest's initial RAM disk that QEMU loaded.
    pub fn ramdisk(&self) -> Option<GuestImage> {
        self.guest_image("multiboot,ramdisk")
    }

    /// Returns every file that QEMU loaded as a RAM disk, in the order of their addresses.
    pub fn ramdisks(&self) -> Vec<GuestImage> {
        let mut ramdisks = self.guest_images("multiboot,ramdisk");
        ramdisks.sort_by_key(|image| image.range.start);
        ramdisks
    }

    fn guest_image(&self, compatible: &str) -> Option<GuestImage> {
        self.guest_images(compatible).into_iter().next()
    }

    fn guest_images(&self, compatible: &str) -> Vec<GuestImage> {
        let chosen = self.0.find_node("/chosen");
        let modules = chosen
            .iter()
            .flat_map(|chosen| chosen.find_compatible(compatible));
        let image = |module: FdtNode<'static>| {
            let bootargs = module
                .property("bootargs")
                .and_then(|value| value.value_as().ok());
            Some(GuestImage {
                range: reg(module)?,
                bootargs,
            })
        };
        modules.filter_map(image).collect()
    }
}

/// Returns the first range of `reg`. Two cells each for address and size, as at the root of `virt`;
/// QEMU gives /chosen no cell counts of its own, and writes its modules the same way.
fn reg(node: FdtNode<'static>) -> Option<Range<u64>> {
    let [start, size] = node
        .property("reg")?
        .as_prop_encoded_array([2, 2])
        .ok()?
        .next()?;
    let (start, size): (u64, u64) = (start.to_int().ok()?, size.to_int().ok()?);
    Some(start..start.checked_add(size)?)
}
