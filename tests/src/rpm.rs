//! Machines and packages of the rpm family: rpm and what stands above it, from Debian's packages.

use crate::bed::{Bed, Options};
use crate::debian::{daemon_bytes, library_bytes, DAEMON, LIBRARY};
use crate::machine::{make_here, Machine};
use crate::place::{built, leaves, workspace, Leaf, Scratch};
use crate::run::{run, Output};
use crate::suite;
use anyhow::{ensure, Context, Result};
use rustix::fs::{flock, FlockOperation};
use std::fs::{self, File};
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// The base system with rpm, dnf and real services.
pub const BASE: &str = "rpms";

const BUILD: Duration = Duration::from_secs(900);
const TRANSACTION: Duration = Duration::from_secs(300);

/// What makes Debian's rpm one like that of an rpm distribution: a database in the system's place,
/// unsigned packages, and no download tools of its own ideas.
const SET_UP: &str = "
    mkdir -p /etc/rpm /srv/repo /etc/yum.repos.d
    printf '%%_dbpath /var/lib/rpm\\n%%_pkgverify_level digest\\n' >/etc/rpm/macros.x
    rpm --initdb
    for plugins in /etc/dnf/plugins /etc/dnf/libdnf5-plugins; do
        [ ! -d $plugins ] || printf '[main]\\nenabled = 0\\n' >$plugins/local.conf
    done
    printf '[test]\\nname=test\\nbaseurl=file:///srv/repo\\ngpgcheck=0\\nmetadata_expire=0\\n' >/etc/yum.repos.d/test.repo";

/// Boots, installs the package with rpm, and writes these rules as the policy.
pub fn machine(name: &str, rules: &str) -> Result<Machine> {
    machine_on(BASE, name, rules, Options::default())
}

/// The same on another base system, with more to see for the bed.
pub fn machine_on(base: &str, name: &str, rules: &str, options: Options) -> Result<Machine> {
    let dist = Scratch::new("dist")?;
    let package = packed("0.1.0-1")?;
    fs::copy(&package, dist.join("reexec.rpm")).with_context(|| package.display().to_string())?;
    shim(&package)?.build(dist.path())?;
    let bed = Bed::boot(name, base, &options.bind_ro(dist.path(), "/srv/dist"))?;
    bed.shell(SET_UP)?;
    rpm(&bed, &["-i", "/srv/dist/debian-shim-1-1.x86_64.rpm"])?.success()?;
    rpm(&bed, &["-i", "/srv/dist/reexec.rpm"])?.success()?;
    Machine::of(bed, dist, rules)
}

/// Provides what Debian's own packages bring, which are not in rpm's database.
fn shim(package: &Path) -> Result<Package> {
    let mut query = Command::new("rpm");
    query.args(["-qp", "--requires"]).arg(package);
    let needs = run(&mut query, b"", BUILD)?.success()?.text();
    let mut shim = Package::new("debian-shim", "1-1").line("Provides: /bin/sh /sbin/ldconfig system-release");
    let libraries = needs.lines().filter(|need| need.contains(".so") || need.starts_with("rtld"));
    for library in libraries {
        shim = shim.line(&format!("Provides: {library}"));
    }
    Ok(shim)
}

/// Runs rpm in the bed. Its input is not empty, so that a hook that reads what is not meant for it is
/// found out.
pub fn rpm(bed: &Bed, arguments: &[&str]) -> Result<Output> {
    bed.exec_within(TRANSACTION, b"the caller's input\n", &[&["rpm"], arguments].concat())
}

/// Runs dnf in the bed, on a repository of all packages in `/srv/dist`.
pub fn dnf(bed: &Bed, arguments: &[&str]) -> Result<Output> {
    publish(bed)?;
    bed.exec_within(TRANSACTION, b"the caller's input\n", &[&[dnf_program(), "-y", "-q"], arguments].concat())
}

/// What dnf is called in the release that the beds run.
pub fn dnf_program() -> &'static str {
    match suite::name().as_str() {
        "forky" => "dnf5",
        _ => "dnf",
    }
}

/// Makes a repository of all packages in `/srv/dist`.
pub fn publish(bed: &Bed) -> Result<()> {
    bed.shell("cp -u /srv/dist/*.rpm /srv/repo/; createrepo_c -q --update /srv/repo").map(drop)
}

