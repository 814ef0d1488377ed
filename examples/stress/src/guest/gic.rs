//! Drivers of both interrupt controllers, for what is needed here.

use machine::Random;

use super::{
    MAX_VCPUS,
    registers::{Device, execute, read, write},
    shared::Shared,
};

/// Which architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// GICv2.
    V2,
    /// GICv3.
    V3,
}

/// The controller.
#[derive(Clone, Copy, Debug)]
pub struct Gic(Version);

/// Whom an SGI is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// These, a bit for each.
    List(u8),
    /// All but the sender.
    Others,
}

/// The interrupts of the timers.
pub const VIRTUAL_TIMER: u32 = 27;
/// See [`VIRTUAL_TIMER`].
pub const PHYSICAL_TIMER: u32 = 30;
/// Each vCPU has two SPIs to pend: an edge, and a level.
pub const SPIS: u32 = 64;
/// One past the last.
pub const SPIS_END: u32 = SPIS + 2 * MAX_VCPUS as u32;

const DISTRIBUTOR: Device = Device(0x0800_0000);
const REDISTRIBUTORS: usize = 0x080a_0000;
const CPU_INTERFACE: Device = Device(0x0801_0000);

/// Distributor.
const CTLR: usize = 0;
const SETSPI_NSR: usize = 0x40;
const IGROUPR: usize = 0x80;
const ISENABLER: usize = 0x100;
const ISPENDR: usize = 0x200;
const ISACTIVER: usize = 0x300;
const IPRIORITYR: usize = 0x400;
const ITARGETSR: usize = 0x800;
const ICFGR: usize = 0xc00;
const SGIR: usize = 0xf00;
const IROUTER: usize = 0x6000;
/// CPU interface of a GICv2.
const PMR: usize = 4;
const IAR: usize = 0xc;
const EOIR: usize = 0x10;

/// SGIs and both timers.
const PRIVATE: u32 = 0xffff | 1 << VIRTUAL_TIMER | 1 << PHYSICAL_TIMER;

impl Gic {
    /// Returns the machine's.
    pub fn of(shared: &Shared) -> Self {
        Self(shared.gic_version())
    }

    fn redistributor(vcpu: usize) -> Device {
        Device(REDISTRIBUTORS + vcpu * 0x2_0000)
    }

    /// Where a vCPU's private interrupts are configured.
    fn private(self, vcpu: usize) -> Device {
        match self.0 {
            Version::V2 => DISTRIBUTOR,
            Version::V3 => Device(Self::redistributor(vcpu).0 + 0x1_0000),
        }
    }

    /// Enables the distributor and all SPIs that are used.
    pub fn enable(self) {
        let (word, bits) = (SPIS as usize / 32 * 4, u32::MAX >> (32 - 2 * MAX_VCPUS));
        // Every second one is an edge.
        for half in 0..2 * MAX_VCPUS / 16 {
            DISTRIBUTOR.write(ICFGR + SPIS as usize / 4 + 4 * half, 0x2222_2222);
        }
        if self.0 == Version::V3 {
            DISTRIBUTOR.write(IGROUPR + word, bits);
        }
        DISTRIBUTOR.write(ISENABLER + word, bits);
        let control = match self.0 {
            Version::V2 => 1,    // Group 0, which all are in
            Version::V3 => 0x12, // affinity routing, Group 1
        };
        DISTRIBUTOR.write(CTLR, control);
    }

