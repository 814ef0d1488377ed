//! One virtual machine, made before any of its vCPUs runs.

use alloc::vec::Vec;
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
};

use devices::gic::{Gic as Distributor, Version};
use spin::Mutex;
use vcpu_asm::El2Cpu;
use vcpu_core::{
    El2, Firmware, Interrupts, Policy, PowerCell, Start, Timers, Vcpu, VcpuConfig, Vm, Waits,
};
use vcpu_hal::Platform;
use vcpu_regs::{Ipa, Vmid};
use vcpu_stage2::Attributes;

use super::{
    GuestConfig, Host,
    config::layout,
    contents::{Contents, TREE},
    peripherals::Peripherals,
    stats::{Counters, Stats},
    stolen::StolenTimes,
};
use crate::{Error, Frames, GuestMemory, GuestRam, gic::Gic, layout::GICV2_VIRTUAL_CPU, timer};

/// A virtual machine.
pub struct Guest<P: Platform> {
    /// Memory, clock and ID registers.
    pub(super) vm: Vm,
    /// Its devices.
    pub(super) peripherals: Mutex<Peripherals>,
    /// Its vCPUs.
    pub(super) vcpus: Vec<Slot<P>>,
    /// Which of them are on.
    pub(super) power: Vec<PowerCell>,
    /// How long they waited for a CPU.
    pub(super) stolen: StolenTimes,
    ram: [Range<Ipa>; 1],
    contents: Mutex<Contents>,
    policy: Policy,
    phase: AtomicU8,
    /// How many odd things it did.
    pub(super) oddities: AtomicU32,
}

/// A vCPU's place.
pub(super) struct Slot<P: Platform> {
    /// Whoever runs it has the lock.
    pub vcpu: Mutex<Vcpu<P>>,
    /// The distributor has something for it, or wants something back.
    pub attention: AtomicBool,
    /// A physical timer interrupt is active on its behalf: bits by INTID.
    pub held: AtomicU32,
    /// What there was to do for it, in all its lives.
    pub stats: Counters,
}

/// What becomes of a guest. It leaves [`Phase::On`] once: of several that ask, one succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Its vCPUs run.
    On,
    /// It is to start anew once none of its vCPUs is on a CPU.
    Stopping,
    /// Its RAM is being filled.
    Reloading,
    /// It is off for good.
    Off,
}

impl<P: Host> Guest<P> {
    /// Makes a guest in `ram`, which becomes its RAM, with the VMID of its `number`.
    ///
    /// `overcommitted`: there are more vCPUs than CPUs, so that who spins had better let others run.
    pub fn new(
        el2: &El2<'_, P, El2Cpu>,
        frames: &mut Frames,
        ram: GuestRam,
        config: &GuestConfig,
        number: u16,
        overcommitted: bool,
    ) -> Result<Self, Error> {
        let version = match el2.host().gic() {
            Gic::V2 => Version::V2,
            Gic::V3 => Version::V3,
        };
        let gic = Distributor::new(version, config.vcpus).ok_or(Error::Vcpus(config.vcpus))?;
        let peripherals = Peripherals::new(config, gic, ram.view(layout::RAM))?;

        let vmid = Vmid::new(number).ok_or(Error::Guest("0 is no VMID"))?;
        let size_bytes = ram.size_bytes();
        let stolen = StolenTimes::new(frames)?;
        let mut memory = GuestMemory::new(el2.ids(), frames, &ram)?;
        memory.map_ram_at(layout::RAM, ram.start()..ram.end())?;
        if version == Version::V2 {
            // SAFETY: GICV reaches the list registers of the vCPU that is loaded, and no memory.
            unsafe {
                memory.map_device_at(layout::CPU_INTERFACE.start, GICV2_VIRTUAL_CPU)?;
            }
        }
        // SAFETY: the guest reads there what is meant for it, and can neither write nor execute it.
        unsafe {
            let attributes = Attributes::RAM.read_only().no_execute();
            memory.map(layout::STOLEN_TIME.start, stolen.page(), attributes)?;
        }
        let vm = Vm::new(el2, memory.finish(vmid)?);

        let policy = Policy {
            interrupts: Interrupts::Virtual,
            // Each vCPU has both timers while it runs; their interrupts are the host's.
            timers: Timers::PassThrough,
            wfi: Waits::Exit,
            wfe: if overcommitted {
                Waits::Exit
            } else {
                Waits::Native
            },
            ..Policy::default()
        };
        let slot = |mpidr| Slot {
            vcpu: Mutex::new(Vcpu::new(&VcpuConfig { mpidr, policy })),
            attention: AtomicBool::new(false),
            held: Default::default(),
            stats: Counters::default(),
        };
        let mut contents = Contents::new(config, &peripherals.gic, ram)?;
        while !contents.copy_some()? {}
        let guest = Self {
            vm,
            peripherals: Mutex::new(peripherals),
            vcpus: (0..config.vcpus as u64).map(slot).collect(),
            power: (0..config.vcpus as u64).map(PowerCell::off).collect(),
            stolen,
            ram: [Ipa(layout::RAM)..Ipa(layout::RAM + size_bytes)],
            contents: Mutex::new(contents),
            policy,
            phase: AtomicU8::new(Phase::Reloading as u8),
            oddities: AtomicU32::new(0),
        };
        guest.begin();
        Ok(guest)
    }

