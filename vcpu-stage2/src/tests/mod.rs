//! Host tests of tables, over memory of the test.

mod basics;
mod guest;
mod hardware;
mod model;
mod oracle;
mod probe;
mod random;
mod rig;
mod tracking;
mod vmids;

/// So many random cases. Under Miri, which is a thousand times slower and looks for something
/// else, two.
fn cases(count: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases: if cfg!(miri) { 2 } else { count },
        failure_persistence: None,
        ..Default::default()
    }
}

pub(crate) use hardware::{observe, observe_update, race};
