//! Checks that nothing passes between two guests that share a CPU, nor from one to the host.
//!
//! One guest writes, by every row of the register table and then by every encoding there is; after
//! each write that did something, the other reads every register it can. Whatever differs between
//! one that wrote V, ~V and nothing, but for a short list with reasons, is a leak. To know that a
//! leak would be seen, each row of the table is then left out of a load.

#![no_std]
#![no_main]

mod code;
mod guests;
mod host;
mod known;
mod timer;

use aarch64_cpu::registers::{DAIF, Writeable};
use code::Word;
use guests::{GUEST_BYTES, Guests, LeftOut, Outcome, Reader, ThisCpu};
use host::Host;
use machine::{Error, Frames, GuestRam, Machine, SingleCpu, print, println};
use timer::Timer;
use vcpu_core::{El2, Extensions, Fp, Interrupts, Policy, Timers, Vcpu, VcpuConfig, Vm, Waits};
use vcpu_hal::Cpu;
use vcpu_regs::{Gpr, IdRegisters, Ipa, Pa, Pstate, SwitchedReg, SysReg, Vmid};
use vcpu_stage2::{Attributes, Geometry, IpaBits, LinearMap, Request, Stage2, Table};

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();

/// What the writing guest writes: every bit once as 0 and once as 1. Neither is a PSCI call.
const VALUES: [u64; 2] = [0x5a5a_5a5a_5a5a_5a5a, !0x5a5a_5a5a_5a5a_5a5a];
/// An instruction that does nothing.
const NOP: u32 = 0xd503_201f;
/// EL1h, D, A, I and F masked.
const MASKED_EL1H: u64 = 0x3c5;
/// Leaks that are told of; the rest is only counted.
const SHOWN: usize = 100;

fn main(machine: Machine) -> Result<(), Error> {
    DAIF.set(0xf << 6);
    let Machine {
        mut ram,
        mut frames,
        ..
    } = machine;
    // SAFETY: interrupts are masked above, and nothing else uses the interrupt controller.
    let timer = unsafe { Timer::new()? };
    let mut el2 = El2::enable(&HOST)?;
    let stage2s = stage2s(&el2, &ram, &mut frames)?;
    // SAFETY: nothing in this program uses these registers, nor depends on these fields.
    unsafe {
        host::set_patterns(VALUES[0]);
        el2.cpu().set_pstate(Pstate::PAN | Pstate::DIT);
    }

    // SAFETY: aarch64-rt starts us at EL2 on its own stack; interrupts are masked above.
    let host = unsafe { Host::read()? };
    println!("the host has {} registers", host.count());
    let mut tally = Tally::default();
    let mut run = |el2: &mut ThisCpu, how: &How| -> Result<(), Error> {
        println!("{}", how.name);
        let vms = stage2s.map(|stage2| Vm::with(el2, stage2, how.extensions));
        let config = VcpuConfig {
            policy: how.policy,
            ..VcpuConfig::default()
        };
        let guests = Guests::new(&mut ram, &timer, vms, config)?;
        Check {
            guests,
            host: &host,
            tally: &mut tally,
            takes_turns: how.takes_turns,
        }
        .run(el2)
    };
    for how in HOWS {
        match how.takes_turns {
            false => run(&mut el2, how)?,
            true => run(&mut el2.take_turns(), how)?,
        }
    }

    match (tally.leaks, tally.unnoticed) {
        (0, 0) => println!("no leak"),
        _ => {
            return Err(Error::Guest(
                "guests are not isolated, or it would not be seen",
            ));
        }
    }
    Ok(())
}

/// A way to have two guests on a CPU.
struct How {
    name: &'static str,
    extensions: Extensions,
    policy: Policy,
    takes_turns: bool,
}

const HOWS: &[How] = &[
    How {
        name: "nothing granted, FP with its first use:",
        extensions: Extensions::empty(),
        policy: POLICY,
        takes_turns: false,
    },
    How {
        name: "all granted, FP with each load, without the host's controls in between:",
        extensions: Extensions::all(),
        policy: Policy {
            fp: Fp::Eager,
            ..POLICY
        },
        takes_turns: true,
    },
];

/// Virtual interrupts, virtual timers.
const POLICY: Policy = Policy {
    interrupts: Interrupts::Virtual,
    timers: Timers::Virtual,
    wfi: Waits::Exit,
    wfe: Waits::Exit,
    fp: Fp::Lazy,
};

/// What was found.
#[derive(Default)]
struct Tally {
    leaks: usize,
    unnoticed: usize,
}

impl Tally {
    fn leak(&mut self, what: core::fmt::Arguments) {
        self.leaks += 1;
        if self.leaks <= SHOWN {
            println!("LEAK: {what}");
        }
    }
}

