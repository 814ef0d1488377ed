//! Host tests of tables, over memory of the test.

mod basics;
mod probe;
mod rig;
