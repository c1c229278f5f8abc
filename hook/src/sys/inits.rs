//! Services where no systemd runs: OpenRC, runit, s6 and init scripts, each through its own tools.

use super::pinned::Pinned;
use super::procs::{self, ProcessHandle};
use super::program::{self, Invocation, Said};
use super::systemd::{Job, JobEnd};
use crate::model::image::pseudo_terminal;
use crate::model::init::{program_path, script_of, Daemon, Script, Service, Supervisor};
use crate::model::owner::{cgroup_path, Owner, OwnerKind};
use crate::model::plan::Outcome;
use crate::model::process::{ProcessKey, ProcessSnapshot};
use crate::model::unit::UnitFacts;
use anyhow::{bail, Context, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An init script is some kilobytes.
const MOST_SCRIPT: u64 = 256 << 10;
/// More ancestors than any process has.
const MOST_ANCESTORS: usize = 64;
const OPENRC: &str = "/run/openrc";
const SCRIPTS: &str = "/etc/init.d";
/// Programs whose children are services, and who they belong to.
const SUPERVISORS: [(&str, Supervisor); 2] = [("runsv", Supervisor::Runit), ("s6-supervise", Supervisor::S6)];

/// All services, as they run now.
#[derive(Debug, Default)]
pub struct Services {
    scripts: Vec<Script>,
    pid_files: HashMap<i32, Vec<PathBuf>>,
    openrc: bool,
    proc: PathBuf,
    /// What was found of the processes that were looked at.
    known: RefCell<HashMap<i32, Option<Service>>>,
}

impl Services {
    /// Reads what root has written: scripts and PID files.
    pub fn look(proc: &Path) -> Services {
        let openrc = Path::new(OPENRC).join("softlevel").exists();
        Services {
            scripts: scripts(),
            pid_files: pid_files(),
            openrc,
            proc: proc.to_owned(),
            known: RefCell::default(),
        }
    }

    /// Whose a process is: a service's, or somebody's at a terminal; `None` where that cannot be told.
    pub fn owner_of(&self, pid: i32) -> Option<(Owner, Option<Service>)> {
        let process = procs::open(&self.proc, pid).ok()?;
        let stat = process.stat().ok()?;
        if let Some(number) = stat.terminal.and_then(pseudo_terminal) {
            return Some((at_terminal(number, process.uid()), None));
        }
        let service = self.service_of(process, stat.parent)?;
        Some((owner_by(&service), Some(service)))
    }

    /// The same of a process that was looked at already: where one of the same parent was asked for, it is
    /// not read again.
    pub fn owner_of_snapshot(&self, process: &ProcessSnapshot) -> Option<Owner> {
        if let Some(number) = process.terminal.and_then(pseudo_terminal) {
            return Some(at_terminal(number, process.uid));
        }
        if let Some(name) = openrc_group(&process.cgroup) {
            return Some(owner_by(&of_openrc(name)));
        }
        let supervises = process.exe.as_deref().is_none_or(|exe| supervisor_of(exe).is_some());
        let is_service = process.parent > 1 && !supervises;
        let above = self.known.borrow().get(&process.parent).filter(|_| is_service).cloned();
        let service = above.unwrap_or_else(|| self.owner_of(process.key.pid).and_then(|(_, service)| service));
        service.as_ref().map(owner_by)
    }

    /// The service that a process belongs to: that of the supervisor above it, or of its eldest ancestor
    /// below PID 1.
    fn service_of(&self, process: ProcessHandle, parent: i32) -> Option<Service> {
        match cgroup_path(&process.cgroup()).and_then(openrc_group) {
            Some(name) => Some(of_openrc(name)),
            None => self.inherited(process, Some(parent), MOST_ANCESTORS),
        }
    }

    /// The service that a process has from those above it: hundreds of processes have the same parent, so
    /// each is looked at once.
    fn inherited(&self, process: ProcessHandle, parent: Option<i32>, ancestors: usize) -> Option<Service> {
        if let Some(known) = self.known.borrow().get(&process.pid) {
            return known.clone();
        }
        let above = || {
            let parent = parent.or_else(|| Some(process.stat().ok()?.parent));
            parent.filter(|&parent| parent > 1 && ancestors > 1)
        };
        let pid = process.pid;
        let found = supervised_by(&process).or_else(|| {
            let above = above();
            if let Some(known) = above.and_then(|above| self.known.borrow().get(&above).cloned()) {
                return known;
            }
            match above.and_then(|above| procs::open(&self.proc, above).ok()) {
                Some(above) => self.inherited(above, None, ancestors - 1),
                None => self.started_by_script(&process),
            }
        });
        self.known.borrow_mut().insert(pid, found.clone());
        found
    }

    fn started_by_script(&self, leader: &ProcessHandle) -> Option<Service> {
        let exe = program_path(&leader.exe()?);
        let files = self.pid_files.get(&leader.pid).map(Vec::as_slice).unwrap_or_default();
        let daemon = Daemon { exe: &exe, uid: leader.uid()?, pid_files: files };
        let script = script_of(&daemon, &self.scripts)?;
        let supervisor = if self.openrc { Supervisor::OpenRc } else { Supervisor::SysV };
        Some(Service { name: script.name.clone(), supervisor, folder: None })
    }

    /// Every service of which a process runs, with facts like those of a unit.
    pub fn running(&self) -> BTreeMap<String, (Service, UnitFacts)> {
        let mut found: BTreeMap<String, (Service, UnitFacts)> = BTreeMap::new();
        let Ok(processes) = procs::list(&self.proc) else { return found };
        for process in processes {
            let Ok(stat) = process.stat() else { continue };
            let is_daemon = !stat.kernel_thread && stat.state != b'Z' && process.pid > 1;
            if !is_daemon || SUPERVISORS.iter().any(|(name, _)| name.as_bytes() == stat.comm) {
                continue;
            }
            let Some((Owner { kind: OwnerKind::Service, .. }, Some(service))) = self.owner_of(process.pid) else {
                continue;
            };
            let entry = found.entry(service.name.clone()).or_insert_with(|| (service, UnitFacts::default()));
            let eldest = entry.1.main_pid == 0 || key_of(&entry.1) > (stat.start_ticks, process.pid);
            if eldest {
                entry.1 = running(&entry.0, process.pid, stat.start_ticks);
            }
        }
        found
    }
}

fn at_terminal(number: u64, uid: Option<u32>) -> Owner {
    Owner { kind: OwnerKind::Session, name: format!("pts/{number}"), uid, ..Owner::loose() }
}

fn owner_by(service: &Service) -> Owner {
    Owner { kind: OwnerKind::Service, name: service.name.clone(), ..Owner::loose() }
}

fn of_openrc(name: String) -> Service {
    Service { name, supervisor: Supervisor::OpenRc, folder: None }
}

/// Facts of a service that runs: its eldest process is the main one, and says when it was started.
fn running(service: &Service, pid: i32, start_ticks: u64) -> UnitFacts {
    UnitFacts {
        id: service.name.clone(),
        load_state: "loaded".to_owned(),
        active_state: "active".to_owned(),
        sub_state: "running".to_owned(),
        can_reload: true,
        main_pid: u32::try_from(pid).unwrap_or(0),
        invocation: start_ticks.to_be_bytes().to_vec(),
        cgroup: own_folder(&service.name),
        ..UnitFacts::default()
    }
}

fn key_of(facts: &UnitFacts) -> (u64, i32) {
    let ticks = facts.invocation.as_slice().try_into().map(u64::from_be_bytes).unwrap_or(u64::MAX);
    (ticks, facts.main_pid as i32)
}

/// What stands for a service where units have their cgroup: no process is in it but by what is known of
/// its ancestors.
pub fn own_folder(name: &str) -> String {
    format!("/service/{name}")
}

/// The service that this command runs in, unless somebody typed it at a terminal.
pub fn own_service(proc: &Path) -> Option<String> {
    let (owner, service) = Services::look(proc).owner_of(std::process::id() as i32)?;
    (owner.kind == OwnerKind::Service).then_some(service?.name)
}

/// The service whose name OpenRC gave to a cgroup.
fn openrc_group(path: &[u8]) -> Option<String> {
    let part = path.split(|&byte| byte == b'/').find_map(|part| part.strip_prefix(b"openrc."))?;
    String::from_utf8(part.to_vec()).ok()
}

/// The service of which this process is the supervisor: root's own program, in the service's folder.
fn supervised_by(process: &ProcessHandle) -> Option<Service> {
    let supervisor = supervisor_of(&process.exe()?)?;
    let folder = process.working_folder().filter(|_| process.uid() == Some(0))?;
    let own = match folder.file_name()?.to_str()? {
        "log" => return None,
        own => own.to_owned(),
    };
    Some(Service { name: own, supervisor, folder: Some(folder) })
}

/// What kind of supervisor a program is by its name.
fn supervisor_of(exe: &Path) -> Option<Supervisor> {
    let path = program_path(exe);
    let name = path.file_name()?;
    SUPERVISORS.iter().find(|(known, _)| name == *known).map(|(_, supervisor)| *supervisor)
}

fn is_roots(data: &std::fs::Metadata) -> bool {
    data.uid() == 0 && data.permissions().mode() & 0o022 == 0
}

fn scripts() -> Vec<Script> {
    let Ok(entries) = std::fs::read_dir(SCRIPTS) else { return Vec::new() };
    let script = |entry: std::fs::DirEntry| {
        let data = std::fs::metadata(entry.path()).ok()?;
        let runs = data.is_file() && is_roots(&data) && data.permissions().mode() & 0o100 != 0;
        let text = super::input::file(&entry.path(), MOST_SCRIPT).ok().filter(|_| runs)?;
        Some(Script { name: entry.file_name().into_string().ok()?, text })
    };
    entries.filter_map(|entry| script(entry.ok()?)).collect()
}

/// PID files that root wrote where only root can, right below `/run` and one folder deeper.
fn pid_files() -> HashMap<i32, Vec<PathBuf>> {
    let mut found: HashMap<i32, Vec<PathBuf>> = HashMap::new();
    let mut folders = vec![PathBuf::from("/run")];
    let below = std::fs::read_dir("/run").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    folders.extend(below.filter(|path| std::fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())));
    for folder in folders.iter().filter(|folder| std::fs::metadata(folder).is_ok_and(|data| is_roots(&data))) {
        for path in std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())) {
            let is_pid_file = path.extension().is_some_and(|extension| extension == "pid");
            let data = std::fs::symlink_metadata(&path);
            if !is_pid_file || !data.is_ok_and(|data| data.is_file() && is_roots(&data)) {
                continue;
            }
            let text = super::input::file(&path, 64).unwrap_or_default();
            if let Ok(pid) = String::from_utf8_lossy(&text).trim().parse() {
                found.entry(pid).or_default().push(path);
            }
        }
    }
    found
}

