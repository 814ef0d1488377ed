//! The device tree of a guest, written by the crate `vm-fdt`. Devicetree Specification 0.4, and the
//! bindings that Linux keeps for these devices.

extern crate alloc;

use alloc::{format, vec::Vec};
use core::ops::Range;

use vm_fdt::{Error, FdtWriter};

use crate::gic::Version;

/// What a guest is told about its machine.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    /// How many CPUs, of affinity 0, 1 and so on.
    pub vcpus: usize,
    /// Its RAM.
    pub ram: Range<u64>,
    /// The kernel's command line.
    pub bootargs: &'a str,
    /// Where the initial RAM disk is.
    pub initrd: Option<Range<u64>>,
    /// Its interrupt controller: the distributor, then redistributors or CPU interface.
    pub gic: (Version, [Range<u64>; 2]),
    /// Its PL011.
    pub uart: Device,
    /// A virtio device.
    pub virtio: Option<Device>,
}

/// A device's registers and its interrupt.
#[derive(Clone, Debug)]
pub struct Device {
    /// The registers.
    pub registers: Range<u64>,
    /// Which SPI, from 0: INTID 32.
    pub spi: u32,
}

/// `phandle`s.
const GIC: u32 = 1;
const CLOCK: u32 = 2;
/// Interrupt types and flags of the GIC binding.
const SPI: u32 = 0;
const PPI: u32 = 1;
const LEVEL: u32 = 4;

impl Tree<'_> {
    /// Returns the tree as bytes.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        fdt.property_string("compatible", "linux,dummy-virt")?;
        fdt.property_string("model", "vcpu,virt")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_u32("interrupt-parent", GIC)?;
        self.chosen(&mut fdt)?;
        self.cpus(&mut fdt)?;
        let memory = fdt.begin_node(&format!("memory@{:x}", self.ram.start))?;
        fdt.property_string("device_type", "memory")?;
        fdt.property_array_u64("reg", &reg(&self.ram))?;
        fdt.end_node(memory)?;
        let psci = fdt.begin_node("psci")?;
        let versions = ["arm,psci-1.0", "arm,psci-0.2"].map(Into::into);
        fdt.property_string_list("compatible", versions.into())?;
        fdt.property_string("method", "hvc")?;
        fdt.end_node(psci)?;
        self.timer(&mut fdt)?;
        self.interrupts(&mut fdt)?;
        self.devices(&mut fdt)?;
        fdt.end_node(root)?;
        fdt.finish()
    }

    fn chosen(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let chosen = fdt.begin_node("chosen")?;
        fdt.property_string("bootargs", self.bootargs)?;
        let uart = self.uart.registers.start;
        fdt.property_string("stdout-path", &format!("/pl011@{uart:x}"))?;
        if let Some(initrd) = &self.initrd {
            fdt.property_u64("linux,initrd-start", initrd.start)?;
            fdt.property_u64("linux,initrd-end", initrd.end)?;
        }
        fdt.end_node(chosen)
    }

    fn cpus(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let cpus = fdt.begin_node("cpus")?;
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        for number in 0..self.vcpus as u32 {
            let cpu = fdt.begin_node(&format!("cpu@{number:x}"))?;
            fdt.property_string("device_type", "cpu")?;
            fdt.property_string("compatible", "arm,armv8")?;
            fdt.property_string("enable-method", "psci")?;
            fdt.property_u32("reg", number)?;
            fdt.end_node(cpu)?;
        }
        fdt.end_node(cpus)
    }

    fn timer(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let timer = fdt.begin_node("timer")?;
        fdt.property_string("compatible", "arm,armv8-timer")?;
        // Secure physical, non-secure physical, virtual, hypervisor: INTIDs 29, 30, 27, 26.
        let ppis = [13, 14, 11, 10].map(|ppi| [PPI, ppi, LEVEL]);
        fdt.property_array_u32("interrupts", ppis.as_flattened())?;
        fdt.property_null("always-on")?;
        fdt.end_node(timer)
    }

    fn interrupts(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let (version, ranges) = &self.gic;
        let name = format!("intc@{:x}", ranges[0].start);
        let gic = fdt.begin_node(&name)?;
        let compatible = match version {
            // By either name: programs look for the one that QEMU's `virt` gives.
            Version::V2 => ["arm,gic-400", "arm,cortex-a15-gic"].as_slice(),
            Version::V3 => &["arm,gic-v3"],
        };
        let names = compatible.iter().map(|&name| name.into()).collect();
        fdt.property_string_list("compatible", names)?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        let reg = [reg(&ranges[0]), reg(&ranges[1])];
        fdt.property_array_u64("reg", reg.as_flattened())?;
        fdt.property_phandle(GIC)?;
        fdt.end_node(gic)
    }

    fn devices(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let clock = fdt.begin_node("apb-pclk")?;
        fdt.property_string("compatible", "fixed-clock")?;
        fdt.property_u32("#clock-cells", 0)?;
        fdt.property_u32("clock-frequency", 24_000_000)?;
        fdt.property_string("clock-output-names", "clk24mhz")?;
        fdt.property_phandle(CLOCK)?;
        fdt.end_node(clock)?;

        let Device { registers, spi } = &self.uart;
        let uart = fdt.begin_node(&format!("pl011@{:x}", registers.start))?;
        let names = ["arm,pl011", "arm,primecell"].map(Into::into);
        fdt.property_string_list("compatible", names.into())?;
        fdt.property_array_u64("reg", &reg(registers))?;
        fdt.property_array_u32("interrupts", &[SPI, *spi, LEVEL])?;
        fdt.property_array_u32("clocks", &[CLOCK, CLOCK])?;
        let clocks = ["uartclk", "apb_pclk"].map(Into::into);
        fdt.property_string_list("clock-names", clocks.into())?;
        fdt.end_node(uart)?;

        if let Some(Device { registers, spi }) = &self.virtio {
            let virtio = fdt.begin_node(&format!("virtio_mmio@{:x}", registers.start))?;
            fdt.property_string("compatible", "virtio,mmio")?;
            fdt.property_array_u64("reg", &reg(registers))?;
            fdt.property_array_u32("interrupts", &[SPI, *spi, LEVEL])?;
            fdt.property_null("dma-coherent")?;
            fdt.end_node(virtio)?;
        }
        Ok(())
    }
}

