//! A guest's devices, in one lock: who is at which address, and what an access does.

use alloc::collections::VecDeque;

use devices::{
    Bus, BusError, Pl011,
    gic::{Gic, Version, v2, v3},
};
use vcpu_regs::Intid;

use super::{GuestConfig, config::layout};

/// What a guest finds besides memory and CPUs.
pub struct Peripherals {
    bus: Bus<Owner, 6>,
    /// Its interrupt controller.
    pub gic: Gic,
    uart: Pl011,
    /// Typed, and not taken by the UART yet.
    typed: VecDeque<u8>,
}

/// Whose addresses they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Distributor,
    Redistributors,
    Uart,
    ErasedFlash,
    /// Stage 2: no access of it comes here.
    Memory,
}

/// What an access did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    /// What is read.
    pub value: u64,
    /// A byte that the guest sent.
    pub sent: Option<u8>,
}

/// What is typed ahead of a guest that does not read, at most.
const TYPED_AHEAD: usize = 1024;
const UART: Intid = Intid(32 + layout::UART_SPI);

impl Peripherals {
    /// Puts the devices of a guest on its bus.
    pub fn new(config: &GuestConfig<'_>, gic: Gic, ram_bytes: u64) -> Result<Self, BusError> {
        let mut bus = Bus::new();
        bus.add(
            layout::RAM..layout::RAM.saturating_add(ram_bytes),
            Owner::Memory,
        )?;
        let [distributor, second] = interrupt_controller(&gic);
        bus.add(distributor, Owner::Distributor)?;
        let owner = match gic.version() {
            Version::V2 => Owner::Memory,
            Version::V3 => Owner::Redistributors,
        };
        bus.add(second, owner)?;
        let uart = config.uart..config.uart.saturating_add(Pl011::SIZE_BYTES);
        bus.add(uart, Owner::Uart)?;
        if let Some(flash) = &config.erased_flash {
            bus.add(flash.clone(), Owner::ErasedFlash)?;
        }
        Ok(Self {
            bus,
            gic,
            uart: Pl011::new(),
            typed: VecDeque::new(),
        })
    }

    /// Does what the access of a vCPU asks for; `None` where nothing is.
    #[inline]
    pub fn access(
        &mut self,
        vcpu: usize,
        at: u64,
        size_bytes: u8,
        write: Option<u64>,
    ) -> Option<Answer> {
        let (owner, offset) = self.bus.find(at, size_bytes)?;
        match owner {
            Owner::Distributor => Some(self.distributor(vcpu, offset, size_bytes, write)),
            Owner::Redistributors => Some(match write {
                Some(value) => {
                    self.gic.write_redistributor(offset, size_bytes, value);
                    Answer::default()
                }
                None => read(self.gic.read_redistributor(offset, size_bytes)),
            }),
            Owner::Uart => Some(self.uart(offset, size_bytes, write)),
            Owner::ErasedFlash => Some(read(!0)),
            Owner::Memory => None,
        }
    }

    fn distributor(
        &mut self,
        vcpu: usize,
        offset: u64,
        size_bytes: u8,
        write: Option<u64>,
    ) -> Answer {
        let gic = &mut self.gic;
        match (gic.version(), write) {
            (Version::V3, None) => return read(gic.read_distributor(offset, size_bytes)),
            (Version::V2, None) => return read(gic.read_distributor_v2(vcpu, offset, size_bytes)),
            (Version::V3, Some(value)) => gic.write_distributor(offset, size_bytes, value),
            (Version::V2, Some(value)) => {
                gic.write_distributor_v2(vcpu, offset, size_bytes, value);
            }
        }
        Answer::default()
    }

    fn uart(&mut self, offset: u64, size_bytes: u8, write: Option<u64>) -> Answer {
        let answer = match write {
            Some(value) => Answer {
                value: 0,
                sent: self.uart.write(offset, size_bytes, value),
            },
            None => read(self.uart.read(offset, size_bytes)),
        };
        self.feed();
        answer
    }

    /// Types a byte; it is lost when too many wait.
    pub fn type_byte(&mut self, byte: u8) {
        if self.typed.len() < TYPED_AHEAD {
            self.typed.push_back(byte);
        }
        self.feed();
    }

    fn feed(&mut self) {
        while self.uart.has_room() {
            let Some(&byte) = self.typed.front() else {
                break;
            };
            if !self.uart.receive(byte) {
                break; // the guest does not listen yet
            }
            self.typed.pop_front();
        }
        self.gic.set_line(UART, self.uart.line());
    }
}

/// Returns where the guest's interrupt controller is: distributor, then redistributors or CPU
/// interface.
pub fn interrupt_controller(gic: &Gic) -> [core::ops::Range<u64>; 2] {
    let at = layout::DISTRIBUTOR;
    match gic.version() {
        Version::V2 => [at..at + v2::DISTRIBUTOR_BYTES, layout::CPU_INTERFACE],
        Version::V3 => {
            let redistributors = v3::REDISTRIBUTOR_BYTES * gic.vcpus() as u64;
            let second = layout::REDISTRIBUTORS;
            [
                at..at + v3::DISTRIBUTOR_BYTES,
                second..second + redistributors,
            ]
        }
    }
}

fn read(value: u64) -> Answer {
    Answer { value, sent: None }
}