/// What is known of these services.
pub fn units(proc: &Path, names: &[String]) -> Vec<(String, UnitFacts)> {
    let mut running = Services::look(proc).running();
    let facts = |name: &String| match running.remove(name) {
        Some((_, facts)) => (name.clone(), facts),
        None => {
            let (load_state, active_state) = ("loaded".to_owned(), "inactive".to_owned());
            let gone = UnitFacts {
                id: name.clone(),
                load_state,
                active_state,
                sub_state: "dead".to_owned(),
                ..UnitFacts::default()
            };
            (name.clone(), gone)
        }
    };
    names.iter().map(facts).collect()
}

/// One job after the other: these tools have no batches.
pub fn run_jobs(proc: &Path, job: Job, names: &[String], deadline: Duration) -> Vec<JobEnd> {
    let running = Services::look(proc).running();
    let one = |name: &String| {
        let started = Instant::now();
        let (outcome, message) = match (running.get(name), job) {
            (Some((service, facts)), job) => run_job(proc, service, facts, job, deadline),
            (None, Job::Restart | Job::Start) => run_by_name(name, job, deadline),
            (None, Job::TryRestart | Job::Reload) => (Outcome::Vanished, "it does not run".to_owned()),
        };
        JobEnd { outcome, message, took: started.elapsed() }
    };
    names.iter().map(one).collect()
}

