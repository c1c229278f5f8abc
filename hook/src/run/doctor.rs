//! `doctor`: is everything wired, and does it work?

use super::desk::Desk;
use crate::model::file::FileKind;
use crate::model::health::{Check, Health, Wire};
use crate::model::judge::Space;
use crate::run::wait::{self, State};
use crate::sys::files::{Links, Root};
use crate::sys::spaces::Spaces;
use crate::sys::systemd::{self, Systemd};
use crate::sys::{host, input, procs};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PLUGIN_DEADLINE: Duration = Duration::from_secs(5);
const WIRING: &str = "usr/lib/reexec/wiring.d";
const MOST_WIRING: u64 = 1 << 20;
const PATH_UNIT: &str = "reexec-apply.path";
const APPLY_UNIT: &str = "reexec-apply.service";
/// Ours, and nobody else's: what lies there decides what gets restarted.
const FOLDERS: [&str; 2] = ["run/reexec", "var/lib/reexec"];

/// Looks at everything.
pub fn doctor(desk: &Desk<'_>) -> Vec<Check> {
    let reinstall = reinstall(&desk.common.root);
    let mut checks = vec![rights(), kernel(desk), births(&desk.common.root), host_space(desk)];
    checks.extend(plugins(desk, &reinstall));
    checks.extend(wiring(desk, &reinstall));
    checks.push(policy(desk));
    checks.extend(units(&reinstall));
    checks.extend(folders(&desk.common.root));
    checks.push(waiting(desk));
    checks.push(last_run(desk));
    checks.extend(cut_short(desk));
    checks
}

/// A replacement that was killed waits for the next one, or for this; one that is under way looks the same,
/// and is waited for.
fn cut_short(desk: &Desk<'_>) -> Option<Check> {
    let found = match desk.store.replacing() {
        Ok(None) => return None,
        Ok(Some(journal)) => format!("of {} files: it is under way, or was cut short", journal.entries.len()),
        Err(error) => format!("{error:#}"),
    };
    Some(Check::bad("replacement", found, "reexec replace --recover"))
}

/// 0: all is wired and works; 1: something is missing or broken.
pub fn exit_code(checks: &[Check]) -> u8 {
    u8::from(checks.iter().any(|check| check.health == Health::Bad))
}

/// The command that brings back what belongs to the package, as the integrations say it.
fn reinstall(root: &Path) -> String {
    let wires = wiring_files(root).into_iter().find_map(|file| wires_in(&file).ok()?.into_iter().next());
    wires.map_or_else(|| "make install    (in reexec's sources, or install its package)".to_owned(), |wire| wire.mend)
}

/// Birth times tell how a file was replaced.
fn births(root: &Path) -> Check {
    let folder = root.join("usr");
    match Root::Own.look(&folder, Links::Follow).found() {
        Some(facts) if facts.born.is_some() => Check::good("births", "the file system keeps birth times"),
        Some(_) => Check::less("births", "the file system keeps none: how a file was replaced stays unknown at times"),
        None => Check::bad("births", format!("{} is not there", folder.display()), "reexec doctor --root DIR"),
    }
}

/// Whether somebody else could write what we act on.
fn folders(root: &Path) -> Vec<Check> {
    let check = |name: &&str| {
        let path = root.join(name);
        let printed = path.display().to_string();
        match Root::Own.look(&path, Links::Keep).found() {
            Some(facts) if facts.kind != FileKind::Folder => {
                Check::bad(&printed, "is no folder", format!("rm {printed}; systemd-tmpfiles --create reexec.conf"))
            }
            Some(facts) if facts.uid != host::uid() || facts.mode & 0o022 != 0 => {
                let found = format!("belongs to user {} with mode {:o}", facts.uid, facts.mode & 0o7777);
                Check::bad(&printed, found, format!("chown root:root {printed}; chmod 700 {printed}"))
            }
            Some(_) => Check::good(&printed, "belongs to root alone"),
            None => Check::less(&printed, "is not there yet; it is made when it is needed"),
        }
    };
    FOLDERS.iter().map(check).collect()
}

