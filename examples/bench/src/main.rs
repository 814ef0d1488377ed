//! Round trips from a guest to its host and back, counted by the guest: with our vCPU, and with the
//! crate `arm_vcpu` in the same machine, by the same guest code and the same devices.
//!
//! `cargo xtask bench` runs this so that a nanosecond of guest time is an instruction.

#![no_std]
#![no_main]

mod guest;
mod host;
mod interrupts;
mod ipi;
mod ours;
mod peer;
mod virtual_machine;

use core::num::NonZeroU8;

use aarch64_cpu::registers::{MDCR_EL2, ReadWriteable};
use guest::{CALL, SGI, WORKLOADS, Workload};
use host::Host;
use machine::{Error, Machine, layout, println};
use ours::Ours;
use peer::Peer;
use vcpu_core::{El2, Policy, Vm};
use vcpu_hal::BranchHistory;
use vcpu_regs::{Ipa, Pa, Vmid};
use vcpu_stage2::{Attributes, Geometry, IpaBits, LinearMap, Request, Stage2, Table};

machine::main!(main);

/// Of each loop, unless QEMU's `-append rounds=…` says otherwise; `only=NAME` leaves out the rest,
/// `host=ours` the peer, which needs E2H=0.
const ROUNDS: u64 = 10_000;

/// A call to a host that runs another vCPU, of another VM, before it returns. A round of the two is
/// two switches, each with its call.
const SWITCH: &str = "switch";

/// A guest that is ready to run.
pub struct Guest {
    /// Where it starts.
    pub entry: u64,
    rounds: u64,
    operands: [u64; 2],
}

impl Guest {
    /// Returns the registers its code expects.
    pub fn registers(&self) -> [(u8, u64); 3] {
        let [x22, x23] = self.operands;
        [(19, self.rounds), (22, x22), (23, x23)]
    }
}

/// A call whose way out does something about branch history.
const GUARDED: [(&str, BranchHistory); 2] = [
    (
        "hvc_bhb_loop_24",
        BranchHistory::Loop(NonZeroU8::MIN.saturating_add(23)),
    ),
    ("hvc_clrbhb", BranchHistory::Instruction),
];

fn main(mut machine: Machine) -> Result<(), Error> {
    let rounds = machine
        .tree
        .argument("rounds=")
        .map_or(Some(ROUNDS), |rounds| rounds.parse().ok());
    let rounds = rounds.ok_or(Error::Guest("`rounds=` wants a number"))?;
    let only = machine.tree.argument("only=");
    let is_wanted = |name| only.is_none_or(|only| only == name);
    // SAFETY: nothing else in this program uses the interrupt controller.
    unsafe { interrupts::enable(SGI)? };
    // `arm_vcpu` leaves MDCR_EL2 to its host: this makes OSLSR_EL1 trap for both.
    MDCR_EL2.modify(MDCR_EL2::TDOSA::SET);

    // SAFETY: set up above; `virt` has one CPU here.
    let ours = unsafe { Ours::new() };
    let mut el2 = El2::enable(&ours)?;
    let stage2s = stage2s(&el2, &mut machine)?;
    let [first, second] = stage2s;
    let vms = [Vm::new(&el2, first), Vm::new(&el2, second)];

    let host = Host::default();
    for workload in WORKLOADS.iter().filter(|workload| is_wanted(workload.name)) {
        let guest = load(&mut machine, workload, rounds)?;
        let ticks = ours::run(&mut el2, &vms[0], &guest, &host, Policy::VIRTUAL)?;
        report("ours", workload.name, rounds, ticks, workload.loop_cost);
    }
    for (name, branch_history) in GUARDED {
        if is_wanted(name) {
            let guest = load(&mut machine, &CALL, rounds)?;
            let policy = Policy {
                branch_history,
                ..Policy::VIRTUAL
            };
            let ticks = ours::run(&mut el2, &vms[0], &guest, &host, policy)?;
            report("ours", name, rounds, ticks, CALL.loop_cost);
        }
    }
    if is_wanted(SWITCH) {
        let guest = load(&mut machine, &CALL, rounds)?;
        let ticks = ours::switch(&mut el2, vms.each_ref(), &guest, &host)?;
        report("ours", SWITCH, 2 * rounds, ticks, CALL.loop_cost);
    }
    drop(el2);
    if is_wanted(ipi::NAME) {
        let guest = place(&mut machine, ipi::code(), rounds, [0; 2])?;
        // SAFETY: set up above; `virt` has one CPU here.
        let lists = unsafe { ipi::Lists::new() };
        let mut el2 = El2::enable(&lists)?;
        let ticks = ipi::run(&mut el2, &vms[0], &guest, &host)?;
        report("ours", ipi::NAME, rounds, ticks, ipi::LOOP_COST);
    }
    if is_wanted("irq") && host.interrupts() != rounds {
        return Err(Error::Guest("an interrupt was lost"));
    }
    if machine.tree.argument("host=") == Some("ours") {
        return Ok(());
    }

    let mut peer = Peer::enable()?;
    for workload in WORKLOADS.iter().filter(|workload| is_wanted(workload.name)) {
        let guest = load(&mut machine, workload, rounds)?;
        let ticks = peer.run(&stage2s[0], &guest, &host)?;
        report("arm_vcpu", workload.name, rounds, ticks, workload.loop_cost);
    }
    if is_wanted(SWITCH) {
        let guest = load(&mut machine, &CALL, rounds)?;
        let ticks = peer.switch(stage2s.each_ref(), &guest, &host)?;
        report("arm_vcpu", SWITCH, 2 * rounds, ticks, CALL.loop_cost);
    }

    if is_wanted("irq") && host.interrupts() != 2 * rounds {
        return Err(Error::Guest("an interrupt was lost"));
    }
    drop(peer);
    if only.is_none() {
        virtual_machine::run(machine)?;
    }
    Ok(())
}

