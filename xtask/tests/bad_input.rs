//! What the user types wrong gets an error that says what to do, before anything is built.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("VCPU_INSTALL", "never");
    command
}

/// Returns what `cargo xtask ARGUMENTS` says as it fails.
fn refusal(arguments: &[&str]) -> String {
    refused(xtask(arguments).output().unwrap())
}

fn refused(output: Output) -> String {
    assert!(!output.status.success(), "it did not fail");
    assert!(output.stdout.is_empty(), "an error belongs on stderr");
    String::from_utf8(output.stderr).unwrap()
}

/// Asserts that a text has these parts.
#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// A folder with an arm64 Image of `image_bytes`, and a program that says it is QEMU.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn image(&self, image_bytes: u64) -> String {
        let mut bytes = [0; 64];
        bytes[16..24].copy_from_slice(&image_bytes.to_le_bytes());
        bytes[56..60].copy_from_slice(b"ARM\x64");
        self.file("Image", &bytes)
    }

    fn program(&self, name: &str, script: &str) -> String {
        let path = self.file(name, format!("#!/bin/sh\n{script}\n").as_bytes());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

#[test]
fn unknown_example_is_told_with_those_there_are() {
    assert_says(
        &refusal(&["qemu", "helo"]),
        &["no example is named `helo`", "hello, ", "linux, ", "smp"],
    );
}

#[test]
fn missing_kernel_is_named_with_its_option() {
    let says = refusal(&[
        "qemu",
        "linux",
        "--kernel",
        "/nowhere/Image",
        "--initrd",
        "/dev/null",
    ]);
    assert_says(&says, &["/nowhere/Image", "--kernel", "No such file"]);
}

#[test]
fn missing_initrd_is_named_with_its_option() {
    let folder = Folder::new();
    let image = folder.image(64);
    let says = refusal(&[
        "qemu",
        "linux",
        "--kernel",
        &image,
        "--initrd",
        "/nowhere/initrd",
    ]);
    assert_says(&says, &["/nowhere/initrd", "--initrd", "No such file"]);
}

#[test]
fn folder_is_no_kernel() {
    let says = refusal(&["qemu", "linux", "--kernel", "/", "--initrd", "/dev/null"]);
    assert_says(&says, &["/ is not a file", "--kernel"]);
}

#[test]
fn kernel_that_is_not_an_image_is_told_with_what_to_do() {
    let folder = Folder::new();
    let initrd = folder.file("initrd", b"");
    for (bytes, hint) in [
        (&b"#!/bin/sh"[..], "arch/arm64/boot/Image"),
        (&[0; 4096], "arch/arm64/boot/Image"),
        (&[0x1f, 0x8b, 8, 0], "gunzip"),
        (b"\x7fELF", "not vmlinux"),
    ] {
        let kernel = folder.file("kernel", bytes);
        let says = refusal(&["qemu", "linux", "--kernel", &kernel, "--initrd", &initrd]);
        assert_says(&says, &[&kernel, "is not an arm64 Image", hint]);
    }
}

#[test]
fn guest_larger_than_ram_is_told_with_the_ram_it_needs() {
    let folder = Folder::new();
    let (image, initrd) = (folder.image(61 << 20), folder.file("initrd", &[0; 4096]));
    let guest = ["--kernel", &image, "--initrd", &initrd];
    let says = refusal(&[&["qemu", "linux", "--mem", "128M"], &guest[..]].concat());
    // 66 MiB before the kernel and 61 of kernel; the initrd starts at the next even one.
    assert_says(&says, &["ends at 0x48000000", "give --mem 129M"]);
}

#[test]
fn guest_options_mean_nothing_to_an_example_with_its_own_guest() {
    let says = refusal(&["qemu", "hello", "--append", "quiet"]);
    assert_says(&says, &["brings its own guest", "--append"]);
}

#[test]
fn settings_of_virtual_machines_mean_nothing_to_an_example_without() {
    let says = refusal(&["qemu", "linux", "--vcpus", "2"]);
    assert_says(&says, &["`linux` makes no virtual machines", "--vcpus"]);
    let says = refusal(&["qemu", "hello", "--stats"]);
    assert_says(&says, &["`hello` brings its own guest", "--stats"]);
}

#[test]
fn initrd_needs_the_program_it_is_for() {
    let says = refusal(&["qemu", "raw", "--initrd", "/dev/null"]);
    assert_says(&says, &["--initrd is for the program that --kernel names"]);
}

#[test]
fn memory_and_cpu_have_to_make_sense() {
    assert_says(
        &refusal(&["qemu", "hello", "--mem", "64"]),
        &["--mem", "such as 512M or 2G"],
    );
    assert_says(
        &refusal(&["qemu", "hello", "--mem", "64M"]),
        &["RAM is from 128M"],
    );
    assert_says(
        &refusal(&["qemu", "hello", "--cpu", "cortex-m3"]),
        &["max", "neoverse-n1"],
    );
    assert_says(&refusal(&["qemu", "hello", "--smp", "0"]), &["--smp"]);
}

#[test]
fn named_qemu_has_to_be_there_and_new_enough() {
    let says = refusal(&["qemu", "hello", "--qemu", "/nowhere/qemu"]);
    assert_says(&says, &["no QEMU at /nowhere/qemu", "--qemu"]);

    let folder = Folder::new();
    let old = folder.program("qemu", "echo QEMU emulator version 6.2.0");
    let says = refusal(&["qemu", "hello", "--qemu", &old]);
    assert_says(&says, &["is version 6.2", "7.0 or newer", "install"]);

    let other = folder.program("other", "echo hello");
    assert_says(
        &refusal(&["qemu", "hello", "--qemu", &other]),
        &["does not tell its version"],
    );
}

#[test]
fn missing_qemu_is_told_with_the_command_that_installs_it() {
    let folder = Folder::new();
    // Only what tells us where the workspace is.
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    let path = std::env::join_paths([cargo, folder.0.path()]).unwrap();
    let says = refused(
        xtask(&["qemu", "hello"])
            .env("PATH", path)
            .output()
            .unwrap(),
    );
    assert_says(
        &says,
        &[
            "qemu-system-aarch64 is not in PATH",
            "apt-get install qemu-system-arm",
            "dnf install qemu-system-aarch64",
            "pacman -S qemu-system-aarch64",
            "brew install qemu",
        ],
    );
}

#[test]
fn missing_guest_images_are_told_with_how_to_get_them_where_there_is_no_apt() {
    let folder = Folder::new();
    let cargo = Path::new(env!("CARGO")).parent().unwrap();
    let mut xtask = xtask(&["qemu", "linux"]);
    xtask
        .env("PATH", cargo)
        .env("CARGO_TARGET_DIR", folder.0.path());
    assert_says(
        &refused(xtask.output().unwrap()),
        &[
            "the guest's images are missing",
            "debian-installer-12-netboot-arm64",
            "ar x",
            folder.path("guests/debian-12").to_str().unwrap(),
            "--kernel",
        ],
    );
}

#[test]
fn unknown_source_of_the_target_is_told_with_those_there_are() {
    let mut xtask = xtask(&["setup"]);
    xtask.env("VCPU_TARGET_SOURCE", "thin-air");
    let says = refused(xtask.output().unwrap());
    assert_says(
        &says,
        &["VCPU_TARGET_SOURCE", "installed, rustup, build-std, debian"],
    );
}
