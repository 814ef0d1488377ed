//! One vCPU that owns the machine: an unmodified arm64 kernel with the physical interrupt
//! controller, timers and UART behind stage 2, its power calls answered here.

#![no_std]
#![no_main]

use defmt::Display2Format;
use machine::{
    Error, GuestMemory, GuestTree, Machine, SingleCpu,
    layout::{GIC_CPU_0, GIC_DISTRIBUTOR, UART_REGISTERS},
    println,
    timer::now,
    vmm::{Counters, Kind, Settings},
};
use vcpu_core::{
    El2, Exit, ExitOf, Firmware, Live, Outcome, Policy, PowerCell, PowerRequest, Vcpu, VcpuConfig,
    Vm,
};
use vcpu_exits::Access;
use vcpu_hal::Cpu;
use vcpu_regs::{Gpr, Vmid};

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();

fn main(mut machine: Machine) -> Result<(), Error> {
    let mut el2 = El2::enable(&HOST)?;
    let settings = Settings::read(&machine.tree, 1, &[])?;
    let (entry, tree) = place(&mut machine)?;

    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(machine.ram.start()..machine.ram.end())?;
    // SAFETY: the hypervisor has taken no interrupt and takes none; it prints nothing while the
    // guest can. The tree hides the ITS; a redistributor's tables of LPIs are the one way by which
    // this guest could reach other memory: it is trusted, as a guest with devices of its own is.
    unsafe {
        memory.map_device(GIC_DISTRIBUTOR)?;
        memory.map_device(GIC_CPU_0)?;
        memory.map_device(UART_REGISTERS)?;
    }
    let vm = Vm::new(&el2, memory.finish(Vmid::FIRST)?);

    let cpus = [PowerCell::on(0)];
    let config = VcpuConfig {
        mpidr: 0,
        policy: Policy::PASS_THROUGH,
    };
    let mut vcpu = Vcpu::new(&config);
    vcpu.set_pc(entry);
    vcpu.set_reg(Gpr::X0, tree);
    let mut live = vcpu.load(&mut el2, &vm)?;
    defmt::info!(
        "entering the guest at {=u64:#x}, its device tree at {=u64:#x}",
        entry,
        tree
    );

    // One CPU that is on, and no entry for another.
    let firmware = Firmware::new(&cpus, &[]);
    let counters = Counters::default();
    let end = run(&mut live, &firmware, &counters)?;
    drop(live);
    if settings.stats {
        println!("{}", counters.read());
    }
    match end {
        End::Off => println!("vcpu: the guest switched itself off"),
        End::Reset => {
            println!("vcpu: the guest asked for a reset: restarting the machine");
            machine::restart()
        }
    }
    Ok(())
}

/// Makes the guest's device tree; returns where the kernel and the tree are.
fn place(machine: &mut Machine) -> Result<(u64, u64), Error> {
    let kernel = machine.tree.kernel().ok_or(Error::Guest(
        "QEMU's device tree names no kernel: start this with `cargo xtask qemu linux`",
    ))?;
    let at = machine.ram.start();
    let tree = GuestTree {
        devices: &["timer", "intc", "pl011", "apb-pclk"],
        cpus: 1,
        ram: at..machine.ram.end(),
        bootargs: kernel.bootargs.unwrap_or(""),
        ramdisk: machine.tree.ramdisk().map(|image| image.range),
    };
    let room = at..at + GuestTree::ROOM_BYTES;
    let bytes = tree.write(&machine.tree, machine.ram.bytes_mut(room)?)?;
    machine.ram.publish(at..at + bytes as u64)?;
    machine.ram.publish(kernel.range.clone())?;
    Ok((kernel.range.start, at))
}

/// What the guest asked of the machine.
enum End {
    Off,
    Reset,
}

/// Runs the guest until it is done with the machine.
fn run<C: Cpu>(
    live: &mut Live<'_, '_, SingleCpu, C>,
    firmware: &Firmware<'_>,
    counters: &Counters,
) -> Result<End, Error> {
    let mut last_fault = None;
    let mut left = now();
    loop {
        let entered = now();
        let exit = live.run();
        counters.host_took(entered - left);
        left = now();
        counters.guest_took(left - entered);
        counters.count(Kind::from(&exit));
        match exit {
            Exit::Psci(psci) => match live.serve(psci, firmware) {
                Outcome::Power(PowerRequest::SystemOff) => return Ok(End::Off),
                Outcome::Power(PowerRequest::SystemReset(_)) => return Ok(End::Reset),
                // It owns the timers and the interrupts: running on, it finds what wakes it. And
                // a last CPU that switched itself off would not come back.
                _ => {}
            },
            Exit::Fault(fault) => {
                let pc = live.pc();
                let exit: ExitOf<SingleCpu> = Exit::Fault(fault);
                if fault.access() == Access::Fetch && last_fault == Some(pc) {
                    defmt::error!("PC {=u64:#x}: {}, again", pc, Display2Format(&exit));
                    return Err(Error::Guest("the guest cannot fetch its own fault handler"));
                }
                last_fault = Some(pc);
                defmt::warn!("PC {=u64:#x}: {}", pc, Display2Format(&exit));
                live.reflect(exit);
            }
            exit @ (Exit::Mmio(_) | Exit::Other(_)) => {
                defmt::warn!("PC {=u64:#x}: {}", live.pc(), Display2Format(&exit));
                live.reflect(exit);
            }
            exit => {
                defmt::debug!("PC {=u64:#x}: {}", live.pc(), Display2Format(&exit));
                live.reflect(exit);
            }
        }
    }
}
