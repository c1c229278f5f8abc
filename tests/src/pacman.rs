//! pacman packages made by a test, and a machine that pacman upgrades.

use crate::bed::{Bed, Options};
use crate::debian::{daemon_bytes, library_bytes};
use crate::machine::{make_here, Machine};
use crate::place::{leaves, workspace, Leaf, Scratch};
use crate::run::{run, Output};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The base system with pacman beside Debian's own services.
pub const BASE: &str = "pacman";
/// Where the probe's library is installed.
pub const LIBRARY: &str = "/usr/lib/libprobe.so.1";
/// Where the probe daemon is installed.
pub const DAEMON: &str = "/usr/bin/probed";

const BUILD: Duration = Duration::from_secs(120);
const TRANSACTION: Duration = Duration::from_secs(120);
/// What a package needs that Debian has and pacman does not know of.
const SHIM: [&str; 2] = ["glibc", "gcc-libs"];
/// Packages of a test are not signed.
const CONFIG: &str = "[options]\nArchitecture = auto\nSigLevel = Never\nLocalFileSigLevel = Never\n";

/// A package to be.
#[derive(Debug, Clone)]
pub struct Package {
    name: String,
    version: String,
    fields: String,
    files: Vec<(String, Content)>,
    scriptlet: Option<String>,
}

#[derive(Debug, Clone)]
enum Content {
    File(Vec<u8>, u32),
    Link(String),
}

impl Package {
    /// One without any file; `version` has a release: `1.0-1`.
    pub fn new(name: &str, version: &str) -> Package {
        let (name, version) = (name.to_owned(), version.to_owned());
        Package { name, version, fields: String::new(), files: Vec::new(), scriptlet: None }
    }

    /// One more line for its `.PKGINFO`: `depend = glibc`.
    pub fn field(mut self, line: &str) -> Package {
        self.fields.push_str(line);
        self.fields.push('\n');
        self
    }

    /// A file in it.
    pub fn file(mut self, path: &str, content: &[u8]) -> Package {
        self.files.push((path.to_owned(), Content::File(content.to_owned(), 0o644)));
        self
    }

    /// A program in it.
    pub fn program(mut self, path: &str, content: &[u8]) -> Package {
        self.files.push((path.to_owned(), Content::File(content.to_owned(), 0o755)));
        self
    }

    /// A symbolic link in it.
    pub fn link(mut self, path: &str, target: &str) -> Package {
        self.files.push((path.to_owned(), Content::Link(target.to_owned())));
        self
    }

    /// All files of a tree in it.
    pub fn tree(mut self, tree: &Path) -> Result<Package> {
        for (name, leaf) in leaves(tree)? {
            self.files.push((
                name,
                match leaf {
                    Leaf::File(content, mode) => Content::File(content, mode),
                    Leaf::Link(target) => Content::Link(target),
                },
            ));
        }
        Ok(self)
    }

    /// Its `.INSTALL`: functions `pre_upgrade`, `post_install`, …
    pub fn scriptlet(mut self, text: &str) -> Package {
        self.scriptlet = Some(text.to_owned());
        self
    }

    /// Builds it into this folder.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        let tree = Scratch::new("pkg")?;
        for (path, content) in &self.files {
            let path = tree.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().context("a folder")?)?;
            match content {
                Content::File(bytes, mode) => {
                    fs::write(&path, bytes)?;
                    fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
                }
                Content::Link(target) => symlink(target, &path)?,
            }
        }
        let about = format!(
            "pkgname = {}\npkgbase = {0}\nxdata = pkgtype=pkg\npkgver = {}\npkgdesc = of a test\nbuilddate = 1\n\
             packager = t\nsize = 1\narch = any\n{}",
            self.name, self.version, self.fields
        );
        fs::write(tree.join(".PKGINFO"), about)?;
        if let Some(text) = &self.scriptlet {
            fs::write(tree.join(".INSTALL"), text)?;
        }
        let package = folder.join(format!("{}-{}-any.pkg.tar.zst", self.name, self.version));
        let pack = "list() { find . -mindepth 1 -printf '%P\\0' | sort -z; }
            LC_ALL=C; export LC_ALL
            list | bsdtar --uid 0 --gid 0 -cnf - --format=mtree \
                --options='!all,use-set,type,uid,gid,mode,time,size,md5,sha256,link' --null -T - | gzip -n >../m$$
            mv ../m$$ .MTREE
            list | bsdtar --uid 0 --gid 0 --no-fflags -cnf - --null -T - | zstd -q -1 >\"$1\"";
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", pack, "-"]).arg(&package).current_dir(tree.path());
        run(&mut shell, b"", BUILD)?.success()?;
        Ok(package)
    }
}

