//! Runs of `cargo xtask qemu` that end badly, or not by themselves.
//!
//! They need the compiler target and QEMU, so plain `cargo test` leaves them to `cargo xtask test`.

#![cfg(target_os = "linux")] // to look for processes in /proc

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Returns a name that tells a QEMU from all others, those of another run of ours among them.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// Starts `hello` in a QEMU of that name.
fn hello(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["qemu", "hello"]).args(arguments);
    if !arguments.contains(&"--") {
        command.arg("--");
    }
    command.args(["-name", name]).stdin(Stdio::null());
    command
}

/// Returns whether a QEMU of that name runs.
fn runs(name: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("qemu-system") && line.split('\0').any(|argument| argument == name)
    })
}

/// Asserts that a QEMU ends soon.
#[track_caller]
fn assert_ends(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while runs(name) {
        assert!(Instant::now() < deadline, "QEMU is left behind");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs the compiler target and QEMU; `cargo xtask test` runs it"]
fn machine_that_hangs_is_ended_after_the_timeout() {
    let name = &unique("hangs");
    // Under --gdb it waits for a debugger that never comes.
    let output = hello(name, &["--gdb", "--timeout", "2"]).output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(says.contains("timed out after 2 s; last lines:"), "{says}");
    assert_ends(name);
}

#[test]
#[ignore = "needs the compiler target and QEMU; `cargo xtask test` runs it"]
fn qemu_ends_with_us_and_gdb_is_told_how_to_attach() {
    let name = &unique("interrupted");
    let mut xtask = hello(name, &["--gdb"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(xtask.stderr.take().unwrap()).lines();
    let line = lines
        .map_while(Result::ok)
        .find(|line| line.contains("gdb-multiarch"))
        .unwrap();
    let (_, port) = line.rsplit_once("target remote :").unwrap();
    assert!(port.trim_end_matches('\'').parse::<u16>().is_ok(), "{line}");
    let elf = line
        .split_whitespace()
        .find(|word| word.ends_with("/release/hello"))
        .unwrap();
    assert!(fs::read(elf).unwrap().starts_with(b"\x7fELF"));

    let deadline = Instant::now() + Duration::from_secs(5);
    while !runs(name) {
        assert!(Instant::now() < deadline, "QEMU did not start");
        thread::sleep(Duration::from_millis(50));
    }
    let pid = i32::try_from(xtask.id()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert!(!xtask.wait().unwrap().success());
    assert_ends(name);
}

#[test]
#[ignore = "needs the compiler target and QEMU; `cargo xtask test` runs it"]
fn start_below_el2_fails_and_says_so() {
    let extra = ["--timeout", "20", "--", "-machine", "virtualization=off"];
    let output = hello(&unique("el1"), &extra).output().unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(says.contains("EL1") && says.contains("error: "), "{says}");
}

#[test]
#[ignore = "needs the compiler target and QEMU; `cargo xtask test` runs it"]
fn argument_that_qemu_refuses_is_shown_with_its_status() {
    let output = hello(&unique("refused"), &["--", "-nonsense"])
        .output()
        .unwrap();
    let says = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(says.contains("-nonsense: invalid option"), "{says}");
    assert!(says.contains("QEMU ended with exit status: 1"), "{says}");
}
