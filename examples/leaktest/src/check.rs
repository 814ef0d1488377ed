//! What the two guests do to each other, and what is made of it.

use machine::{Error, print, println};
use vcpu_core::Vcpu;
use vcpu_hal::{
    Inject,
    inject::{CpuInterface, VirtualInterrupt},
};
use vcpu_regs::{Fate, Gpr, IchReg, IdRegisters, Intid, Pstate, SwitchedReg, SysReg};

use crate::{
    code::{self, Word},
    guests::{Guests, Outcome, Reader, ThisCpu},
    host::Host,
    known,
    left_out::LeftOut,
};

/// What the writing guest writes: every bit once as 0 and once as 1. Neither is a PSCI call.
pub const VALUES: [u64; 2] = [0x5a5a_5a5a_5a5a_5a5a, !0x5a5a_5a5a_5a5a_5a5a];
/// An instruction that does nothing.
const NOP: u32 = 0xd503_201f;
/// An interrupt of the writing guest.
const INTID: Intid = Intid(40);
/// EL1h, D, A, I and F masked.
const MASKED_EL1H: u64 = 0x3c5;
/// Leaks that are told of; the rest is only counted.
const SHOWN: usize = 100;

/// What was found.
#[derive(Default)]
pub struct Tally {
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

    /// Says how it went.
    pub fn verdict(&self) -> Result<(), Error> {
        if self.leaks + self.unnoticed != 0 {
            return Err(Error::Guest(
                "guests are not isolated, or it would not be seen",
            ));
        }
        println!("no leak");
        Ok(())
    }
}

/// Everything that one guest can do to the other, and to the host.
pub struct Check<'c, 'm> {
    pub guests: Guests<'m>,
    pub host: &'c Host,
    pub tally: &'c mut Tally,
    pub takes_turns: bool,
}

impl Check<'_, '_> {
    /// Tries all of it.
    pub fn run<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
        self.guests.write(el2, NOP, 0, |_| ())?;
        self.guests.read(el2, Reader::Full, None)?;
        self.guests.keep(Reader::Full)?;
        self.guests.learn_readable()?;
        self.guests.write(el2, NOP, 0, |_| ())?;
        self.guests.read(el2, Reader::Short, None)?;
        self.guests.keep(Reader::Short)?;
        let all = code::registers().count();
        println!(
            "  readable: {} of {all} encodings",
            self.guests.readable().count()
        );
        self.ask_fates(has_interface::<I>());
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

