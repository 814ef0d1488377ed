//! The controller against a model that keeps each interrupt by itself.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;
use vcpu_exits::{SgiGroup, SgiRequest, SgiTarget};
use vcpu_regs::Intid;

use super::{Gic, MAX_VCPUS, Offer, SPIS, Version, v2, v3};

const GICD_CTLR: u64 = 0;
const IGROUPR: u64 = 0x80;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;
const SGI_BASE: u64 = 0x1_0000;
const UART: Intid = Intid(33);
const TIMER: Intid = Intid(27);

fn gic(vcpus: usize) -> Gic {
    let mut gic = Gic::new(Version::V3, vcpus).unwrap();
    gic.write_distributor(GICD_CTLR, 4, 3);
    gic
}

fn enable(gic: &mut Gic, intid: Intid) {
    let word = u64::from(intid.0 / 32);
    match word {
        0 => gic.write_redistributor(SGI_BASE + ISENABLER, 4, 1 << intid.0),
        _ => gic.write_distributor(ISENABLER + 4 * word, 4, 1 << (intid.0 % 32)),
    }
}

#[test]
fn more_vcpus_than_there_is_room_for_are_refused() {
    assert!(Gic::new(Version::V3, MAX_VCPUS).is_some());
    assert!(Gic::new(Version::V3, MAX_VCPUS + 1).is_none());
    assert!(Gic::new(Version::V2, 0).is_none());
}

#[test]
fn level_comes_again_until_its_line_falls() {
    let mut gic = gic(1);
    enable(&mut gic, UART);
    gic.set_line(UART, true);
    let offer = Offer {
        intid: UART,
        priority: 0,
        is_group1: true,
        is_edge: false,
        source: 0,
    };
    assert_eq!(gic.next(0), Some(offer));
    assert_eq!(gic.next(0), None); // it is in the list
    gic.ended(0, UART);
    assert_eq!(gic.next(0), Some(offer));
    gic.set_line(UART, false);
    assert_eq!(gic.recall(0), Some(UART));
    gic.recalled(0, UART, true);
    assert_eq!((gic.recall(0), gic.next(0)), (None, None));
}

#[test]
fn edge_that_a_list_gives_back_is_pending_again_unless_it_was_cleared() {
    let mut gic = gic(1);
    gic.write_distributor(ICFGR + 8, 4, 0b10 << 2); // INTID 33: edge
    enable(&mut gic, UART);
    gic.set_line(UART, true);
    gic.set_line(UART, false);
    assert_eq!(gic.next(0).map(|offer| offer.is_edge), Some(true));
    gic.write_distributor(ICENABLER + 4, 4, 2);
    assert_eq!(gic.recall(0), Some(UART));
    gic.recalled(0, UART, true);
    assert_eq!(gic.read_distributor(ISPENDR + 4, 4), 2);
    enable(&mut gic, UART);
    assert!(gic.next(0).is_some());
    gic.write_distributor(ICPENDR + 4, 4, 2);
    assert_eq!(gic.recall(0), Some(UART));
    gic.recalled(0, UART, true);
    assert_eq!(gic.read_distributor(ISPENDR + 4, 4), 0);
}

#[test]
fn edge_comes_again_while_its_handler_runs() {
    let mut gic = gic(2);
    gic.write_redistributor(SGI_BASE + v3::REDISTRIBUTOR_BYTES + ISENABLER, 4, 1 << 5);
    let request = SgiRequest {
        intid: Intid(5),
        target: SgiTarget::AllOthers,
    };
    for _ in 0..2 {
        gic.sgi(0, request, SgiGroup::Group1);
        assert_eq!(gic.take_changed(), 0b10);
        assert_eq!(gic.next(1).map(|offer| offer.intid), Some(Intid(5)));
    }
    assert_eq!(gic.next(0), None);
}

#[test]
fn rerouted_interrupt_leaves_the_list_and_goes_to_the_other_vcpu() {
    let mut gic = gic(2);
    enable(&mut gic, UART);
    gic.set_line(UART, true);
    assert!(gic.next(0).is_some());
    gic.write_distributor(IROUTER + 8 * 33, 8, 1);
    assert_eq!(gic.take_changed(), 0b01); // to give it back, first
    assert_eq!(gic.recall(0), Some(UART));
    gic.recalled(0, UART, true);
    assert_eq!(gic.take_changed(), 0b10);
    assert_eq!((gic.next(0), gic.next(1).is_some()), (None, true));
}

