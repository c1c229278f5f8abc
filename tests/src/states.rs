//! The states that `victim make` knows, put up many at a time, and what a report says of them.

use crate::place::{built, workspace, Scratch};
use crate::run::{run, Output};
use crate::victim::{compile, library, program, Victim};
use anyhow::{ensure, Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{chown, symlink, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const BUILD: Duration = Duration::from_secs(900);

/// An unprivileged user that no machine has.
pub const USER: u32 = 61_236;

/// Whom a process or a command runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Root, with everything.
    Root,
    /// Root whom the kernel refuses `map_files` (`EPERM`): neither CAP_SYS_ADMIN nor CAP_CHECKPOINT_RESTORE.
    NoMapFiles,
    /// The ordinary user [`USER`].
    User,
}

impl Rights {
    /// The command, run with these rights.
    pub fn command(self, program: &Path) -> Command {
        let mut command = Command::new("/usr/bin/setpriv");
        let user = USER.to_string();
        match self {
            Rights::Root => return Command::new(program),
            // CAP_CHECKPOINT_RESTORE by its number: setpriv of Debian 11 does not know the name.
            Rights::NoMapFiles => command.args(["--bounding-set", "-sys_admin,-cap_40"]),
            Rights::User => command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]),
        };
        command.arg("--").arg(program);
        command
    }
}

/// The files that states are made of, and the program that is judged, where any user may run them.
#[derive(Debug)]
pub struct Shop {
    folder: Scratch,
}

impl Shop {
    /// Compiles them, or takes what is there.
    pub fn open() -> Result<Shop> {
        let shop = Shop { folder: Scratch::new("shop")? };
        fs::set_permissions(shop.path(), fs::Permissions::from_mode(0o755))?;
        for version in 1..=3 {
            shop.take(&library(version)?, &format!("lib{version}"))?;
            let flags = format!("-DVERSION={version}");
            let library = |more: &[&str]| compile("library.c", &[&["-shared", "-fPIC", flags.as_str()], more].concat());
            let plain = library(&["-Wl,--build-id=none"])?;
            shop.take(&plain, &format!("plain{version}"))?;
            shop.take(&library(&["-Wl,--build-id", "-Wl,-soname,libs.so.1"])?, &format!("soname{version}"))?;
            let mut tail = fs::read(&plain)?;
            if version > 1 {
                tail = fs::read(shop.file("plain1"))?;
            }
            tail.resize(2_000_000, 0);
            tail.push(b'0' + version as u8);
            shop.write(&format!("tail{version}"), &tail)?;
            shop.write(&format!("data{version}"), format!("data of version {version}\n").repeat(4000).as_bytes())?;
        }
        shop.take(&program()?, "prog1")?;
        shop.take(&compile("victim.c", &["-pthread", "-ldl", "-DVERSION=\"2\""])?, "prog2")?;
        shop.take(&compile("victim.c", &["-pthread", "-static", "-w", "-ldl"])?, "static")?;
        shop.take(&tool()?, "reexec")?;
        Ok(shop)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// One of the files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn take(&self, from: &Path, name: &str) -> Result<()> {
        fs::copy(from, self.file(name)).with_context(|| from.display().to_string())?;
        Ok(fs::set_permissions(self.file(name), fs::Permissions::from_mode(0o755))?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(fs::write(self.file(name), bytes)?)
    }
}

/// The program under test, of the profile that the tests are built in.
pub fn tool() -> Result<PathBuf> {
    let tool = built()?.join("reexec");
    let release = built()?.ends_with("release");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "reexec", "--bin", "reexec"]);
    if release {
        cargo.arg("--release");
    }
    run(cargo.current_dir(workspace()), b"", BUILD)?.success()?;
    ensure!(tool.exists(), "{} is not built", tool.display());
    Ok(tool)
}

/// The names of all states, as `victim list` prints them.
pub fn factories() -> Result<Vec<String>> {
    let list = run(Command::new(program()?).arg("list"), b"", SOON)?.success()?.text();
    let names = list.lines().take_while(|line| !line.is_empty());
    Ok(names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect())
}

