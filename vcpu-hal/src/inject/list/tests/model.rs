//! A small GIC CPU interface, as the architecture describes it to the guest: once over list
//! registers, and once over a table without limits, which says what the guest should have seen.
//!
//! GIC architecture (IHI 0069): "Physical interrupt handling and prioritization", and `ICV_IAR1_EL1`,
//! `ICV_EOIR1_EL1`, `ICV_DIR_EL1`, `ICH_HCR_EL2`, `ICH_MISR_EL2`.

extern crate std;

use core::cell::RefCell;
use std::{collections::BTreeMap, vec, vec::Vec};

use vcpu_regs::{IchHcr, IchMisr, IchVmcr, Intid, ListRegister};

use crate::inject::{Group, Trigger, VirtualInterrupt, list::interface::VirtualInterface};

/// What the guest set up, and the priorities that it is busy with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub mask: u8,
    pub binary_points: [u8; 2],
    pub common_binary_point: bool,
    pub enabled: [bool; 2],
    pub split_end: bool,
    /// Group priority of each acknowledged and not yet ended interrupt, the last at the end.
    pub running: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mask: 0xff,
            binary_points: [2, 3],
            common_binary_point: false,
            enabled: [true, true],
            split_end: false,
            running: Vec::new(),
        }
    }
}

impl Settings {
    /// The part of a priority that decides on preemption.
    fn group_priority(&self, priority: u8, group: Group) -> u8 {
        let low_bits = match group {
            Group::One if !self.common_binary_point => self.binary_points[1],
            _ => self.binary_points[0] + 1,
        };
        if low_bits > 7 {
            return 0;
        }
        priority >> low_bits << low_bits
    }

    /// Whether the highest pending interrupt is signalled.
    fn signals(&self, priority: u8, group: Group) -> bool {
        let own = self.group_priority(priority, group);
        priority < self.mask && self.running.last().is_none_or(|&running| own < running)
    }

    pub fn is_enabled(&self, group: Group) -> bool {
        self.enabled[group as usize]
    }

    pub fn vmcr(&self) -> IchVmcr {
        let bit = |flag: bool, at: u32| u64::from(flag) << at;
        IchVmcr(
            u64::from(self.mask) << 24
                | u64::from(self.binary_points[0]) << 21
                | u64::from(self.binary_points[1]) << 18
                | bit(self.split_end, 9)
                | bit(self.common_binary_point, 4)
                | bit(self.enabled[1], 1)
                | bit(self.enabled[0], 0),
        )
    }
}

const fn group(list: ListRegister) -> Group {
    if list.is_group1() {
        Group::One
    } else {
        Group::Zero
    }
}

/// The hardware: a few list registers.
#[derive(Debug)]
pub struct Hardware {
    pub lists: RefCell<Vec<ListRegister>>,
    pub hcr: RefCell<IchHcr>,
    pub settings: Settings,
    /// Physical interrupts that it deactivated.
    pub deactivated: Vec<Intid>,
    pub traps_dir: bool,
}

impl Hardware {
    pub fn new(count: usize, settings: Settings, traps_dir: bool) -> Self {
        // What another guest left: to be overwritten before it is let loose.
        let leftover = ListRegister::new(Intid(99), 0, true).with_pending(true);
        Self {
            lists: RefCell::new(vec![leftover; count]),
            hcr: RefCell::new(IchHcr::from_bits_retain(0xf8 << 24)),
            settings,
            deactivated: Vec::new(),
            traps_dir,
        }
    }

    /// The guest reads ICC_IAR<n>_EL1 of the group that is signalled.
    pub fn acknowledge(&mut self) -> Option<Intid> {
        let lists = self.lists.get_mut();
        let takable = lists.iter_mut().filter(|list| {
            list.is_pending() && !list.is_active() && self.settings.is_enabled(group(**list))
        });
        let list = takable.min_by_key(|list| list.priority())?;
        if !self.settings.signals(list.priority(), group(*list)) {
            return None;
        }
        let running = self.settings.group_priority(list.priority(), group(*list));
        self.settings.running.push(running);
        *list = list.with_pending(false).with_active(true);
        Some(list.intid())
    }

