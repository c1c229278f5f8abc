//! `hook`: called by a package manager's trigger. Writes down what it says, and hands over.

use super::desk::Desk;
use crate::cli::{HookArguments, Phase as CliPhase};
use crate::model::claim::Claim;
use crate::model::pending::{Pending, Side, Snapshot};
use crate::model::policy::When;
use crate::model::script::may_be_read;
use crate::model::text::escape;
use crate::run::protect;
use crate::sys::files::Root;
use crate::sys::plugin::{Phase, Plugin, PluginError, Plugins, TriggerInput};
use crate::sys::systemd::{self, Systemd};
use crate::sys::{clock, content, host, input};
use anyhow::Result;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A trigger list of a whole distribution is some 20 MB.
const MOST_INPUT: usize = 32 << 20;
const INPUT_DEADLINE: Duration = Duration::from_secs(8);
const READ_DEADLINE: Duration = Duration::from_secs(8);
/// The package manager waits for it.
const DIGESTS_DEADLINE: Duration = Duration::from_secs(2);
/// The unit that waits for the transaction's end and then acts.
const APPLY_UNIT: &str = "reexec-apply.service";

/// What the hook has to say.
#[derive(Debug, Default)]
pub struct Told {
    /// Lines for the admin, without the program's name before them.
    pub lines: Vec<String>,
    /// What was typed is wrong.
    pub usage: Option<String>,
    /// What `--strict` answers with.
    pub strict_code: u8,
    /// The policy wants it done now, while the package manager waits.
    pub inline: bool,
}

/// Takes one call of a trigger.
pub fn hook(desk: &Desk<'_>, typed: &HookArguments) -> Told {
    let mut told = Told::default();
    let plugin = match find(desk, &typed.manager) {
        Ok(plugin) => Some(plugin),
        Err(error @ (PluginError::BadName(_) | PluginError::NotFound { .. })) => {
            return Told { usage: Some(error.to_string()), ..told };
        }
        Err(error) => {
            told.lines.push(error.to_string());
            None
        }
    };
    // A root that is being filled, or an image: nothing of it runs, and nothing is left in it.
    if let Some(why) = elsewhere(desk) {
        told.lines.push(format!("{why}: nothing to look at"));
        return told;
    }
    let mut pending = take(desk, typed, plugin.as_ref());
    told.lines.extend(pending.gaps.iter().cloned());
    let (_, waiting, _) = desk.pending();
    if waiting.last().is_some_and(|newest| newest.repeats(&pending)) {
        return told;
    }
    let bracketed = waiting.iter().any(|one| one.side == Side::Pre && one.manager == pending.manager);
    // A trigger inside a transaction that was announced: the call behind it speaks.
    let inner = (bracketed && !typed.arguments.is_empty()) || pending.adds_nothing(&waiting);
    pending.told = pending.side == Side::Post && !inner && !typed.quiet;
    if let Err(error) = desk.store.add_pending(&pending) {
        told.lines.push(format!("{error:#}; nothing will be restarted for this transaction"));
        return told;
    }
    if pending.side == Side::Post {
        finish(desk, &pending, &waiting, inner, &mut told);
        if typed.strict {
            told.strict_code = super::report::report(desk).map_or(2, |report| report.exit_code());
        }
    }
    told
}

