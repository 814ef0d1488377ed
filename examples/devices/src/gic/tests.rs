//! What becomes of an interrupt between its line and a list; `model` has the registers.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;
use vcpu_exits::{SgiGroup, SgiRequest, SgiTarget};
use vcpu_regs::Intid;

use super::{Gic, Left, MAX_VCPUS, Offer, V2_VCPUS, Version, v2, v3};

const GICD_CTLR: u64 = 0;
const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const IROUTER: u64 = 0x6000;
const SGI_BASE: u64 = 0x1_0000;
const UART: Intid = Intid(33);
const TIMER: Intid = Intid(27);
const PENDING: Left = Left {
    pending: true,
    active: false,
    sources: 0,
};

fn gic(vcpus: usize) -> Gic {
    let mut gic = Gic::new(Version::V3, vcpus).unwrap();
    gic.write_distributor(GICD_CTLR, 4, 3);
    gic
}

/// Any state, of the bits of a word.
fn left(bits: u64) -> Left {
    Left {
        pending: bits & 1 != 0,
        active: bits & 2 != 0,
        sources: (bits >> 2) as u8,
    }
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
    assert!(Gic::new(Version::V2, V2_VCPUS).is_some());
    assert!(Gic::new(Version::V2, V2_VCPUS + 1).is_none());
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
    gic.recalled(0, UART, PENDING);
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
    gic.recalled(0, UART, PENDING);
    assert_eq!(gic.read_distributor(ISPENDR + 4, 4), 2);
    enable(&mut gic, UART);
    assert!(gic.next(0).is_some());
    gic.write_distributor(ICPENDR + 4, 4, 2);
    assert_eq!(gic.recall(0), Some(UART));
    gic.recalled(0, UART, PENDING);
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
    gic.recalled(0, UART, PENDING);
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

/// A guest's driver reads whom a private interrupt is for, and writes that to all others.
#[test]
fn v2_of_one_vcpu_has_no_targets_to_lose() {
    let mut gic = Gic::new(Version::V2, 1).unwrap();
    gic.write_distributor_v2(0, GICD_CTLR, 4, 1);
    gic.write_distributor_v2(0, ISENABLER + 4, 4, 1 << (UART.0 - 32));
    let targets = gic.read_distributor_v2(0, 0x800, 4);
    gic.write_distributor_v2(0, 0x820, 4, targets);
    gic.set_line(UART, true);
    assert_eq!(gic.next(0).map(|offer| offer.intid), Some(UART));
    assert_eq!(gic.read_distributor_v2(0, 0x820, 4), 0);
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

proptest! {
    /// No access of any size anywhere stops the host, in either version, and none reads more bits
    /// than it asked for.
    #[test]
    fn any_access_has_an_answer(
        accesses in proptest::collection::vec(
            (0_u64..0x22_0000, 0_u8..4, any::<Option<u64>>(), 0_usize..17), 0..100),
    ) {
        let mut gics = [gic(MAX_VCPUS), Gic::new(Version::V2, 8).unwrap()];
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
                    gic.recalled(vcpu, intid, left(value.unwrap_or(offset)));
                }
                while let Some(intid) = gic.deactivation(vcpu) {
                    gic.deactivated(vcpu, intid, left(offset));
                }
                if let Some(offer) = gic.next_active(vcpu)
                    && offset & 1 != 0
                {
                    gic.refuse_active(vcpu, offer);
                }
                if let Some(offer) = gic.next(vcpu)
                    && offset & 2 != 0
                {
                    gic.refuse(vcpu, offer);
                }
                if (gic.behind_distributor(vcpu, narrow) | gic.behind_redistributor(offset)) != 0 {
                    gic.ask(vcpu);
                    gic.survey(vcpu, |intid| left(offset >> (intid.0 % 8)));
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
                gic.recalled(0, intid, Left { pending: flag, ..Left::default() });
                listed = false;
            }
        }
    }
}
