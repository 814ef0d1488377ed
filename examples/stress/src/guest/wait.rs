//! Ways to wait.

use core::{
    hint::{black_box, spin_loop},
    sync::atomic::Ordering::{Acquire, Relaxed},
};

use machine::Random;

use super::{
    clock, interrupts,
    registers::execute,
    report::fail,
    shared::{Cpu, Shared, count},
};

/// What takes longer than this does not come any more.
pub const PATIENCE_US: u64 = 5_000_000;

/// What a vCPU waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Wait {
    VirtualTimer,
    PhysicalTimer,
    BothTimers,
    /// For the answers to its requests, each by an SGI.
    Replies,
    /// For answers of which an event tells.
    Events,
    /// For whoever wakes it: as long as that takes.
    Sleep,
    /// For the end of all.
    End,
}

impl Wait {
    const ALL: [Self; 7] = [
        Self::VirtualTimer,
        Self::PhysicalTimer,
        Self::BothTimers,
        Self::Replies,
        Self::Events,
        Self::Sleep,
        Self::End,
    ];

    /// Whether it has to end in time.
    fn is_bounded(self) -> bool {
        !matches!(self, Self::Sleep | Self::End)
    }
}

/// How to wait.
#[derive(Clone, Copy)]
enum Style {
    /// WFI, then the exception.
    Wfi,
    /// WFI, and what is pending is acknowledged without an exception.
    Masked,
    /// Neither: the CPU is asked whether something is pending.
    MaskedSpin,
    /// Busy, interrupts on.
    Spin,
    /// WFE, interrupts on: an exception's return is an event. QEMU 7.2 does not trap it.
    Wfe,
}

/// Waits until it is `done`, in some way.
pub fn until(shared: &Shared, me: &Cpu, what: Wait, random: &mut Random, done: impl Fn() -> bool) {
    let style = match (what, random.below(16)) {
        (_, 0..=8) => Style::Wfi,
        (Wait::Sleep | Wait::End, _) | (_, 9..=12) => Style::Masked,
        (_, 13) => Style::MaskedSpin,
        (_, 14) => Style::Spin,
        _ => Style::Wfe,
    };
    // Only who does not sleep finds an answer without an interrupt.
    let style = match (what, style) {
        (Wait::Events, Style::Wfi | Style::Masked) => Style::Wfe,
        (_, style) => style,
    };
    me.waits(what);
    while !done() {
        once(shared, me, style, &done);
        look(shared);
    }
    me.goes_on();
    look(shared);
}

fn once(shared: &Shared, me: &Cpu, style: Style, done: &impl Fn() -> bool) {
    match style {
        Style::Wfi | Style::Masked => {
            // Masked, so that nothing comes between the look and the wait: it ends the wait.
            interrupts::mask();
            if !done() {
                execute!("dsb sy");
                execute!("wfi");
                count(&me.counts.wakes);
            }
            if matches!(style, Style::Masked) {
                interrupts::take_all(shared, me);
            }
            interrupts::unmask();
        }
        Style::MaskedSpin => {
            interrupts::mask();
            while !done() && !interrupts::is_pending() {
                spin_loop();
            }
            interrupts::unmask();
        }
        Style::Spin => spin_loop(),
        Style::Wfe => execute!("wfe"),
    }
}

/// Finds a vCPU whose wait does not end.
fn look(shared: &Shared) {
    for cpu in shared.cpus() {
        let since = cpu.waits_since.load(Acquire);
        let what = what(cpu);
        // The counter is read after the word: what it says is past.
        if since == 0 || !what.is_bounded() {
            continue;
        }
        let waited = clock::virtual_now().saturating_sub(since);
        if waited > clock::ticks(PATIENCE_US) && cpu.waits_since.load(Acquire) == since {
            fail!(
                "vCPU {} waits for {what:?}, and nothing comes in {} ms",
                cpu.index(),
                waited / clock::ticks(1000)
            );
        }
    }
}

/// What a vCPU waits for, or has waited for last.
pub fn what(cpu: &Cpu) -> Wait {
    let number = cpu.waits_for.load(Relaxed) as usize;
    Wait::ALL.get(number).copied().unwrap_or(Wait::End)
}

/// Computes for a while.
pub fn compute(random: &mut Random) {
    for i in 0..random.below(20_000) {
        black_box(i);
    }
}