    /// Fills some of its RAM anew; returns whether all is there.
    ///
    /// What else its last life left in RAM stays, as on a machine: nobody but the guest sees it.
    pub(super) fn reload_some(&self) -> Result<bool, Error> {
        self.contents.lock().copy_some()
    }

    /// Makes all but RAM as it is at the first start, with the first vCPU about to begin.
    ///
    /// None of its vCPUs is on a CPU.
    pub(super) fn begin(&self) {
        self.peripherals.lock().reset();
        for (mpidr, slot) in (0..).zip(&self.vcpus) {
            let policy = self.policy;
            *slot.vcpu.lock() = Vcpu::new(&VcpuConfig { mpidr, policy });
            slot.attention.store(false, Ordering::Relaxed);
            slot.held.store(0, Ordering::Relaxed);
        }
        self.vm.set_virtual_count(0, timer::now());
        for cell in &self.power {
            cell.turn_off();
        }
        let start = Start {
            entry: Ipa(self.contents.lock().entry),
            context: TREE,
            big_endian: false,
        };
        if let Some(first) = self.power.first() {
            let _ = first.turn_on(&start); // it is off
        }
        self.phase.store(Phase::On as u8, Ordering::Release);
    }

    /// Returns what answers the guest's calls of firmware.
    #[inline]
    pub(super) fn firmware(&self) -> Firmware<'_> {
        Firmware {
            stolen_time: Some(Ipa(layout::STOLEN_TIME.start)),
            ..Firmware::new(&self.power, &self.ram)
        }
    }

    /// Returns what becomes of it.
    #[inline]
    pub(super) fn phase(&self) -> Phase {
        const PHASES: [Phase; 4] = [Phase::On, Phase::Stopping, Phase::Reloading, Phase::Off];
        let phase = self.phase.load(Ordering::Acquire);
        PHASES
            .into_iter()
            .find(|known| *known as u8 == phase)
            .unwrap_or(Phase::Off)
    }

    /// Goes from one phase to another; returns whether it was in the first.
    pub(super) fn goes(&self, from: Phase, to: Phase) -> bool {
        let (from, to) = (from as u8, to as u8);
        let went = self
            .phase
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        went.is_ok()
    }

    /// Returns what there was to do for all of its vCPUs.
    pub(super) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for slot in &self.vcpus {
            sum += slot.stats.read();
        }
        sum
    }
}
