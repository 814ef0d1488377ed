//! Two vCPUs of one VM on one CPU. They share a VMID, and each takes the TLB to be its own: it maps
//! an address by its own tables under an ASID that the other uses as well, or as global.
//!
//! TCG drops its TLB at every write of TCR_EL1, so no load by `El2Cpu` could show a stale entry. The
//! CPU here writes only the registers that change, so that TCG keeps its TLB as hardware would; and,
//! as the control, it leaves out the invalidation that `vcpu-core` asks for.

mod sparing;

use machine::{Error, GuestMemory, GuestRam, SingleCpu, guest_code, println};
use sparing::SparingCpu;
use vcpu_asm::El2Cpu;
use vcpu_core::{El2, Exit, Vcpu, VcpuConfig, Vm};
use vcpu_regs::{Gpr, SwitchedReg, Vmid};

use crate::{PAGE, Shared};

guest_code! {
    look:
    "ldr x0, [x2]",
    "ldr x1, [x3]",
    "hvc #0",
}

static HOST: SingleCpu = SingleCpu::new();

/// From the start of guest RAM: code, then what is each vCPU's.
const CODE: u64 = 0x4_0000;
const OWN: u64 = 0x5_0000;
/// Of each vCPU: three tables, and two pages.
const OWN_PAGES: u64 = 5;
/// The addresses of the two pages, in both.
const WINDOW: u64 = 2 << 30;
const ASID: u64 = 1;

/// 39-bit addresses by TTBR0, 4 KiB pages, write-back, 40-bit physical addresses.
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32;
const MAIR: u64 = 0xff;
/// RES1 bits of Armv8.0; I, C, M.
const SCTLR: u64 = 0x30d0_0800 | 1 << 12 | 1 << 2 | 1;
/// AF, inner shareable, write-back.
const NORMAL: u64 = 1 << 10 | 3 << 8;
const NOT_GLOBAL: u64 = 1 << 11;

/// What a vCPU finds in its pages: the one of the ASID, and the global one.
type Found = [u64; 2];

/// Lets them take turns, with the invalidation and without.
pub fn check(ram: &mut GuestRam, frames: Shared<'_>) -> Result<(), Error> {
    let (start, end) = (ram.start(), ram.end());
    ram.load(start + CODE, look())?;
    let mut vcpus = [vcpu(ram, 0)?, vcpu(ram, 1)?];
    let own = [found(0), found(1)];

    let cpu = SparingCpu::new(El2Cpu::current().expect("main runs at EL2"));
    let mut el2 = El2::enable_on(cpu, &HOST)?;
    let mut memory = GuestMemory::new(el2.ids(), frames, ram)?;
    memory.map_ram(start..end)?;
    // None of the other checks has this VMID.
    let vm = Vm::new(&el2, memory.finish(Vmid::new(9).expect("not 0"))?);

    // The host's own controls would turn stage 2 off in between, at which TCG drops its TLB.
    let mut el2 = el2.take_turns();
    for round in 0..50 {
        for (vcpu, own) in vcpus.iter_mut().zip(own) {
            assert_eq!(turn(vcpu, &mut el2, &vm, start)?, own, "round {round}");
        }
    }
    let asked = el2.cpu().asked();
    assert_eq!(asked, 100, "each load came after the other vCPU's");
    println!("two vCPUs of one VMID: each saw its own pages, by {asked} local invalidations");

    // The last one that was there was `b`.
    el2.cpu().leave_out(true);
    let seen = turn(&mut vcpus[0], &mut el2, &vm, start)?;
    let which = |seen: u64, (own, other): (u64, u64)| match seen {
        _ if seen == other => "stale",
        _ if seen == own => "its own",
        _ => "neither",
    };
    let [local, global] = [0, 1].map(|page| which(seen[page], (own[0][page], own[1][page])));
    println!(
        "two vCPUs of one VMID without the invalidation (the control): {local}, global {global}"
    );

    // Loads that follow themselves ask for none.
    el2.cpu().leave_out(false);
    turn(&mut vcpus[1], &mut el2, &vm, start)?;
    let before = el2.cpu().asked();
    for _ in 0..10 {
        assert_eq!(turn(&mut vcpus[1], &mut el2, &vm, start)?, own[1]);
    }
    assert_eq!(el2.cpu().asked(), before, "nobody else was there");
    Ok(())
}

/// Has a vCPU read its pages.
fn turn(
    vcpu: &mut Vcpu<SingleCpu>,
    el2: &mut El2<'_, SingleCpu, SparingCpu>,
    vm: &Vm,
    start: u64,
) -> Result<Found, Error> {
    vcpu.set_pc(start + CODE);
    let mut live = vcpu.load(el2, vm)?;
    match live.run() {
        Exit::Hypercall(_) => Ok([live.reg(Gpr::X0), live.reg(Gpr::X1)]),
        exit => panic!("{exit}"),
    }
}

/// Returns a vCPU with tables of its own, and writes these and its pages.
fn vcpu(ram: &mut GuestRam, index: u64) -> Result<Vcpu<SingleCpu>, Error> {
    let own = |page: u64| ram.start() + OWN + (index * OWN_PAGES + page) * PAGE;
    let [first, second, third] = [0, 1, 2].map(own);
    let pages = [3, 4].map(own);
    let block = 1 << 30 | NORMAL | 1; // RAM, where it is
    let words = [
        (first + 8, block),
        (first + 16, second | 3),
        (second, third | 3),
        (third, pages[0] | NORMAL | NOT_GLOBAL | 3),
        (third + 8, pages[1] | NORMAL | 3),
        (pages[0], found(index)[0]),
        (pages[1], found(index)[1]),
    ];
    ram.clear(first..first + OWN_PAGES * PAGE)?;
    for (at, word) in words {
        ram.load(at, &word.to_le_bytes())?;
    }
    let mut vcpu = Vcpu::new(&VcpuConfig {
        mpidr: index,
        ..VcpuConfig::default()
    });
    vcpu.set_sysreg(SwitchedReg::TCR_EL1, TCR);
    vcpu.set_sysreg(SwitchedReg::MAIR_EL1, MAIR);
    vcpu.set_sysreg(SwitchedReg::TTBR0_EL1, first | ASID << 48);
    vcpu.set_sysreg(SwitchedReg::SCTLR_EL1, SCTLR);
    vcpu.set_reg(Gpr::X2, WINDOW);
    vcpu.set_reg(Gpr::X3, WINDOW + PAGE);
    Ok(vcpu)
}

/// What the pages of a vCPU begin with.
fn found(index: u64) -> Found {
    [0, 1].map(|page| 0x7a9e_0000 | index << 8 | page)
}