/// Why what the trigger says is not of the running system.
fn elsewhere(desk: &Desk<'_>) -> Option<&'static str> {
    let proc = &desk.common.proc;
    match (host::in_chroot(proc), host::sees_processes(proc)) {
        (true, _) => Some("not the running system"),
        (false, false) => Some("no processes are to be seen here"),
        (false, true) => None,
    }
}

fn find(desk: &Desk<'_>, manager: &str) -> Result<Plugin, PluginError> {
    let folders = desk.common.plugins.clone().map(|folder| vec![folder]);
    folders.map(Plugins::new).unwrap_or_default().find(manager)
}

/// Reads the trigger, and for `pre` looks at the files that it names.
fn take(desk: &Desk<'_>, typed: &HookArguments, plugin: Option<&Plugin>) -> Pending {
    let side = match typed.phase {
        CliPhase::Pre => Side::Pre,
        CliPhase::Post => Side::Post,
    };
    let mut pending = Pending {
        caller: protect::own_cgroup(&desk.common.proc).map(|cgroup| escape(&cgroup)).unwrap_or_default(),
        hangs_on: protect::terminal_cgroups(&desk.common.proc).iter().map(|cgroup| escape(cgroup)).collect(),
        numbering: host::numbering(&desk.common.proc),
        ..Pending::new(&desk.boot_id, clock::now(), side, &typed.manager, &desk.common.root)
    };
    let Some(plugin) = plugin else {
        pending.gaps.push(format!("the trigger of {} could not be read", typed.manager));
        return pending;
    };
    let input = match host::input_is_terminal() {
        true => input::Input::default(),
        false => input::stdin(MOST_INPUT, INPUT_DEADLINE).unwrap_or_default(),
    };
    pending.gaps.extend(input.cut);
    let trigger = TriggerInput {
        phase: match side {
            Side::Pre => Phase::Pre,
            Side::Post => Phase::Post,
        },
        root: desk.common.root.clone(),
        arguments: typed.arguments.clone(),
        input: input.bytes,
        since: Some(since(desk)),
    };
    match plugin.read(&trigger, READ_DEADLINE) {
        Ok(reading) => {
            pending.packages = reading.packages;
            pending.claims = reading.claims;
            pending.gaps.extend(reading.messages);
        }
        Err(error) => pending.gaps.push(error.to_string()),
    }
    if side == Side::Pre {
        pending.snapshots = snapshots(&pending.claims, &desk.common.root);
    }
    pending
}

/// The moment behind which a change in the package database is news, in seconds since 1970.
fn since(desk: &Desk<'_>) -> i64 {
    let store = &desk.store;
    let moment = store.first_pending_time().or_else(|| store.remembered_at()).unwrap_or(0).max(clock::boot());
    i64::try_from(moment / 1_000_000_000).unwrap_or(0)
}

/// The claimed files as they are now, with their handles.
fn snapshots(claims: &[Claim], root: &Path) -> Vec<Snapshot> {
    let (own, below) = (Root::Own, |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path)));
    // A package has some hundred files in a folder, and its links are the same for all of them.
    let mut folders: HashMap<PathBuf, PathBuf> = HashMap::new();
    let look = |claim: &Claim| {
        let Claim::File { path, .. } = claim else { return None };
        let path = below(path);
        let folder = path.parent()?;
        let real = folders.entry(folder.to_owned()).or_insert_with(|| own.resolve(folder));
        let path = real.join(path.file_name()?);
        own.snapshot(path)
    };
    let mut all: Vec<Snapshot> = claims.iter().filter_map(look).collect();
    let end = Instant::now() + DIGESTS_DEADLINE;
    let texts = all.iter_mut().filter(|snapshot| may_be_read(&snapshot.path));
    for snapshot in texts.take_while(|_| Instant::now() < end) {
        snapshot.digest = content::text_digest(&own, &snapshot.path, &snapshot.facts);
    }
    all
}

/// After the files were replaced: says so in one line, and hands over by the policy.
fn finish(desk: &Desk<'_>, pending: &Pending, waiting: &[Pending], inner: bool, told: &mut Told) {
    if desk.common.root != Path::new("/") {
        told.lines.push("not the running system: nothing to look at".to_owned());
        return;
    }
    let policy = match desk.policy() {
        Ok(loaded) => loaded.policy,
        Err(error) => {
            let first = error.to_string();
            let first = first.lines().next().unwrap_or_default();
            told.lines.push(format!("{first} (see `reexec policy check`); nothing will be restarted"));
            return;
        }
    };
    let when = match policy.defaults.when {
        When::AfterTransaction if !systemd::is_running() => When::Inline,
        when => when,
    };
    let what = summary(pending, waiting);
    match (when, inner) {
        (When::Manual, false) => told.lines.push(format!("{what} replaced; `reexec apply` acts on it")),
        (When::Manual | When::Inline, true) => {}
        (When::Inline, false) => told.inline = true,
        (When::AfterTransaction, inner) => {
            if !inner {
                told.lines.push(format!(
                    "{what} replaced; who still runs the old is looked at when this transaction is done (journalctl -u reexec-apply)"
                ));
            }
            // The path unit sees the pending set too; this only makes sure that somebody does.
            if let Err(error) = Systemd::connect().and_then(|systemd| systemd.start(APPLY_UNIT)) {
                told.lines
                    .push(format!("{APPLY_UNIT} could not be started: {error:#}; it waits in /run/reexec/pending"));
            }
        }
    }
}

fn summary(pending: &Pending, waiting: &[Pending]) -> String {
    let all = || waiting.iter().chain(std::iter::once(pending));
    let packages: std::collections::BTreeSet<&str> =
        all().flat_map(|one| &one.packages).map(|package| package.name.as_str()).collect();
    let files: std::collections::HashSet<&Claim> =
        all().flat_map(|one| &one.claims).filter(|claim| matches!(claim, Claim::File { .. })).collect();
    match (packages.len(), files.len()) {
        (0, 0) => "files were".to_owned(),
        (0, files) => format!("up to {files} files"),
        (1, files) => format!("1 package with {files} files"),
        (packages, files) => format!("{packages} packages with {files} files"),
    }
}
