//! Virtual interrupts, as a guest takes them: by list registers with more interrupts than there are
//! of those, and by a plain line. Each scene checks what the guest took, and in which order.

#![no_std]
#![no_main]

mod guest;
mod host;
mod physical;
mod scenes;
mod taken;

use host::{Host, Rig};
use machine::{Error, GuestMemory, Machine, println};
use vcpu_core::{El2, Vm};
use vcpu_hal::inject::{HcrLine, ListRegisters};
use vcpu_regs::Vmid;

machine::main!(main);

fn main(mut machine: Machine) -> Result<(), Error> {
    let start = machine.ram.start();
    for (at, code) in guest::pieces() {
        machine.ram.load(start + at, code)?;
    }
    // SAFETY: nothing else in this program uses the interrupt controller.
    unsafe { physical::enable()? };

    // SAFETY: set up above; `virt` has one CPU here, which boots at EL2 with ICC_SRE_EL2.SRE = 1.
    let lists = unsafe { Host::new(ListRegisters::new()) };
    let mut el2 = El2::enable(&lists)?;
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(start..machine.ram.end())?;
    let vm = Vm::new(&el2, memory.finish(Vmid::FIRST)?);
    for is_crowded in [false, true] {
        if is_crowded {
            println!("The same with another guest in between:");
        }
        let mut rig = Rig::new(&mut el2, &vm, start, guest::VECTORS);
        rig.is_crowded = is_crowded;
        scenes::crowd(&mut rig)?;
        scenes::run(&mut rig)?;
    }
    drop(el2);

    // SAFETY: as above.
    let line = unsafe { Host::new(HcrLine) };
    let mut el2 = El2::enable(&line)?;
    scenes::plain_line(&mut Rig::new(&mut el2, &vm, start, guest::LINE_VECTORS))?;
    println!("all of it as it should be");
    Ok(())
}
