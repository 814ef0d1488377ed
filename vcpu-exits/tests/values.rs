//! Values that guests write or read: SGI requests, CPU identification.

use proptest::prelude::*;
use vcpu_exits::{Midr, SgiGroup, SgiRequest, SgiTarget};
use vcpu_regs::{Intid, SysReg};

#[test]
fn an_sgi_reaches_beyond_the_first_sixteen_cpus() {
    // INTID 5 to Aff3.2.1 = 1.2.3, range 2, CPUs 0 and 15 of it.
    let value = 1 << 48 | 2 << 44 | 2 << 32 | 5 << 24 | 3 << 16 | 0x8001;
    let request = SgiRequest::decode(value);
    assert_eq!(request.intid, Intid(5));
    let affinities: Vec<_> = request.target.affinities().collect();
    assert_eq!(affinities, [0x01_0002_0320, 0x01_0002_032f]);
    assert!(request.target.includes(0x01_8002_0320, 0));
    assert!(!request.target.includes(0x01_0002_0321, 0));
    assert!(!request.target.includes(0x01_0002_0310, 0));
    assert_eq!(request.encode(), value);
}

#[test]
fn an_sgi_to_all_spares_its_sender() {
    let request = SgiRequest::decode(1 << 40 | 0xffff);
    assert_eq!(request.target, SgiTarget::AllOthers);
    // Bits 31:24 of MPIDR are no affinity.
    assert!(!request.target.includes(0x8000_0001, 0x1));
    assert!(request.target.includes(0x8000_0002, 0x1));
}

#[test]
fn the_register_tells_the_group() {
    let of = |op2| SgiGroup::of(SysReg::new(3, 0, 12, 11, op2));
    assert_eq!(of(5), Some(SgiGroup::Group1));
    assert_eq!(of(6), Some(SgiGroup::OtherGroup1));
    assert_eq!(of(7), Some(SgiGroup::Group0));
    assert_eq!(of(4), None);
}

proptest! {
    #[test]
    fn sgi_requests_survive(value: u64) {
        let request = SgiRequest::decode(value);
        prop_assert_eq!(SgiRequest::decode(request.encode()), request);
        for mpidr in request.target.affinities() {
            prop_assert!(request.target.includes(mpidr, !mpidr));
        }
    }
}

#[test]
fn cpus_have_names() {
    assert_eq!(Midr(0x410f_d083).to_string(), "Arm Cortex-A72 r0p3");
    assert_eq!(Midr(0x000f_0510).to_string(), "software QEMU max r0p0");
    assert_eq!(
        Midr(0xff1f_abc2).to_string(),
        "implementer 0xff part 0xabc r1p2"
    );
}
