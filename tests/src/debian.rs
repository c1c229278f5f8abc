//! Debian packages made by a test: a library, the daemon that uses it, and whatever else.

use crate::place::{built, unique, workspace, Scratch};
use crate::run::run;
use crate::suite;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where the probe's library is installed.
pub const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/libprobe.so.1";
/// Where the probe daemon is installed.
pub const DAEMON: &str = "/usr/sbin/probed";

const BUILD: Duration = Duration::from_secs(60);

/// A package to be.
#[derive(Debug, Clone)]
pub struct Package {
    name: String,
    version: String,
    fields: String,
    files: Vec<(String, Vec<u8>, u32)>,
    scripts: Vec<(&'static str, String)>,
}

impl Package {
    /// One without any file.
    pub fn new(name: &str, version: &str) -> Package {
        let (name, version) = (name.to_owned(), version.to_owned());
        Package { name, version, fields: String::new(), files: Vec::new(), scripts: Vec::new() }
    }

    /// One more line for its control file.
    pub fn field(mut self, line: &str) -> Package {
        self.fields.push_str(line);
        self.fields.push('\n');
        self
    }

    /// A file in it.
    pub fn file(mut self, path: &str, content: &[u8]) -> Package {
        self.files.push((path.to_owned(), content.to_owned(), 0o644));
        self
    }

    /// A program in it.
    pub fn program(mut self, path: &str, content: &[u8]) -> Package {
        self.files.push((path.to_owned(), content.to_owned(), 0o755));
        self
    }

    /// A maintainer script: `preinst`, `postinst`, …
    pub fn script(mut self, name: &'static str, body: &str) -> Package {
        self.scripts.push((name, format!("#!/bin/sh\nset -e\n{body}\n")));
        self
    }

    /// Builds it into this folder, as apt expects its name.
    pub fn build(&self, folder: &Path) -> Result<PathBuf> {
        let tree = Scratch::new("deb")?;
        let write = |path: &str, content: &[u8], mode: u32| -> Result<()> {
            let path = tree.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(&path, content)?;
            Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
        };
        let control = format!(
            "Package: {}\nVersion: {}\nArchitecture: amd64\nMaintainer: t <t@localhost>\n{}Description: of a test\n",
            self.name, self.version, self.fields
        );
        for (path, content, mode) in &self.files {
            write(path, content, *mode)?;
        }
        write("DEBIAN/control", control.as_bytes(), 0o644)?;
        for (name, body) in &self.scripts {
            write(&format!("DEBIAN/{name}"), body.as_bytes(), 0o755)?;
        }
        let sums = "find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | xargs -0r md5sum >DEBIAN/md5sums";
        run(Command::new("sh").args(["-ec", sums]).current_dir(tree.path()), b"", BUILD)?.success()?;
        let deb = folder.join(format!("{}_{}_amd64.deb", self.name, self.version));
        let mut build = Command::new("dpkg-deb");
        build.args(["-Znone", "--root-owner-group", "-b"]).args([tree.path(), &deb]);
        run(&mut build, b"", BUILD)?.success()?;
        Ok(deb)
    }
}

/// The probe's library in this version, as a package `libprobe1` to which more can be added.
pub fn library(version: u32) -> Result<Package> {
    Ok(Package::new("libprobe1", &format!("{version}.0")).file(LIBRARY, &library_bytes(version)?))
}

/// The probe daemon as a package `probed`, with `probed.service` that is enabled and started by
/// nobody: a test says who shall run.
pub fn daemon() -> Result<Package> {
    let unit = format!("[Unit]\nDescription=A probe\n[Service]\nType=exec\nExecStart={DAEMON}\n");
    let package = Package::new("probed", "1.0").field("Depends: libprobe1");
    Ok(package.program(DAEMON, &daemon_bytes()?).file("/usr/lib/systemd/system/probed.service", unit.as_bytes()))
}

/// The bytes of the library in this version.
pub fn library_bytes(version: u32) -> Result<Vec<u8>> {
    Ok(fs::read(compile_library(version)?)?)
}

/// The bytes of the daemon.
pub fn daemon_bytes() -> Result<Vec<u8>> {
    Ok(fs::read(compile_daemon()?)?)
}

/// The bytes of a program that says what a command took.
pub fn measured_bytes() -> Result<Vec<u8>> {
    Ok(fs::read(compile("measured.c", "measured", &[])?)?)
}

fn compile_library(version: u32) -> Result<PathBuf> {
    let define = format!("-DVERSION={version}");
    let flags = ["-shared", "-fPIC", "-Wl,--build-id", "-Wl,-soname,libprobe.so.1", &define];
    compile("libprobe.c", &format!("libprobe-{version}"), &flags)
}

fn compile_daemon() -> Result<PathBuf> {
    let library = compile_library(1)?;
    compile("probed.c", "probed", &["-Wl,--build-id", &library.to_string_lossy()])
}

/// Compiles anew in each process: it takes a moment, and nothing stale is ever used.
fn compile(source: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let source = workspace().join("tests/fixtures").join(source);
    let (program, new) = (built()?.join(format!("fixture-{name}")), built()?.join(unique(name)));
    let mut gcc = suite::builder("gcc");
    gcc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"]).args([&new, &source]).args(flags);
    run(&mut gcc, b"", BUILD)?.success()?;
    fs::rename(&new, &program)?;
    Ok(program)
}
