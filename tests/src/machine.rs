//! A bed with nothing but the Debian package in it, a policy, and an eye on what becomes of it.

use crate::bed::{tool, Bed, Options};
use crate::debian::{daemon, library, library_bytes, LIBRARY};
use crate::echo::version_of;
use crate::place::{built, workspace, Scratch};
use crate::run::{run, wait_until, Output};
use crate::suite;
use anyhow::{ensure, Context, Result};
use rustix::fs::{flock, FlockOperation};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The base system with real services.
pub const BASE: &str = "daemons";
/// Where a policy of a test lies in the bed.
pub const POLICY: &str = "/etc/reexec/policy.d/10-test.yaml";
/// The unit that acts.
pub const APPLY: &str = "reexec-apply.service";

const BUILD: Duration = Duration::from_secs(600);
const APPLIED: Duration = Duration::from_secs(60);
/// Short times: what is tested is not how long a person would wait.
const HEAD: &str = "version: 1\ndefaults: { settle: 1500ms, quiet: 800ms }\n";

/// The machine. `/srv/dist` in it is a folder of the test: packages are put there.
#[derive(Debug)]
pub struct Machine {
    /// The bed that it runs in.
    pub bed: Bed,
    dist: Scratch,
}

/// What systemd says of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its main process; 0: none.
    pub main_pid: u32,
    /// Another one after every start.
    pub invocation: String,
    /// How often systemd has restarted it by itself.
    pub restarts: u32,
    /// `active`, `failed`, …
    pub state: String,
}

impl Machine {
    /// Boots, installs the package with apt, and writes these rules as the policy.
    pub fn boot(name: &str, rules: &str) -> Result<Machine> {
        Machine::with_repository(name, rules, None)
    }

    /// The same, with apt seeing this repository.
    pub fn with_repository(name: &str, rules: &str, repository: Option<&Path>) -> Result<Machine> {
        let options = match repository {
            Some(repository) => Options::default().bind_ro(repository, "/srv/repo"),
            None => Options::default(),
        };
        Machine::with_options(name, rules, options, repository)
    }

    /// The same, with the probe's library and daemon installed in their first version; nothing of them runs.
    pub fn with_probes(name: &str, rules: &str) -> Result<Machine> {
        let machine = Machine::boot(name, rules)?;
        machine.install_probes()?;
        Ok(machine)
    }

    /// Installs the probe's library and daemon in their first version, and has the second at hand.
    pub fn install_probes(&self) -> Result<()> {
        for version in 1..=2 {
            library(version)?.build(self.dist())?;
            fs::write(self.dist().join(format!("{version}.so")), library_bytes(version)?)?;
        }
        daemon()?.build(self.dist())?;
        self.bed.apt_install(&["/srv/dist/libprobe1_1.0_amd64.deb", "/srv/dist/probed_1.0_amd64.deb"])?.success()?;
        self.applied()
    }

    /// This version of the library (its file is in `dist`: the first two are) takes the place of the one that stands there, as an upgrade does
    /// it, but nobody is told.
    pub fn swap_library(&self, version: u32) -> Result<()> {
        self.bed.shell(&format!("cp /srv/dist/{version}.so {LIBRARY}.new; mv {LIBRARY}.new {LIBRARY}")).map(drop)
    }

    /// A newer version of a program, with another build-id, takes its place; nobody is told.
    pub fn swap_program(&self, path: &str) -> Result<()> {
        self.bed.write_program(&format!("{path}.new"), &version_of(&self.bed.read_file(path)?, 2)?)?;
        self.bed.shell(&format!("mv {path}.new {path}")).map(drop)
    }

    /// Runs `reexec apply` and returns its report.
    pub fn apply(&self, arguments: &[&str]) -> Result<Report> {
        let mut command = vec!["apply", "--format", "json"];
        command.extend(arguments);
        let said = self.reexec(&command)?;
        Report::read(&said.stdout).with_context(|| said.errors())
    }

