//! No panic can be reached from walking and changing a table: the program in `probe`, whose panic handler calls a
//! function that does not exist, links for bare metal; with a panic planted it does not.

#[path = "../../xtask/probe.rs"]
mod probe;

#[test]
fn no_panic_is_reachable_from_tables() {
    probe::assert_no_panic_is_reachable();
}
