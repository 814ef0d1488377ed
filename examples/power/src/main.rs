//! Power calls, firmware services and timers as a guest of two vCPUs meets them, which take turns
//! on one CPU. The timer's physical interrupt comes to EL2 and reaches the guest by the plain line.

#![no_std]
#![no_main]

mod guest;
mod host;

use guest::{ACKNOWLEDGED, CLOCK, ENDED, HANDLING, REPORTS};
use host::Host;
use machine::{Error, GuestMemory, Machine, println};
use vcpu_asm::El2Cpu;
use vcpu_core::{
    Call, El2, Exit, Firmware, Live, Outcome, PowerCell, PowerRequest, Rule, TimerDelivery,
    TimerKind, TimerPpis, Trng, Vcpu, VcpuConfig, Vm,
};
use vcpu_exits::calls::{AffinityState, FunctionId};
use vcpu_hal::Cpu;
use vcpu_regs::{Gpr, Intid, Ipa, Vmid};

machine::main!(main);

/// What the guest gets for entropy.
const RANDOM: u64 = 0x5eed_5eed_5eed_5eed;
/// The guest's call of it goes on to QEMU.
const MIGRATE: FunctionId = FunctionId(0xc400_0005);

fn main(mut machine: Machine) -> Result<(), Error> {
    // SAFETY: called once; nothing else uses the interrupt controller, and guests run here alone.
    let host = unsafe { Host::enable(TimerPpis::default().virtual_timer)? };
    let mut el2 = El2::enable(&host)?;
    let ram = machine.ram.start()..machine.ram.end();
    machine.ram.load(ram.start, guest::CODE())?;
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(ram.clone())?;
    let vm = Vm::new(&el2, memory.finish(Vmid::FIRST)?);
    let offset = vm.counter_offset();
    let vm = vm.with_physical_offset(offset);

    let cells = [PowerCell::on(0), PowerCell::off(1)];
    let mut vcpus = [0, 1].map(|mpidr| {
        Vcpu::new(&VcpuConfig {
            mpidr,
            ..VcpuConfig::default()
        })
    });
    vcpus[0].set_pc(ram.start);
    let entries = [Ipa(ram.start)..Ipa(ram.end)];
    // SAFETY: QEMU answers `SMC` at EL2, and this one with NOT_SUPPORTED.
    let rules = [unsafe { Rule::forward(MIGRATE, MIGRATE) }];
    let firmware = Firmware {
        trng: Some(Trng {
            uuid: [0; 4],
            entropy: &|_| Some([RANDOM, 0, 0]),
        }),
        filter: &rules,
        ..Firmware::new(&cells, &entries)
    };

    let mut check = Check::default();
    check.firmware(el2.cpu());
    let (mut here, mut other) = (0, 1);
    loop {
        if let Some(start) = cells[here].take_start() {
            vcpus[here].start(&start);
        }
        let mut live = vcpus[here].load(&mut el2, &vm)?;
        let left = check.run(&mut live, &host, &firmware)?;
        drop(live);
        match left {
            Left::Off => break,
            Left::Stops => drop(cells[here].turn_off()),
            Left::Waits => check.stand_still(&el2, &vm),
        }
        if cells[other].state() != AffinityState::Off {
            (here, other) = (other, here);
        }
    }
    match check.wrong {
        0 => println!("all as it should be"),
        _ => return Err(Error::Guest("the guest met something else")),
    }
    Ok(())
}

/// Why a vCPU leaves the CPU.
enum Left {
    Waits,
    Stops,
    Off,
}

#[derive(Default)]
struct Check {
    wrong: u64,
    /// The way of the present round, and what came by it.
    delivery: Option<TimerDelivery>,
    physical: u64,
    virtual_interrupts: u64,
    /// The guest's virtual counter when its clock stopped, and the host's when it went on.
    stood_still: (u64, u64),
}

type Running<'a, 'h> = Live<'a, 'h, Host, El2Cpu>;

impl Check {
    fn run(
        &mut self,
        live: &mut Running<'_, '_>,
        host: &Host,
        firmware: &Firmware<'_>,
    ) -> Result<Left, Error> {
        loop {
            let outcome = match live.run() {
                Exit::Psci(psci) => live.serve(psci, firmware),
                Exit::Hypercall(call) | Exit::Smc(call) => live.serve(call, firmware),
                Exit::Irq(Some(intid)) => {
                    self.fired(live, host, intid);
                    continue;
                }
                Exit::Wfi(wait) => {
                    live.complete(wait, ());
                    return Ok(Left::Waits);
                }
                exit => {
                    live.reflect(exit);
                    continue;
                }
            };
            match outcome {
                Outcome::Power(PowerRequest::StopSelf) => return Ok(Left::Stops),
                Outcome::Power(PowerRequest::SystemOff) => return Ok(Left::Off),
                Outcome::Host(call) => self.report(live, host, call),
                _ => {}
            }
        }
    }

