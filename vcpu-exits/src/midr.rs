//! Who made a CPU and what it is called: `MIDR_EL1` in words.

use core::fmt;

/// A `MIDR_EL1` value. Arm ARM (DDI 0487), `MIDR_EL1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Midr(pub u32);

impl Midr {
    /// Returns the implementer's code.
    pub const fn implementer(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Returns the variant: the r of r1p2.
    pub const fn variant(self) -> u8 {
        (self.0 >> 20 & 15) as u8
    }

    /// Returns the part number.
    pub const fn part(self) -> u16 {
        (self.0 >> 4 & 0xfff) as u16
    }

    /// Returns the revision: the p of r1p2.
    pub const fn revision(self) -> u8 {
        (self.0 & 15) as u8
    }

    /// Returns the implementer's name.
    pub const fn implementer_name(self) -> Option<&'static str> {
        Some(match self.implementer() {
            0x00 => "software",
            0x41 => "Arm",
            0x42 => "Broadcom",
            0x43 => "Cavium",
            0x44 => "DEC",
            0x46 => "Fujitsu",
            0x48 => "HiSilicon",
            0x49 => "Infineon",
            0x4d => "Motorola or Freescale",
            0x4e => "NVIDIA",
            0x50 => "Applied Micro",
            0x51 => "Qualcomm",
            0x53 => "Samsung",
            0x56 => "Marvell",
            0x61 => "Apple",
            0x66 => "Faraday",
            0x69 => "Intel",
            0x6d => "Microsoft",
            0x70 => "Phytium",
            0xc0 => "Ampere",
            _ => return None,
        })
    }

    /// Returns the part's name.
    pub fn part_name(self) -> Option<&'static str> {
        let key = (self.implementer(), self.part());
        PARTS
            .iter()
            .find(|row| (row.0, row.1) == key)
            .map(|row| row.2)
    }
}

impl fmt::Display for Midr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.implementer_name() {
            Some(name) => write!(f, "{name} ")?,
            None => write!(f, "implementer {:#04x} ", self.implementer())?,
        }
        match self.part_name() {
            Some(name) => write!(f, "{name} ")?,
            None => write!(f, "part {:#05x} ", self.part())?,
        }
        write!(f, "r{}p{}", self.variant(), self.revision())
    }
}

/// Implementer, part, name.
#[rustfmt::skip]
static PARTS: [(u8, u16, &str); 87] = [
    (0x00, 0x051, "QEMU max"),
    (0x41, 0xd01, "Cortex-A32"),
    (0x41, 0xd02, "Cortex-A34"),
    (0x41, 0xd03, "Cortex-A53"),
    (0x41, 0xd04, "Cortex-A35"),
    (0x41, 0xd05, "Cortex-A55"),
    (0x41, 0xd06, "Cortex-A65"),
    (0x41, 0xd07, "Cortex-A57"),
    (0x41, 0xd08, "Cortex-A72"),
    (0x41, 0xd09, "Cortex-A73"),
    (0x41, 0xd0a, "Cortex-A75"),
    (0x41, 0xd0b, "Cortex-A76"),
    (0x41, 0xd0c, "Neoverse N1"),
    (0x41, 0xd0d, "Cortex-A77"),
    (0x41, 0xd0e, "Cortex-A76AE"),
    (0x41, 0xd0f, "AEMv8 model"),
    (0x41, 0xd13, "Cortex-R52"),
    (0x41, 0xd15, "Cortex-R82"),
    (0x41, 0xd40, "Neoverse V1"),
    (0x41, 0xd41, "Cortex-A78"),
    (0x41, 0xd42, "Cortex-A78AE"),
    (0x41, 0xd43, "Cortex-A65AE"),
    (0x41, 0xd44, "Cortex-X1"),
    (0x41, 0xd46, "Cortex-A510"),
    (0x41, 0xd47, "Cortex-A710"),
    (0x41, 0xd48, "Cortex-X2"),
    (0x41, 0xd49, "Neoverse N2"),
    (0x41, 0xd4a, "Neoverse E1"),
    (0x41, 0xd4b, "Cortex-A78C"),
    (0x41, 0xd4c, "Cortex-X1C"),
    (0x41, 0xd4d, "Cortex-A715"),
    (0x41, 0xd4e, "Cortex-X3"),
    (0x41, 0xd4f, "Neoverse V2"),
    (0x41, 0xd80, "Cortex-A520"),
    (0x41, 0xd81, "Cortex-A720"),
    (0x41, 0xd82, "Cortex-X4"),
    (0x41, 0xd83, "Neoverse V3AE"),
    (0x41, 0xd84, "Neoverse V3"),
    (0x41, 0xd85, "Cortex-X925"),
    (0x41, 0xd87, "Cortex-A725"),
    (0x41, 0xd88, "Cortex-A520AE"),
    (0x41, 0xd89, "Cortex-A720AE"),
    (0x41, 0xd8a, "C1-Nano"),
    (0x41, 0xd8b, "C1-Pro"),
    (0x41, 0xd8c, "C1-Ultra"),
    (0x41, 0xd8e, "Neoverse N3"),
    (0x41, 0xd8f, "Cortex-A320"),
    (0x41, 0xd90, "C1-Premium"),
    (0x42, 0x516, "Vulcan"),
    (0x43, 0x0a1, "ThunderX"),
    (0x43, 0x0a2, "ThunderX 81xx"),
    (0x43, 0x0a3, "ThunderX 83xx"),
    (0x43, 0x0af, "ThunderX2"),
    (0x46, 0x001, "A64FX"),
    (0x48, 0xd01, "TSV110"),
    (0x4e, 0x000, "Denver"),
    (0x4e, 0x003, "Denver 2"),
    (0x4e, 0x004, "Carmel"),
    (0x4e, 0x010, "Olympus"),
    (0x50, 0x000, "X-Gene"),
    (0x51, 0x001, "Oryon"),
    (0x51, 0x800, "Kryo 2xx Gold"),
    (0x51, 0x801, "Kryo 2xx Silver"),
    (0x51, 0x802, "Kryo 3xx Gold"),
    (0x51, 0x803, "Kryo 3xx Silver"),
    (0x51, 0x804, "Kryo 4xx Gold"),
    (0x51, 0x805, "Kryo 4xx Silver"),
    (0x51, 0xc00, "Falkor"),
    (0x51, 0xc01, "Saphira"),
    (0x53, 0x001, "Exynos M1"),
    (0x61, 0x022, "M1 Icestorm"),
    (0x61, 0x023, "M1 Firestorm"),
    (0x61, 0x024, "M1 Pro Icestorm"),
    (0x61, 0x025, "M1 Pro Firestorm"),
    (0x61, 0x028, "M1 Max Icestorm"),
    (0x61, 0x029, "M1 Max Firestorm"),
    (0x61, 0x032, "M2 Blizzard"),
    (0x61, 0x033, "M2 Avalanche"),
    (0x61, 0x034, "M2 Pro Blizzard"),
    (0x61, 0x035, "M2 Pro Avalanche"),
    (0x61, 0x038, "M2 Max Blizzard"),
    (0x61, 0x039, "M2 Max Avalanche"),
    (0x6d, 0xd49, "Azure Cobalt 100"),
    (0x70, 0x662, "FTC662"),
    (0x70, 0x663, "FTC663"),
    (0xc0, 0xac3, "AmpereOne"),
    (0xc0, 0xac4, "AmpereOneA"),
];
