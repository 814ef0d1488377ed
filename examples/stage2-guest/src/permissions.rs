//! Loads, stores and fetches of a guest, held against what the attributes permit.

use machine::{Error, println};
use vcpu_regs::{Granule, Ipa};
use vcpu_stage2::{self as stage2, Attributes, Execute, Geometry, IpaBits, Options, Request};

use crate::{
    DATA, LARGE_PAGE, Shared, enter, leave,
    rig::{Access, Outcome, Rig},
    settle, table_of,
};

/// Loads, stores and fetches at both levels, with every set of attributes, in every format.
pub fn check(rig: &Rig, frames: Shared<'_>, start: u64) -> Result<(), Error> {
    for granule in Granule::ALL {
        for options in [Options::empty(), Options::WIDE_DESCRIPTORS] {
            let request = Request {
                ipa: IpaBits::AtMost(40),
                granule: Some(granule),
                levels: None,
                options,
            };
            match Geometry::probe(rig.model(), &request) {
                Ok(geometry) if geometry.options() == options => {}
                _ => continue, // not on this CPU
            }
            let (done, refused) = check_in(rig, frames, &request, start)?;
            println!(
                "{:>2}K{}: {done} done, {refused} refused: accesses went as the walk said",
                granule.bytes() >> 10,
                if options.is_empty() {
                    ""
                } else {
                    ", 52-bit descriptors"
                },
            );
        }
    }
    Ok(())
}

fn check_in(
    rig: &Rig,
    frames: Shared<'_>,
    request: &Request,
    start: u64,
) -> Result<(u32, u32), Error> {
    let mut table = table_of(rig, frames, request, start, start + LARGE_PAGE)?;
    let page = table.geometry().granule().bytes();
    enter(rig, &mut table, 1)?;
    let executes = [
        Execute::Always,
        Execute::Never,
        Execute::El0Only,
        Execute::El1Only,
    ];
    let known = if table.geometry().has_xnx() { 4 } else { 2 };
    let rights = [
        stage2::Access::READ_WRITE,
        stage2::Access::READ,
        stage2::Access::WRITE,
    ];
    let (mut done, mut refused) = (0, 0);
    for execute in executes.into_iter().take(known) {
        for right in rights {
            for accessed in [true, false] {
                let attributes = Attributes {
                    access: right,
                    execute,
                    accessed,
                    ..Attributes::RAM
                };
                for access in [Access::Load, Access::Store(7), Access::Fetch] {
                    if access == Access::Fetch && right == stage2::Access::WRITE {
                        continue; // whether a page that cannot be read executes is not ours to say
                    }
                    for el0 in [false, true] {
                        // SAFETY: RAM of guests, as in `table`.
                        settle(rig, unsafe { table.protect(Ipa(DATA), page, attributes)? });
                        let at = DATA
                            + match access {
                                Access::Fetch => 0,
                                Access::Store(_) => 8,
                                Access::Load => 16,
                            };
                        let outcome = rig.run(access, at, el0);
                        let expected = expected(&attributes, access, el0);
                        assert_eq!(outcome, expected, "{attributes:?} {access:?} EL0: {el0}");
                        match outcome {
                            Outcome::Done(_) => done += 1,
                            Outcome::Refused(_) => refused += 1,
                        }
                        if !accessed {
                            // The host answers, and the guest tries again.
                            settle(rig, table.touch(Ipa(DATA)).expect("mapped"));
                            assert_ne!(rig.run(access, at, el0), outcome);
                        }
                    }
                }
            }
        }
    }
    leave(rig, table);
    Ok((done, refused))
}

fn expected(attributes: &Attributes, access: Access, el0: bool) -> Outcome {
    let permitted = match access {
        Access::Load => attributes.access.contains(stage2::Access::READ),
        Access::Store(_) => attributes.access.contains(stage2::Access::WRITE),
        Access::Fetch => match attributes.execute {
            Execute::Always => true,
            Execute::Never => false,
            Execute::El0Only => el0,
            Execute::El1Only => !el0,
        },
    };
    match (attributes.accessed, permitted) {
        (false, _) => Outcome::Refused(0b00_1011),
        (true, false) => Outcome::Refused(0b00_1111),
        (true, true) => Outcome::Done(0),
    }
}