    /// The same, with more to see for the bed.
    pub fn with_options(name: &str, rules: &str, options: Options, repository: Option<&Path>) -> Result<Machine> {
        Machine::on(BASE, name, rules, options, repository)
    }

    /// The same, on another base system.
    pub fn on(base: &str, name: &str, rules: &str, options: Options, repository: Option<&Path>) -> Result<Machine> {
        let dist = Scratch::new("dist")?;
        let deb = package()?;
        fs::copy(&deb, dist.join("reexec.deb")).with_context(|| deb.display().to_string())?;
        let options = options.bind_ro(dist.path(), "/srv/dist");
        let bed = Bed::boot(name, base, &options)?;
        let folders: &[&str] = if repository.is_some() { &["/srv/repo"] } else { &[] };
        bed.use_repositories(folders)?;
        bed.apt_install(&["/srv/dist/reexec.deb"])?.success()?;
        Machine::of(bed, dist, rules)
    }

    /// A bed in which the package has just been installed, and which sees `dist` as `/srv/dist`.
    pub fn of(bed: Bed, dist: Scratch, rules: &str) -> Result<Machine> {
        let machine = Machine { bed, dist };
        // The installation itself is a transaction; it must be over before anything is counted.
        machine.applied()?;
        machine.policy(rules)?;
        Ok(machine)
    }

    /// The folder that the bed sees as `/srv/dist`.
    pub fn dist(&self) -> &Path {
        self.dist.path()
    }

    /// Writes these rules as the policy, and sees that they are one.
    pub fn policy(&self, rules: &str) -> Result<()> {
        self.bed.write_file(POLICY, format!("{HEAD}rules:\n{rules}").as_bytes())?;
        self.bed.exec(&["reexec", "policy", "check"])?.success()?;
        Ok(())
    }

    /// Runs `reexec`.
    pub fn reexec(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = vec!["reexec"];
        command.extend(arguments);
        self.bed.exec(&command)
    }

    /// What `reexec report` says now, which also is its exit code.
    pub fn report(&self) -> Result<Report> {
        let said = self.reexec(&["report", "--format", "json"])?;
        let report = Report::read(&said.stdout).with_context(|| said.errors())?;
        ensure!(said.code().map(i64::from) == report.0["exit_code"].as_i64(), "{said:?}");
        Ok(report)
    }

    /// The report of the last run that acted.
    pub fn last(&self) -> Result<Report> {
        Report::read(&self.bed.read_file("/var/lib/reexec/last.json")?)
    }

    /// How many runs have acted.
    pub fn runs(&self) -> Result<usize> {
        Ok(self.bed.shell("ls /var/lib/reexec/history 2>/dev/null | wc -l")?.parse()?)
    }

    /// Waits until nothing is pending and nobody is at work on it.
    pub fn applied(&self) -> Result<()> {
        self.applied_within(APPLIED)
    }

    /// The same, with another patience.
    pub fn applied_within(&self, deadline: Duration) -> Result<()> {
        wait_until("nothing is pending", deadline, || {
            let idle = self.waiting().is_empty() && self.idle();
            Ok(idle.then_some(()))
        })
        .with_context(|| self.journal().unwrap_or_default())
    }

    /// Whether the unit that acts is at rest.
    pub fn idle(&self) -> bool {
        // From outside: while PID 1 executes itself again, no command can be run in the bed.
        let group = self.outside("/sys/fs/cgroup/system.slice/system-reexec.slice/reexec-apply.service/cgroup.procs");
        fs::read_to_string(group).unwrap_or_default().is_empty()
    }

