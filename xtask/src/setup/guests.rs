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

const LIMIT: Duration = Duration::from_secs(900);

/// A package of Debian's, architecture all, and the files of it that guests are made of.
struct Package {
    name: &'static str,
    /// Where it puts them.
    inside: &'static str,
    files: &'static [&'static str],
    /// Our folder for them.
    folder: &'static str,
}

/// The arm64 installer: a kernel, an arm64 Image, and a compressed cpio archive.
const DEBIAN: Package = Package {
    name: "debian-installer-12-netboot-arm64",
    inside: "usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64",
    files: &["linux", "initrd.gz"],
    folder: "debian-12",
};

/// U-Boot for QEMU's `virt`, a flat program.
const U_BOOT: Package = Package {
    name: "u-boot-qemu",
    inside: "usr/lib/u-boot/qemu_arm64",
    files: &["u-boot.bin"],
    folder: "u-boot",
};

/// A program, and what it is given.
pub struct Files {
    /// What runs first.
    pub program: PathBuf,
    /// What else is put in memory.
    pub others: Vec<PathBuf>,
}

impl Files {
    /// Returns the first of the others: a kernel's initrd.
    pub fn initrd(&self) -> Option<&Path> {
        self.others.first().map(PathBuf::as_path)
    }
}

/// Returns the images, downloaded first if they are missing.
pub fn ensure(workspace: &Workspace, images: Images) -> Result<Files> {
    let packages: &[Package] = match images {
        Images::Debian => &[DEBIAN],
        Images::UBoot => &[U_BOOT, DEBIAN],
    };
    let mut files = Vec::new();
    for package in packages {
        files.extend(package.ensure(workspace)?);
    }
    let program = files.remove(0);
    if images == Images::Debian {
        guest::image_bytes(&program)
            .with_context(|| format!("remove {} to get it again", program.display()))?;
    }
    Ok(Files {
        program,
        others: files,
    })
}

impl Package {
    fn ensure(&self, workspace: &Workspace) -> Result<Vec<PathBuf>> {
        let guests = workspace.target_dir.join("guests");
        let folder = guests.join(self.folder);
        let files: Vec<_> = self.files.iter().map(|file| folder.join(file)).collect();
        if !files.iter().all(|file| file.is_file()) {
            fs::create_dir_all(&guests)
                .with_context(|| format!("cannot make {}", guests.display()))?;
            if host::find_program("apt-get").is_none() || host::find_program("dpkg-deb").is_none() {
                bail!("{}", self.by_hand(&folder));
            }
            self.download(&guests, &folder)
                .with_context(|| self.by_hand(&folder))?;
            let (files, folder) = (self.files.join(" and "), folder.display());
            eprintln!("setup: {files} of {} are in {folder}", self.name);
        }
        Ok(files)
    }

    fn download(&self, guests: &Path, folder: &Path) -> Result<()> {
        let work = tempfile::tempdir_in(guests).context("cannot make a temporary folder")?;
        if self.package_bytes().is_none() && host::may_install() {
            host::run(host::apt_get().arg("update"), LIMIT)?;
        }
        let name = self.name;
        let bytes = self.package_bytes().with_context(|| {
            format!("apt knows no package {name}; if its lists are old, type `sudo apt-get update`")
        })?;

        let bar = ProgressBar::new(bytes);
        bar.set_style(host::style(
            "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
        ));
        let mut get = host::apt_get();
        // As root, apt would hand the download to a user who cannot write here.
        get.args(["-o", "APT::Sandbox::User=root", "download", name])
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
        for file in self.files {
            let from = unpacked.join(self.inside).join(file);
            fs::rename(&from, ready.join(file))
                .with_context(|| format!("{name} has no {}/{file}", self.inside))?;
        }
        let _ = fs::remove_dir_all(folder); // an earlier, incomplete one
        fs::rename(&ready, folder).with_context(|| format!("cannot make {}", folder.display()))
    }

    /// Returns the size of the package, if apt can download it.
    fn package_bytes(&self) -> Option<u64> {
        let output = Command::new("apt-cache")
            .args(["show", "--no-all-versions", self.name])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines()
            .find_map(|line| line.strip_prefix("Size: "))?
            .parse()
            .ok()
    }

    fn by_hand(&self, folder: &Path) -> String {
        let Self { name, inside, .. } = self;
        let (files, folder) = (self.files.join(" and "), folder.display());
        format!(
            "the guest's images are missing. By hand: from any Debian mirror get the package {name} \
             (Debian 12, section main, architecture all), unpack it with `ar x {name}*.deb` and \
             `tar xf data.tar.xz`, and copy {files} from {inside} to {folder}/. \
             Or name your own with --kernel and --initrd"
        )
    }
}
