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

pub(crate) use hardware::{observe, observe_update};