/// The probe's library in this version, as a package `libprobe` to which more can be added.
pub fn library(version: u32) -> Result<Package> {
    Ok(Package::new("libprobe", &format!("{version}.0-1")).file(LIBRARY, &library_bytes(version)?))
}

/// The probe daemon as a package `probed`, with `probed.service` that is enabled and started by
/// nobody: a test says who shall run.
pub fn daemon() -> Result<Package> {
    let unit = format!("[Unit]\nDescription=A probe\n[Service]\nType=exec\nExecStart={DAEMON}\n");
    let package = Package::new("probed", "1.0-1").field("depend = libprobe");
    Ok(package.program(DAEMON, &daemon_bytes()?).file("/usr/lib/systemd/system/probed.service", unit.as_bytes()))
}

/// The package of this tree with this version, built as `make pacman` does, with what else `make` is to
/// be told.
pub fn packed(version: &str, dist: &Path, settings: &[String]) -> Result<PathBuf> {
    let mut make = make_here();
    make.arg("-C").arg(workspace()).arg("pacman").args(settings);
    make.args([format!("PACMAN_VERSION={version}"), format!("DIST={}", dist.display())]);
    let said = run(&mut make, b"", Duration::from_secs(600))?.success()?;
    Ok(PathBuf::from(said.text().lines().last().context("make said nothing")?))
}

/// Boots a machine that pacman can install on: with its configuration, what Debian has of what
/// packages need, and a folder of the test as `/srv/dist`.
pub fn boot(name: &str, options: Options) -> Result<(Bed, Scratch)> {
    let dist = Scratch::new("dist")?;
    let shim = SHIM
        .iter()
        .fold(Package::new("debian-shim", "1-1"), |shim, provided| shim.field(&format!("provides = {provided}")));
    let shim = shim.build(dist.path())?;
    let bed = Bed::boot(name, BASE, &options.bind_ro(dist.path(), "/srv/dist"))?;
    bed.write_file("/etc/pacman.conf", CONFIG.as_bytes())?;
    let shim = shim.file_name().context("a name")?.to_string_lossy().into_owned();
    install(&bed, &[&format!("/srv/dist/{shim}")])?.success()?;
    Ok((bed, dist))
}

/// A machine with nothing but the package in it, and these rules as the policy.
pub fn machine(name: &str, rules: &str, options: Options) -> Result<Machine> {
    let (bed, dist) = boot(name, options)?;
    let package = packed("0.1.0-1", dist.path(), &[])?;
    let package = package.file_name().context("a name")?.to_string_lossy().into_owned();
    install(&bed, &[&format!("/srv/dist/{package}")])?.success()?;
    Machine::of(bed, dist, rules)
}

/// `pacman -U`, with everything that was said. Its input is not empty, so that a hook that reads what
/// is not meant for it is found out.
pub fn install(bed: &Bed, packages: &[&str]) -> Result<Output> {
    let mut command = vec!["-U"];
    command.extend(packages);
    pacman(bed, &command)
}

/// `pacman` with these arguments, which asks nothing.
pub fn pacman(bed: &Bed, arguments: &[&str]) -> Result<Output> {
    let mut command = vec!["pacman", "--noconfirm", "--noprogressbar"];
    command.extend(arguments);
    bed.exec_within(TRANSACTION, b"the caller's input\n", &command)
}