/// Returns the memories of two VMs: guest RAM, and the redistributor, to raise interrupts with.
fn stage2s(
    el2: &El2<'_, Ours, vcpu_asm::El2Cpu>,
    machine: &mut Machine,
) -> Result<[Stage2; 2], Error> {
    const REQUEST: Request = Request {
        ipa: IpaBits::AtMost(40),
        ..Request::MOST
    };
    let geometry = Geometry::probe(&el2.ids().memory_model(), &REQUEST)?;
    let ram = machine.ram.start()..machine.ram.end();
    let mut make = |vmid| -> Result<Stage2, Error> {
        let vmid = Vmid::new(vmid).ok_or(Error::Guest("0 is no VMID"))?;
        // SAFETY: `Frames` gives out hypervisor RAM, which is mapped where it lies, and not at 0.
        let memory = unsafe { LinearMap::new(0) };
        let mut table = Table::new(geometry, &mut machine.frames, memory)?;
        for (range, attributes) in [
            (ram.clone(), Attributes::RAM),
            (layout::GIC_CPU_0, Attributes::DEVICE),
        ] {
            let bytes = range.end - range.start;
            // SAFETY: guest RAM, of which no borrow lives while a guest runs, and a register frame
            // in which the guests' code sets one SGI pending.
            let change =
                unsafe { table.map(Ipa(range.start), Pa(range.start), bytes, attributes)? };
            change.defer(); // loading the vCPU publishes it: nothing walks the table before
        }
        // SAFETY: the table is neither released nor changed, for it is leaked here; each has its
        // own VMID.
        Ok(unsafe { table.stage2(vmid)? })
    };
    Ok([make(1)?, make(2)?])
}

/// Puts a workload's code in guest RAM.
fn load(machine: &mut Machine, workload: &Workload, rounds: u64) -> Result<Guest, Error> {
    place(machine, (workload.code)(), rounds, workload.operands)
}

/// Puts code in guest RAM.
fn place(
    machine: &mut Machine,
    code: &[u8],
    rounds: u64,
    operands: [u64; 2],
) -> Result<Guest, Error> {
    let entry = machine.ram.start();
    machine.ram.load(entry, code)?;
    Ok(Guest {
        entry,
        rounds,
        operands,
    })
}

/// Says how many nanoseconds of guest time a round took, without the loop's own instructions.
fn report(who: &str, name: &str, rounds: u64, ticks: u64, loop_cost: u64) {
    let tenths = tenths(ticks, rounds).saturating_sub(10 * loop_cost);
    println!("{who:<9} {name:<12} {:>5}.{} ns", tenths / 10, tenths % 10);
}

/// Returns the tenths of a nanosecond that each of `rounds` took.
fn tenths(ticks: u64, rounds: u64) -> u64 {
    use aarch64_cpu::registers::{CNTFRQ_EL0, Readable};
    const TENTHS_PER_S: u128 = 10_000_000_000;
    let tenths = u128::from(ticks) * TENTHS_PER_S / u128::from(CNTFRQ_EL0.get());
    (tenths / u128::from(rounds.max(1))) as u64
}