/// The rpm package of this tree, built as `make rpm` does, with this version.
pub fn packed(version: &str) -> Result<PathBuf> {
    let dist = built()?.join("dist");
    fs::create_dir_all(&dist)?;
    let lock = File::create(dist.join(".rpm.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let package = dist.join(format!("reexec-{version}.x86_64.rpm"));
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut done = BUILT.lock().ok().context("a test panicked while it built")?;
    if !done.iter().any(|one| one == version) {
        let mut make = make_here();
        make.arg("-C").arg(workspace()).arg("rpm");
        make.args([format!("RPM_VERSION={version}"), format!("DIST={}", dist.display())]);
        run(&mut make, b"", BUILD)?.success()?;
        done.push(version.to_owned());
    }
    Ok(package)
}

/// A package to be.
#[derive(Debug, Clone)]
pub struct Package {
    name: String,
    version: String,
    lines: String,
    files: Vec<Entry>,
    sections: String,
}

#[derive(Debug, Clone)]
enum Entry {
    /// Path, content, mode, and what stands before it in the list of files.
    File(String, Vec<u8>, u32, &'static str),
    /// Path, and where it leads.
    Link(String, String),
}

impl Package {
    /// One without any file; `version` is `VERSION-RELEASE`.
    pub fn new(name: &str, version: &str) -> Package {
        let (name, version) = (name.to_owned(), version.to_owned());
        Package { name, version, lines: String::new(), files: Vec::new(), sections: String::new() }
    }

    /// One more line for the head of its spec.
    pub fn line(mut self, line: &str) -> Package {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    /// A file in it.
    pub fn file(self, path: &str, content: &[u8]) -> Package {
        self.entry(path, content, 0o644, "")
    }

    /// A program in it.
    pub fn program(self, path: &str, content: &[u8]) -> Package {
        self.entry(path, content, 0o755, "")
    }

    /// A file of configuration, of which the admin's version is kept.
    pub fn config(self, path: &str, content: &[u8]) -> Package {
        self.entry(path, content, 0o644, "%config(noreplace) ")
    }

    /// A file that is listed and not brought.
    pub fn ghost(self, path: &str) -> Package {
        self.entry(path, b"", 0o644, "%ghost ")
    }

    fn entry(mut self, path: &str, content: &[u8], mode: u32, kind: &'static str) -> Package {
        self.files.push(Entry::File(path.to_owned(), content.to_owned(), mode, kind));
        self
    }

    /// A symbolic link in it.
    pub fn link(mut self, path: &str, target: &str) -> Package {
        self.files.push(Entry::Link(path.to_owned(), target.to_owned()));
        self
    }

    /// All files of a tree in it.
    pub fn tree(mut self, tree: &Path) -> Result<Package> {
        for (name, leaf) in leaves(tree)? {
            self.files.push(match leaf {
                Leaf::File(content, mode) => Entry::File(name, content, mode, ""),
                Leaf::Link(target) => Entry::Link(name, target),
            });
        }
        Ok(self)
    }

    /// A section of its spec: `%pre`, `%post`, … with its script.
    pub fn section(mut self, name: &str, body: &str) -> Package {
        self.sections.push_str(&format!("\n{name}\n{body}\n"));
        self
    }

    /// Builds it into this folder.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        let work = Scratch::new("rpm")?;
        let mut list = String::new();
        for entry in &self.files {
            let (Entry::File(path, ..) | Entry::Link(path, _)) = entry;
            let place = work.join("tree").join(path.trim_start_matches('/'));
            fs::create_dir_all(place.parent().context("a folder")?)?;
            match entry {
                Entry::File(path, content, mode, kind) => {
                    fs::write(&place, content)?;
                    fs::set_permissions(&place, fs::Permissions::from_mode(*mode))?;
                    list.push_str(&format!("{kind}\"{path}\"\n"));
                }
                Entry::Link(path, target) => {
                    symlink(target, &place)?;
                    list.push_str(&format!("\"{path}\"\n"));
                }
            }
        }
        fs::create_dir_all(work.join("tree"))?;
        fs::write(work.join("spec"), self.spec(&work, &list)?)?;
        let rpm = folder.join(format!("{}-{}.x86_64.rpm", self.name, self.version));
        let mut build = Command::new("rpmbuild");
        build.args(["-bb", "--quiet", "--target", "x86_64"]);
        let out = work.join("out");
        for (name, value) in [("_topdir", work.join("top")), ("_rpmdir", out.clone()), ("_dbpath", work.join("db"))] {
            build.arg("--define").arg(format!("{name} {}", value.display()));
        }
        build.args(["--define", "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.x86_64.rpm"]).arg(work.join("spec"));
        run(&mut build, b"", BUILD)?.success()?;
        let made = out.join(rpm.file_name().context("a name")?);
        fs::copy(&made, &rpm).with_context(|| made.display().to_string())?;
        Ok(rpm)
    }

    fn spec(&self, work: &Scratch, list: &str) -> Result<String> {
        let (version, release) = self.version.split_once('-').context("VERSION-RELEASE")?;
        ensure!(!self.name.is_empty(), "a name");
        Ok(format!(
            "%global debug_package %{{nil}}\n%global __os_install_post %{{nil}}\n%global _build_id_links none\n\
             %global _binary_payload w1.gzdio\n%global __brp_check_rpaths %{{nil}}\n\
             Name: {}\nVersion: {version}\nRelease: {release}\nSummary: Of a test\nLicense: MIT\nAutoReqProv: no\n{}\
             %description\nOf a test.\n%install\ncp -a {}/. %{{buildroot}}/\n%files\n{list}{}",
            self.name,
            self.lines,
            work.join("tree").display(),
            self.sections
        ))
    }
}

/// The probe's library in this version, as a package `libprobe1` to which more can be added.
pub fn library(version: u32) -> Result<Package> {
    Ok(Package::new("libprobe1", &format!("{version}-1")).file(LIBRARY, &library_bytes(version)?))
}

/// The probe daemon as a package `probed`, with `probed.service` that is enabled and started by
/// nobody: a test says who shall run.
pub fn daemon() -> Result<Package> {
    let unit = format!("[Unit]\nDescription=A probe\n[Service]\nType=exec\nExecStart={DAEMON}\n");
    let package = Package::new("probed", "1-1").line("Requires: libprobe1");
    Ok(package.program(DAEMON, &daemon_bytes()?).file("/usr/lib/systemd/system/probed.service", unit.as_bytes()))
}