fn run_job(proc: &Path, service: &Service, facts: &UnitFacts, job: Job, deadline: Duration) -> (Outcome, String) {
    let by_signal = matches!(service.supervisor, Supervisor::Runit | Supervisor::S6) && job == Job::Reload;
    if by_signal && !handles_hangup(proc, facts) {
        return (Outcome::Refused, "its main process has no handler for HUP, and would be killed".to_owned());
    }
    let (outcome, message) = run_tool(&tool(service, job, deadline), deadline);
    if outcome == Outcome::Done && job != Job::Reload {
        wait_for_start(proc, facts, deadline.min(STARTS));
    }
    (outcome, message)
}

/// A supervisor starts a service that ended within its first second only a second later, and some tools
/// do not wait for that.
fn wait_for_start(proc: &Path, before: &UnitFacts, deadline: Duration) {
    let end = Instant::now() + deadline;
    let is_new = |facts: &UnitFacts| facts.invocation != before.invocation;
    while Instant::now() < end && !Services::look(proc).running().get(&before.id).is_some_and(|(_, now)| is_new(now)) {
        std::thread::sleep(PULSE);
    }
}

/// `sv` and `s6-svc` reload by a signal that kills whoever does not handle it.
fn handles_hangup(proc: &Path, facts: &UnitFacts) -> bool {
    let (start_ticks, pid) = key_of(facts);
    let hangup = "HUP".parse().ok();
    Pinned::open(proc, ProcessKey { pid, start_ticks })
        .is_ok_and(|process| hangup.is_some_and(|name| process.handles(name)))
}

