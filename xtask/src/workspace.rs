//! Where things are: the workspace's root, its target folder and its packages, as cargo tells.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The cargo workspace we were started in.
pub struct Workspace {
    /// Folder of the top-level `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo puts what it builds, and we what we download.
    pub target_dir: PathBuf,
    /// Every member.
    pub packages: Vec<Package>,
    /// The oldest compiler that every member builds with.
    pub msrv: String,
}

/// A member of the workspace.
#[derive(Debug)]
pub struct Package {
    /// As in its `Cargo.toml`.
    pub name: String,
    /// Whether it has a feature named `defmt`.
    pub has_defmt: bool,
    /// The oldest compiler it says it builds with.
    pub rust_version: Option<String>,
    /// What layer it is in.
    pub kind: Kind,
}

/// What a package needs in order to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `no_std`, for any host and for the target.
    Library,
    /// For the target only: under `examples`, what does not say otherwise.
    BareMetal,
    /// Ourselves.
    Xtask,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: PathBuf,
    features: serde_json::Map<String, serde_json::Value>,
    rust_version: Option<String>,
    metadata: Option<serde_json::Value>,
}

impl RawPackage {
    /// `[package.metadata.vcpu] builds-on-any-host` in its `Cargo.toml`.
    fn builds_on_any_host(&self) -> bool {
        let ours = self
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.get("vcpu"));
        ours.and_then(|ours| ours.get("builds-on-any-host")) == Some(&true.into())
    }
}

impl Workspace {
    /// Returns the workspace around the current folder.
    pub fn find() -> Result<Self> {
        let mut metadata = Command::new(cargo());
        metadata.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = metadata
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be started; run this as `cargo xtask`")?;
        ensure!(output.status.success(), "`cargo metadata` failed");
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("unexpected `cargo metadata`")?;
        let root = metadata.workspace_root;
        let packages: Vec<_> = metadata
            .packages
            .into_iter()
            .map(|raw| Package::new(raw, &root))
            .collect();
        let mut libraries = packages
            .iter()
            .filter(|package| package.kind == Kind::Library);
        let msrv = libraries
            .next()
            .and_then(|library| library.rust_version.clone());
        Ok(Self {
            msrv: msrv.context("no library with a rust-version in the workspace")?,
            packages,
            target_dir: metadata.target_directory,
            root,
        })
    }

    /// Returns the arguments that make cargo take the members of some kinds, and no others.
    pub fn select(&self, kinds: &[Kind]) -> Vec<String> {
        self.select_where(|package| kinds.contains(&package.kind))
    }

    /// The same, of those that build with the workspace's oldest compiler; an example's
    /// dependencies may need a newer one.
    pub fn select_oldest(&self, kinds: &[Kind]) -> Vec<String> {
        self.select_where(|package| {
            let is_oldest = package.rust_version.as_ref() == Some(&self.msrv);
            kinds.contains(&package.kind) && is_oldest
        })
    }

    fn select_where(&self, is_chosen: impl Fn(&Package) -> bool) -> Vec<String> {
        let chosen = self.packages.iter().filter(|package| is_chosen(package));
        chosen
            .flat_map(|package| ["--package".to_owned(), package.name.clone()])
            .collect()
    }

    /// Returns the members of one kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(move |package| package.kind == kind)
    }
}

impl Package {
    fn new(raw: RawPackage, root: &Path) -> Self {
        let is_example = raw.manifest_path.starts_with(root.join("examples"));
        let kind = if is_example && !raw.builds_on_any_host() {
            Kind::BareMetal
        } else if raw.manifest_path.starts_with(root.join("xtask")) {
            Kind::Xtask
        } else {
            Kind::Library
        };
        Self {
            rust_version: raw.rust_version,
            has_defmt: raw.features.contains_key("defmt"),
            name: raw.name,
            kind,
        }
    }
}

/// Returns the cargo that runs us, so that one toolchain does everything.
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
