//! What the console shows.

use core::{
    fmt::{self, Write},
    sync::atomic::Ordering::{AcqRel, Relaxed},
};

use super::{
    clock,
    gic::{Gic, Version},
    interrupts, memory, power,
    registers::{Device, execute, read},
    shared::{Counts, Cpu, Shared},
    timers::Kind,
    wait,
};

const UART: Device = Device(0x0900_0000);

/// The PL011.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            UART.write(0, byte.into());
        }
        Ok(())
    }
}

/// Shows a line.
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = core::write!($crate::guest::report::Console, $($argument)*);
    }};
}

/// Ends the run: says what is wrong, and how things stand.
macro_rules! fail {
    ($($argument:tt)*) => {
        $crate::guest::report::failed(core::format_args!($($argument)*))
    };
}

pub(super) use {fail, print};

/// Ends the run.
#[cold]
pub fn failed(why: fmt::Arguments<'_>) -> ! {
    interrupts::mask();
    let shared = Shared::get();
    if shared.failed.swap(1, AcqRel) != 0 {
        // Another vCPU is at it.
        loop {
            execute!("wfi");
        }
    }
    let me = read!(tpidr_el1) as usize;
    print!("FAILED: vCPU {me}, {} us: {why}\r\n", microseconds(shared));
    let now = [clock::virtual_now(), clock::physical_now()];
    for (kind, now) in [Kind::Virtual, Kind::Physical].into_iter().zip(now) {
        let (control, deadline) = (kind.control(), kind.deadline());
        print!("  its {kind:?} timer: CTL {control:#x}, CVAL {deadline}, counter {now}\r\n");
    }
    let pages = [0, 1].map(memory::translation);
    print!(
        "  ISR_EL1 {:#x}, its pages: PAR {pages:#x?}\r\n",
        read!(isr_el1)
    );
    let gic = Gic::of(shared);
    for cpu in shared.cpus() {
        let (index, since) = (cpu.index(), cpu.waits_since.load(Relaxed));
        print!("  vCPU {index}:");
        match since {
            0 => print!(" runs,"),
            _ => print!(" waits for {:?} since {since},", wait::what(cpu)),
        }
        print!(
            " timers due {:?},",
            [0, 1].map(|kind: usize| cpu.timers[kind].due())
        );
        // Of a request that is not answered, by whom: the two differ.
        print!(" asked {:?} answered {:?}", cpu.asked, cpu.answered);
        if shared.gic_version() == Version::V3 || index == me {
            let [pending, active] = gic.private_state(index);
            print!(", pending {pending:#x}, active {active:#x}");
        }
        print!("\r\n");
    }
    let [pending, active] = gic.shared_state();
    print!("  SPIs: pending {pending:#x}, active {active:#x}\r\n");
    power::system_off()
}

/// Says every ten seconds how far it is.
pub fn progress(shared: &Shared, told: &mut u64) {
    let tens = shared.elapsed() / clock::frequency() / 10;
    if tens > *told {
        *told = tens;
        interrupts::mask();
        print!("stress: {} s\r\n", 10 * tens);
        interrupts::unmask();
    }
}

/// Counts, and says how it went.
pub fn verdict(shared: &Shared) {
    let all = Counts::default();
    shared.cpus().iter().for_each(|cpu| all.add(&cpu.counts));
    let count = |counter: &core::sync::atomic::AtomicU64| counter.load(Relaxed);
    let pairs = [
        (
            "virtual timer interrupts",
            &all.virtual_set,
            &all.virtual_taken,
        ),
        (
            "physical timer interrupts",
            &all.physical_set,
            &all.physical_taken,
        ),
        ("SGIs that ask", &all.sgis_sent, &all.sgis_taken),
        ("SGIs that answer", &all.replies_sent, &all.replies_taken),
        ("SPIs", &all.spis_sent, &all.spis_taken),
    ];
    print!(
        "stress: {} ms of guest time\r\n",
        microseconds(shared) / 1000
    );
    for (name, sent, taken) in pairs {
        if count(sent) != count(taken) {
            fail!(
                "{name}: {} were due, and {} came",
                count(sent),
                count(taken)
            );
        }
        print!("stress: {} {name}\r\n", count(taken));
    }
    let others = [
        ("answers by events", &all.events),
        ("wake-ups from WFI", &all.wakes),
        ("sleeps ended by another vCPU", &all.sleeps),
        ("spurious interrupts", &all.spurious),
        ("looks at the clocks", &all.clock_checks),
        ("looks at own pages", &all.page_checks),
        ("pages mapped anew", &all.page_changes),
        ("waits with one thing to end them", &all.quiet_waits),
    ];
    for (name, counter) in others {
        print!("stress: {} {name}\r\n", count(counter));
    }
    let latest = |cpu: &&Cpu| cpu.latest.load(Relaxed);
    if let Some(cpu) = shared.cpus().iter().max_by_key(latest) {
        let (us, looks) = (latest(&cpu) / clock::ticks(1), count(&cpu.latest_looks));
        print!(
            "stress: at most {us} us from a deadline to its interrupt, in which others looked at \
             the clocks {looks} times\r\n"
        );
    }
    print!("stress: ok\r\n");
}

fn microseconds(shared: &Shared) -> u64 {
    shared.elapsed() / clock::ticks(1).max(1)
}