fn run_by_name(name: &str, job: Job, deadline: Duration) -> (Outcome, String) {
    let openrc = Path::new(OPENRC).join("softlevel").exists();
    let supervisor = if openrc { Supervisor::OpenRc } else { Supervisor::SysV };
    let service = Service { name: name.to_owned(), supervisor, folder: None };
    run_tool(&tool(&service, job, deadline), deadline)
}

/// The command that does a job.
fn tool(service: &Service, job: Job, deadline: Duration) -> Vec<String> {
    let verb = match job {
        Job::TryRestart | Job::Restart => "restart",
        Job::Reload => "reload",
        Job::Start => "start",
    };
    let folder = service.folder.as_ref().map(|folder| folder.display().to_string()).unwrap_or_default();
    let seconds = deadline.as_secs().max(1).to_string();
    let words: Vec<&str> = match service.supervisor {
        Supervisor::OpenRc => vec!["rc-service", &service.name, verb],
        Supervisor::Runit => vec!["sv", "-w", &seconds, verb, &folder],
        Supervisor::S6 if job == Job::Reload => vec!["s6-svc", "-h", &folder],
        Supervisor::S6 if job == Job::Start => vec!["s6-svc", "-wu", "-u", &folder],
        Supervisor::S6 => vec!["s6-svc", "-wr", "-r", &folder],
        Supervisor::SysV if find("invoke-rc.d").is_some() => vec!["invoke-rc.d", &service.name, verb],
        Supervisor::SysV => {
            return vec![format!("{SCRIPTS}/{}", service.name), verb.to_owned()];
        }
    };
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if let Some(path) = find(&words[0]) {
        words[0] = path.display().to_string();
    }
    words
}

fn find(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/command"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// How long a service may take to be there after its tool has ended.
const STARTS: Duration = Duration::from_secs(5);
const PULSE: Duration = Duration::from_millis(50);
/// `invoke-rc.d` ends with this where the machine's own policy forbids it (policy-rc.d).
const FORBIDDEN: i32 = 101;

fn run_tool(words: &[String], deadline: Duration) -> (Outcome, String) {
    let shown = words.join(" ");
    let said: Result<Said> = program::run(&Invocation { run: words.to_vec(), ..Invocation::default() }, deadline);
    match said {
        Ok(Said { status: None, .. }) => (Outcome::TimedOut, format!("{shown} was killed, its time was over")),
        Ok(said) => {
            let last = said.last_line().map(|line| format!(": {line}")).unwrap_or_default();
            match said.status.and_then(|status| status.code()) {
                Some(0) => (Outcome::Done, shown),
                Some(FORBIDDEN) => (Outcome::Refused, format!("{shown} is forbidden by policy-rc.d")),
                Some(code) => (Outcome::Failed, format!("{shown} ended with {code}{last}")),
                None => (Outcome::Failed, format!("{shown} was killed{last}")),
            }
        }
        Err(error) => (Outcome::Failed, format!("{error:#}")),
    }
}

/// Asks PID 1 to execute itself again, where it can.
pub fn reexecute(proc: &Path) -> Result<()> {
    let init = procs::open(proc, 1).ok().and_then(|init| init.exe()).context("PID 1 cannot be asked")?;
    let telinit = find("telinit").filter(|_| program_path(&init).file_name().is_some_and(|name| name == "init"));
    let Some(telinit) = telinit else {
        bail!("{} cannot execute itself again; only a reboot helps", init.display());
    };
    match run_tool(&[telinit.display().to_string(), "u".to_owned()], Duration::from_secs(10)) {
        (Outcome::Done, _) => Ok(()),
        (_, why) => bail!("{why}"),
    }
}
