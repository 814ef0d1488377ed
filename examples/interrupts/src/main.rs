//! Virtual interrupts, as a guest takes them: by list registers with more interrupts than there are
//! of those, and by a plain line. Each scene checks what the guest took, and in which order.

#![no_std]
#![no_main]

mod guest;
mod host;
mod physical;
mod posted;
mod scenes;
mod taken;

use aarch64_cpu::registers::{ID_AA64PFR0_EL1, Readable};
use host::{Host, Rig};
use machine::{Error, GuestMemory, Machine, println};
use physical::{GICC, GICH, GICV, Physical};
use vcpu_core::{El2, Mailed, Vm};
use vcpu_hal::{
    Inject,
    inject::{HcrLine, ListRegisters, ListRegistersV2},
    irq::{GicV2, GicV3},
};
use vcpu_regs::Vmid;

machine::main!(main);

fn main(machine: Machine) -> Result<(), Error> {
    /// `ID_AA64PFR0_EL1.GIC`.
    const GIC: u64 = 0xf << 24;
    let has_gicv3 = ID_AA64PFR0_EL1.get() & GIC != 0;
    if has_gicv3 {
        println!("a GICv3");
        // SAFETY: nothing else in this program uses the interrupt controller, which is set up before
        // the backends are used. `virt` boots at EL2 with ICC_SRE_EL2.SRE = 1.
        let (lists, gic) = unsafe {
            physical::enable_v3()?;
            (ListRegisters::new(), GicV3::new())
        };
        play(machine, lists, gic, has_gicv3)
    } else {
        println!("a GICv2");
        // SAFETY: as above; a GICv2 of `virt` has these blocks, mapped as Device.
        let (lists, gic) = unsafe {
            physical::enable_v2()?;
            (ListRegistersV2::new(GICH), GicV2::new(GICC))
        };
        play(machine, lists, gic, has_gicv3)
    }
}

fn play<I: Inject + Copy, F: Physical + Copy>(
    mut machine: Machine,
    lists: I,
    gic: F,
    has_gicv3: bool,
) -> Result<(), Error> {
    let start = machine.ram.start();
    for (at, code) in guest::pieces(has_gicv3) {
        machine.ram.load(start + at, code)?;
    }
    // SAFETY: the first CPU alone runs guests.
    let plain = unsafe { Host::new(lists, gic) };
    let mut el2 = El2::enable(&plain)?;
    let mut memory = GuestMemory::new(el2.ids(), machine.frames, &machine.ram)?;
    memory.map_ram(start..machine.ram.end())?;
    if !has_gicv3 {
        // SAFETY: the virtual CPU interface is for guests, and reaches no memory.
        unsafe { memory.map_device(GICV)? };
    }
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
    let mailed = unsafe { Host::new(Mailed::new(lists), gic) };
    let mut el2 = El2::enable(&mailed)?;
    let mut rig = Rig::new(&mut el2, &vm, start, guest::VECTORS);
    scenes::set_up(&mut rig, 0)?;
    posted::play(&mut rig, has_gicv3)?;
    drop(el2);

    // SAFETY: as above.
    let line = unsafe { Host::new(HcrLine, gic) };
    let mut el2 = El2::enable(&line)?;
    scenes::plain_line(&mut Rig::new(&mut el2, &vm, start, guest::LINE_VECTORS))?;
    println!("all of it as it should be");
    Ok(())
}
