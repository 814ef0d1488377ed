//! Puts `machine.ld` where the linker of an example finds it.

use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy("machine.ld", out.join("machine.ld")).expect("machine.ld cannot be copied");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=machine.ld");
}
