//! Throwaway machines that boot a real systemd: a handle on `tests/bed/bed`.

use crate::place::{unique, workspace};
use crate::run::{run, Output};
use anyhow::{bail, ensure, Context, Result};
use rustix::fs::{flock, openat2, FlockOperation, Mode, OFlags, ResolveFlags, CWD};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How many beds may be up at one time on one machine: more make every wait longer.
const BEDS: u32 = 2;
const BOOT: Duration = Duration::from_secs(90);
const COMMAND: Duration = Duration::from_secs(120);
const TURN: Duration = Duration::from_secs(1200);

/// The folder of the cached base systems.
pub fn cache() -> PathBuf {
    std::env::var_os("BED_CACHE").map_or_else(|| "/var/cache/reexec-bed".into(), PathBuf::from)
}

/// What a bed is booted with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    arguments: Vec<String>,
}

impl Options {
    /// Shows a folder or file of the host inside, read-only.
    pub fn bind_ro(self, host: &Path, inside: &str) -> Options {
        self.and("--bind-ro", format!("{}:{inside}", host.display()))
    }

    /// Shows a folder or file of the host inside, writable.
    pub fn bind(self, host: &Path, inside: &str) -> Options {
        self.and("--bind", format!("{}:{inside}", host.display()))
    }

    /// Makes the copy of the base in another way than by an overlay: `tmpfs`, `copy`,
    /// `image:FILE`, `btrfs`.
    pub fn store(self, store: &str) -> Options {
        self.and("--store", store.to_owned())
    }

    /// Boots another init than systemd. Nobody waits until it is up.
    pub fn init(self, path: &str) -> Options {
        self.and("--init", path.to_owned())
    }

    /// Lets a file be opened by its handle, which a container's system call filter forbids.
    pub fn opening_by_handle(self) -> Options {
        self.and("--nspawn", "--system-call-filter=open_by_handle_at".to_owned())
    }

    fn and(mut self, option: &str, value: String) -> Options {
        self.arguments.extend([option.to_owned(), value]);
        self
    }
}

/// One process, as the host and the bed number it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BedPid {
    /// Its pid for the host: `/proc/OUTSIDE`.
    pub outside: u32,
    /// Its pid in the bed: what the tool and systemd in there say.
    pub inside: u32,
}

/// A booted machine. Dropping it kills it; so does the death of this process.
#[derive(Debug)]
pub struct Bed {
    name: String,
    leader: u32,
    // Held as long as the machine is up; the kernel lets go of it when we die.
    _turn: File,
}

impl Bed {
    /// Boots a throwaway copy of a base, and waits until its systemd is up.
    pub fn boot(name: &str, base: &str, options: &Options) -> Result<Bed> {
        let turn = wait_for_turn()?;
        let name = unique(name);
        let owner = std::process::id().to_string();
        let mut up = tool();
        up.args(["up", &name, "--base", base, "--owner", &owner]).args(&options.arguments);
        let booted = run(&mut up, b"", BOOT).and_then(Output::success);
        let leader = booted.and_then(|_| {
            let pid = run(tool().args(["pid", &name]), b"", COMMAND)?.success()?;
            Ok(pid.text().parse()?)
        });
        match leader {
            Ok(leader) => Ok(Bed { name, leader, _turn: turn }),
            Err(error) => {
                kill(&name);
                Err(error.context(format!("boot the bed {name}")))
            }
        }
    }

    /// Its name, also of its folder and its cgroup.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host's pid of its PID 1.
    pub fn leader(&self) -> u32 {
        self.leader
    }

    /// Runs a command in a scope of its own.
    pub fn exec<S: AsRef<OsStr>>(&self, command: &[S]) -> Result<Output> {
        self.exec_within(COMMAND, b"", command)
    }

    /// Runs a command with this input and this deadline.
    pub fn exec_within<S: AsRef<OsStr>>(&self, deadline: Duration, input: &[u8], command: &[S]) -> Result<Output> {
        let mut exec = tool();
        exec.args(["exec", &self.name]).args(command);
        run(&mut exec, input, deadline)
    }

    /// Runs a shell script that has to succeed, and returns its output.
    pub fn shell(&self, script: &str) -> Result<String> {
        let said = self.exec(&["bash", "-euc", script])?.success();
        Ok(said.with_context(|| script.to_owned())?.text())
    }

