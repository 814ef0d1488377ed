//! What is posted, as one word.

use vcpu_hal::inject::{Group, Trigger, VirtualInterrupt};
use vcpu_regs::Intid;

/// Something about one interrupt of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Message {
    /// It is pending.
    Inject(VirtualInterrupt),
    /// It is not: a level that fell, an edge that was taken back.
    Retract(Intid),
}

const PRESENT: u64 = 1 << 63;
const RETRACT: u64 = 1 << 62;
const INTID_BITS: u32 = 24;
const PRIORITY: u32 = 24;
const GROUP: u32 = 32;
const KIND: u32 = 33;
const DETAIL: u32 = 35;
const DETAIL_BITS: u32 = 13;

const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

impl Message {
    /// Returns which interrupt it is about.
    pub const fn intid(&self) -> Intid {
        match self {
            Self::Inject(interrupt) => interrupt.intid,
            Self::Retract(intid) => *intid,
        }
    }

    /// Returns the word, which is not 0; `None` where a number does not fit.
    pub(super) fn encode(&self) -> Option<u64> {
        let intid = u64::from(self.intid().0);
        let rest = match self {
            Self::Inject(interrupt) => {
                let (kind, detail) = match interrupt.trigger {
                    Trigger::Edge => (0, 0),
                    Trigger::Level => (1, 0),
                    Trigger::Hardware(physical) => (2, u64::from(physical.0)),
                    Trigger::SentBy(cpu) => (3, u64::from(cpu)),
                };
                if detail > low(DETAIL_BITS) {
                    return None;
                }
                u64::from(interrupt.priority) << PRIORITY
                    | u64::from(interrupt.group == Group::One) << GROUP
                    | kind << KIND
                    | detail << DETAIL
            }
            Self::Retract(_) => RETRACT,
        };
        (intid <= low(INTID_BITS)).then_some(PRESENT | intid | rest)
    }

    /// Returns what a word says; `None` for 0.
    pub(super) const fn decode(word: u64) -> Option<Self> {
        if word & PRESENT == 0 {
            return None;
        }
        let intid = intid_of(word);
        if word & RETRACT != 0 {
            return Some(Self::Retract(intid));
        }
        let detail = (word >> DETAIL & low(DETAIL_BITS)) as u32;
        let trigger = match word >> KIND & 3 {
            0 => Trigger::Edge,
            1 => Trigger::Level,
            2 => Trigger::Hardware(Intid(detail)),
            _ => Trigger::SentBy(detail as u8),
        };
        Some(Self::Inject(VirtualInterrupt {
            intid,
            priority: (word >> PRIORITY) as u8,
            group: match word >> GROUP & 1 {
                0 => Group::Zero,
                _ => Group::One,
            },
            trigger,
        }))
    }
}

/// Returns which interrupt a word is about.
pub(super) const fn intid_of(word: u64) -> Intid {
    Intid((word & low(INTID_BITS)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_says_all_of_it() {
        let triggers = [
            Trigger::Edge,
            Trigger::Level,
            Trigger::Hardware(Intid(0x1fff)),
            Trigger::SentBy(7),
        ];
        for intid in [0, 31, 32, 0xff_ffff].map(Intid) {
            for trigger in triggers {
                for group in [Group::Zero, Group::One] {
                    for priority in [0, 0xa0, 0xff] {
                        let message = Message::Inject(VirtualInterrupt {
                            intid,
                            priority,
                            group,
                            trigger,
                        });
                        let word = message.encode().unwrap();
                        assert_eq!(Message::decode(word), Some(message));
                    }
                }
            }
            let message = Message::Retract(intid);
            assert_eq!(Message::decode(message.encode().unwrap()), Some(message));
        }
        assert_eq!(Message::decode(0), None);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(Message::Retract(Intid(1 << 24)).encode(), None);
        let interrupt = VirtualInterrupt {
            trigger: Trigger::Hardware(Intid(1 << 13)),
            ..Intid(40).into()
        };
        assert_eq!(Message::Inject(interrupt).encode(), None);
    }
}