/// Returns the memories of two guests: a part of RAM for each.
fn stage2s(el2: &ThisCpu, ram: &GuestRam, frames: &mut Frames) -> Result<[Stage2; 2], Error> {
    const REQUEST: Request = Request {
        ipa: IpaBits::AtMost(40),
        ..Request::MOST
    };
    let geometry = Geometry::probe(&el2.ids().memory_model(), &REQUEST)?;
    let mut make = |number: u16| -> Result<Stage2, Error> {
        let vmid = Vmid::new(number + 1).ok_or(Error::Guest("0 is no VMID"))?;
        // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
        let memory = unsafe { LinearMap::new(0) };
        let mut table = Table::new(geometry, &mut *frames, memory)?;
        let start = ram.start() + u64::from(number) * GUEST_BYTES;
        // SAFETY: guest RAM, of which no borrow lives while a guest runs.
        let change = unsafe { table.map(Ipa(start), Pa(start), GUEST_BYTES, Attributes::RAM)? };
        change.defer(); // loading the vCPU publishes it: nothing walks the table before
        // SAFETY: the table is never released, for it is leaked here; each has its own VMID.
        Ok(unsafe { table.stage2(vmid)? })
    };
    Ok([make(0)?, make(1)?])
}

/// Everything that one guest can do to the other, and to the host.
struct Check<'c, 'm> {
    guests: Guests<'m>,
    host: &'c Host,
    tally: &'c mut Tally,
    takes_turns: bool,
}

impl Check<'_, '_> {
    fn run(&mut self, el2: &mut ThisCpu) -> Result<(), Error> {
        self.guests.write(el2, NOP, 0, |_| ())?;
        self.guests.read(el2, Reader::Full, None)?;
        self.guests.keep(Reader::Full)?;
        self.guests.learn_readable()?;
        self.guests.write(el2, NOP, 0, |_| ())?;
        self.guests.read(el2, Reader::Short, None)?;
        self.guests.keep(Reader::Short)?;
        let all = code::registers().count();
        println!("  readable: {} of {all} encodings", self.guests.readable());
        let granted = self.guests.granted(el2);
        let alone = granted.granted(IdRegisters::default().features());
        let by_grant = |reg: &SwitchedReg| reg.exists(granted) && !reg.exists(alone);
        if switched(el2).any(|reg| by_grant(&reg)) {
            print!("  switched by grant:");
            switched(el2)
                .filter(by_grant)
                .for_each(|reg| print!(" {}", reg.name()));
            println!();
        }

        for value in VALUES {
            self.by_table(el2, value)?;
        }
        println!("  by the table: {} rows", switched(el2).count());
        self.by_encoding(el2)?;
        self.leave_out(el2)
    }

    /// Writes what the table names, and what it does not need to.
    fn by_table(&mut self, el2: &mut ThisCpu, value: u64) -> Result<(), Error> {
        let flags = value & 0xf000_0000;
        self.guests.write(el2, NOP, value, |vcpu| {
            for n in 1..31 {
                vcpu.set_reg(Gpr::new(n), value);
            }
            vcpu.set_sp_el0(value);
            vcpu.set_thread_ids(value, value);
            vcpu.set_pstate(Pstate::from_bits_retain(flags | MASKED_EL1H));
        })?;
        self.read_after(el2, format_args!("general registers"), value)?;
        self.guests.write_fp(el2, value)?;
        self.read_after(el2, format_args!("FP registers"), value)?;
        for reg in switched(el2) {
            let hold = |vcpu: &mut Vcpu<_>| vcpu.set_sysreg(reg, value);
            self.guests.write(el2, NOP, value, hold)?;
            self.read_after(el2, format_args!("{}", reg.name()), value)?;
        }
        Ok(())
    }

    /// Writes every encoding there is.
    fn by_encoding(&mut self, el2: &mut ThisCpu) -> Result<(), Error> {
        let (mut written, mut took, mut wedged) = (0, 0, 0);
        for value in VALUES {
            let mut targets = code::everything().inspect(|_| written += 1);
            while let Some((reg, outcome)) = self.guests.write_next(el2, value, &mut targets)? {
                match outcome {
                    Outcome::Wedged => wedged += 1,
                    _ => took += 1,
                }
                self.read_after(el2, format_args!("{reg}"), value)?;
            }
            self.guests.read(el2, Reader::Full, None)?;
            self.compare(Reader::Full, format_args!("all encodings"), value)?;
        }
        println!(
            "  every encoding: {written} written, {took} did something, {wedged} wedged the guest"
        );
        Ok(())
    }

