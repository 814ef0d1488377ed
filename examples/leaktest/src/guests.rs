//! The two guests: one writes, the other reads all it can.

extern crate alloc;

use alloc::boxed::Box;
use core::mem;

use machine::{Error, GuestRam};
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Fp, Live, Vcpu, VcpuConfig, Vm};
use vcpu_hal::{Inject, Platform, irq::LeavePending, percpu::MpidrTable};
use vcpu_regs::{Features, Gpr, SveState, SwitchedReg, SwitchedState, SysReg};

use crate::{
    code::{self, DONE, EXCEPTION, STATE_WORDS, UNDEFINED, Word, Writer},
    left_out::{LeftOut, Stale},
    timer::Timer,
};

/// Bytes of RAM of each guest.
pub const GUEST_BYTES: u64 = 16 << 20;
/// In a guest's RAM: vectors, code, what is stored.
const VECTORS: u64 = 0;
/// The same again.
const OTHER_VECTORS: u64 = 0x800;
const CODE: u64 = 0x1000;
const FULL_READER: u64 = 0x10_0000;
const READER: u64 = 0x20_0000;
const SCRATCH: u64 = 0x30_0000;
const STORED: u64 = 0x40_0000;
/// FP, SVE and SME do not trap to EL1: CPACR_EL1.{FPEN, ZEN, SMEN}.
const CPACR: u64 = 3 << 20 | 3 << 16 | 3 << 24;
/// More exits than the code makes that ends by itself.
const EXITS: usize = 16;
/// More registers than one CPU lets a guest read.
const MOST: usize = 2048;

/// A host with one CPU, that acknowledges no interrupt.
pub struct OneCpu<I> {
    inject: I,
    affinity: MpidrTable<'static>,
}

impl<I> OneCpu<I> {
    /// Returns the host of QEMU's first CPU.
    pub const fn new(inject: I) -> Self {
        // SAFETY: this program runs guests on QEMU's first CPU, affinity 0, alone.
        let affinity = unsafe { MpidrTable::new(&[0]) };
        Self { inject, affinity }
    }
}

impl<I: Inject> Platform for OneCpu<I> {
    type Inject = I;
    type FetchIrq = LeavePending;
    type PerCpu = MpidrTable<'static>;

    fn inject(&self) -> &I {
        &self.inject
    }

    fn fetch_irq(&self) -> &LeavePending {
        &LeavePending
    }

    fn per_cpu(&self) -> &MpidrTable<'static> {
        &self.affinity
    }
}

/// This CPU, with the host of this program.
pub type ThisCpu<I> = El2<'static, OneCpu<I>, El2Cpu>;
/// A guest of it that is loaded.
pub type Loaded<'a, I> = Live<'a, 'static, OneCpu<I>, El2Cpu>;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest has no such register, or cannot write it.
    Undefined,
    /// It went on after it, or into an exception of its own.
    Done,
    /// It went nowhere: the host ended the run.
    Wedged,
}

/// Which registers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Every encoding.
    Full,
    /// Those that were there when all were.
    Short,
}

/// A guest that writes, and one that reads, in turns on one CPU.
pub struct Guests<'m> {
    ram: &'m mut GuestRam,
    timer: &'m Timer,
    writer: Vm,
    reader: Vm,
    config: VcpuConfig,
    /// Memory for the SVE registers of the one vCPU there is at a time.
    sve: Option<&'static mut SveState>,
    readable: [u16; MOST],
    count: usize,
}

impl<'m> Guests<'m> {
    /// Returns two guests in the first of guest RAM, one after the other.
    pub fn new(
        ram: &'m mut GuestRam,
        timer: &'m Timer,
        [writer, reader]: [Vm; 2],
        config: VcpuConfig,
    ) -> Result<Self, Error> {
        let [a, b] = [ram.start(), ram.start() + GUEST_BYTES];
        code::write_exception_vectors(ram, a + VECTORS)?;
        code::write_skipping_vectors(ram, b + VECTORS)?;
        code::write_skipping_vectors(ram, b + OTHER_VECTORS)?;
        code::write_state_reader(ram, b + CODE)?;
        code::write_reader(ram, b + FULL_READER, code::registers())?;
        Ok(Self {
            ram,
            timer,
            writer,
            reader,
            config,
            sve: Some(Box::leak(Box::default())),
            readable: [0; MOST],
            count: 0,
        })
    }