    /// The names of pending files.
    pub fn waiting(&self) -> Vec<String> {
        let folders = ["/run/reexec/pending", "/run/reexec/held"].map(|folder| self.outside(folder));
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".json")).collect()
    }

    /// Where the host sees a file of the bed, for paths without absolute links.
    pub fn outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.bed.leader()))
    }

    /// What the unit that acts wrote to the journal.
    pub fn journal(&self) -> Result<String> {
        self.bed.shell("journalctl --sync; journalctl -o cat -u reexec-apply.service")
    }

    /// How often the unit that acts was started.
    pub fn applies(&self) -> Result<usize> {
        Ok(self.journal()?.lines().filter(|line| line.starts_with("Starting ")).count())
    }

    /// What systemd says of a unit.
    pub fn unit(&self, name: &str) -> Result<Unit> {
        let get = |property: &str| self.bed.systemctl_show(name, property);
        Ok(Unit {
            main_pid: get("MainPID")?.parse()?,
            invocation: get("InvocationID")?,
            restarts: get("NRestarts")?.parse()?,
            state: get("ActiveState")?,
        })
    }

    /// How often a unit was started since boot.
    pub fn starts(&self, unit: &str) -> Result<usize> {
        let said = self.bed.shell(&format!("journalctl --sync; journalctl -o cat _PID=1 UNIT={unit}"))?;
        Ok(said.lines().filter(|line| line.starts_with("Started ")).count())
    }

    /// Sees that a unit was started once since it had been started this often.
    pub fn restarted_once(&self, unit: &str, before: usize) -> Result<()> {
        let starts = self.starts(unit)? - before;
        ensure!(starts == 1, "{unit} was started {starts} times\n{}", self.journal()?);
        Ok(())
    }

    /// Whether any process of a unit maps a deleted file with this in its name.
    pub fn maps_deleted(&self, unit: &str, part: &str) -> Result<bool> {
        let pids = self.bed.pids_of(unit)?;
        Ok(pids.iter().any(|pid| {
            let maps = fs::read_to_string(format!("/proc/{}/maps", pid.outside)).unwrap_or_default();
            maps.lines().any(|line| line.contains(part) && line.ends_with(" (deleted)"))
        }))
    }

    /// The state of packages that dpkg is not content with; empty when all is well.
    pub fn audit(&self) -> Result<String> {
        self.bed.shell("dpkg --audit")
    }

    /// A login of root that is kept open until this is dropped.
    pub fn log_in(&self) -> Result<Background> {
        let login = self.background(&["login", self.bed.name(), "root", "exec sleep 900"])?;
        wait_until("somebody is logged in", APPLIED, || {
            let sessions = self.bed.shell("loginctl --no-legend list-sessions")?;
            Ok((!sessions.is_empty()).then_some(()))
        })?;
        Ok(login)
    }

    /// A command in a scope of its own that nobody waits for.
    pub fn start(&self, command: &[&str]) -> Result<Background> {
        let mut arguments = vec!["exec", self.bed.name()];
        arguments.extend(command);
        self.background(&arguments)
    }

    fn background(&self, arguments: &[&str]) -> Result<Background> {
        let mut command = tool();
        command.args(arguments).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Background(command.spawn().with_context(|| format!("{arguments:?}"))?))
    }
}

/// A command of the host that runs beside the test, and is killed with it.
#[derive(Debug)]
pub struct Background(Child);