fn last_run(desk: &Desk<'_>) -> Check {
    match desk.store.history() {
        Ok((runs, gaps)) if !gaps.is_empty() => {
            let found = format!("{} of {} past runs cannot be read", gaps.len(), runs.len() + gaps.len());
            Check::less("history", format!("{found}: {}", gaps.join("; ")))
        }
        Ok((runs, _)) => match runs.first() {
            Some(run) if run.exit_code == 0 => Check::good("history", format!("the last run, {}, is proven", run.time)),
            Some(run) => {
                Check::less("history", format!("the last run, {}, is not all proven (reexec history --last)", run.time))
            }
            None => Check::good("history", "no run has acted yet"),
        },
        Err(error) => Check::bad("history", format!("{error:#}"), "chmod 700 /var/lib/reexec"),
    }
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
    let spaces = Spaces::of_host(&desk.common.proc, &BTreeSet::new());
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

fn plugins(desk: &Desk<'_>, reinstall: &str) -> Vec<Check> {
    let faults = desk.plugin_faults.iter().map(|fault| Check::bad("plugin", fault.clone(), reinstall));
    let answers = desk.plugins.iter().map(|plugin| {
        let what = format!("plugin {}", plugin.name());
        match wait::state(desk, plugin) {
            Ok(State::Idle) => Check::good(&what, "answers: no transaction is in progress"),
            Ok(State::AtWork(words)) => {
                Check::good(&what, format!("answers: a transaction is in progress: {}", words.join("; ")))
            }
            Ok(State::LeftHalfWay(words)) => {
                Check::less(&what, format!("answers: a transaction was left half-way: {}", words.join("; ")))
            }
            Err(error) => Check::bad(&what, format!("{error:#}"), reinstall),
        }
    });
    let mut checks: Vec<Check> = faults.chain(answers).collect();
    if checks.is_empty() {
        checks.push(Check::bad("plugin", "none is installed: no package manager can call us", reinstall));
    }
    checks
}

/// What the integrations of the installed plugins say about how they are called.
fn wiring(desk: &Desk<'_>, reinstall: &str) -> Vec<Check> {
    let files = wiring_files(&desk.common.root);
    if files.is_empty() {
        return vec![Check::bad("wiring", format!("nothing in /{WIRING}: nobody says how we are called"), reinstall)];
    }
    let wires = |file: &PathBuf| match wires_in(file) {
        Ok(wires) => wires.iter().map(|wire| check_wire(wire, file, desk)).collect(),
        Err(error) => vec![Check::bad("wiring", format!("{}: {error:#}", file.display()), reinstall)],
    };
    files.iter().flat_map(wires).collect()
}

fn wiring_files(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root.join(WIRING)) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

fn wires_in(file: &Path) -> anyhow::Result<Vec<Wire>> {
    Ok(serde_json::from_slice(&input::file(file, MOST_WIRING)?)?)
}

fn check_wire(wire: &Wire, wiring: &Path, desk: &Desk<'_>) -> Check {
    let below = |path: &Path| desk.common.root.join(path.strip_prefix("/").unwrap_or(path));
    if !wire.only_with.is_empty() && !wire.only_with.iter().any(|program| below(program).exists()) {
        let programs: Vec<_> = wire.only_with.iter().map(|program| program.display().to_string()).collect();
        return Check::good(&wire.what, format!("not needed: no {}", programs.join(" or ")));
    }
    // Also a link that leads nowhere or to /dev/null counts in its place.
    if let Some(other) = wire.overridden_by.iter().find(|other| below(other).symlink_metadata().is_ok()) {
        let other = other.display();
        return Check::bad(
            &wire.what,
            format!("{} is overridden by {other}", wire.file.display()),
            format!("rm {other}"),
        );
    }
    if wire.owned && wire.contains.is_empty() {
        return check_owner(wire, wiring, desk);
    }
    let holds =
        |bytes: &Vec<u8>| bytes.windows(wire.contains.len().max(1)).any(|part| part == wire.contains.as_bytes());
    match input::file(&below(&wire.file), MOST_WIRING * 16) {
        Ok(bytes) if !holds(&bytes) => Check::bad(
            &wire.what,
            format!("{} does not say \"{}\"", wire.file.display(), wire.contains),
            wire.mend.clone(),
        ),
        Ok(_) if wire.owned => check_owner(wire, wiring, desk),
        Ok(_) => Check::good(&wire.what, wire.file.display().to_string()),
        Err(error) => Check::bad(&wire.what, format!("{}: {error:#}", wire.file.display()), wire.mend.clone()),
    }
}

/// Whether the file came as a package, by the database of the manager whose wiring it is.
fn check_owner(wire: &Wire, wiring: &Path, desk: &Desk<'_>) -> Check {
    let manager = wiring.file_stem().unwrap_or_default();
    let file = wire.file.display();
    let Some(plugin) = desk.plugins.iter().find(|plugin| manager == plugin.name()) else {
        return Check::bad(
            &wire.what,
            format!("no plugin {} to ask about {file}", manager.display()),
            wire.mend.clone(),
        );
    };
    match plugin.owners(&desk.common.root, &[&wire.file], PLUGIN_DEADLINE).map(|mut owners| owners.each.pop().flatten())
    {
        Ok(Some(owner)) => Check::good(&wire.what, format!("{file} is of {} {}", owner.package, owner.version)),
        Ok(None) => Check::bad(&wire.what, format!("{file} is of no package"), wire.mend.clone()),
        Err(error) => Check::bad(&wire.what, error.to_string(), wire.mend.clone()),
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

fn units(reinstall: &str) -> Vec<Check> {
    if !systemd::is_running() {
        return vec![Check::less("systemd", "is not the init here: the hook acts while the package manager waits")];
    }
    let systemd = match Systemd::connect() {
        Ok(systemd) => systemd,
        Err(error) => return vec![Check::bad("systemd", format!("{error:#}"), "systemctl status")],
    };
    let enabled = systemd.unit_file_state(PATH_UNIT).unwrap_or_default();
    let mend = format!("systemctl enable --now {PATH_UNIT}");
    let path = match systemd.unit(PATH_UNIT) {
        Ok(unit) if unit.is_active() && enabled.starts_with("enabled") => {
            Check::good("path unit", format!("{PATH_UNIT} waits for transactions, now and after the next boot"))
        }
        Ok(unit) if unit.is_active() => {
            Check::bad("path unit", format!("{PATH_UNIT} is {enabled}: not there after the next boot"), mend)
        }
        Ok(unit) => Check::bad("path unit", format!("{PATH_UNIT} is {}", unit.active_state), mend),
        Err(error) => Check::bad("path unit", format!("{PATH_UNIT}: {error:#}"), reinstall),
    };
    let service = match systemd.unit(APPLY_UNIT) {
        Ok(unit) if unit.load_state != "loaded" => {
            Check::bad("apply unit", format!("{APPLY_UNIT} is {}", unit.load_state), reinstall)
        }
        Ok(unit) if unit.active_state == "failed" => {
            let found = format!("the last run of {APPLY_UNIT} failed ({})", unit.result);
            Check::bad("apply unit", found, "journalctl -u reexec-apply -n 20; reexec apply")
        }
        Ok(_) => Check::good("apply unit", format!("{APPLY_UNIT} is ready")),
        Err(error) => Check::bad("apply unit", format!("{APPLY_UNIT}: {error:#}"), reinstall),
    };
    vec![Check::good("systemd", "answers"), path, service]
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
