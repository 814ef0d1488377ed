//! Checks what a world switch must keep, with the CPU itself as the judge: the guest's registers
//! into it and back, the host's own around it, the EL2 controls after it.

#![no_std]
#![no_main]

mod guest;
mod host;
mod sve;

use core::num::NonZeroU8;

use aarch64_cpu::registers::{DAIF, Readable, TPIDR_EL1, VBAR_EL2, Writeable};
use guest::{FP, HOLE, PIECES, POINTER, Piece};
use machine::{Error, GuestMemory, Machine, SingleCpu, println};
use vcpu_core::{El2, Exit, ExitOf, Live, Policy, Vcpu, VcpuConfig, Vm, Vmids};
use vcpu_hal::{BranchHistory, Cpu};
use vcpu_regs::{Gpr, Pstate, SwitchedReg};

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();
static VMIDS: Option<Vmids> = Vmids::new(8);

/// Guest code lies this far apart.
const STRIDE: u64 = 0x1000;

fn main(mut machine: Machine) -> Result<(), Error> {
    let vmids = VMIDS.as_ref().ok_or(Error::Guest("too few VMIDs"))?;
    // SAFETY: the only CPU, and no stage 2 of this program has a VMID of its own.
    let mut el2 = unsafe { El2::enable(&HOST)?.with_vmids(vmids) };
    if cfg!(target_feature = "neon") {
        println!("the host has FP registers of its own");
    }
    let start = machine.ram.start();
    let codes = PIECES.iter().map(|piece| piece.code).chain([FP, sve::SVE]);
    for (at, code) in (start..).step_by(STRIDE as usize).zip(codes) {
        machine.ram.load(at, code())?;
    }
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(start..machine.ram.end())?;
    let stage2 = memory.finish_unnumbered()?;
    let vm = Vm::new(&el2, stage2);

    let before = host::controls();
    let mut check = Check::default();
    // However exits are guarded: QEMU's firmware knows no such function, which guests do not notice.
    let guards = [
        BranchHistory::Keep,
        BranchHistory::Loop(NonZeroU8::MIN.saturating_add(23)),
        BranchHistory::Instruction,
        BranchHistory::Firmware,
    ];
    let mut vcpus = guards.map(|branch_history| {
        Vcpu::new(&VcpuConfig {
            policy: Policy {
                branch_history,
                ..Policy::VIRTUAL
            },
            ..VcpuConfig::default()
        })
    });
    for (entry, piece) in (start..).step_by(STRIDE as usize).zip(PIECES) {
        // Every mask of the host, and through a load and a put each time.
        for daif in (0..16).map(|masks| masks << 6) {
            // Read by the load, for all runs until the put.
            TPIDR_EL1.set(!pattern(daif, 13));
            for vcpu in &mut vcpus {
                check.run(&mut vcpu.load(&mut el2, &vm)?, piece, entry, daif);
            }
            for ((name, before), (_, after)) in before.iter().zip(host::controls()) {
                check.equal(name, after, *before);
            }
        }
        println!("{}: {} words", piece.name, check.take());
    }
    let entry = start + PIECES.len() as u64 * STRIDE;
    let other = Vm::new(&el2, stage2);
    let mut guests = [0, 1].map(|_| Vcpu::new(&VcpuConfig::default()));
    fp(&mut check, &mut guests, &mut el2, [&vm, &other], entry)?;
    println!("FP: {} words", check.take());
    let mut turns = el2.take_turns();
    // The second time, all that could be prepared is.
    for _ in 0..2 {
        fp(&mut check, &mut guests, &mut turns, [&vm, &other], entry)?;
    }
    drop(turns);
    for ((name, before), (_, after)) in before.iter().zip(host::controls()) {
        check.equal(name, after, *before);
    }
    println!("FP in turns: {} words", check.take());
    switched(&mut check, &mut el2, &vm)?;
    println!("switched registers: {} words", check.take());
    let entry = entry + STRIDE;
    sve::check(&mut check, &mut el2, stage2, &mut machine.ram, entry)?;
    for ((name, before), (_, after)) in before.iter().zip(host::controls()) {
        check.equal(name, after, *before);
    }

    match check.lost {
        0 => println!("nothing was lost"),
        _ => return Err(Error::Guest("a world switch lost registers")),
    }
    Ok(())
}

