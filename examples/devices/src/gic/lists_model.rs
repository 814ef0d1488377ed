//! Distributor and list together against interrupts as the architecture has them, each pending or
//! active in one place: whatever passes between the two, the registers show it, and the guest
//! acknowledges what is due.

extern crate std;

use std::{collections::BTreeMap, vec::Vec};

use proptest::prelude::*;
use vcpu_regs::Intid;

use super::{Gic, Left, Version};

const GICD_CTLR: u64 = 0;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const ICFGR: u64 = 0xc00;
const FIRST: u32 = 32;
const LINES: u32 = 6;

/// GIC architecture (IHI 0069), "Interrupt handling state machine".
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    is_edge: bool,
    is_high: bool,
    latched: bool,
    active: bool,
    enabled: bool,
}

impl Line {
    fn is_pending(&self) -> bool {
        self.latched || self.is_high && !self.is_edge
    }

    fn is_due(&self) -> bool {
        self.is_pending() && self.enabled && !self.active
    }
}

/// Like a vCPU's list registers, but there is room for as many as it takes.
#[derive(Default)]
struct List {
    /// Pending and active.
    entries: BTreeMap<u32, (bool, bool)>,
    /// Levels that were ended, and not told of.
    ended: Vec<u32>,
    room: usize,
}

impl List {
    fn left(&self, intid: Intid) -> Left {
        let (pending, active) = self.entries.get(&intid.0).copied().unwrap_or_default();
        Left {
            pending,
            active,
            sources: 0,
        }
    }

    fn end(&mut self, intid: u32, is_level: bool) {
        let (pending, active) = self.entries.get_mut(&intid).unwrap();
        *active = false;
        if !*pending && is_level {
            self.ended.push(intid);
        }
    }

    fn has_room(&mut self, intid: u32) -> bool {
        self.entries.retain(|_, entry| entry.0 || entry.1);
        self.entries.contains_key(&intid) || self.entries.len() < self.room
    }
}

struct World {
    gic: Gic,
    list: List,
    lines: [Line; LINES as usize],
}

impl World {
    fn new(edges: u32, room: usize) -> Self {
        let mut gic = Gic::new(Version::V3, 1).unwrap();
        gic.write_distributor(GICD_CTLR, 4, 3);
        let config = (0..LINES).fold(0, |word, i| word | (edges >> i & 1) << (2 * i + 1));
        gic.write_distributor(ICFGR + 8, 4, config.into());
        let mut lines = [Line::default(); LINES as usize];
        for (i, line) in lines.iter_mut().enumerate() {
            line.is_edge = edges >> i & 1 != 0;
        }
        let list = List {
            room,
            ..List::default()
        };
        Self { gic, list, lines }
    }

    fn line(&mut self, intid: u32) -> &mut Line {
        &mut self.lines[(intid - FIRST) as usize]
    }

    /// What the host of the vCPU does before an entry, and before an access of the registers.
    fn exchange(&mut self) {
        let Self { gic, list, .. } = self;
        for intid in core::mem::take(&mut list.ended) {
            gic.ended(0, Intid(intid));
        }
        while let Some(intid) = gic.recall(0) {
            let mut left = list.left(intid);
            gic.recalled(0, intid, left);
            left.pending = false;
            list.entries.insert(intid.0, (left.pending, left.active));
        }
        while let Some(intid) = gic.deactivation(0) {
            let left = list.left(intid);
            list.entries.insert(intid.0, (left.pending, false));
            gic.deactivated(0, intid, list.left(intid));
        }
        while let Some(offer) = gic.next_active(0) {
            if !list.has_room(offer.intid.0) {
                gic.refuse_active(0, offer);
                break;
            }
            list.entries.entry(offer.intid.0).or_default().1 = true;
        }
        while let Some(offer) = gic.next(0) {
            if !list.has_room(offer.intid.0) {
                gic.refuse(0, offer);
                break;
            }
            list.entries.entry(offer.intid.0).or_default().0 = true;
        }
        gic.ask(0);
        assert!(gic.concerns(0));
        gic.survey(0, |intid| list.left(intid));
        assert!(!gic.is_asked(0));
    }

    /// The guest acknowledges the first that its list signals.
    fn acknowledge(&mut self) {
        let signalled = |entry: &(&u32, &mut (bool, bool))| matches!(entry.1, (true, false));
        let Some((&intid, entry)) = self.list.entries.iter_mut().find(signalled) else {
            let waits = self.lines.iter().any(Line::is_due);
            assert!(!waits || !self.list.has_room(FIRST + LINES), "one is lost");
            return;
        };
        *entry = (false, true);
        let line = self.line(intid);
        assert!(line.is_due(), "{intid}: {line:?}");
        line.latched = false;
        line.active = true;
    }

    fn end(&mut self, which: usize) {
        let active: Vec<_> = {
            let entries = self.list.entries.iter();
            entries
                .filter(|entry| entry.1.1)
                .map(|entry| *entry.0)
                .collect()
        };
        if let Some(&intid) = active.get(which % active.len().max(1)) {
            let line = self.line(intid);
            line.active = false;
            let is_level = !line.is_edge;
            self.list.end(intid, is_level);
        }
    }

    fn write(&mut self, register: u64, bits: u32) {
        self.gic.write_distributor(register + 4, 4, u64::from(bits));
        for (i, line) in self.lines.iter_mut().enumerate() {
            if bits >> i & 1 == 0 {
                continue;
            }
            match register {
                ISENABLER => line.enabled = true,
                ICENABLER => line.enabled = false,
                ISPENDR => line.latched = true,
                ICPENDR => line.latched = false,
                ISACTIVER => line.active = true,
                _ => line.active = false,
            }
        }
    }

    fn compare(&mut self) {
        let word = |of: &dyn Fn(&Line) -> bool| {
            let lines = self.lines.iter().enumerate();
            lines.fold(0, |word, (i, line)| word | u64::from(of(line)) << i)
        };
        let read = |register| self.gic.read_distributor(register + 4, 4);
        assert_eq!(read(ISPENDR), word(&Line::is_pending), "pending");
        assert_eq!(read(ICACTIVER), word(&|line| line.active), "active");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Write(u64, u32),
    Raise(u32, bool),
    Acknowledge,
    End(usize),
    Room(usize),
}

fn act() -> impl Strategy<Value = Act> {
    const REGISTERS: &[u64] = &[
        ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER, ISENABLER,
    ];
    prop_oneof![
        5 => (prop::sample::select(REGISTERS), 0..1_u32 << LINES)
            .prop_map(|(register, bits)| Act::Write(register, bits)),
        4 => (0..LINES, any::<bool>()).prop_map(|(line, high)| Act::Raise(line, high)),
        4 => Just(Act::Acknowledge),
        3 => any::<usize>().prop_map(Act::End),
        1 => (1..9_usize).prop_map(Act::Room),
    ]
}

proptest! {
    #[test]
    fn registers_show_what_is_in_the_list_and_change_it(
        edges in 0..1_u32 << LINES,
        room in 1..9_usize,
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let mut world = World::new(edges, room);
        for act in acts {
            match act {
                Act::Write(register, bits) => world.write(register, bits),
                Act::Raise(line, high) => {
                    world.gic.set_line(Intid(FIRST + line), high);
                    let line = &mut world.lines[line as usize];
                    line.latched |= line.is_edge && high && !line.is_high;
                    line.is_high = high;
                }
                Act::Acknowledge => world.acknowledge(),
                Act::End(which) => world.end(which),
                Act::Room(room) => world.list.room = room,
            }
            world.exchange();
            world.compare();
        }
    }
}
