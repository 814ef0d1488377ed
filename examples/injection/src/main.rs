//! Compares exceptions that the host injects with those that the CPU takes itself, for the same
//! instruction in the same state: every register that a handler could look at.

#![no_std]
#![no_main]

use machine::{Error, GuestMemory, Machine, SingleCpu, guest_code, println};
use vcpu_core::{El2, Exit, Live, Vcpu, VcpuConfig, Vm};
use vcpu_exits::SError;
use vcpu_hal::Cpu;
use vcpu_regs::{Esr, Features, Gpr, IdRegisters, Intid, Pstate, SwitchedReg, Vmid};
use vcpu_stage2::Attributes;

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();

guest_code! {
    /// The guest's vectors: each tells which one it is.
    vectors:
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "hvc #(0x100 + \\n)",
    ".zero 124",
    ".endr",
}

guest_code! {
    /// One instruction of each kind, then whatever unmasks.
    instructions:
    ".inst 0", // udf #0
    "ldr w0, [x1]",
    "str w0, [x1]",
    "msr daifclr, #7", // A, I and F
    "b .",
    "hvc #1",
}

const UNDEFINED: u64 = 0;
const LOAD: u64 = 4;
const STORE: u64 = 8;
const UNMASK: u64 = 12;
const CALL: u64 = 20;

/// Addresses that nothing of the machine answers; stage 2 maps the first page and not the second.
const NOBODY: u64 = 0x0b00_0000;
const HOLE: u64 = 0x0b00_1000;

/// What a handler finds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Taken {
    vector: u16,
    esr: u64,
    /// Of an abort alone: otherwise it keeps what it was.
    far: u64,
    elr: u64,
    spsr: u64,
    /// Without NZCV: the architecture leaves them as they were, QEMU 7.2 clears them.
    pstate: u64,
}

const NZCV: u64 = 0xf << 28;

/// SCTLR_EL1: SPAN and DSSBS.
const SCTLR: [u64; 4] = [0, 1 << 23, 1 << 44, 1 << 44 | 1 << 23];

type Guest<'a, 'h, C> = Live<'a, 'h, SingleCpu, C>;

/// Puts the guest before an instruction at `pc`, with `x1` the address it uses.
fn start<C: Cpu>(live: &mut Guest<'_, '_, C>, pc: u64, x1: u64, pstate: u64, sctlr: u64) {
    live.set_pc(pc);
    live.set_pstate(Pstate::from_bits_retain(pstate));
    live.set_reg(Gpr::X1, x1);
    let reset = 0x30c5_0830 & !SCTLR[3];
    live.set_sysreg(SwitchedReg::SCTLR_EL1, reset | sctlr);
    for reg in [SwitchedReg::ESR_EL1, SwitchedReg::FAR_EL1] {
        live.set_sysreg(reg, 0x5a5a);
    }
}

/// Runs up to the guest's handler.
fn handler<C: Cpu>(live: &mut Guest<'_, '_, C>) -> Result<Taken, Error> {
    match live.run() {
        Exit::Hypercall(call) if call.imm() & 0xff00 == 0x100 => {
            let reg = |reg| live.sysreg(reg);
            Ok(Taken {
                vector: call.imm() & 0xff,
                esr: reg(SwitchedReg::ESR_EL1),
                far: reg(SwitchedReg::FAR_EL1),
                elr: reg(SwitchedReg::ELR_EL1),
                spsr: reg(SwitchedReg::SPSR_EL1),
                pstate: live.pstate().bits() & !NZCV,
            })
        }
        exit => {
            println!("DIFFERS: {exit} instead of an exception");
            Err(Error::Guest("the guest took no exception"))
        }
    }
}

/// Bits of PSTATE that the CPU has, beside the modes: NZCV, PAN, DIT, SSBS and the masks.
fn pstates(ids: &IdRegisters) -> impl Iterator<Item = u64> {
    let pan = if ids.has_pan() { 1 << 22 } else { 0 };
    let ssbs = if ids.has_ssbs() { 1 << 12 } else { 0 };
    let bits = [0, 0xa << 28, pan, ssbs, 0x3c0, 0x140 | pan | ssbs | 5 << 28];
    // EL0, EL1 on SP_EL0, EL1 on its own.
    [0b0000, 0b0100, 0b0101]
        .into_iter()
        .flat_map(move |mode| bits.map(|bits| bits | mode))
}

/// Compares the two ways in every state; returns how many exceptions were compared.
fn compare<C: Cpu>(
    live: &mut Guest<'_, '_, C>,
    name: &str,
    mut native: impl FnMut(&mut Guest<'_, '_, C>, u64, u64) -> Result<Taken, Error>,
    mut injected: impl FnMut(&mut Guest<'_, '_, C>, u64, u64) -> Result<Taken, Error>,
) -> Result<(), Error> {
    let ids = live.vm().ids();
    let mut count = 0;
    for pstate in pstates(ids) {
        for sctlr in SCTLR {
            let (native, injected) = (native(live, pstate, sctlr)?, injected(live, pstate, sctlr)?);
            if native != injected {
                println!("DIFFERS: {name} from {pstate:#x} with SCTLR {sctlr:#x}");
                println!("  the CPU:  {native:x?}");
                println!("  injected: {injected:x?}");
                return Err(Error::Guest("an injected exception differs"));
            }
            count += 1;
        }
    }
    println!("{name}: {count} states");
    Ok(())
}

