//! Guest images: Debian's own, taken out of its package, unmodified.

use super::host;
use crate::{example::Images, qemu::guest, workspace::Workspace};
use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A small architecture-independent package that holds the arm64 installer.
const PACKAGE: &str = "debian-installer-12-netboot-arm64";
const INSIDE: &str = "usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64";
const KERNEL: &str = "linux";
const INITRD: &str = "initrd.gz";
const LIMIT: Duration = Duration::from_secs(900);

/// A kernel and its initrd.
pub struct Pair {
    /// An arm64 Image.
    pub kernel: PathBuf,
    /// A compressed cpio archive.
    pub initrd: PathBuf,
}

/// Returns the images, downloaded first if they are missing.
pub fn ensure(workspace: &Workspace, images: Images) -> Result<Pair> {
    let Images::Debian = images;
    let guests = workspace.target_dir.join("guests");
    let folder = guests.join("debian-12");
    let pair = Pair {
        kernel: folder.join(KERNEL),
        initrd: folder.join(INITRD),
    };
    if !(pair.kernel.is_file() && pair.initrd.is_file()) {
        fs::create_dir_all(&guests).with_context(|| format!("cannot make {}", guests.display()))?;
        if host::find_program("apt-get").is_none() || host::find_program("dpkg-deb").is_none() {
            bail!("{}", by_hand(&folder));
        }
        download(&guests, &folder).with_context(|| by_hand(&folder))?;
        eprintln!(
            "setup: Debian 12's kernel and initrd are in {}",
            folder.display()
        );
    }
    guest::image_bytes(&pair.kernel)
        .with_context(|| format!("remove {} to get it again", folder.display()))?;
    Ok(pair)
}

fn download(guests: &Path, folder: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(guests).context("cannot make a temporary folder")?;
    if package_bytes().is_none() && host::may_install() {
        host::run(host::apt_get().arg("update"), LIMIT)?;
    }
    let bytes = package_bytes().with_context(|| {
        format!("apt knows no package {PACKAGE}; if its lists are old, type `sudo apt-get update`")
    })?;

    let bar = ProgressBar::new(bytes);
    bar.set_style(host::style(
        "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
    ));
    let mut get = host::apt_get();
    // As root, apt would hand the download to a user who cannot write here.
    get.args(["-o", "APT::Sandbox::User=root", "download", PACKAGE])
        .current_dir(&work);
    let arrived = || fs::read_dir(&work).into_iter().flatten().flatten();
    host::run_under(&mut get, LIMIT, &bar, || {
        let lengths = arrived()
            .filter_map(|file| file.metadata().ok())
            .map(|file| file.len());
        bar.set_position(lengths.sum());
    })?;

    let deb = arrived()
        .map(|file| file.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"));
    let deb = deb.context("apt-get said that it downloaded a package, but there is none")?;
    let unpacked = work.path().join("unpacked");
    host::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .args([&deb, &unpacked]),
        LIMIT,
    )?;

    let ready = work.path().join("ready");
    fs::create_dir(&ready)?;
    for file in [KERNEL, INITRD] {
        let from = unpacked.join(INSIDE).join(file);
        fs::rename(&from, ready.join(file))
            .with_context(|| format!("{PACKAGE} has no {INSIDE}/{file}"))?;
    }
    let _ = fs::remove_dir_all(folder); // an earlier, incomplete one
    fs::rename(&ready, folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Returns the size of the package, if apt can download it.
fn package_bytes() -> Option<u64> {
    let output = Command::new("apt-cache")
        .args(["show", "--no-all-versions", PACKAGE])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix("Size: "))?
        .parse()
        .ok()
}

fn by_hand(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "the guest's images are missing. By hand: from any Debian mirror get the package {PACKAGE} \
         (Debian 12, section main, architecture all), unpack it with `ar x {PACKAGE}*.deb` and \
         `tar xf data.tar.xz`, and copy {INSIDE}/{KERNEL} and {INITRD} to {folder}/. \
         Or name your own with --kernel and --initrd"
    )
}
