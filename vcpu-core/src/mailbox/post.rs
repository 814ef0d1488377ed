//! The box itself: one word for each interrupt, and one that says which of them are new.

use vcpu_regs::Intid;

use super::{
    SLOTS,
    atomic::{AtomicU64, Ordering, fence},
    message::{Message, intid_of},
};

/// What other CPUs have to say to one vCPU, wherever it is.
///
/// A host keeps one for each vCPU, apart from the [`Vcpu`](crate::Vcpu): whoever has an interrupt
/// for a vCPU that is not in its own hands [posts](Self::post) it, and does what comes back. The
/// vCPU takes it before it next enters its guest.
///
/// Nothing here waits for a lock, and nothing allocates.
#[derive(Debug)]
pub struct Mailbox {
    /// Slots with something new.
    news: AtomicU64,
    /// The index of the CPU that the vCPU is loaded on, plus one; 0 for none.
    place: AtomicU64,
    slots: [AtomicU64; SLOTS],
}

/// The first slots are SGIs and PPIs by number, the rest any others.
const PRIVATE: u32 = 32;

/// What whoever posted is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "the vCPU may be waiting"]
pub enum Delivery {
    /// Nothing: whoever posted before sees to it.
    Noted,
    /// To interrupt the CPU with this index, on which the vCPU is loaded: any interrupt that EL2
    /// takes will do. The post is to be visible before: on Arm, a `dsb ishst` precedes the write
    /// that sends it.
    Kick(usize),
    /// To tell the scheduler, if the vCPU waits for an interrupt: it is on no CPU.
    Wake,
}

/// Why something was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PostError {
    /// It is neither an SGI nor a PPI, and there is something of too many others. To be tried
    /// again later.
    Full(Intid),
    /// There is no such interrupt, or no physical one of that number.
    NoSuchIntid(Intid),
}

impl Mailbox {
    constructor! {
        /// Returns an empty one.
        pub fn new() -> Self {
            Self {
                news: AtomicU64::new(0),
                place: AtomicU64::new(0),
                slots: atomics![AtomicU64::new(0); SLOTS],
            }
        }
    }

    /// Puts something in, for the vCPU to take. Of two about one interrupt, the later counts.
    ///
    /// About one SPI or LPI, posts come one after another: a distributor that decides on each under
    /// a lock of its own does so anyway. SGIs and PPIs are free of that.
    pub fn post(&self, message: Message) -> Result<Delivery, PostError> {
        let intid = message.intid();
        let word = message.encode();
        let word = word.filter(|_| !matches!(intid.0, 1020..=1023));
        let word = word.ok_or(PostError::NoSuchIntid(intid))?;
        let slot = if intid.0 < PRIVATE {
            self.slots[intid.0 as usize].swap(word, Ordering::AcqRel);
            intid.0 as usize
        } else {
            self.put_shared(word).ok_or(PostError::Full(intid))?
        };
        let bit = 1 << slot;
        // The slot before the bit.
        let before = self.news.fetch_or(bit, Ordering::AcqRel);
        if before & bit != 0 {
            return Ok(Delivery::Noted);
        }
        fence(Ordering::SeqCst); // the bit before the place; the other half is in `arrive`, `leave`
        Ok(match self.place.load(Ordering::Relaxed) {
            0 => Delivery::Wake,
            place => Delivery::Kick(place as usize - 1),
        })
    }

    /// Puts a word where one about the same interrupt is, or into an empty slot.
    fn put_shared(&self, word: u64) -> Option<usize> {
        let (first, shared) = (PRIVATE as usize, &self.slots[PRIVATE as usize..]);
        loop {
            let mut empty = None;
            let mut same = None;
            for (n, slot) in shared.iter().enumerate() {
                match slot.load(Ordering::Relaxed) {
                    0 => empty = empty.or(Some((n, 0))),
                    held if intid_of(held) == intid_of(word) => same = Some((n, held)),
                    _ => {}
                }
            }
            let (n, held) = same.or(empty)?;
            // It fails when the vCPU took what was there, or another took the place: look again.
            let put = shared[n].compare_exchange(held, word, Ordering::AcqRel, Ordering::Relaxed);
            if put.is_ok() {
                return Some(first + n);
            }
        }
    }

    /// Returns whether there may be something that the vCPU has not taken: for a scheduler that is
    /// about to let it wait, after the `put`.
    pub fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire) != 0
    }

    /// The same for the vCPU itself, with interrupts masked: what it does not see is kicked for.
    #[inline(always)]
    pub(crate) fn may_have_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) != 0
    }

    /// Notes that the vCPU is loaded on the CPU with this index.
    pub(crate) fn arrive(&self, index: usize) {
        self.place.store(index as u64 + 1, Ordering::Relaxed);
        fence(Ordering::SeqCst); // the place before the first look for news
    }

    /// Notes that the vCPU is on no CPU.
    pub(crate) fn leave(&self) {
        self.place.store(0, Ordering::Relaxed);
        fence(Ordering::SeqCst); // the place before the scheduler's look for news
    }

    /// Takes all that is new; what `take` refuses stays, and is news again.
    ///
    /// For the vCPU alone, while its guest does not run.
    pub(crate) fn take(&self, mut take: impl FnMut(Message) -> bool) {
        let mut news = self.news.swap(0, Ordering::AcqRel);
        let mut refused = 0;
        while news != 0 {
            let n = news.trailing_zeros();
            news &= news - 1;
            let slot = &self.slots[n as usize];
            let word = slot.load(Ordering::Acquire);
            let Some(message) = Message::decode(word) else {
                continue; // taken with what was posted before
            };
            if take(message) {
                // Unless something else came meanwhile, which is news again. If it is the same once
                // more, that has merged: the guest has not run.
                let _ = slot.compare_exchange(word, 0, Ordering::AcqRel, Ordering::Relaxed);
            } else {
                refused |= 1 << n;
            }
        }
        if refused != 0 {
            self.news.fetch_or(refused, Ordering::AcqRel);
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