    /// What of this CPU's features is switched for the guests.
    pub fn granted<I: Inject>(&self, el2: &ThisCpu<I>) -> Features {
        el2.ids().features().granted(self.reader.ids().features())
    }

    /// Returns whether the guests are told of the feature that brings `reg`.
    pub fn is_shown(&self, reg: SysReg) -> bool {
        let row = SysReg::fates().find(|row| row.contains(reg));
        let feature = row.and_then(|row| row.feature);
        feature.is_some_and(|feature| feature.is_in(self.reader.ids()))
    }

    /// Returns whether the reading guest executed an instruction of SVE, and whether it is to.
    pub fn has_vectors(&self) -> Result<[bool; 2], Error> {
        let executed = self.word(code::PROBES_AT, self.stored())? != UNDEFINED;
        Ok([executed, self.reader.ids().features().sve()])
    }

    /// Returns whether a load brings the FP registers.
    pub fn has_fp_from_load(&self) -> bool {
        self.config.policy.fp == Fp::Eager
    }

    /// Returns a value with which the reading guest goes on working, where that row of the table
    /// is left out: `value`, but where the guest runs by the register itself.
    pub fn harmless(&self, reg: SwitchedReg, value: u64) -> u64 {
        /// Traps of EL0, which is not in use (SCTLR_EL1.UCI), and of trace (CPACR_EL1.TTA).
        const UCI: u64 = 1 << 26;
        const TTA: u64 = 1 << 28;
        let reset = SwitchedState::default().get(reg);
        match reg {
            SwitchedReg::SCTLR_EL1 => reset ^ UCI,
            SwitchedReg::CPACR_EL1 => CPACR ^ TTA,
            SwitchedReg::VBAR_EL1 => self.ram.start() + GUEST_BYTES + OTHER_VECTORS,
            _ => value,
        }
    }

    /// Returns the registers that the reading guest can read.
    pub fn readable(&self) -> impl Iterator<Item = SysReg> {
        let readable = self.readable[..self.count].iter();
        readable.map(|&bits| SysReg::from_bits(bits))
    }

    /// Finds out which registers there are, from what a full reading stored.
    pub fn learn_readable(&mut self) -> Result<(), Error> {
        let b = self.ram.start() + GUEST_BYTES;
        self.count = 0;
        for (index, reg) in code::registers().enumerate() {
            if self.word(STATE_WORDS + index, b + STORED)? == UNDEFINED {
                continue;
            }
            let place = self.readable.get_mut(self.count);
            *place.ok_or(Error::Guest("more registers than expected"))? = reg.bits();
            self.count += 1;
        }
        let readable = self.readable;
        let registers = readable[..self.count]
            .iter()
            .map(|&bits| SysReg::from_bits(bits));
        code::write_reader(self.ram, b + READER, registers)
    }