    /// The guest writes ICC_EOIR<n>_EL1.
    pub fn end(&mut self, intid: Intid) {
        let running = self.settings.running.pop();
        if !self.settings.split_end {
            let lists = self.lists.borrow();
            // One of another priority would stay active.
            for list in lists
                .iter()
                .filter(|list| list.intid() == intid && list.is_active())
            {
                let own = self.settings.group_priority(list.priority(), group(*list));
                assert_eq!(Some(own), running, "{list:?} is not what the guest ends");
            }
            drop(lists);
            self.deactivate(intid);
        }
    }

    /// The guest writes ICC_DIR_EL1; returns whether that traps.
    pub fn direct(&mut self, intid: Intid) -> bool {
        let traps = self.hcr.borrow().contains(IchHcr::TDIR);
        if !traps {
            self.deactivate(intid);
        }
        traps
    }

    fn deactivate(&mut self, intid: Intid) {
        let lists = self.lists.get_mut();
        let mut held = lists
            .iter_mut()
            .filter(|list| list.intid() == intid && list.is_active());
        if let Some(list) = held.next() {
            *list = list.with_active(false);
            self.deactivated.extend(list.hardware());
        } else {
            let hcr = *self.hcr.borrow();
            let count = u64::from(hcr.eoi_count()) + 1;
            let others = hcr - IchHcr::EOI_COUNT;
            *self.hcr.get_mut() = others | IchHcr::from_bits_retain(count << 27);
        }
    }

    /// What must hold whenever the guest runs.
    pub fn check(&self) {
        let lists = self.lists.borrow();
        for (n, list) in lists.iter().enumerate() {
            let is_held = |other: &ListRegister| {
                other.intid() == list.intid() && !other.is_inactive() && !list.is_inactive()
            };
            assert!(!lists[..n].iter().any(is_held), "two of one: {lists:?}");
            let both = list.is_pending() && list.is_active();
            assert!(
                !(both && list.hardware().is_some()),
                "not for hardware: {list:?}"
            );
        }
        assert!(self.hcr.borrow().contains(IchHcr::EN));
        assert_eq!(
            self.hcr.borrow().eoi_count(),
            0,
            "ends were counted and not seen"
        );
        assert_eq!(
            self.misr(),
            IchMisr::empty(),
            "it asks for the host at once: {lists:?}"
        );
    }
}

impl VirtualInterface for Hardware {
    fn list_registers(&self) -> u8 {
        self.lists.borrow().len() as u8
    }
    fn can_trap_dir(&self) -> bool {
        self.traps_dir
    }
    fn list(&self, n: u8) -> ListRegister {
        self.lists.borrow()[usize::from(n)]
    }
    fn set_list(&self, n: u8, content: ListRegister) {
        self.lists.borrow_mut()[usize::from(n)] = content;
    }
    fn hcr(&self) -> IchHcr {
        *self.hcr.borrow()
    }
    fn set_hcr(&self, hcr: IchHcr) {
        *self.hcr.borrow_mut() = hcr;
    }
    fn misr(&self) -> IchMisr {
        let (hcr, lists) = (*self.hcr.borrow(), self.lists.borrow());
        let is_pending = |list: &ListRegister| list.is_pending() && !list.is_active();
        let in_use = lists.iter().filter(|list| !list.is_inactive()).count();
        let [group0, group1] = self.settings.enabled;
        let reasons = [
            (lists.iter().any(|list| list.has_ended()), IchMisr::EOI),
            (hcr.contains(IchHcr::UIE) && in_use <= 1, IchMisr::U),
            (
                hcr.contains(IchHcr::LRENPIE) && hcr.eoi_count() != 0,
                IchMisr::LRENP,
            ),
            (
                hcr.contains(IchHcr::NPIE) && !lists.iter().any(is_pending),
                IchMisr::NP,
            ),
            (hcr.contains(IchHcr::VGRP0EIE) && group0, IchMisr::VGRP0E),
            (hcr.contains(IchHcr::VGRP0DIE) && !group0, IchMisr::VGRP0D),
            (hcr.contains(IchHcr::VGRP1EIE) && group1, IchMisr::VGRP1E),
            (hcr.contains(IchHcr::VGRP1DIE) && !group1, IchMisr::VGRP1D),
        ];
        let asserted = reasons
            .into_iter()
            .filter(|(is, _)| *is && hcr.contains(IchHcr::EN));
        asserted.fold(IchMisr::empty(), |all, (_, reason)| all | reason)
    }
    fn vmcr(&self) -> IchVmcr {
        self.settings.vmcr()
    }
}

