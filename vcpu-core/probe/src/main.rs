//! A host that loads and runs a guest, and does with each exit all that a host may. Not meant to run.
//!
//! The panic handler calls a function that does not exist: if a panic can be reached from here,
//! the program does not link. `tests/no_panic.rs` links it, and once more with a panic planted.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use vcpu_asm::El2Cpu;
use vcpu_core::*;
use vcpu_exits::SError;
use vcpu_hal::{
    FetchIrq, Inject, PerCpu, Platform,
    inject::{HcrLine, ListRegisters, ListRegistersV2},
    irq::{GicV2, GicV3, LeavePending},
    percpu::{MpidrTable, Tpidr},
};
use vcpu_regs::{Esr, Gpr, Intid, Ipa, Pa, Pstate, SwitchedReg, Vmid};
use vcpu_stage2::{FrameSource, Geometry, LinearMap, Request, Stage2, Table};

unsafe extern "C" {
    safe fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_can_be_reached()
}

fn word() -> u64 {
    black_box(0x1234_5678_9abc_def0)
}

/// A host of these three backends.
struct Host<I, F, C>(I, F, C);

impl<I: Inject, F: FetchIrq, C: PerCpu> Platform for Host<I, F, C> {
    type Inject = I;
    type FetchIrq = F;
    type PerCpu = C;

    fn inject(&self) -> &I {
        &self.0
    }

    fn fetch_irq(&self) -> &F {
        &self.1
    }

    fn per_cpu(&self) -> &C {
        &self.2
    }
}

/// Frames from nowhere.
struct Source;

// SAFETY: not meant to run.
unsafe impl FrameSource for Source {
    fn allocate(&mut self, bytes: u64) -> Option<Pa> {
        Some(Pa(word().checked_mul(bytes)?))
    }

    fn release(&mut self, frame: Pa, bytes: u64) {
        black_box((frame, bytes));
    }
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    // SAFETY: not meant to run.
    let (list, gic, table, tpidr) = unsafe {
        (
            ListRegisters::new(),
            GicV3::new(),
            MpidrTable::new(&[0]),
            Tpidr::new(0, 64),
        )
    };
    run(&Host(HcrLine, LeavePending, table));
    run(&Host(list, gic, tpidr));
    // SAFETY: not meant to run.
    let (list, gic, table) = unsafe {
        (
            ListRegistersV2::new(word() as usize),
            GicV2::new(word() as usize),
            MpidrTable::new(&[0]),
        )
    };
    run(&Host(list, gic, table));
    #[cfg(feature = "planted")]
    black_box([0_u8; 4][word() as usize]);
    loop {
        core::hint::spin_loop();
    }
}

fn run<P: Platform>(host: &P) {
    static VMIDS: Option<Vmids> = Vmids::new(16);
    let Ok(mut el2) = El2::enable(host) else {
        return;
    };
    if let Some(vmids) = &VMIDS {
        // SAFETY: not meant to run.
        el2 = unsafe { el2.with_vmids(vmids) };
    }
    let Some(stage2) = stage2(&el2) else { return };
    let vm = Vm::new(&el2, stage2);
    let mut vcpu = Vcpu::new(&config());
    at_rest(&mut vcpu, host);
    if let Ok(mut live) = vcpu.load(&mut el2, &vm) {
        guest(&mut live);
        live.put();
    }
    let mut turns = el2.take_turns();
    if let Ok(mut live) = vcpu.load(&mut turns, &vm) {
        guest(&mut live);
    }
    deadlines(&vcpu, host, &vm);
}

fn stage2<P: Platform>(el2: &El2<'_, P, El2Cpu>) -> Option<Stage2> {
    let geometry = Geometry::probe(&el2.ids().memory_model(), &Request::MOST).ok()?;
    // SAFETY: not meant to run.
    let memory = unsafe { LinearMap::new(word()) };
    let table = Table::new(geometry, Source, memory).ok()?;
    // SAFETY: not meant to run.
    unsafe { table.stage2(Vmid::FIRST) }.ok()
}

fn config() -> VcpuConfig {
    let mut policy = match word() & 1 {
        0 => Policy::PASS_THROUGH,
        _ => Policy::default(),
    };
    if word() & 2 == 0 {
        policy.fp = Fp::Eager;
    }
    VcpuConfig {
        mpidr: word(),
        policy,
    }
}

fn gpr() -> Gpr {
    Gpr::new(word() as u8)
}

fn sysreg() -> Option<SwitchedReg> {
    SwitchedReg::ALL.get(word() as usize).copied()
}

