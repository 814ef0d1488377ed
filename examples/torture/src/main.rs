//! Executes random words at EL1 and EL0 in random states, and holds the host to its own: no panic,
//! no hang, no word of its memory or registers lost.
//!
//! `-append "seed=… instructions=… guests=… round=…"` chooses what, how much, and where to begin;
//! `grant` shows the guest all that a VM can be granted. Code and state of a round follow from seed
//! and round; what the timer interrupts does not. (Under `-icount` the timer would stand still while a
//! guest faults on the fetch of its own vector.)

#![no_std]
#![no_main]

extern crate alloc;

mod host;
mod memory;
mod state;
mod tally;
mod words;

use alloc::boxed::Box;

use machine::{Error, GuestMemory, Machine, Random, SingleCpu, println};
use memory::Memory;
use state::Entry;
use tally::Tally;
use vcpu_core::{El2, Exit, ExitOf, Extensions, Live, Vcpu, VcpuConfig, Vm};
use vcpu_exits::Access;
use vcpu_hal::Cpu;
use vcpu_regs::{Gpr, Intid, SwitchedReg, Vmid};

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();

/// Exits that a guest gets before it is given other code and another state.
const EXITS: u64 = 96;
/// What an interrupt counts for, of those: a guest that makes none is stuck sooner.
const INTERRUPT: u64 = 16;
/// The host's own data that must stay: as much as the code that the guest has.
static CANARY: [u64; 2048] = [0x5ca1_ab1e_0ddb_a11d; 2048];

fn main(mut machine: Machine) -> Result<(), Error> {
    let number = |name, default| match machine.tree.argument(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::Guest("that is no number")),
    };
    let (seed, wanted): (u64, u64) = (number("seed=", 1)?, number("instructions=", 100_000)?);
    let (guests, first) = (number("guests=", 200)?, number("round=", 0)?);
    println!("seed {seed}, {wanted} instructions");

    // SAFETY: nothing else in this program uses the interrupt controller.
    unsafe { host::enable_timer()? };
    let mut el2 = El2::enable(&HOST)?;
    let memory = Memory::new(&machine.ram);
    memory.fill_watched(&mut machine.ram)?;
    memory.fill(&mut machine.ram, &mut Random::new(seed))?;
    let mut stage2 = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    stage2.map_ram(memory.window.clone())?;
    let granted = match machine.tree.argument("grant") {
        Some(_) => Extensions::all(),
        None => Extensions::empty(),
    };
    let vm = Vm::with(&el2, stage2.finish(Vmid::FIRST)?, granted);

    let (image, controls) = (host::image_sum(), host::controls());
    let mut tally = Tally::default();
    let mut vcpu = Vcpu::new(&VcpuConfig::default());
    vcpu.lend_sve(Box::leak(Box::default()));
    for round in first..=u64::MAX {
        let mut random = Random::new(seed.rotate_left(32) ^ round);
        let entry = Entry::new(&mut random, &memory);
        memory.refresh(&mut machine.ram, &mut random, &entry)?;
        if random.below(8) == 0 {
            let sve = vcpu.take_sve();
            vcpu = Vcpu::new(&VcpuConfig::default());
            vcpu.lend_sve(sve.unwrap_or_else(|| Box::leak(Box::default())));
        }
        entry.apply(&mut random, &mut vcpu, &memory);
        let mut live = vcpu.load(&mut el2, &vm)?;
        let lost = torment(&mut live, &mut random, &mut tally, &memory, &entry);
        drop(live);
        if let Some(lost) = lost.or_else(|| Lost::between(&controls, &host::controls())) {
            println!("seed {seed}, round {round}: {lost}");
            return Err(Error::Guest("the host lost a register"));
        }
        if round % 4096 == 4095 {
            println!("round {round}, {} instructions", tally.instructions());
        }
        tally.rounds += 1;
        if tally.instructions() >= wanted && tally.rounds >= guests {
            break;
        }
    }

    memory.check_watched(&machine.ram)?;
    let is_canary_alive = CANARY
        .iter()
        .all(|word| core::hint::black_box(*word) == CANARY[0]);
    if host::image_sum() != image || !is_canary_alive {
        return Err(Error::Guest("the host's own memory changed"));
    }
    tally.print();
    println!("the host lost nothing");
    Ok(())
}