/// A value of its own for each of many words, all 64 bits of it.
fn pattern(salt: u64, index: usize) -> u64 {
    (salt << 8 | index as u64 | 1 << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Counts the words that were compared, and those that differed.
#[derive(Default)]
struct Check {
    compared: u64,
    lost: u64,
}

/// A run, for a C function to make.
struct Run<'r, 'a, 'h, C: Cpu> {
    live: &'r mut Live<'a, 'h, SingleCpu, C>,
    exit: Option<ExitOf<SingleCpu>>,
}

unsafe extern "C" fn run<C: Cpu>(argument: *mut ()) {
    // SAFETY: `Check::run` passes a `Run` of the same `C`, borrowed for the call.
    let run = unsafe { &mut *argument.cast::<Run<'_, '_, '_, C>>() };
    run.exit = Some(run.live.run());
}

impl Check {
    fn equal(&mut self, name: &str, found: u64, expected: u64) {
        self.compared += 1;
        if found != expected {
            self.lost += 1;
            println!("LOST: {name} is {found:#x}, was {expected:#x}");
        }
    }

    fn take(&mut self) -> u64 {
        core::mem::take(&mut self.compared)
    }

    fn run<C: Cpu>(
        &mut self,
        live: &mut Live<'_, '_, SingleCpu, C>,
        piece: &Piece,
        entry: u64,
        daif: u64,
    ) {
        let given = |index: usize| match index {
            _ if index == usize::from(POINTER) => !HOLE,
            _ => pattern(daif, index),
        };
        for n in 0..31 {
            live.set_reg(Gpr::new(n), given(usize::from(n)));
        }
        live.set_sp_el0(given(31));
        live.set_thread_ids(given(32), given(33));
        live.set_pc(entry);
        // Flags that nothing in the guest changes.
        let pstate = 0xb << 28 | 0x1c0 | if piece.is_a32 { 0x10 } else { 0x205 };
        live.set_pstate(Pstate::from_bits_retain(pstate));

        let mut watched: host::Watched = core::array::from_fn(|index| !pattern(daif, index));
        watched[15] = VBAR_EL2.get();
        watched[16] = daif;
        let mut expected = watched;
        let own = DAIF.get();
        let mut argument = Run { live, exit: None };
        let pointer = (&raw mut argument).cast();
        // SAFETY: `run` gets its `Run`, and nothing in it depends on thread registers or on
        // SP_EL0; an IRQ or FIQ is not enabled at the interrupt controller.
        unsafe { host::call_with(run::<C>, pointer, &mut watched) };
        DAIF.set(own);
        let Run { live, exit } = argument;

        expected[17] = watched[17]; // SP: that we are here
        for ((name, found), expected) in host::WATCHED.iter().zip(watched).zip(expected) {
            self.equal(name, found, expected);
        }
        let exit = exit.expect("it ran");
        let moved = self.exit(piece, &exit);
        self.equal("PSTATE", live.pstate().bits(), pstate);
        self.equal(
            "PC",
            live.pc(),
            moved.unwrap_or(entry + live_code(piece) - 4),
        );
        if piece.is_a32 {
            for n in 0..15 {
                // Upper halves are not defined after AArch32.
                let found = live.reg(Gpr::new(n)) & 0xffff_ffff;
                self.equal("rN", found, !given(usize::from(n)) & 0xffff_ffff);
            }
            return;
        }
        for n in 0..31 {
            let expected = match n {
                8..=10 => given(usize::from(n) - 8 + 31),
                _ => !given(usize::from(n)),
            };
            self.equal("xN", live.reg(Gpr::new(n)), expected);
        }
        self.equal("SP_EL0", live.sp_el0(), !given(5));
        let (el0, el1) = live.thread_ids();
        self.equal("TPIDR_EL0", el0, !given(6));
        self.equal("TPIDR_EL1", el1, !given(7));
    }

    /// Runs a guest to its `hvc`; checks what the host has in FP registers, if it is hard-float.
    fn run_beside_fp<C: Cpu>(&mut self, live: &mut Live<'_, '_, SingleCpu, C>) {
        let mut watched: host::WatchedFp = core::array::from_fn(|index| !pattern(9, index));
        watched[8] = 0x00c0_0000; // RMode
        watched[9] = 0x0800_0011; // QC, IXC and IOC
        let expected = watched;
        let mut argument = Run { live, exit: None };
        let pointer = (&raw mut argument).cast();
        // SAFETY: `run` gets its `Run`, which rounds no number; this is built to use FP registers,
        // or this call does not.
        unsafe { host::call_with_fp(run::<C>, pointer, &mut watched) };
        for ((name, found), expected) in host::WATCHED_FP.iter().zip(watched).zip(expected) {
            self.equal(name, found, expected);
        }
        match argument.exit {
            Some(Exit::Hypercall(_)) => {}
            Some(exit) => {
                self.lost += 1;
                println!("LOST: another exit: {exit}");
            }
            None => self.lost += 1,
        }
    }

    /// Checks that the exit is the piece's; returns PC where it is not on its last instruction.
    fn exit(&mut self, piece: &Piece, exit: &ExitOf<SingleCpu>) -> Option<u64> {
        let (fits, pc) = match (piece.name, exit) {
            ("hvc", Exit::Hypercall(call)) => (call.imm() == 1, None),
            ("smc", Exit::Smc(call)) => (call.imm() == 2, None),
            ("wfi", Exit::Wfi(_)) | ("mrs", Exit::SysReg(_)) => (true, None),
            ("load" | "load at AArch32 EL0", Exit::Mmio(access)) => {
                (access.ipa().0 == HOLE && access.write().is_none(), None)
            }
            ("fetch", Exit::Fault(_)) => (true, Some(HOLE)),
            _ => (false, None),
        };
        if !fits {
            self.lost += 1;
            println!("LOST: another exit: {exit}");
        }
        pc
    }
}

/// Returns the size of a piece, as PC after its end shows it.
fn live_code(piece: &Piece) -> u64 {
    let past = if piece.name == "hvc" { 4 } else { 0 };
    (piece.code)().len() as u64 + past
}

/// Q0 to Q31, FPCR and FPSR of two guests: into the guest, inverted there, and back.
fn fp<C: Cpu>(
    check: &mut Check,
    guests: &mut [Vcpu<SingleCpu>; 2],
    el2: &mut El2<'_, SingleCpu, C>,
    vms: [&Vm; 2],
    entry: u64,
) -> Result<(), Error> {
    /// RMode, FZ and DN; QC and the cumulative flags.
    const FPCR: [u64; 2] = [0x0340_0000, 0x0080_0000];
    const FPSR: [u64; 2] = [0x0800_0009, 0x0000_0016];
    let given = |guest: u64, n: usize| {
        u128::from(pattern(1 + guest, n)) << 64 | u128::from(pattern(3 + guest, n))
    };
    for ((guest, vcpu), vm) in (0..).zip(guests.iter_mut()).zip(vms) {
        vcpu.fp_mut().q = core::array::from_fn(|n| given(guest, n));
        (vcpu.fp_mut().fpcr, vcpu.fp_mut().fpsr) = (FPCR[0], FPSR[0]);
        vcpu.set_sysreg(SwitchedReg::CPACR_EL1, 3 << 20);
        vcpu.set_reg(Gpr::X2, FPCR[1]);
        vcpu.set_reg(Gpr::X3, FPSR[1]);
        vcpu.set_pc(entry);
        // A stay without FP first: what its TLB may hold is settled then.
        drop(vcpu.load(el2, vm)?);
        let mut live = vcpu.load(el2, vm)?;
        check.run_beside_fp(&mut live);
    }
    for (guest, vcpu) in (0..).zip(guests) {
        check.equal("FPCR in the guest", vcpu.reg(Gpr::X0), FPCR[0]);
        check.equal("FPSR in the guest", vcpu.reg(Gpr::X1), FPSR[0]);
        check.equal("FPCR", vcpu.fp().fpcr, FPCR[1]);
        check.equal("FPSR", vcpu.fp().fpsr, FPSR[1]);
        for (n, q) in vcpu.fp().q.into_iter().enumerate() {
            let given = given(guest, n);
            check.equal("Q, low", q as u64, !given as u64);
            check.equal("Q, high", (q >> 64) as u64, (!given >> 64) as u64);
        }
    }
    Ok(())
}

/// Every switched register of two vCPUs: what the CPU holds of a value is what comes back.
fn switched<C: Cpu>(
    check: &mut Check,
    el2: &mut El2<'_, SingleCpu, C>,
    vm: &Vm,
) -> Result<(), Error> {
    let config = VcpuConfig {
        policy: Policy::PASS_THROUGH,
        ..VcpuConfig::default()
    };
    let mut vcpus = [Vcpu::new(&config), Vcpu::new(&config)];
    for (at, &reg) in SwitchedReg::ALL.iter().enumerate() {
        // A compare value far ahead, a timer that is off.
        let value = match reg {
            SwitchedReg::CNTV_CTL_EL0 | SwitchedReg::CNTP_CTL_EL0 => 2,
            _ => pattern(3, at),
        };
        let mut held = [0; 2];
        for (n, vcpu) in vcpus.iter_mut().enumerate() {
            vcpu.set_sysreg(reg, if n == 0 { value } else { !value & !1 });
            held[n] = vcpu.load(el2, vm)?.sysreg(reg);
        }
        for (vcpu, held) in vcpus.iter_mut().zip(held) {
            check.equal(reg.name(), vcpu.load(el2, vm)?.sysreg(reg), held);
            check.equal(reg.name(), vcpu.sysreg(reg), held);
        }
        // The register holds something, and what it holds differs between the two.
        let constant = matches!(
            reg,
            SwitchedReg::AFSR0_EL1
                | SwitchedReg::AFSR1_EL1
                | SwitchedReg::AMAIR_EL1
                | SwitchedReg::SMPRI_EL1
        );
        if held[0] == held[1] && !constant && reg.exists(el2.ids().features()) {
            println!("{} is the same whatever is written", reg.name());
        }
    }
    Ok(())
}