    /// Has a new vCPU read everything; `left_out` is what the load before it leaves as it is.
    pub fn read<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        reader: Reader,
        left_out: Option<LeftOut>,
    ) -> Result<(), Error> {
        let b = self.ram.start() + GUEST_BYTES;
        let code = match reader {
            Reader::Full => b + FULL_READER,
            Reader::Short => b + READER,
        };
        let mut vcpu = new_vcpu(&self.config, b, CODE);
        self.lend(&mut vcpu);
        let operands = [(1, b + STORED), (5, b + SCRATCH), (6, code), (7, UNDEFINED)];
        for (n, value) in operands {
            vcpu.set_reg(Gpr::new(n), value);
        }
        let stale = Stale::take(el2, left_out);
        let mut live = vcpu.load(el2, &self.reader)?;
        stale.put_back(&mut live);
        loop {
            match live.run() {
                Exit::Hypercall(call) if call.imm() == DONE => break,
                exit @ (Exit::SysReg(_) | Exit::Other(_)) => live.reflect(exit),
                exit => {
                    machine::println!("LEAK: {exit} at {:#x}", live.pc());
                    return Err(Error::Guest("the reading guest went astray"));
                }
            }
        }
        drop(live);
        self.sve = vcpu.take_sve();
        Ok(())
    }

    /// Gives a vCPU the memory for its SVE registers, all zero.
    fn lend<I: Inject>(&mut self, vcpu: &mut Vcpu<OneCpu<I>>) {
        if let Some(state) = self.sve.take() {
            state.clear();
            vcpu.lend_sve(state);
        }
    }

    /// Has a new vCPU do `instruction` with `value` in x0, after `prepare`.
    pub fn write<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        instruction: u32,
        value: u64,
        prepare: impl FnOnce(&mut Vcpu<OneCpu<I>>),
    ) -> Result<Outcome, Error> {
        let a = self.ram.start();
        write_code(self.ram, instruction)?;
        let mut vcpu = new_vcpu(&self.config, a, CODE);
        self.lend(&mut vcpu);
        vcpu.set_reg(Gpr::X0, value);
        prepare(&mut vcpu);
        self.run_writer(el2, &mut vcpu)
    }

    /// Has a new vCPU write `value` to one of `targets` after another, until one takes effect; returns
    /// which, and whether it was written then.
    pub fn write_next<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        value: u64,
        targets: &mut impl Iterator<Item = SysReg>,
    ) -> Result<Option<(SysReg, Outcome)>, Error> {
        let a = self.ram.start();
        let mut vcpu = new_vcpu(&self.config, a, CODE);
        self.lend(&mut vcpu);
        vcpu.set_reg(Gpr::X0, value);
        let (entry, pstate) = (vcpu.pc(), vcpu.pstate());
        let mut found = None;
        let mut live = vcpu.load(el2, &self.writer)?;
        for target in targets {
            write_code(self.ram, code::msr(target))?;
            live.set_pc(entry);
            live.set_pstate(pstate);
            self.timer.start();
            let outcome = run_writer(&mut live, entry, self.timer);
            self.timer.stop();
            if outcome != Outcome::Undefined {
                found = Some((target, outcome));
                break;
            }
        }
        drop(live);
        self.sve = vcpu.take_sve();
        Ok(found)
    }

    /// Has a new vCPU fill its FP registers with `value`.
    pub fn write_fp<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        value: u64,
    ) -> Result<Outcome, Error> {
        let a = self.ram.start();
        code::write_fp_filler(self.ram, a + CODE)?;
        let mut vcpu = new_vcpu(&self.config, a, CODE);
        self.lend(&mut vcpu);
        vcpu.set_reg(Gpr::X0, value);
        vcpu.set_reg(Gpr::X5, a + SCRATCH);
        self.run_writer(el2, &mut vcpu)
    }

    fn run_writer<I: Inject>(
        &mut self,
        el2: &mut ThisCpu<I>,
        vcpu: &mut Vcpu<OneCpu<I>>,
    ) -> Result<Outcome, Error> {
        let entry = vcpu.pc();
        let mut live = vcpu.load(el2, &self.writer)?;
        self.timer.start();
        let outcome = run_writer(&mut live, entry, self.timer);
        self.timer.stop();
        drop(live);
        self.sve = vcpu.take_sve();
        Ok(outcome)
    }

    /// Keeps what was read as that with which later readings are compared.
    pub fn keep(&mut self, reader: Reader) -> Result<(), Error> {
        let (from, to) = (self.stored(), self.kept(reader));
        let bytes = self.words(reader) as u64 * 8;
        let all = self.ram.bytes_mut(from..to + bytes)?;
        all.copy_within(..bytes as usize, (to - from) as usize);
        Ok(())
    }

    /// Calls `differs` for each word that is not as it was kept, with it before and now.
    pub fn compare(
        &self,
        reader: Reader,
        mut differs: impl FnMut(Word, u64, u64),
    ) -> Result<(), Error> {
        let (now, before) = (self.stored(), self.kept(reader));
        for index in 0..self.words(reader) {
            let (before, now) = (self.word(index, before)?, self.word(index, now)?);
            if before != now {
                differs(self.name(reader, index), before, now);
            }
        }
        Ok(())
    }

    /// How many words a reading stores.
    fn words(&self, reader: Reader) -> usize {
        STATE_WORDS
            + match reader {
                Reader::Full => code::registers().count(),
                Reader::Short => self.count,
            }
    }

    fn name(&self, reader: Reader, index: usize) -> Word {
        match index.checked_sub(STATE_WORDS) {
            None => Word::of_state(index),
            Some(index) => Word::Register(match reader {
                Reader::Full => SysReg::from_bits((2 << 14) + index as u16),
                Reader::Short => SysReg::from_bits(self.readable[index]),
            }),
        }
    }

    fn stored(&self) -> u64 {
        self.ram.start() + GUEST_BYTES + STORED
    }

    /// Above both guests, where stage 2 maps nothing.
    fn kept(&self, reader: Reader) -> u64 {
        self.ram.start()
            + 2 * GUEST_BYTES
            + match reader {
                Reader::Full => 0,
                Reader::Short => 1 << 20,
            }
    }

    fn word(&self, index: usize, table: u64) -> Result<u64, Error> {
        let at = table + index as u64 * 8;
        let bytes = self.ram.bytes(at..at + 8)?;
        let word: [u8; 8] = bytes.try_into().map_err(|_| Error::Guest("eight bytes"))?;
        Ok(u64::from_le_bytes(word))
    }
}