fn main(mut machine: Machine) -> Result<(), Error> {
    let mut el2 = El2::enable(&HOST)?;
    let ram = machine.ram.start();
    let code = ram + 0x1000;
    machine.ram.load(ram, vectors())?;
    machine.ram.load(code, instructions())?;
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(ram..machine.ram.end())?;
    // SAFETY: neither a device nor memory of the machine is there.
    unsafe { memory.map(NOBODY, NOBODY..HOLE, Attributes::RAM)? };
    let vm = Vm::new(&el2, memory.finish(Vmid::FIRST)?);
    let features = el2.ids().features();

    let mut vcpu = Vcpu::new(&VcpuConfig::default());
    vcpu.set_sysreg(SwitchedReg::VBAR_EL1, ram);
    let mut live = vcpu.load(&mut el2, &vm)?;
    compare(
        &mut live,
        "undefined instruction",
        |live, pstate, sctlr| {
            start(live, code + UNDEFINED, 0, pstate, sctlr);
            handler(live)
        },
        |live, pstate, sctlr| {
            start(live, code + UNDEFINED, 0, pstate, sctlr);
            live.inject_undefined();
            handler(live)
        },
    )?;
    for (name, instruction) in [("load", LOAD), ("store", STORE)] {
        compare(
            &mut live,
            name,
            |live, pstate, sctlr| {
                start(live, code + instruction, NOBODY + 8, pstate, sctlr);
                // The address is the other one's.
                let taken = handler(live)?;
                Ok(Taken {
                    far: taken.far + (HOLE - NOBODY),
                    ..taken
                })
            },
            |live, pstate, sctlr| {
                start(live, code + instruction, HOLE + 8, pstate, sctlr);
                let exit = live.run();
                live.reflect(exit);
                handler(live)
            },
        )?;
    }
    compare(
        &mut live,
        "fetch",
        |live, pstate, sctlr| {
            start(live, NOBODY + 8, 0, pstate, sctlr);
            let taken = handler(live)?;
            Ok(Taken {
                far: taken.far + (HOLE - NOBODY),
                elr: taken.elr + (HOLE - NOBODY),
                ..taken
            })
        },
        |live, pstate, sctlr| {
            start(live, HOLE + 8, 0, pstate, sctlr);
            let exit = live.run();
            live.reflect(exit);
            handler(live)
        },
    )?;
    serror(&mut live, code, features)?;
    interrupt(&mut live, code)?;
    if features.ras() {
        deferred(&mut live, code)?;
    }
    println!("all as the CPU takes them");
    Ok(())
}

/// A virtual SError waits while it is masked, and is taken by the instruction after the unmasking.
fn serror<C: Cpu>(live: &mut Guest<'_, '_, C>, code: u64, features: Features) -> Result<(), Error> {
    let syndrome = Esr(0x2f << 26 | 1 << 25 | 1 << 24 | 0xabcd);
    start(live, code + UNMASK, 0, 0x3c5, 0);
    live.inject_serror(SError::decode(syndrome));
    let taken = handler(live)?;
    let iss = if features.ras() {
        syndrome.0 & 0x1ff_ffff
    } else {
        taken.esr & 0x1ff_ffff
    };
    let expected = Taken {
        vector: 7,
        esr: 0x2f << 26 | 1 << 25 | iss,
        far: 0x5a5a,
        elr: code + UNMASK + 4,
        spsr: 0x205, // D stays
        pstate: taken.pstate & !0x3cf | 0x3c5,
    };
    if taken != expected || live.serror_pending() {
        println!("DIFFERS: {taken:x?}");
        println!("  wanted {expected:x?}");
        return Err(Error::Guest("a virtual SError differs"));
    }
    println!("SError: {:#x}", taken.esr);
    Ok(())
}

/// An error that the barrier at an exit finds ends the run instead of the exit, which comes after.
///
/// QEMU has no errors to find: DISR_EL1 is written, as the barrier would.
fn deferred<C: Cpu>(live: &mut Guest<'_, '_, C>, code: u64) -> Result<(), Error> {
    let found: u64 = 1 << 31 | 1 << 24 | 0x4321;
    for (instruction, past) in [(LOAD, 0), (CALL, 4)] {
        start(live, code + instruction, HOLE, 0x3c5, 0);
        // SAFETY: DISR_EL1, at EL2 on a CPU with FEAT_RAS: a record, nothing more.
        unsafe { core::arch::asm!("msr S3_0_C12_C1_1, {}", in(reg) found) };
        let first = live.run();
        let at = live.pc();
        let second = live.run();
        let fits = match (first, second) {
            (Exit::SError(serror), Exit::Mmio(_) | Exit::Hypercall(_)) => {
                serror.encode().0 == 0x2f << 26 | 1 << 25 | found & 0x1ff_ffff
            }
            _ => false,
        };
        if !fits || at != code + instruction || live.pc() != at + past {
            println!("DIFFERS: PC {at:#x}, then {:#x}", live.pc());
            return Err(Error::Guest("an error was not told, or lost an exit"));
        }
    }
    println!("outstanding error: told, and the exit came after it");
    Ok(())
}

/// So does a virtual IRQ, while its line is high.
fn interrupt<C: Cpu>(live: &mut Guest<'_, '_, C>, code: u64) -> Result<(), Error> {
    start(live, code + UNMASK, 0, 0x3c5, 0);
    let intid = Intid(27);
    live.inject_irq(intid)
        .map_err(|_| Error::Guest("the line takes no interrupt"))?;
    let taken = handler(live)?;
    live.retract_irq(intid);
    let expected = Taken {
        vector: 5,
        esr: 0x5a5a,
        far: 0x5a5a,
        elr: code + UNMASK + 4,
        spsr: 0x205,
        pstate: taken.pstate & !0x3cf | 0x3c5,
    };
    if taken != expected {
        println!("DIFFERS: {taken:x?}");
        println!("  wanted {expected:x?}");
        return Err(Error::Guest("a virtual IRQ differs"));
    }
    println!("IRQ: vector {:#x}", taken.vector * 0x80);
    Ok(())
}