    /// Enables the calling vCPU's interface and private interrupts, each with some priority.
    pub fn enable_cpu(self, index: usize, random: &mut Random) {
        if self.0 == Version::V3 {
            let redistributor = Self::redistributor(index);
            redistributor.write(0x14, 0); // GICR_WAKER
            while redistributor.read(0x14) != 0 {}
        }
        let private = self.private(index);
        if self.0 == Version::V3 {
            private.write(IGROUPR, !0);
        }
        for intid in 0..32 {
            private.write_byte(IPRIORITYR + intid, (random.below(16) << 3) as u8);
        }
        private.write(ISENABLER, PRIVATE);
        match self.0 {
            Version::V2 => {
                CPU_INTERFACE.write(PMR, 0xff);
                CPU_INTERFACE.write(CTLR, 1);
            }
            Version::V3 => {
                write!(icc_sre_el1, 7);
                execute!("isb");
                write!(icc_pmr_el1, 0xff);
                // Every second one deactivates apart from the end.
                write!(icc_ctlr_el1, u64::from(splits_ends(index)) << 1);
                write!(icc_igrpen1_el1, 1);
                execute!("isb");
            }
        }
    }

    /// Acknowledges the most urgent interrupt; what it returns is to be ended.
    pub fn acknowledge(self) -> u32 {
        match self.0 {
            Version::V2 => CPU_INTERFACE.read(IAR),
            Version::V3 => {
                let intid = read!(icc_iar1_el1) as u32;
                execute!("dsb sy"); // the acknowledge, before what the device is told
                intid
            }
        }
    }

    /// Ends what was acknowledged.
    pub fn end(self, index: usize, acknowledged: u32) {
        match self.0 {
            Version::V2 => CPU_INTERFACE.write(EOIR, acknowledged),
            Version::V3 => {
                write!(icc_eoir1_el1, acknowledged.into());
                if splits_ends(index) {
                    write!(icc_dir_el1, acknowledged.into());
                }
                execute!("isb");
            }
        }
    }

    /// Sends an SGI.
    pub fn send(self, target: Target, intid: u32) {
        execute!("dsb ishst"); // what was written for the receiver, before the SGI
        match (self.0, target) {
            (Version::V2, Target::List(vcpus)) => {
                DISTRIBUTOR.write(SGIR, u32::from(vcpus) << 16 | intid);
            }
            (Version::V2, Target::Others) => DISTRIBUTOR.write(SGIR, 1 << 24 | intid),
            (Version::V3, Target::List(vcpus)) => {
                write!(icc_sgi1r_el1, u64::from(intid) << 24 | u64::from(vcpus));
            }
            (Version::V3, Target::Others) => {
                write!(icc_sgi1r_el1, 1 << 40 | u64::from(intid) << 24);
            }
        }
        execute!("isb");
    }

    /// Sends an SPI to a vCPU, pending by software.
    pub fn pend(self, vcpu: usize, intid: u32, random: &mut Random) {
        let number = intid as usize;
        DISTRIBUTOR.write_byte(IPRIORITYR + number, (random.below(16) << 3) as u8);
        match self.0 {
            Version::V2 => DISTRIBUTOR.write_byte(ITARGETSR + number, 1 << vcpu),
            Version::V3 => DISTRIBUTOR.write_long(IROUTER + 8 * number, vcpu as u64),
        }
        execute!("dsb ishst"); // what was written for the receiver, before the SPI
        let is_edge = number.is_multiple_of(2);
        if self.0 == Version::V3 && is_edge && random.below(2) == 0 {
            DISTRIBUTOR.write(SETSPI_NSR, intid);
        } else {
            DISTRIBUTOR.write(ISPENDR + number / 32 * 4, 1 << (number % 32));
        }
    }

    /// Returns which private interrupts of a vCPU are pending, and active: with a GICv2, only one's
    /// own.
    pub fn private_state(self, vcpu: usize) -> [u32; 2] {
        [ISPENDR, ISACTIVER].map(|register| self.private(vcpu).read(register))
    }

    /// Returns which of [`SPIS`] are pending, and active.
    pub fn shared_state(self) -> [u32; 2] {
        [ISPENDR, ISACTIVER].map(|register| DISTRIBUTOR.read(register + SPIS as usize / 32 * 4))
    }
}

/// Whether a vCPU's EOI only drops the priority (GICv3).
fn splits_ends(index: usize) -> bool {
    !index.is_multiple_of(2)
}
