//! `doctor`: is everything wired, and does it work?

use super::desk::Desk;
use crate::model::health::{Check, Health, Wire};
use crate::model::judge::Space;
use crate::sys::plugin::Busy;
use crate::sys::spaces::Spaces;
use crate::sys::systemd::{self, Systemd};
use crate::sys::{host, input, procs};
use std::path::Path;
use std::time::Duration;

const PLUGIN_DEADLINE: Duration = Duration::from_secs(5);
const WIRING: &str = "usr/lib/reexec/wiring.d";
const MOST_WIRING: u64 = 1 << 20;
const PATH_UNIT: &str = "reexec-apply.path";
const REINSTALL: &str = "reinstall the package reexec";

/// Looks at everything.
pub fn doctor(desk: &Desk<'_>) -> Vec<Check> {
    let mut checks = vec![rights(), kernel(desk), host_space(desk)];
    checks.extend(plugins(desk));
    checks.extend(wiring(&desk.common.root));
    checks.push(policy(desk));
    checks.extend(units());
    checks.push(waiting(desk));
    checks
}

/// 0: all is wired and works; 1: something is missing or broken.
pub fn exit_code(checks: &[Check]) -> u8 {
    u8::from(checks.iter().any(|check| check.health == Health::Bad))
}

fn rights() -> Check {
    match host::uid() {
        0 => Check::good("rights", "root: all processes can be looked at"),
        uid => {
            Check::bad("rights", format!("user {uid}: only its own processes can be looked at"), "sudo reexec doctor")
        }
    }
}

fn kernel(desk: &Desk<'_>) -> Check {
    let release = host::kernel();
    let Ok(own) = procs::open(&desk.common.proc, std::process::id() as i32) else {
        return Check::bad(
            "kernel",
            format!("{}: our own process is not there", desk.common.proc.display()),
            "mount -t proc proc /proc",
        );
    };
    let query = own
        .open_maps()
        .ok()
        .and_then(|maps| host::own_code_address().and_then(|address| procs::build_id(&maps, address)));
    match query {
        Some(_) => Check::good("kernel", format!("{release}: PROCMAP_QUERY answers")),
        None => Check::less(
            "kernel",
            format!("{release}: no PROCMAP_QUERY (6.11 has it); contents are compared through map_files"),
        ),
    }
}

fn host_space(desk: &Desk<'_>) -> Check {
    let spaces = Spaces::of_host(&desk.common.proc);
    match (spaces.root(Space::HOST).is_some(), host::in_chroot(&desk.common.proc)) {
        (true, false) => Check::good("files", "the root of PID 1 is within reach"),
        (true, true) => Check::bad(
            "files",
            "this is a chroot: its files are not what the system runs",
            "run it outside of the chroot",
        ),
        (false, _) => {
            Check::bad("files", "the root of PID 1 cannot be reached", "run it as root, outside of a container")
        }
    }
}

fn plugins(desk: &Desk<'_>) -> Vec<Check> {
    let faults = desk.plugin_faults.iter().map(|fault| Check::bad("plugin", fault.clone(), REINSTALL));
    let answers = desk.plugins.iter().map(|plugin| {
        let what = format!("plugin {}", plugin.name());
        match plugin.busy(&desk.common.root, PLUGIN_DEADLINE) {
            Ok(Busy::Idle) => Check::good(&what, "answers: no transaction is in progress"),
            Ok(Busy::Busy(_)) => Check::good(&what, "answers: a transaction is in progress"),
            Ok(Busy::Interrupted(words)) => {
                Check::less(&what, format!("answers: a transaction was left half-way: {}", words.join("; ")))
            }
            Err(error) => Check::bad(&what, error.to_string(), REINSTALL),
        }
    });
    let mut checks: Vec<Check> = faults.chain(answers).collect();
    if checks.is_empty() {
        checks.push(Check::bad("plugin", "none is installed: no package manager can call us", REINSTALL));
    }
    checks
}

/// What the integrations of the installed plugins say about how they are called.
fn wiring(root: &Path) -> Vec<Check> {
    let Ok(entries) = std::fs::read_dir(root.join(WIRING)) else {
        return vec![Check::bad("wiring", format!("no /{WIRING}: nobody says how we are called"), REINSTALL)];
    };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().flat_map(|file| wires(file, root)).collect()
}

fn wires(file: &Path, root: &Path) -> Vec<Check> {
    let parsed = input::file(file, MOST_WIRING).and_then(|bytes| Ok(serde_json::from_slice::<Vec<Wire>>(&bytes)?));
    match parsed {
        Ok(wires) => wires.iter().map(|wire| check_wire(wire, root)).collect(),
        Err(error) => vec![Check::bad("wiring", format!("{}: {error:#}", file.display()), REINSTALL)],
    }
}

fn check_wire(wire: &Wire, root: &Path) -> Check {
    let file = root.join(wire.file.strip_prefix("/").unwrap_or(&wire.file));
    let holds =
        |bytes: &Vec<u8>| bytes.windows(wire.contains.len().max(1)).any(|part| part == wire.contains.as_bytes());
    match input::file(&file, MOST_WIRING * 16) {
        Ok(bytes) if holds(&bytes) => Check::good(&wire.what, wire.file.display().to_string()),
        Ok(_) => Check::bad(
            &wire.what,
            format!("{} does not say \"{}\"", wire.file.display(), wire.contains),
            wire.mend.clone(),
        ),
        Err(error) => Check::bad(&wire.what, format!("{}: {error:#}", wire.file.display()), wire.mend.clone()),
    }
}

fn policy(desk: &Desk<'_>) -> Check {
    match desk.policy() {
        Ok(loaded) => {
            Check::good("policy", format!("{} files with {} rules", loaded.files.len(), loaded.policy.rules.len()))
        }
        Err(error) => {
            Check::bad("policy", error.to_string().lines().next().unwrap_or_default().to_owned(), "reexec policy check")
        }
    }
}

fn units() -> Vec<Check> {
    if !systemd::is_running() {
        return vec![Check::less("systemd", "is not the init here: the hook acts while the package manager waits")];
    }
    let systemd = match Systemd::connect() {
        Ok(systemd) => systemd,
        Err(error) => return vec![Check::bad("systemd", format!("{error:#}"), "systemctl status")],
    };
    let path = match systemd.unit(PATH_UNIT) {
        Ok(unit) if unit.is_active() => Check::good("units", format!("{PATH_UNIT} waits for transactions")),
        Ok(unit) => Check::bad(
            "units",
            format!("{PATH_UNIT} is {}", unit.active_state),
            format!("systemctl enable --now {PATH_UNIT}"),
        ),
        Err(error) => Check::bad("units", format!("{PATH_UNIT}: {error:#}"), REINSTALL),
    };
    vec![Check::good("systemd", "answers"), path]
}

fn waiting(desk: &Desk<'_>) -> Check {
    let (_, pending, gaps) = desk.pending();
    match (pending.len(), gaps.first()) {
        (_, Some(gap)) => Check::bad("pending", gap.clone(), "reexec apply"),
        (0, None) => Check::good("pending", "nothing waits"),
        (count, None) => {
            Check::less("pending", format!("{count} calls of triggers wait to be acted on (reexec apply)"))
        }
    }
}