#[test]
fn more_urgent_comes_first_and_equals_by_number() {
    let mut gic = gic(1);
    for intid in [TIMER, UART, Intid(40)] {
        enable(&mut gic, intid);
    }
    gic.write_distributor(IPRIORITYR + 40, 1, 0x10);
    gic.write_distributor(IPRIORITYR + 33, 1, 0x20);
    gic.write_redistributor(SGI_BASE + IPRIORITYR + 27, 1, 0x27); // three bits are not there
    gic.set_private_line(0, TIMER, true);
    gic.set_line(UART, true);
    gic.set_line(Intid(40), true);
    let order: Vec<_> = std::iter::from_fn(|| gic.next(0))
        .map(|offer| offer.intid.0)
        .collect();
    assert_eq!(order, [40, 27, 33]);
}

#[test]
fn redistributors_name_their_vcpus_and_the_last_one() {
    let gic = gic(3);
    let typer = |vcpu| gic.read_redistributor(vcpu * v3::REDISTRIBUTOR_BYTES + 8, 8);
    assert_eq!(typer(0), 0);
    assert_eq!(typer(1), 1 << 32 | 1 << 8);
    assert_eq!(typer(2), 2 << 32 | 2 << 8 | 1 << 4);
    assert_eq!(typer(3), 0); // nobody
    assert_eq!(gic.read_redistributor(v3::REDISTRIBUTOR_BYTES + 12, 4), 1);
    assert_eq!(gic.read_redistributor(0xffe8, 4) >> 4, 3);
    assert_eq!(gic.read_distributor(0xffe8, 4) >> 4, 3);
}

#[test]
fn v2_sgi_comes_once_for_each_that_raised_it() {
    let mut gic = Gic::new(Version::V2, 3).unwrap();
    gic.write_distributor_v2(0, GICD_CTLR, 4, 1);
    gic.write_distributor_v2(2, ISENABLER, 4, 0xffff);
    gic.write_distributor_v2(0, 0xf00, 4, 4 << 16 | 7); // to vCPU 2
    gic.write_distributor_v2(1, 0xf00, 4, 1 << 24 | 7); // to all others
    let sources: Vec<_> = std::iter::from_fn(|| gic.next(2))
        .map(|offer| (offer.intid.0, offer.source, offer.is_group1))
        .collect();
    assert_eq!(sources, [(7, 0, false), (7, 1, false)]);
    assert_eq!(gic.next(0), None, "not enabled there");
    assert_eq!(gic.read_distributor_v2(0, 0xf24, 4), 0b10 << 24);
    gic.write_distributor_v2(0, 0xf17, 1, 0b10);
    assert_eq!(gic.read_distributor_v2(0, 0xf24, 4), 0);
    assert_eq!(gic.read_distributor_v2(0, ISPENDR, 4), 0);
}

#[test]
fn v2_targets_are_masked_and_private_ones_name_the_reader() {
    let mut gic = Gic::new(Version::V2, 2).unwrap();
    gic.write_distributor_v2(0, 0x820, 4, 0xff02_0100);
    assert_eq!(gic.read_distributor_v2(1, 0x820, 4), 0x0302_0100);
    assert_eq!(gic.read_distributor_v2(1, 0x800, 4), 0x0202_0202);
    assert_eq!(gic.target(0), None);
    assert_eq!(gic.target(2), Some(1));
}

/// One interrupt, by itself.
#[derive(Clone, Copy, Debug)]
struct Line {
    group1: bool,
    enabled: bool,
    latched: bool,
    high: bool,
    edge: bool,
    active: bool,
    priority: u8,
    target: u64,
}

/// All interrupts of two vCPUs: private ones of the first, of the second, SPIs.
struct Model {
    lines: Vec<Line>,
    groups: [bool; 2],
}

impl Model {
    fn new() -> Self {
        let line = |n: usize| Line {
            group1: true,
            enabled: false,
            latched: false,
            high: false,
            edge: n < 64 && n % 32 < 16,
            active: false,
            priority: 0,
            target: if n < 64 { n as u64 / 32 } else { 0 },
        };
        Self {
            lines: (0..64 + SPIS).map(line).collect(),
            groups: [false; 2],
        }
    }

    fn is_ready(&self, line: &Line, vcpu: u64) -> bool {
        let pending = line.latched || line.high && !line.edge;
        let group = self.groups[usize::from(line.group1)];
        pending && line.enabled && group && !line.active && line.target == vcpu
    }

    /// Priority and INTID of what the vCPU would get next.
    fn best(&self, vcpu: u64) -> Option<(u8, u32)> {
        let intid = |n: usize| if n < 64 { n % 32 } else { n - 32 } as u32;
        let ready = self.lines.iter().enumerate();
        ready
            .filter(|(_, line)| self.is_ready(line, vcpu))
            .map(|(n, line)| (line.priority, intid(n)))
            .min()
    }

