//! For the test `no_panic` of a library, which includes this file: links the library's `probe`.
//!
//! A probe calls all that the test is about, and its panic handler calls a function that does not
//! exist. So it links for bare metal only if no panic can be reached; with a panic planted it must
//! not, which shows that the check can fail.

use std::path::Path;
use std::process::{Command, Output};

const TARGET: &str = "aarch64-unknown-none-softfloat";

/// Links the probe of the crate under test, and once more with a panic planted.
pub fn assert_no_panic_is_reachable() {
    if !has_target() {
        println!("skipped: no {TARGET} (rustup target add {TARGET})");
        return;
    }
    let output = link("");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");

    let output = link("planted");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "a planted panic goes unnoticed");
    assert!(
        messages.contains("undefined symbol: a_panic_can_be_reached"),
        "{messages}"
    );
}

fn link(features: &str) -> Output {
    Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            TARGET,
            "--features",
            features,
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/Cargo.toml"))
        .arg("--target-dir")
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe"))
        // Flags of the test's own build, of coverage for example, are not the probe's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap()
}

/// Whether the compiler has the bare-metal target.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    output.is_ok_and(|output| {
        Path::new(String::from_utf8_lossy(&output.stdout).trim())
            .read_dir()
            .is_ok_and(|mut files| files.next().is_some())
    })
}