impl Background {
    /// Waits for its end; its exit code.
    pub fn wait(&mut self, deadline: Duration) -> Result<Option<i32>> {
        wait_until("the command ends", deadline, || Ok(self.0.try_wait()?)).map(|status| status.code())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let group = rustix::process::Pid::from_child(&self.0);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// A report in JSON.
#[derive(Debug, Clone)]
pub struct Report(pub Value);

impl Report {
    fn read(bytes: &[u8]) -> Result<Report> {
        let value = serde_json::from_slice(bytes);
        Ok(Report(value.with_context(|| String::from_utf8_lossy(bytes).into_owned())?))
    }

    /// The row of an owner.
    pub fn owner(&self, name: &str) -> Result<&Value> {
        let row = self.rows("owners").find(|row| row["name"] == name);
        row.with_context(|| format!("no owner {name} in {:#}", self.0["owners"]))
    }

    /// A step that was taken for an owner: action, outcome and message.
    pub fn step(&self, owner: &str, index: usize) -> Result<(&str, &str, &str)> {
        let row = self.owner(owner)?;
        let step = row["steps"].get(index).with_context(|| format!("{row:#}"))?;
        let word = |key: &str| step[key].as_str().context("a word");
        Ok((word("action")?, word("outcome")?, word("message")?))
    }

    /// Why nothing was done about an owner; it has neither a step nor a proof then.
    pub fn skipped(&self, owner: &str) -> Result<&str> {
        let row = self.owner(owner)?;
        ensure!(row["steps"] == Value::Array(Vec::new()) && row["proof"].is_null(), "{row:#}");
        row["decision"]["skip"].as_str().with_context(|| format!("{row:#}"))
    }

    /// The names of all owners, or their kinds where they have none.
    pub fn owners(&self) -> Vec<&str> {
        let name = |row: &'_ Value| row["name"].as_str().filter(|name| !name.is_empty()).is_some();
        let mut names: Vec<&str> = self
            .rows("owners")
            .filter_map(|row| if name(row) { row["name"].as_str() } else { row["kind"].as_str() })
            .collect();
        names.sort_unstable();
        names
    }

    /// The name of the one owner of this kind.
    pub fn owner_of_kind(&self, kind: &str) -> Result<&str> {
        let names: Vec<_> =
            self.rows("owners").filter(|row| row["kind"] == kind).map(|row| row["name"].as_str()).collect();
        let [Some(name)] = names[..] else { anyhow::bail!("not one {kind}: {:#}", self.0["owners"]) };
        Ok(name)
    }

    /// Leaves owners of this kind out.
    pub fn forget(&mut self, kind: &str) {
        if let Some(rows) = self.0["owners"].as_array_mut() {
            rows.retain(|row| row["kind"] != kind);
        }
    }

    /// The processes of an owner.
    pub fn processes_of(&self, owner: &str) -> Vec<&Value> {
        self.rows("processes").filter(|row| row["owner"]["name"] == owner).collect()
    }

    /// All causes of an owner's processes.
    pub fn causes_of(&self, owner: &str) -> Vec<&Value> {
        self.processes_of(owner).into_iter().flat_map(|row| row["causes"].as_array().into_iter().flatten()).collect()
    }

    /// The rows of a table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Value> {
        self.0[table].as_array().into_iter().flatten()
    }

    /// The exit code that it came with.
    pub fn exit_code(&self) -> i64 {
        self.0["exit_code"].as_i64().unwrap_or(-1)
    }
}

/// The Debian package of this tree, built as `make deb` does.
pub fn package() -> Result<PathBuf> {
    packed("0.1.0-1")
}

/// The same, with this version.
pub fn packed(version: &str) -> Result<PathBuf> {
    let dist = built()?.join("dist");
    fs::create_dir_all(&dist)?;
    let lock = File::create(dist.join(".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let deb = dist.join(format!("reexec_{version}_amd64.deb"));
    static BUILT: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let mut done = BUILT.lock().ok().context("a test panicked while it built")?;
    if done.iter().any(|one| one == version) {
        return Ok(deb);
    }
    let mut make = make();
    make.arg("-C").arg(workspace()).arg("deb");
    make.args([format!("DEB_VERSION={version}"), format!("DIST={}", dist.display())]);
    run(&mut make, b"", BUILD)?.success()?;
    done.push(version.to_owned());
    Ok(deb)
}

/// A `make` that knows nothing of one that runs this test, with what builds for the beds' release.
pub fn make() -> Command {
    unrelated(suite::builder("make"))
}

/// The same with this machine's own tools: an rpm or a pacman package only packs what was built for the release.
pub fn make_here() -> Command {
    unrelated(Command::new("make"))
}

fn unrelated(mut make: Command) -> Command {
    make.arg("--no-print-directory");
    for inherited in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "DESTDIR", "PREFIX"] {
        make.env_remove(inherited);
    }
    make
}

/// Tells a time or a size that was measured, also of a test that passes.
pub fn figure(text: &str) {
    let _ = writeln!(std::io::stderr(), "figure: {text}");
}
