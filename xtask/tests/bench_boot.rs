//! `cargo xtask bench boot` runs, and a guest's boot costs about what plain QEMU's does: with the
//! machine's own devices, and with virtual ones.
//!
//! It needs the compiler target, QEMU and the guest images, so plain `cargo test` leaves it to
//! `cargo xtask test`.

use std::process::Command;

/// Instructions do not depend on the computer; what ours adds is well below this.
const MOST_TIMES_PLAIN: f64 = 1.1;

#[test]
#[ignore = "needs the compiler target, QEMU and guest images; `cargo xtask test` runs it"]
fn boot_takes_about_as_many_instructions_as_in_plain_qemu() {
    assert_ratio("neoverse-n1", "linux");
}

#[test]
#[ignore = "needs the compiler target, QEMU and guest images; `cargo xtask test` runs it"]
fn boot_of_a_virtual_machine_takes_about_as_many_instructions_as_in_plain_qemu() {
    assert_ratio("cortex-a72", "smp");
}

fn assert_ratio(cpu: &str, example: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "bench", "boot", "--runs", "1", "--cpu", cpu, "--by", example,
        ])
        .output()
        .unwrap();
    let says = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{says}{:?}", output.stderr);
    let row = says.lines().find(|line| line.starts_with(cpu));
    let ratio = row.and_then(|row| row.trim_end().strip_suffix('x')?.split(' ').next_back());
    let ratio: f64 = ratio.and_then(|ratio| ratio.parse().ok()).expect(&says);
    assert!(ratio > 0.5 && ratio < MOST_TIMES_PLAIN, "{says}");
}