/// States that stand side by side below one folder.
#[derive(Debug)]
pub struct States {
    /// The states by name: where each is, and its process.
    pub held: BTreeMap<String, (PathBuf, Victim)>,
    top: PathBuf,
    shop: PathBuf,
}

impl States {
    /// Puts the named states up, all at one time, each in a folder of its own below `top`.
    pub fn put_up(shop: &Shop, top: &Path, names: &[&str], rights: Rights) -> Result<States> {
        let mut starting = Vec::new();
        for name in names {
            let folder = top.join(name);
            fs::create_dir_all(&folder)?;
            if rights == Rights::User {
                chown(&folder, Some(USER), Some(USER))?;
            }
            let mut command = rights.command(&shop.file("prog1"));
            command.arg("make").arg(name).arg(&folder).arg(shop.path());
            starting.push((name, folder, Victim::begin(&mut command)?));
        }
        let mut held = BTreeMap::new();
        for (name, folder, mut victim) in starting {
            victim.wait_until_ready().with_context(|| format!("the state {name}"))?;
            held.insert((*name).to_owned(), (folder, victim));
        }
        Ok(States { held, top: top.to_owned(), shop: shop.path().to_owned() })
    }

    /// The file with what is claimed in all of them.
    pub fn claims(&self) -> Result<PathBuf> {
        let path = self.top.join("claims");
        let mut all = Vec::new();
        for (folder, _) in self.held.values() {
            all.extend(fs::read(folder.join("claims")).unwrap_or_default());
        }
        fs::write(&path, all)?;
        Ok(path)
    }

    /// Asks the program under test, as a user would.
    pub fn ask(&self, rights: Rights, arguments: &[&str]) -> Result<Output> {
        let mut command = rights.command(&self.shop.join("reexec"));
        command.args(arguments).arg("--claims").arg(self.claims()?);
        run(&mut command, b"", SOON)
    }

    /// The exit code of a report on just the processes of one state, with what is claimed in it.
    pub fn alone(&self, name: &str, rights: Rights, mappings: &str) -> Result<i32> {
        let (folder, victim) = &self.held[name];
        // `/proc` as if there were no others.
        let proc = self.top.join("proc").join(name);
        if !proc.exists() {
            fs::create_dir_all(&proc)?;
            symlink("/proc/self", proc.join("self"))?;
            for pid in std::iter::once(victim.pid()).chain(victim.children().iter().copied()) {
                symlink(format!("/proc/{pid}"), proc.join(pid.to_string()))?;
            }
            let claims = fs::read(folder.join("claims")).unwrap_or_default();
            fs::write(proc.join("claims"), claims)?;
        }
        let mut command = rights.command(&self.shop.join("reexec"));
        command.args(["report", "--quiet", "--mappings", mappings, "--proc"]).arg(&proc);
        let output = run(command.arg("--claims").arg(proc.join("claims")), b"", SOON)?;
        output.code().with_context(|| output.errors())
    }

    /// A report in JSON: its rows by pid, and all of it.
    pub fn report(&self, rights: Rights, arguments: &[&str]) -> Result<Report> {
        let output = self.ask(rights, &[&["report", "--format", "json"], arguments].concat())?;
        let whole: Value = serde_json::from_slice(&output.stdout).with_context(|| output.errors())?;
        ensure!(output.code().map(i64::from) == whole["exit_code"].as_i64(), "the exit code is not what is said");
        let rows = whole["processes"].as_array().context("processes")?;
        let rows = rows.iter().filter_map(|row| Some((row["pid"].as_u64()? as u32, row.clone()))).collect();
        Ok(Report { whole, rows })
    }
}

/// A report in JSON.
#[derive(Debug)]
pub struct Report {
    /// The whole object.
    pub whole: Value,
    /// Processes by pid.
    pub rows: BTreeMap<u32, Value>,
}

/// The bytes that a printed path stands for (`\xNN`, `\\`).
pub fn unprinted(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or("00");
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(0));
                tail
            }
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            _ => {
                bytes.push(byte);
                tail
            }
        };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Where the sources of the victims are.
pub fn sources() -> PathBuf {
    workspace().join("tests/victim")
}