/// Writes the code of the writing guest.
fn write_code(ram: &mut GuestRam, instruction: u32) -> Result<(), Error> {
    let start = ram.start() + CODE;
    let mut code = Writer::new(ram, start);
    code.word(instruction)?;
    code.word(code::hvc(DONE))?;
    code.finish()
}

/// A vCPU after reset, with the vectors and the code of the guest whose RAM starts at `ram`.
fn new_vcpu<I: Inject>(config: &VcpuConfig, ram: u64, code: u64) -> Vcpu<OneCpu<I>> {
    let mut vcpu = Vcpu::new(config);
    vcpu.set_pc(ram + code);
    vcpu.set_sysreg(SwitchedReg::VBAR_EL1, ram + VECTORS);
    vcpu.set_sysreg(SwitchedReg::CPACR_EL1, CPACR);
    vcpu
}

/// Runs the writing guest until its code is over, or cannot be.
fn run_writer<I: Inject>(live: &mut Loaded<'_, I>, entry: u64, timer: &Timer) -> Outcome {
    /// The class of an undefined instruction, of ESR_EL1.
    const UNKNOWN: u64 = 0;
    let mut is_late = false;
    for _ in 0..EXITS {
        match live.run() {
            Exit::Hypercall(call) if call.imm() == DONE => return Outcome::Done,
            Exit::Hypercall(call) if call.imm() == EXCEPTION => {
                let class = live.sysreg(SwitchedReg::ESR_EL1) >> 26;
                let is_undefined = class == UNKNOWN && live.sysreg(SwitchedReg::ELR_EL1) == entry;
                return match is_undefined {
                    true => Outcome::Undefined,
                    false => Outcome::Done,
                };
            }
            // The timer may have come before the guest could begin, or be done.
            Exit::Irq(_) if live.pc() == entry => timer.start(),
            Exit::Irq(_) if !mem::replace(&mut is_late, true) => timer.start(),
            Exit::Irq(_) => return Outcome::Wedged,
            exit => live.reflect(exit),
        }
    }
    Outcome::Wedged
}