fn reg(range: &Range<u64>) -> [u64; 2] {
    [range.start, range.end - range.start]
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::{Node, Property, fdt::Fdt, standard::NodeStandard};

    fn tree() -> Tree<'static> {
        Tree {
            vcpus: 4,
            ram: 0x4000_0000..0x6000_0000,
            bootargs: "quiet",
            initrd: Some(0x4800_0000..0x4800_1000),
            gic: (
                Version::V3,
                [0x800_0000..0x801_0000, 0x80a_0000..0x812_0000],
            ),
            uart: Device {
                registers: 0x900_0000..0x900_1000,
                spi: 1,
            },
            virtio: None,
        }
    }

    #[test]
    fn kernel_reads_back_what_it_is_told() {
        let bytes = tree().write().unwrap();
        let fdt = Fdt::new(&bytes).unwrap();
        let chosen = fdt.find_node("/chosen").unwrap();
        let bootargs: &str = chosen.property("bootargs").unwrap().value_as().unwrap();
        assert_eq!(bootargs, "quiet");
        let cpus = fdt.find_node("/cpus").unwrap();
        assert_eq!(cpus.children().count(), 4);
        let uart = fdt.find_node("/pl011@9000000").unwrap();
        assert!(uart.is_compatible("arm,primecell"));
        assert_eq!(uart.property("reg").unwrap().value().len(), 16);
        assert!(fdt.find_node("/virtio_mmio@a000000").is_none());
    }

    /// A flat program starts 512 KiB after the tree.
    #[test]
    fn tree_of_the_largest_machine_fits_in_front_of_a_program() {
        let tree = Tree {
            vcpus: crate::gic::MAX_VCPUS,
            ..tree()
        };
        assert!(tree.write().unwrap().len() < 16 << 10);
    }
}
