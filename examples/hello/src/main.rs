//! The API in one screenful: a guest of a few instructions, and every exit it makes, in words.

#![no_std]
#![no_main]

use machine::{Error, GuestMemory, Machine, SingleCpu, guest_code, println};
use vcpu_core::{El2, Exit, Vcpu, VcpuConfig, Vm};
use vcpu_exits::calls::PsciCall;
use vcpu_regs::{Gpr, Vmid};

guest_code! {
    guest:
    "mov x0, #7",
    "hvc #42", // the host answers in x0
    "mov x1, #0x09000000",
    "strb w0, [x1]", // nothing is mapped there
    "ldrsb x2, [x1, #4]",
    "mrs x3, id_aa64pfr0_el1", // the VM's ID registers, not the CPU's
    "wfi",
    "mov w0, #8", // PSCI SYSTEM_OFF
    "movk w0, #0x8400, lsl #16",
    "hvc #0",
}

machine::main!(main);

static HOST: SingleCpu = SingleCpu::new();

fn main(mut machine: Machine) -> Result<(), Error> {
    let mut el2 = El2::enable(&HOST)?;
    let entry = machine.ram.start();
    machine.ram.load(entry, guest())?;
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(entry..machine.ram.end())?;
    let vm = Vm::new(&el2, memory.finish(Vmid::FIRST)?);

    let mut vcpu = Vcpu::new(&VcpuConfig::default());
    vcpu.set_pc(entry);
    let mut live = vcpu.load(&mut el2, &vm)?;
    loop {
        let exit = live.run();
        println!("{exit}");
        match exit {
            Exit::Hypercall(call) => live.complete(call, 0x41),
            Exit::Mmio(access) => live.complete(access, 0x80),
            Exit::Psci(psci) if psci.call == PsciCall::SystemOff => break,
            exit => live.reflect(exit),
        }
    }
    println!("the guest's x2 is {:#x}", live.reg(Gpr::X2));
    Ok(())
}
