//! Interrupts from one vCPU, or one CPU, to another.
//!
//! A [`Mailbox`] holds what was posted to a vCPU that is elsewhere; [`Mailed`] is a backend that
//! looks into it before each entry, with one load where there is nothing. A host that does not
//! route between CPUs uses its backend by itself, and pays nothing.

use core::sync::atomic;

use vcpu_hal::{
    Cpu, Inject, Platform,
    inject::{CpuInterface, Lines, Status, VirtualInterrupt},
};
use vcpu_regs::Intid;

use crate::Vcpu;

macro_rules! constructor {
    ($(#[$doc:meta])* pub fn $($rest:tt)*) => { $(#[$doc])* pub const fn $($rest)* };
}
macro_rules! atomics {
    ($new:expr; $count:expr) => {
        [const { $new }; $count]
    };
}

/// One for each bit of a word.
const SLOTS: usize = 64;

mod message;
mod post;

pub use message::Message;
pub use post::{Delivery, Mailbox, PostError};

/// The same under loom, which tries every interleaving.
#[cfg(test)]
mod model;

/// A backend whose vCPUs have mailboxes: [`Vcpu::set_mailbox`].
///
/// What the backend behind refuses stays in the mailbox and is tried again before each entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mailed<'m, I> {
    inner: I,
    mailboxes: core::marker::PhantomData<&'m Mailbox>,
}

impl<I> Mailed<'_, I> {
    /// Returns the backend that delivers by `inner`.
    pub const fn new(inner: I) -> Self {
        Self {
            inner,
            mailboxes: core::marker::PhantomData,
        }
    }
}

/// What is pending on one vCPU, and where more of it comes from.
#[derive(Clone, Debug, Default)]
pub struct MailedState<'m, S> {
    inner: S,
    mailbox: Option<&'m Mailbox>,
}

impl<'m, I: Inject, P: Platform<Inject = Mailed<'m, I>>> Vcpu<P> {
    /// Has the vCPU take what is posted there. One mailbox for each vCPU.
    pub fn set_mailbox(&mut self, mailbox: &'m Mailbox) {
        self.pending.mailbox = Some(mailbox);
    }
}

impl<'m, I: Inject> Inject for Mailed<'m, I> {
    type State = MailedState<'m, I::State>;
    type Error = I::Error;

    const LINES_KEEP: bool = I::LINES_KEEP;
    const CPU_INTERFACE: CpuInterface = I::CPU_INTERFACE;
    const CHANGES_BEFORE_ENTRY: bool = true;

    #[inline(always)]
    fn before_entry<C: Cpu>(&self, cpu: &C, state: &mut Self::State) -> bool {
        match state.mailbox {
            Some(mailbox) if mailbox.may_have_news() => {
                self.take(cpu, mailbox, &mut state.inner);
                true
            }
            _ => false,
        }
    }

    fn inject(
        &self,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error> {
        self.inner.inject(&mut state.inner, interrupt)
    }

    fn retract(&self, state: &mut Self::State, intid: Intid) -> bool {
        self.inner.retract(&mut state.inner, intid)
    }

    fn status(&self, state: &Self::State, intid: Intid) -> Status {
        self.inner.status(&state.inner, intid)
    }

    fn senders(&self, state: &Self::State, intid: Intid) -> u8 {
        self.inner.senders(&state.inner, intid)
    }

    fn activate(
        &self,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error> {
        self.inner.activate(&mut state.inner, interrupt)
    }

    fn deactivate(&self, state: &mut Self::State, intid: Intid) -> bool {
        self.inner.deactivate(&mut state.inner, intid)
    }

    fn next_ended(&self, state: &mut Self::State) -> Option<Intid> {
        self.inner.next_ended(&mut state.inner)
    }

    fn wakes(&self, state: &Self::State) -> bool {
        state.mailbox.is_some_and(Mailbox::has_news) || self.inner.wakes(&state.inner)
    }

    fn wakes_loaded<C: Cpu>(&self, cpu: &C, state: &mut Self::State) -> bool {
        state.mailbox.is_some_and(Mailbox::has_news)
            || self.inner.wakes_loaded(cpu, &mut state.inner)
    }

    #[inline(always)]
    fn lines(&self, state: &Self::State) -> Lines {
        self.inner.lines(&state.inner)
    }

    fn load<C: Cpu>(&self, cpu: &C, state: &mut Self::State, index: usize) {
        if let Some(mailbox) = state.mailbox {
            mailbox.arrive(index);
        }
        self.inner.load(cpu, &mut state.inner, index);
    }

    fn put<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        self.inner.put(cpu, &mut state.inner);
        if let Some(mailbox) = state.mailbox {
            mailbox.leave();
        }
    }

    #[inline]
    fn interrupted<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        self.inner.interrupted(cpu, &mut state.inner);
    }

    fn sync<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        self.inner.sync(cpu, &mut state.inner);
    }

    fn settle<C: Cpu>(&self, cpu: &C, state: &mut Self::State) {
        self.inner.settle(cpu, &mut state.inner);
    }

    #[inline]
    fn inject_loaded<C: Cpu>(
        &self,
        cpu: &C,
        state: &mut Self::State,
        interrupt: VirtualInterrupt,
    ) -> Result<(), Self::Error> {
        self.inner.inject_loaded(cpu, &mut state.inner, interrupt)
    }

    fn retract_loaded<C: Cpu>(&self, cpu: &C, state: &mut Self::State, intid: Intid) -> bool {
        self.inner.retract_loaded(cpu, &mut state.inner, intid)
    }
}

impl<I: Inject> Mailed<'_, I> {
    #[cold]
    #[inline(never)]
    fn take<C: Cpu>(&self, cpu: &C, mailbox: &Mailbox, state: &mut I::State) {
        mailbox.take(|message| match message {
            Message::Inject(interrupt) => self.inner.inject_loaded(cpu, state, interrupt).is_ok(),
            Message::Retract(intid) => {
                self.inner.retract_loaded(cpu, state, intid);
                true
            }
        });
    }
}