/// What the guest should see: every interrupt, wherever it is kept.
#[derive(Default)]
pub struct Ideal {
    pub all: BTreeMap<u32, Known>,
    /// Levels that ended since they were last asked for.
    pub ended: Vec<Intid>,
    pub deactivated: Vec<Intid>,
}

#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub is: VirtualInterrupt,
    pub pending: bool,
    pub active: bool,
}

impl Ideal {
    fn describe(&mut self, is: VirtualInterrupt) -> &mut Known {
        let known = self.all.entry(is.intid.0).or_insert(Known {
            is,
            pending: false,
            active: false,
        });
        let VirtualInterrupt {
            priority, group, ..
        } = known.is;
        match known.active {
            true if matches!(known.is.trigger, Trigger::Hardware(_)) => {}
            true => {
                known.is = VirtualInterrupt {
                    priority,
                    group,
                    ..is
                };
            }
            false => known.is = is,
        }
        known
    }

    pub fn inject(&mut self, is: VirtualInterrupt) {
        self.describe(is).pending = true;
    }

    pub fn activate(&mut self, is: VirtualInterrupt) {
        self.describe(is).active = true;
    }

    pub fn retract(&mut self, intid: Intid) -> bool {
        let known = self.all.get_mut(&intid.0);
        known.is_some_and(|known| core::mem::take(&mut known.pending))
    }

    /// Checks what the guest read from ICC_IAR<n>_EL1, before it was taken.
    pub fn acknowledge(&mut self, settings: &Settings, taken: Option<Intid>) {
        let takable =
            |known: &&Known| known.pending && !known.active && settings.is_enabled(known.is.group);
        let highest = self
            .all
            .values()
            .filter(takable)
            .map(|known| known.is.priority)
            .min();
        let candidates = self.all.values().filter(takable);
        let signalled: Vec<_> = candidates
            .filter(|known| Some(known.is.priority) == highest)
            .filter(|known| settings.signals(known.is.priority, known.is.group))
            .map(|known| known.is.intid)
            .collect();
        match taken {
            Some(intid) => {
                assert!(
                    signalled.contains(&intid),
                    "{intid:?}, but {signalled:?} are due"
                );
                let known = self.all.get_mut(&intid.0).unwrap();
                (known.pending, known.active) = (false, true);
            }
            // Of several with one priority and two groups, the hardware looks at one.
            None => {
                let all = self.all.values().filter(takable);
                let at_top = all
                    .filter(|known| Some(known.is.priority) == highest)
                    .count();
                assert!(signalled.len() < at_top.max(1), "{signalled:?} are due");
            }
        }
    }

    pub fn deactivate(&mut self, intid: Intid) -> bool {
        let Some(known) = self.all.get_mut(&intid.0) else {
            return false;
        };
        if !core::mem::take(&mut known.active) {
            return false;
        }
        match known.is.trigger {
            Trigger::Level if !known.pending && !self.ended.contains(&intid) => {
                self.ended.push(intid);
            }
            Trigger::Hardware(physical) if !known.pending => self.deactivated.push(physical),
            _ => {}
        }
        true
    }
}