/// All that a host does with a guest that is not loaded.
fn at_rest<P: Platform>(vcpu: &mut Vcpu<P>, host: &P) {
    let intid = Intid(word() as u32);
    black_box(vcpu.inject_irq(host, intid).is_ok());
    black_box(vcpu.activate_irq(host, intid).is_ok());
    black_box(vcpu.irq_status(host, intid));
    black_box(vcpu.irq_senders(host, intid));
    black_box(vcpu.retract_irq(host, intid) | vcpu.deactivate_irq(host, intid));
    black_box(vcpu.next_ended_irq(host));
    vcpu.inject_serror(SError::decode(Esr(word())));
    if let Some(reg) = sysreg() {
        vcpu.set_sysreg(reg, word());
        black_box(vcpu.sysreg(reg));
    }
    vcpu.fp_mut().fpcr = word();
    *vcpu.debug_mut() = black_box(Default::default());
    if let Some(reg) = StateReg::from_id(word() as u32) {
        let value = u128::from(word());
        black_box((vcpu.set_state(reg, value).is_ok(), vcpu.state(reg)));
    }
    registers(vcpu);
}

fn registers(registers: &mut Registers) {
    registers.set_reg(gpr(), registers.reg(gpr()));
    registers.set_pc(registers.pc() ^ word());
    registers.set_pstate(Pstate::from_bits_retain(word()));
    registers.set_sp_el0(registers.sp_el0() ^ word());
    registers.set_thread_ids(word(), word());
}

fn deadlines<P: Platform>(vcpu: &Vcpu<P>, host: &P, vm: &Vm) {
    let ppis = TimerPpis::default();
    black_box(vcpu.wake_deadline(host, vm, &ppis, word()));
    black_box(vcpu.earliest_deadline(vm, word()));
}

/// All that a host does with a guest that is loaded.
fn guest<P: Platform>(live: &mut Live<'_, '_, P, El2Cpu>) {
    let cells = [PowerCell::on(word()), PowerCell::off(word())];
    let entries = [Ipa(0)..Ipa(word())];
    let firmware = Firmware::new(&cells, &entries);
    while word() != 0 {
        let exit = live.run();
        match word() & 3 {
            0 => live.reflect(exit),
            1 => drop(exit),
            2 => complete(live, exit),
            _ => refuse(live, exit, &firmware),
        }
        registers(live);
        interrupts(live);
    }
}

fn complete<P: Platform>(live: &mut Live<'_, '_, P, El2Cpu>, exit: ExitOf<P>) {
    match exit {
        Exit::Mmio(access) => {
            black_box((
                access.ipa(),
                access.va(),
                access.size_bytes(),
                access.write(),
            ));
            live.complete(access, word());
        }
        Exit::SysReg(access) => {
            black_box((access.reg(), access.write()));
            live.complete(access, word());
        }
        Exit::Psci(psci) => live.complete(psci, word()),
        Exit::Hypercall(call) | Exit::Smc(call) => {
            black_box((call.imm(), call.conduit(), call.function(live)));
            live.complete(call, word());
        }
        Exit::Wfi(wait) | Exit::Wfe(wait) => {
            black_box((wait.until(), wait.wfx()));
            live.complete(wait, ());
        }
        exit => live.reflect(exit),
    }
}

fn refuse<P: Platform>(
    live: &mut Live<'_, '_, P, El2Cpu>,
    exit: ExitOf<P>,
    firmware: &Firmware<'_>,
) {
    match exit {
        Exit::Mmio(access) => live.inject_external_abort(&access),
        Exit::Fault(fault) => live.inject_fault(&fault),
        Exit::SysReg(access) => {
            if let Err(access) = live.emulate_timer(access) {
                live.complete(access, word());
            }
        }
        Exit::Psci(psci) => _ = black_box(live.serve(psci, firmware)),
        Exit::Hypercall(call) | Exit::Smc(call) => _ = black_box(live.serve(call, firmware)),
        Exit::SError(serror) => live.inject_serror(serror),
        _ => live.inject_undefined(),
    }
}

fn interrupts<P: Platform>(live: &mut Live<'_, '_, P, El2Cpu>) {
    let intid = Intid(word() as u32);
    black_box(live.inject_irq(intid).is_ok());
    black_box(live.activate_irq(intid).is_ok());
    black_box(live.irq_status(intid));
    black_box(live.irq_senders(intid));
    black_box(live.retract_irq(intid) | live.deactivate_irq(intid));
    black_box(live.next_ended_irq());
    for kind in TimerKind::ALL {
        black_box(live.timer_state(kind));
        live.mask_timer(kind);
        live.unmask_timer(kind);
    }
    black_box(live.earliest_deadline());
    if let Some(reg) = sysreg() {
        live.set_sysreg(reg, word());
        black_box(live.sysreg(reg));
    }
}