        let [executed, shown] = self.guests.has_vectors()?;
        if executed != shown {
            self.tally
                .leak(format_args!("SVE is executed: {executed}, shown: {shown}"));
        }
        for value in VALUES {
            self.by_table(el2, value)?;
        }
        self.write_pending(el2)?;
        self.read_after(el2, format_args!("a pending interrupt"), 0)?;
        println!("  by the table: {} rows", switched(el2).count());
        self.by_encoding(el2)?;
        self.leave_out(el2)
    }

    /// Holds what the guest can read against the fates: nothing that should trap, nothing unheard of.
    fn ask_fates(&mut self, has_interface: bool) {
        for reg in self.guests.readable() {
            let fate = reg.fate();
            let is_expected = match fate {
                Some(Fate::Trapped(_)) => self.guests.is_shown(reg),
                None | Some(Fate::Undefined(_) | Fate::Unknown(_)) => false,
                Some(Fate::Interface(_)) => has_interface,
                Some(_) => true,
            };
            if !is_expected && known::untrapped(fate).is_none() {
                self.tally
                    .leak(format_args!("{reg} can be read, but its fate is {fate:?}"));
            }
        }
    }

    /// Writes what the table names, and what it does not need to.
    fn by_table<I: Inject>(&mut self, el2: &mut ThisCpu<I>, value: u64) -> Result<(), Error> {
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
    fn by_encoding<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
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
    fn read_after<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
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
    fn leave_out<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
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
        if has_interface::<I>() {
            self.leave_out_interface(el2)?;
        }
        Ok(())
    }

    /// The same with the registers of the virtual CPU interface.
    fn leave_out_interface<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
        /// ICH_VMCR_EL2 holds several registers of the guest: this is one.
        const ICC_CTLR_EL1: SysReg = SysReg::new(3, 0, 12, 12, 4);
        const ICC_IAR1_EL1: SysReg = SysReg::new(3, 0, 12, 12, 0);
        const ICC_AP0R0_EL1: SysReg = SysReg::new(3, 0, 12, 8, 4);
        const ICC_AP1R0_EL1: SysReg = SysReg::new(3, 0, 12, 9, 0);
        for (left_out, shown) in [
            (IchReg::Vmcr, ICC_CTLR_EL1),
            (IchReg::Ap0r(0), ICC_AP0R0_EL1),
            (IchReg::Ap1r(0), ICC_AP1R0_EL1),
        ] {
            let mut is_noticed = false;
            for value in VALUES {
                self.guests.write(el2, code::msr(shown), value, |_| ())?;
                let left_out = Some(LeftOut::Interface(left_out));
                self.guests.read(el2, Reader::Short, left_out)?;
                self.guests.compare(Reader::Short, |word, _, _| {
                    is_noticed |= word == Word::Register(shown);
                })?;
            }
            self.is_missed(is_noticed, left_out);
        }
        let mut is_noticed = false;
        self.write_pending(el2)?;
        let left_out = IchReg::Lr(0);
        self.guests
            .read(el2, Reader::Short, Some(LeftOut::Interface(left_out)))?;
        self.guests.compare(Reader::Short, |word, _, _| {
            is_noticed |= word == Word::Register(ICC_IAR1_EL1);
        })?;
        self.is_missed(is_noticed, left_out);
        Ok(())
    }

    fn is_missed(&mut self, is_noticed: bool, left_out: IchReg) {
        if !is_noticed {
            self.tally.unnoticed += 1;
            println!("UNNOTICED: {left_out:?} left out");
        }
    }

    /// Has the writing guest an interrupt that it does not take.
    fn write_pending<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
        let host = el2.host();
        let mut is_there = Ok(());
        self.guests.write(el2, NOP, 0, |vcpu| {
            is_there = vcpu
                .inject_irq(host, VirtualInterrupt::edge(INTID))
                .map(|_| ());
        })?;
        is_there.map_err(|_| Error::Guest("the interrupt was not taken"))
    }

    /// The same with the FP registers.
    fn leave_out_fp<I: Inject>(&mut self, el2: &mut ThisCpu<I>) -> Result<(), Error> {
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

    fn is_noticed<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        reg: SwitchedReg,
    ) -> Result<bool, Error> {
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
fn switched<I: Inject>(el2: &ThisCpu<I>) -> impl Iterator<Item = SwitchedReg> + use<I> {
    let features = el2.ids().features();
    let rows = SwitchedReg::ALL.iter().copied();
    rows.filter(move |reg| reg.exists(features))
}

/// Returns as what a guest sees a row.
fn shown_as(reg: SwitchedReg) -> Word {
    const DISR_EL1: SysReg = SysReg::new(3, 0, 12, 1, 1);
    match reg {
        SwitchedReg::ZCR_EL1 => Word::Named("ZCR_EL1"),
        SwitchedReg::SP_EL1 => Word::Named("SP"),
        SwitchedReg::VDISR_EL2 => Word::Register(DISR_EL1),
        SwitchedReg::ELR_EL1 => Word::Named("ELR_EL1"),
        SwitchedReg::SPSR_EL1 => Word::Named("SPSR_EL1"),
        SwitchedReg::ESR_EL1 => Word::Named("ESR_EL1"),
        SwitchedReg::FAR_EL1 => Word::Named("FAR_EL1"),
        reg => Word::Register(reg.sysreg()),
    }
}

/// Returns whether guests have the registers of a CPU interface.
fn has_interface<I: Inject>() -> bool {
    I::CPU_INTERFACE == CpuInterface::SystemRegisters
}