/// Runs one guest until it has had its share, or the host lost something.
fn torment<C: Cpu>(
    live: &mut Live<'_, '_, SingleCpu, C>,
    random: &mut Random,
    tally: &mut Tally,
    memory: &Memory,
    entry: &Entry,
) -> Option<Lost> {
    let mut left = EXITS;
    host::preempt_after(patience(random));
    while left > 0 {
        live.set_sysreg(SwitchedReg::TPIDRRO_EL0, 0);
        let before = host::quick();
        let exit = live.run();
        let lost = Lost::between(&before, &host::quick());
        if lost.is_some() {
            return lost;
        }
        tally.count(&exit);
        tally.count_skipped(live.sysreg(SwitchedReg::TPIDRRO_EL0));
        left -= 1;
        // Nothing to execute, or for ever the same.
        let is_astray = match &exit {
            Exit::Irq(()) => {
                left = left.saturating_sub(INTERRUPT);
                host::preempt_after(patience(random));
                true
            }
            Exit::Fault(fault) => fault.access() == Access::Fetch,
            _ => false,
        };
        answer(live, exit, random);
        if is_astray && random.below(4) != 0 {
            entry.start(live, random, memory);
        } else if random.below(16) == 0 {
            meddle(live, random, memory, entry);
        }
    }
    None
}

/// Returns ticks, from what QEMU needs for some new code (65 us) to half a millisecond.
fn patience(random: &mut Random) -> u64 {
    1 << (12 + random.below(4))
}

/// Does what a host may do with an exit: mostly what a correct machine would.
fn answer<C: Cpu>(
    live: &mut Live<'_, '_, SingleCpu, C>,
    exit: ExitOf<SingleCpu>,
    random: &mut Random,
) {
    match random.below(8) {
        0 => drop(exit), // retried
        1 => match exit {
            Exit::Mmio(access) => live.complete(access, random.word()),
            Exit::SysReg(access) => live.complete(access, random.word()),
            Exit::Psci(psci) => live.complete(psci, random.word()),
            Exit::Hypercall(call) | Exit::Smc(call) => live.complete(call, random.word()),
            Exit::Wfi(wait) | Exit::Wfe(wait) => live.complete(wait, ()),
            exit => live.reflect(exit),
        },
        _ => live.reflect(exit),
    }
}

/// Does what a host may do at any time.
fn meddle<C: Cpu>(
    live: &mut Live<'_, '_, SingleCpu, C>,
    random: &mut Random,
    memory: &Memory,
    entry: &Entry,
) {
    match random.below(8) {
        0 => drop(live.inject_irq(Intid(random.below(80) as u32))),
        1 => drop(live.retract_irq(Intid(random.below(80) as u32))),
        2 => live.inject_undefined(),
        3 => {
            let regs = SwitchedReg::ALL;
            let reg = regs[random.below(regs.len() as u64) as usize];
            live.set_sysreg(reg, state::value(random, memory));
        }
        4 => live.set_reg(
            Gpr::new(random.below(32) as u8),
            state::value(random, memory),
        ),
        _ => entry.start(live, random, memory),
    }
}

/// A word of the host's that is not what it was.
struct Lost {
    name: &'static str,
    before: u64,
    after: u64,
}

impl Lost {
    fn between(before: &[(&'static str, u64)], after: &[(&'static str, u64)]) -> Option<Self> {
        let mut pairs = before.iter().zip(after);
        pairs.find_map(|(&(name, before), &(_, after))| {
            (before != after).then_some(Self {
                name,
                before,
                after,
            })
        })
    }
}

impl core::fmt::Display for Lost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self {
            name,
            before,
            after,
        } = self;
        write!(f, "{name} was {before:#x}, is {after:#x}")
    }
}