    /// Writes a file, and the folders above it.
    pub fn write_file(&self, path: &str, content: &[u8]) -> Result<()> {
        if let Some(folder) = Path::new(path).parent() {
            self.exec(&[OsStr::new("mkdir"), OsStr::new("-p"), folder.as_os_str()])?.success()?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        self.open(path, flags)?.write_all(content)?;
        Ok(())
    }

    /// Writes an executable file.
    pub fn write_program(&self, path: &str, content: &[u8]) -> Result<()> {
        self.write_file(path, content)?;
        self.exec(&["chmod", "755", path])?.success()?;
        Ok(())
    }

    /// Reads a file.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        self.open(path, OFlags::RDONLY)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Opens a file from outside. Links are followed inside: `/var/run` is not the host's `/run`.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<File> {
        let root = format!("/proc/{}/root", self.leader);
        let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("the root of {}", self.name))?;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o644) } else { Mode::empty() };
        let flags = flags | OFlags::CLOEXEC;
        let file = openat2(root, path, flags, mode, ResolveFlags::IN_ROOT)
            .with_context(|| format!("{path} in {}", self.name))?;
        Ok(File::from(file))
    }

    /// One property of a unit, as `systemctl show` prints it.
    pub fn systemctl_show(&self, unit: &str, property: &str) -> Result<String> {
        let show = ["systemctl", "show", "--value", "--property", property, unit];
        Ok(self.exec(&show)?.success()?.text())
    }

    /// All processes in a unit's cgroup and below it.
    pub fn pids_of(&self, unit: &str) -> Result<Vec<BedPid>> {
        let cgroup = self.systemctl_show(unit, "ControlGroup")?;
        if cgroup.is_empty() {
            return Ok(Vec::new());
        }
        let find = "find \"/sys/fs/cgroup$1\" -name cgroup.procs -print";
        let files = self.exec(&["sh", "-c", find, "-", &cgroup])?.success()?;
        let mut pids = Vec::new();
        for file in files.text().lines() {
            // Read from outside, so these are the host's pids.
            let members = String::from_utf8(self.read_file(file)?)?;
            for pid in members.lines() {
                pids.extend(in_both_namespaces(pid.parse()?)?);
            }
        }
        Ok(pids)
    }

    /// Lets apt see these local repositories (folders inside the bed) and nothing else.
    pub fn use_repositories(&self, folders: &[&str]) -> Result<()> {
        let lines: String = folders.iter().map(|folder| format!("deb [trusted=yes] file:{folder} ./\n")).collect();
        self.write_file("/etc/apt/sources.list", lines.as_bytes())?;
        self.exec(&["apt-get", "-qq", "update"])?.success()?;
        Ok(())
    }

    /// `apt-get install`, with everything that was said. Its input is not empty, so that a hook
    /// that reads what is not meant for it is found out.
    pub fn apt_install(&self, packages: &[&str]) -> Result<Output> {
        let mut command = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy"];
        command.extend(["-o", "Dpkg::Use-Pty=0", "install"]);
        command.extend(packages);
        self.exec_within(Duration::from_secs(300), b"the caller's input\n", &command)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        kill(&self.name);
    }
}

/// The script that does it all.
pub fn tool() -> Command {
    Command::new(workspace().join("tests/bed/bed"))
}

fn kill(name: &str) {
    // Nobody is there to tell; the watchdog of the bed tries again when this process ends.
    let _ = run(tool().args(["kill", name]), b"", Duration::from_secs(30));
}

/// `None` when the process is gone.
fn in_both_namespaces(outside: u32) -> Result<Option<BedPid>> {
    let Ok(status) = fs::read_to_string(format!("/proc/{outside}/status")) else {
        return Ok(None);
    };
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let innermost = numbers.and_then(|line| line.split_whitespace().last());
    let inside = innermost.context("NSpid")?.parse()?;
    Ok(Some(BedPid { outside, inside }))
}

fn wait_for_turn() -> Result<File> {
    ensure!(rustix::process::geteuid().is_root(), "only root can boot a bed");
    let ends = Instant::now() + TURN;
    while Instant::now() < ends {
        for turn in 0..BEDS {
            let path = cache().join(format!(".turn.{turn}"));
            let file = File::create(&path).with_context(|| path.display().to_string())?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(file);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("no turn for a bed in {TURN:?}: {BEDS} are up all the time")
}