    /// Writes to the word of a register that starts at `register`, for lines from `first` on.
    fn write(&mut self, register: u64, first: usize, value: u32) {
        for i in 0..32 {
            let line = &mut self.lines[first + i];
            let bit = value >> i & 1 != 0;
            match register {
                IGROUPR => line.group1 = bit,
                ISENABLER => line.enabled |= bit,
                ICENABLER => line.enabled &= !bit,
                ISPENDR => line.latched |= bit,
                ICPENDR => line.latched &= !bit,
                ISACTIVER => line.active |= bit,
                _ => line.active &= !bit,
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Bits {
        register: u64,
        bank: usize,
        value: u32,
    },
    Priority {
        line: usize,
        value: u8,
    },
    Config {
        bank: usize,
        half: usize,
        value: u32,
    },
    Route {
        spi: usize,
        affinity: u64,
    },
    Groups(u64),
    Raise {
        line: usize,
        high: bool,
    },
    Any {
        offset: u64,
        log2: u8,
        value: u64,
        frame: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let bank = 0..4_usize;
    prop_oneof![
        4 => (1_u64..8, bank.clone(), any::<u32>()).prop_map(|(n, bank, value)| Op::Bits {
            register: n * 0x80, bank, value
        }),
        2 => (0..64 + SPIS, any::<u8>()).prop_map(|(line, value)| Op::Priority { line, value }),
        1 => (bank, 0..2_usize, any::<u32>())
            .prop_map(|(bank, half, value)| Op::Config { bank, half, value }),
        1 => (0..SPIS, 0..3_u64).prop_map(|(spi, affinity)| Op::Route { spi, affinity }),
        1 => (0..4_u64).prop_map(Op::Groups),
        3 => (0..64 + SPIS, any::<bool>()).prop_map(|(line, high)| Op::Raise { line, high }),
        1 => (0..0x6_0000_u64, 0..4_u8, any::<u64>(), 0..2_u8)
            .prop_map(|(offset, log2, value, frame)| Op::Any { offset, log2, value, frame }),
    ]
}

/// Frame and offset of the registers of a bank: 0 and 1 are private.
fn place(bank: usize, register: u64) -> (bool, u64) {
    match bank {
        0 | 1 => (
            true,
            bank as u64 * v3::REDISTRIBUTOR_BYTES + SGI_BASE + register,
        ),
        _ => (false, register + 4 * (bank as u64 - 1)),
    }
}

fn write(gic: &mut Gic, (redistributor, offset): (bool, u64), size_bytes: u8, value: u64) {
    match redistributor {
        true => gic.write_redistributor(offset, size_bytes, value),
        false => gic.write_distributor(offset, size_bytes, value),
    }
}

fn read(gic: &Gic, (redistributor, offset): (bool, u64), size_bytes: u8) -> u64 {
    match redistributor {
        true => gic.read_redistributor(offset, size_bytes),
        false => gic.read_distributor(offset, size_bytes),
    }
}

proptest! {
    /// Registers read back as the model says, and the model's most urgent interrupt is next.
    #[test]
    fn registers_and_choice_agree_with_a_model(ops in proptest::collection::vec(op(), 1..60)) {
        let mut gic = Gic::new(Version::V3, 2).unwrap();
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Bits { register, bank, value } => {
                    write(&mut gic, place(bank, register), 4, value.into());
                    model.write(register, 32 * bank, value);
                }
                Op::Priority { line, value } => {
                    let (bank, index) = (line / 32, line as u64 % 32);
                    let first = if bank < 2 { 0 } else { 28 * (bank as u64 - 1) };
                    let (frame, offset) = place(bank, IPRIORITYR + index + first);
                    write(&mut gic, (frame, offset), 1, value.into());
                    model.lines[line].priority = value & 0xf8;
                }
                Op::Config { bank, half, value } => {
                    let first = if bank < 2 { 0 } else { 4 * (bank as u64 - 1) };
                    let (frame, offset) = place(bank, ICFGR + 4 * half as u64 + first);
                    write(&mut gic, (frame, offset), 4, value.into());
                    for i in (0..16).filter(|_| bank >= 2 || half == 1) {
                        let line = &mut model.lines[32 * bank + 16 * half + i];
                        line.edge = value >> (2 * i + 1) & 1 != 0;
                    }
                }
                Op::Route { spi, affinity } => {
                    gic.write_distributor(IROUTER + 8 * (spi as u64 + 32), 8, affinity);
                    model.lines[64 + spi].target = affinity;
                }
                Op::Groups(value) => {
                    gic.write_distributor(GICD_CTLR, 4, value);
                    model.groups = [value & 1 != 0, value & 2 != 0];
                }
                Op::Raise { line, high } => {
                    let was = model.lines[line].high;
                    if line < 64 {
                        if line % 32 < 16 { continue } // an SGI has no line
                        gic.set_private_line(line / 32, Intid(line as u32 % 32), high);
                    } else {
                        gic.set_line(Intid(line as u32 - 32), high);
                    }
                    let line = &mut model.lines[line];
                    line.latched |= high && !was && line.edge;
                    line.high = high;
                }
                Op::Any { offset, log2, value, frame } => {
                    // Where nothing of the model is: any size, any place.
                    let known = 0..0xd00_u64;
                    let is_known = match frame {
                        0 => known.contains(&offset) || (0x6000..0x8000).contains(&offset),
                        _ => known.contains(&(offset % v3::REDISTRIBUTOR_BYTES - SGI_BASE.min(offset % v3::REDISTRIBUTOR_BYTES))),
                    };
                    if !is_known {
                        write(&mut gic, (frame != 0, offset), 1 << log2, value);
                    }
                    read(&gic, (frame != 0, offset), 1 << log2);
                }
            }
            for bank in 0..4 {
                let lines = &model.lines[32 * bank..32 * bank + 32];
                let word = |of: &dyn Fn(&Line) -> bool| {
                    lines.iter().enumerate().fold(0, |word, (i, line)| word | u64::from(of(line)) << i)
                };
                prop_assert_eq!(read(&gic, place(bank, IGROUPR), 4), word(&|line| line.group1));
                prop_assert_eq!(read(&gic, place(bank, ICENABLER), 4), word(&|line| line.enabled));
                prop_assert_eq!(
                    read(&gic, place(bank, ISPENDR), 4),
                    word(&|line| line.latched || line.high && !line.edge)
                );
                prop_assert_eq!(read(&gic, place(bank, ISACTIVER), 4), word(&|line| line.active));
            }
            for vcpu in 0..2 {
                let next = gic.clone().next(vcpu).map(|offer| (offer.priority, offer.intid.0));
                prop_assert_eq!(next, model.best(vcpu as u64));
            }
        }
    }

    /// No access of any size anywhere stops the host, in either version, and none reads more bits
    /// than it asked for.
    #[test]
    fn any_access_has_an_answer(
        accesses in proptest::collection::vec(
            (0_u64..0x12_0000, 0_u8..4, any::<Option<u64>>(), 0_usize..9), 0..100),
    ) {
        let mut gics = [gic(8), Gic::new(Version::V2, 8).unwrap()];
        for (offset, log2, value, vcpu) in accesses {
            let size_bytes = 1 << log2;
            let narrow = offset % v2::DISTRIBUTOR_BYTES;
            let [v3, v2] = &mut gics;
            if let Some(value) = value {
                v3.write_distributor(offset, size_bytes, value);
                v3.write_redistributor(offset, size_bytes, value);
                v2.write_distributor_v2(vcpu, narrow, size_bytes, value);
                v2.sgi(vcpu, SgiRequest::decode(value), SgiGroup::Group1);
            }
            for read in [
                v3.read_distributor(offset, size_bytes),
                v3.read_redistributor(offset, size_bytes),
                v2.read_distributor_v2(vcpu, narrow, size_bytes),
            ] {
                prop_assert_eq!(read & !crate::lanes::mask(size_bytes), 0);
            }
            for gic in &mut gics {
                while let Some(intid) = gic.recall(vcpu) {
                    gic.recalled(vcpu, intid, log2 & 1 != 0);
                }
                if let Some(offer) = gic.next(vcpu) {
                    gic.refuse(vcpu, offer);
                }
                gic.take_changed();
            }
        }
    }

    /// What is handed over, ended and handed over again: a level as long as its line is high, an
    /// edge once for each time it was raised, nothing that nobody raised.
    #[test]
    fn nothing_is_lost_and_nothing_is_made_up(
        steps in proptest::collection::vec((0_u8..4, any::<bool>()), 1..80),
        is_edge: bool,
    ) {
        let mut gic = gic(1);
        if is_edge {
            gic.write_distributor(ICFGR + 8, 4, 0b10 << 2);
        }
        enable(&mut gic, UART);
        let (mut high, mut raised, mut listed) = (false, false, false);
        for (step, flag) in steps {
            match step {
                0 | 1 => {
                    raised |= flag && !high && is_edge;
                    high = flag;
                    gic.set_line(UART, high);
                }
                2 => {
                    let due = if is_edge { raised } else { high && !listed };
                    let came = gic.next(0).is_some();
                    prop_assert_eq!(came, due);
                    listed |= came;
                    raised = false;
                }
                _ if listed && !is_edge => {
                    gic.ended(0, UART);
                    listed = false;
                }
                _ => {}
            }
            if let Some(intid) = gic.recall(0) {
                prop_assert_eq!(intid, UART);
                prop_assert!(listed && !high && !is_edge);
                gic.recalled(0, intid, flag);
                listed = false;
            }
        }
    }
}