    /// Looks at the host, has the other guest read, and tells what differs.
    fn read_after(
        &mut self,
        el2: &mut ThisCpu,
        what: core::fmt::Arguments,
        value: u64,
    ) -> Result<(), Error> {
        if !self.takes_turns {
            let tally = &mut *self.tally;
            self.host.compare(|reg, before, now| {
                tally.leak(format_args!(
                    "the host's {reg} {before:#x} {now:#x} after {value:#x} in {what}"
                ));
            });
        }
        self.guests.read(el2, Reader::Short, None)?;
        self.compare(Reader::Short, what, value)
    }

    fn compare(
        &mut self,
        reader: Reader,
        what: core::fmt::Arguments,
        value: u64,
    ) -> Result<(), Error> {
        let tally = &mut *self.tally;
        self.guests.compare(reader, |word, before, now| {
            if !matches!(word, Word::Register(reg) if known::in_guest(reg).is_some()) {
                tally.leak(format_args!(
                    "{word} {before:#x} {now:#x} after {value:#x} in {what}"
                ));
            }
        })
    }

    /// Leaves each row of the table out of a load, and looks for it in what is read then.
    fn leave_out(&mut self, el2: &mut ThisCpu) -> Result<(), Error> {
        let (mut noticed, mut excused) = (0, 0);
        let granted = self.guests.granted(el2);
        for reg in switched(el2).filter(|reg| reg.exists(granted)) {
            let is_noticed = self.is_noticed(el2, reg)?;
            match (is_noticed, known::unnoticed(reg, self.takes_turns)) {
                (true, None) => noticed += 1,
                (false, Some(_)) => excused += 1,
                (true, Some(why)) => {
                    self.tally.unnoticed += 1;
                    println!("UNNOTICED: {} is seen, although {why}", reg.name());
                }
                (false, None) => {
                    self.tally.unnoticed += 1;
                    println!("UNNOTICED: {} left out", reg.name());
                }
            }
        }
        println!("  left out: {noticed} rows, each noticed by name; {excused} hold nothing");
        if self.guests.has_fp_from_load() {
            self.leave_out_fp(el2)?;
        }
        Ok(())
    }

    /// The same with the FP registers.
    fn leave_out_fp(&mut self, el2: &mut ThisCpu) -> Result<(), Error> {
        let mut noticed = [false; 32];
        for value in VALUES {
            self.guests.write_fp(el2, value)?;
            self.guests.read(el2, Reader::Short, Some(LeftOut::Fp))?;
            self.guests.compare(Reader::Short, |word, _, _| {
                if let Word::Q(n) = word {
                    noticed[n] = true;
                }
            })?;
        }
        if noticed != [true; 32] {
            self.tally.unnoticed += 1;
            println!("UNNOTICED: FP registers left out");
        }
        Ok(())
    }

    fn is_noticed(&mut self, el2: &mut ThisCpu, reg: SwitchedReg) -> Result<bool, Error> {
        let mut is_noticed = false;
        for value in VALUES {
            let value = self.guests.harmless(reg, value);
            let instruction = match reg.sysreg() {
                named if named.op1() < 4 && reg != SwitchedReg::MDSCR_EL1 => code::msr(named),
                _ => NOP,
            };
            let hold = |vcpu: &mut Vcpu<_>| vcpu.set_sysreg(reg, value);
            self.guests.write(el2, instruction, value, hold)?;
            self.guests
                .read(el2, Reader::Short, Some(LeftOut::Row(reg)))?;
            let shown = shown_as(reg);
            self.guests
                .compare(Reader::Short, |word, _, _| is_noticed |= word == shown)?;
        }
        Ok(is_noticed)
    }
}

/// Returns the rows of the table that this CPU has.
fn switched(el2: &ThisCpu) -> impl Iterator<Item = SwitchedReg> + use<> {
    let features = el2.ids().features();
    let rows = SwitchedReg::ALL.iter().copied();
    rows.filter(move |reg| reg.exists(features))
}

/// Returns as what a guest sees a row.
fn shown_as(reg: SwitchedReg) -> Word {
    const DISR_EL1: SysReg = SysReg::new(3, 0, 12, 1, 1);
    match reg {
        SwitchedReg::SP_EL1 => Word::Named("SP"),
        SwitchedReg::VDISR_EL2 => Word::Register(DISR_EL1),
        SwitchedReg::ELR_EL1 => Word::Named("ELR_EL1"),
        SwitchedReg::SPSR_EL1 => Word::Named("SPSR_EL1"),
        SwitchedReg::ESR_EL1 => Word::Named("ESR_EL1"),
        SwitchedReg::FAR_EL1 => Word::Named("FAR_EL1"),
        reg => Word::Register(reg.sysreg()),
    }
}
