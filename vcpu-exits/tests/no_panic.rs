//! No panic can be reached from any decode function: the program in `probe`, whose panic handler calls a
//! function that does not exist, links for bare metal; with a panic planted it does not.

#[path = "../../xtask/probe.rs"]
mod probe;

#[test]
fn no_panic_is_reachable_from_decoding() {
    probe::assert_no_panic_is_reachable();
}