    /// Stops the guest's clock for a while.
    fn stand_still(&mut self, el2: &El2<'_, Host, El2Cpu>, vm: &Vm) {
        const TICKS: u64 = 1_000_000;
        let stopped_at = el2.counter();
        vm.stop_clock(stopped_at);
        while el2.counter() < stopped_at + TICKS {}
        let count = vm.count(TimerKind::Virtual, el2.counter());
        let started_at = el2.counter();
        vm.start_clock(started_at);
        self.stood_still = (count, started_at);
    }

    /// Checks the guest's counter, read since: it went on where it had stopped, and when.
    fn clock(&mut self, count: u64, now: u64) {
        let (stopped, started_at) = self.stood_still;
        let passed = count.wrapping_sub(stopped);
        if passed > now - started_at {
            self.wrong += 1;
            println!("WRONG: {passed} ticks passed for the guest");
        } else {
            println!("the clock went on where it had stopped");
        }
    }

    /// Calls QEMU's firmware: it answers, and the registers that are not results stay.
    fn firmware(&mut self, cpu: &El2Cpu) {
        let given = core::array::from_fn(|n| match n {
            0 => 0x8400_0000, // PSCI_VERSION
            n => RANDOM.rotate_left(n as u32),
        });
        let mut x = given;
        // SAFETY: `El2::enable` found EL2, where QEMU answers `SMC`; the call tells a version.
        unsafe { cpu.firmware_call(&mut x) };
        println!("QEMU's PSCI_VERSION: {:#x}", x[0]);
        if x[1..] != given[1..] {
            self.wrong += 1;
            println!("WRONG: registers {given:x?} became {x:x?}");
        }
    }

    fn delivery(&self) -> TimerDelivery {
        self.delivery.unwrap_or(TimerDelivery::Active)
    }

    /// A physical interrupt, acknowledged.
    fn fired(&mut self, live: &mut Running<'_, '_>, host: &Host, intid: Intid) {
        let ppis = TimerPpis::default();
        let cpu = live.cpu();
        host.gic.end(cpu, intid);
        let Some(kind) = ppis.timer(intid) else {
            host.gic.deactivate(cpu, intid);
            return;
        };
        self.physical += 1;
        let delivery = self.delivery();
        let fired = delivery.fired(live.timer_state(kind).is_asserted);
        if fired.mask {
            live.mask_timer(kind);
        }
        if fired.deactivate {
            host.gic.deactivate(live.cpu(), intid);
        }
        if fired.inject {
            self.virtual_interrupts += 1;
            let interrupt = delivery.interrupt(ppis.of(kind), intid);
            if live.inject_irq(interrupt).is_err() {
                self.wrong += 1;
                println!("WRONG: the line does not take {intid:?}");
            }
        }
    }

    fn report(&mut self, live: &mut Running<'_, '_>, host: &Host, call: Call) {
        let timer = TimerPpis::default().virtual_timer;
        let x0 = live.reg(Gpr::X0);
        match call.imm() {
            ACKNOWLEDGED => drop(live.retract_irq(timer)),
            HANDLING => {}
            CLOCK => {
                let now = live.cpu().counter();
                self.clock(x0, now);
            }
            ENDED => self.ended(live, host, timer),
            n => {
                let report = REPORTS.get(usize::from(n).wrapping_sub(1));
                let (name, expected) = report.copied().unwrap_or(("a call", !x0));
                println!("{name}: {x0:#x}");
                if x0 != expected {
                    self.wrong += 1;
                    println!("WRONG: it should be {expected:#x}");
                }
            }
        }
        live.complete(call, x0);
    }

    /// The guest has ended the virtual interrupt of a round.
    fn ended(&mut self, live: &mut Running<'_, '_>, host: &Host, timer: Intid) {
        let delivery = self.delivery();
        let ended = delivery.ended();
        if let Some(kind) = TimerPpis::default().timer(timer)
            && ended.unmask
        {
            live.unmask_timer(kind);
        }
        if ended.deactivate {
            host.gic.deactivate(live.cpu(), timer);
        }
        let (physical, virtual_interrupts) = (self.physical, self.virtual_interrupts);
        println!("by {delivery:?}: {physical} physical interrupts, {virtual_interrupts} virtual");
        self.delivery = Some(TimerDelivery::Masked);
        (self.physical, self.virtual_interrupts) = (0, 0);
    }
}
