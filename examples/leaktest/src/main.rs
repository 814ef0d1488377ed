//! Checks that nothing passes between two guests that share a CPU, nor from one to the host.
//!
//! One guest writes, by every row of the register table and then by every encoding there is; after
//! each write that did something, the other reads every register it can. Whatever differs between
//! one that wrote V, ~V and nothing, but for a short list with reasons, is a leak. To know that a
//! leak would be seen, each row of the table is then left out of a load.

#![no_std]
#![no_main]

mod check;
mod code;
mod guests;
mod host;
mod known;
mod left_out;
mod timer;

use aarch64_cpu::registers::{DAIF, Writeable};
use check::{Check, Tally, VALUES};
use guests::{GUEST_BYTES, Guests, OneCpu, ThisCpu};
use host::Host;
use machine::{Error, Frames, GuestRam, Machine, println};
use timer::Timer;
use vcpu_core::{El2, Extensions, Fp, Policy, VcpuConfig, Vm};
use vcpu_hal::{
    Cpu, Inject,
    inject::{HcrLine, ListRegisters},
};
use vcpu_regs::{Ipa, Pa, Pstate, Vmid};
use vcpu_stage2::{Attributes, Geometry, IpaBits, LinearMap, Request, Stage2, Table};

machine::main!(main);

static LINE: OneCpu<HcrLine> = OneCpu::new(HcrLine);
// SAFETY: `virt` has a GICv3 here, whose interface is set up as system registers before any guest.
static LISTS: OneCpu<ListRegisters> = OneCpu::new(unsafe { ListRegisters::new() });

/// A way to have two guests on a CPU.
struct How {
    name: &'static str,
    extensions: Extensions,
    policy: Policy,
    takes_turns: bool,
}

const PLAIN: How = How {
    name: "nothing granted, FP with its first use:",
    extensions: Extensions::empty(),
    policy: Policy::VIRTUAL,
    takes_turns: false,
};

const GRANTED: How = How {
    name: "all but SVE granted, FP with each load, without the host's controls in between:",
    // SVE registers are on the hardware from their first use only: `switch-test` has them.
    extensions: Extensions::all().difference(Extensions::SVE),
    policy: Policy {
        fp: Fp::Eager,
        ..Policy::VIRTUAL
    },
    takes_turns: true,
};

const WITH_SVE: How = How {
    name: "SVE granted, with its first use:",
    extensions: Extensions::SVE,
    ..PLAIN
};

const WITH_LISTS: How = How {
    name: "list registers:",
    ..PLAIN
};

fn main(machine: Machine) -> Result<(), Error> {
    DAIF.set(0xf << 6);
    let Machine { ram, frames, .. } = machine;
    // SAFETY: interrupts are masked above, and nothing else uses the interrupt controller.
    let timer = unsafe { Timer::new()? };
    let mut el2 = El2::enable(&LINE)?;
    // SAFETY: nothing in this program uses these registers, nor depends on these fields.
    unsafe {
        host::set_patterns(VALUES[0]);
        el2.cpu().set_pstate(Pstate::PAN | Pstate::DIT);
    }
    // SAFETY: aarch64-rt starts us at EL2 on its own stack; interrupts are masked above.
    let host = unsafe { Host::read()? };
    println!("the host has {} registers", host.count());

    let stage2s = stage2s(&el2, &ram, frames)?;
    let mut test = Test {
        ram,
        timer,
        stage2s,
        host,
        tally: Tally::default(),
    };
    test.run(&mut el2, &PLAIN)?;
    test.run(&mut el2.take_turns(), &GRANTED)?;
    drop(el2);
    test.run(&mut El2::enable(&LISTS)?, &WITH_LISTS)?;
    test.run(&mut El2::enable(&LINE)?, &WITH_SVE)?;
    test.tally.verdict()
}

/// What stays from one way to the next.
struct Test {
    ram: GuestRam,
    timer: Timer,
    stage2s: [Stage2; 2],
    host: Host,
    tally: Tally,
}

impl Test {
    fn run<I: Inject>(&mut self, el2: &mut ThisCpu<I>, how: &How) -> Result<(), Error> {
        println!("{}", how.name);
        let vms = self
            .stage2s
            .map(|stage2| Vm::with(el2, stage2, how.extensions));
        let config = VcpuConfig {
            policy: how.policy,
            ..VcpuConfig::default()
        };
        let guests = Guests::new(&mut self.ram, &self.timer, vms, config)?;
        Check {
            guests,
            host: &self.host,
            tally: &mut self.tally,
            takes_turns: how.takes_turns,
        }
        .run(el2)
    }
}

/// Returns the memories of two guests: a part of RAM for each.
fn stage2s<I: Inject>(
    el2: &ThisCpu<I>,
    ram: &GuestRam,
    mut frames: Frames,
) -> Result<[Stage2; 2], Error> {
    const REQUEST: Request = Request {
        ipa: IpaBits::AtMost(40),
        ..Request::MOST
    };
    let geometry = Geometry::probe(&el2.ids().memory_model(), &REQUEST)?;
    let mut make = |number: u16| -> Result<Stage2, Error> {
        let vmid = Vmid::new(number + 1).ok_or(Error::Guest("0 is no VMID"))?;
        // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
        let memory = unsafe { LinearMap::new(0) };
        let mut table = Table::new(geometry, &mut frames, memory)?;
        let start = ram.start() + u64::from(number) * GUEST_BYTES;
        // SAFETY: guest RAM, of which no borrow lives while a guest runs.
        let change = unsafe { table.map(Ipa(start), Pa(start), GUEST_BYTES, Attributes::RAM)? };
        change.defer(); // loading the vCPU publishes it: nothing walks the table before
        // SAFETY: the table is neither released nor changed, for it is leaked here; each has its
        // own VMID.
        Ok(unsafe { table.stage2(vmid)? })
    };
    Ok([make(0)?, make(1)?])
}
