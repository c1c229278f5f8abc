//! Whose cgroups must not be disturbed: our own, those of whoever runs upgrades, and those in which
//! somebody works.

use crate::model::guard::{Protected, SessionFacts};
use crate::model::image::pseudo_terminal;
use crate::model::owner::{cgroup_path, Owner, OwnerKind};
use crate::model::pending::Pending;
use crate::model::text::{escape, unescape};
use crate::sys::inits;
use crate::sys::procs::{self, ProcessHandle};
use crate::sys::systemd::{self, Systemd};
use std::path::Path;

/// More ancestors than any process has.
const MOST_ANCESTORS: usize = 64;

/// What we ourselves and the callers of triggers run in, and what their terminals hang on.
pub fn protected(proc: &Path, pending: &[Pending]) -> Protected {
    let mut protected = Protected::default();
    let mut add = |cgroup: Vec<u8>, what: &str| protected.cgroups.push((cgroup, what.to_owned()));
    if let Some(own) = own_cgroup(proc) {
        add(own, "this command runs");
    }
    for cgroup in terminal_cgroups(proc) {
        add(cgroup, "the terminal of this command runs");
    }
    for one in pending {
        unescape(&one.caller).into_iter().for_each(|cgroup| add(cgroup, "the upgrade runs"));
        for cgroup in one.hangs_on.iter().filter_map(|cgroup| unescape(cgroup)) {
            add(cgroup, "the terminal of the upgrade runs");
        }
    }
    protected
}

/// Adds the service that we run in where no systemd gives it a cgroup, who is logged in, and who works at a
/// terminal without that, which costs a look at all processes: only where something would be done.
pub fn add_dear(protected: &mut Protected, proc: &Path) {
    if let (false, Some(service)) = (systemd::is_running(), inits::own_service(proc)) {
        protected.cgroups.push((inits::own_folder(&service).into_bytes(), "this command runs".to_owned()));
    }
    add_sessions(protected, proc);
    protected.terminals = terminals(proc);
}

/// Adds who is logged in: all that matters where people are only told.
pub fn add_sessions(protected: &mut Protected, proc: &Path) {
    protected.sessions = sessions(proc);
}

/// The cgroup that we are in.
pub fn own_cgroup(proc: &Path) -> Option<Vec<u8>> {
    procs::open(proc, std::process::id() as i32).ok().and_then(|own| cgroup_of(&own))
}

fn cgroup_of(process: &ProcessHandle) -> Option<Vec<u8>> {
    cgroup_path(&process.cgroup()).map(<[u8]>::to_vec)
}

/// The cgroups of those ancestors that hold the other end of our terminal: when they end, it hangs up.
pub fn terminal_cgroups(proc: &Path) -> Vec<Vec<u8>> {
    let own = procs::open(proc, std::process::id() as i32).ok();
    let terminal = own.as_ref().and_then(|own| own.stat().ok()?.terminal);
    let Some(terminal) = terminal.and_then(pseudo_terminal) else {
        return Vec::new();
    };
    let parent = |process: &ProcessHandle| procs::open(proc, process.stat().ok()?.parent).ok();
    let ancestors = std::iter::successors(own, parent).skip(1).take(MOST_ANCESTORS);
    ancestors.filter(|process| process.holds_terminal(terminal)).filter_map(|process| cgroup_of(&process)).collect()
}

/// The sessions that the login manager knows, with what their leaders were started by.
fn sessions(proc: &Path) -> Vec<SessionFacts> {
    if !systemd::is_running() {
        return Vec::new();
    }
    let sessions = Systemd::connect().and_then(|systemd| systemd.sessions()).unwrap_or_default();
    let parent_cgroup = |leader: u32| {
        let leader = procs::open(proc, i32::try_from(leader).ok()?).ok()?;
        cgroup_of(&procs::open(proc, leader.stat().ok()?.parent).ok()?)
    };
    let facts = sessions.into_iter().map(|session| session.facts);
    facts
        .map(|facts| SessionFacts { parent_cgroup: parent_cgroup(facts.leader).unwrap_or_default(), ..facts })
        .collect()
}

/// Services in which a process has a terminal: somebody works there without a session of their own.
fn terminals(proc: &Path) -> Vec<(Vec<u8>, String)> {
    let Ok(processes) = procs::list(proc) else { return Vec::new() };
    let somebody = |process: ProcessHandle| {
        process.stat().ok()?.terminal.and_then(pseudo_terminal)?;
        let text = process.cgroup();
        let is_service = matches!(Owner::of(process.pid, &text).kind, OwnerKind::Service | OwnerKind::UserService);
        let who =
            || format!("pid {} {}", process.pid, process.stat().map(|stat| escape(&stat.comm)).unwrap_or_default());
        is_service.then(|| Some((cgroup_path(&text)?.to_vec(), who())))?
    };
    processes.filter_map(somebody).collect()
}
