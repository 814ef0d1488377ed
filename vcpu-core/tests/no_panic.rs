//! No panic can be reached from loading, running and answering a guest: the program in `probe`, whose panic handler calls a
//! function that does not exist, links for bare metal; with a panic planted it does not.

#[path = "../../xtask/probe.rs"]
mod probe;

#[test]
fn no_panic_is_reachable_from_a_run_loop() {
    probe::assert_no_panic_is_reachable();
}
