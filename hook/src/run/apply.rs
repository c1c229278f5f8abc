//! `apply`: does what the policy says, step by step, and looks again after each.

use super::climb::{Begun, Climb, Restarting};
use super::desk::{Desk, Known};
use super::look::{look, unused};
use super::publish::publish;
use super::report::{judge_reboot, spare, Deciding};
use super::resting::Asked;
use super::{gather, old, wait};
use crate::model::claim::Claim;
use crate::model::file::Stamp;
use crate::model::judge::Window;
use crate::model::old::Way;
use crate::model::pending::{Memory, Pending};
use crate::model::policy::{Circumstances, Later, Policy, When};
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::verdict::Verdict;
use crate::render::json;
use crate::sys::files::Root;
use crate::sys::{clock, host, progress, systemd};
use anyhow::{bail, ensure, Context, Result};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long a run waits for another one to end.
const LOCK_DEADLINE: Duration = Duration::from_secs(600);

/// When to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Now.
    Now,
    /// When nobody has changed packages for a while; with nothing pending there is nothing to do.
    AfterTransaction,
    /// Now, inside the hook: the package manager waits for us and holds its locks.
    Inline,
}

/// Whether to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Do it.
    Act,
    /// The same path, stopped before the first step.
    DryRun,
}

/// What a run did.
#[derive(Debug)]
pub struct Run {
    /// The report; `None` when nothing was pending.
    pub report: Option<Report>,
    /// 0: all that was planned is proven; 1: not; 3: a tainted process is left of what was planned.
    pub exit_code: u8,
    /// When a window opens that something waits for, in nanoseconds since 1970.
    pub opens: Option<Stamp>,
    /// Processes that run other old files than those that it is about.
    pub others: usize,
    /// Whether user space goes down behind it.
    pub restarting: Restarting,
}

impl Run {
    /// One in which nothing was done.
    fn idle(report: Option<Report>, opens: Option<Stamp>) -> Run {
        Run { report, exit_code: 0, opens, others: 0, restarting: Restarting::No }
    }
}

/// What was replaced by ourselves, or by a command that we ran.
#[derive(Debug, Default)]
pub struct Own {
    /// Where it is written down.
    pub paths: Vec<PathBuf>,
    /// What is written there.
    pub pending: Vec<Pending>,
}

impl Own {
    /// Writes it down: if we are killed, the next run acts on it.
    pub fn keep(desk: &Desk<'_>, pending: impl IntoIterator<Item = Pending>) -> Result<Own> {
        let mut own = Own::default();
        for one in pending {
            own.paths.push(desk.store.add_held(&one)?);
            own.pending.push(one);
        }
        Ok(own)
    }

    /// The files that it is about, also by their paths without links.
    fn files(&self) -> HashSet<PathBuf> {
        let claims = self.pending.iter().flat_map(|one| &one.claims);
        let paths = claims.filter_map(|claim| match claim {
            Claim::File { path, .. } => Some(path.clone()),
            Claim::Tree { .. } => None,
        });
        paths.flat_map(|path| [Root::Own.resolve_folder(&path), path]).collect()
    }
}

/// Who runs what was just replaced, for who may only look.
pub fn look_own(desk: &Desk<'_>, own: &Own) -> Result<Run> {
    let known = gather::known(desk, &own.pending)?;
    let policy = desk.policy();
    let mut report = look(desk, &known, policy.as_ref().ok().map(|loaded| &loaded.policy), Asked::Each)?;
    let files = own.files();
    let others = report.narrow(|path| files.contains(path));
    super::report::decide_or_say(desk, &mut report, &policy);
    Ok(Run { others, ..Run::idle(Some(report), None) })
}

/// Acts on what was just replaced; while packages are being changed our own unit does, when that is done, and
/// a note says so. Where the machine goes down there is nobody left to act on, or a soft reboot has it done.
pub fn apply_own_when_idle(desk: &Desk<'_>, own: &Own, notes: &mut Vec<String>) -> Result<Option<Run>> {
    let why = match (wait::is_busy(desk), goes_down(desk)) {
        (false, false) => return apply_own(desk, own).map(Some),
        (_, true) => "the machine is going down: who runs the old is looked at when it is up again",
        (true, false) => "packages are being changed: who still runs the old is looked at when that is done",
    };
    desk.store.wake(&own.paths)?;
    notes.push(why.to_owned());
    Ok(None)
}

/// Acts on what was just replaced, and on nothing else.
pub fn apply_own(desk: &Desk<'_>, own: &Own) -> Result<Run> {
    let policy = desk.policy()?.policy;
    let line = progress::show("waiting for another run to end");
    let _lock = desk.store.lock(LOCK_DEADLINE)?;
    drop(line);
    ensure!(!goes_down(desk), "the machine is going down: nothing can be proven");
    let known = gather::known(desk, &own.pending)?;
    let order = Order { moment: Moment::Now, mode: Mode::Act, at_once: false, interactive: false };
    let files = own.files();
    let mut run = Round { desk, policy: &policy, known: &known, order, files: Some(&files) }.run(&own.pending)?;
    finish(desk, &run, &own.paths, &own.pending, &known)?;
    if let Some(report) = &mut run.report {
        publish(desk, &policy.defaults, report);
    }
    Ok(run)
}

/// How it is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// When to act.
    pub moment: Moment,
    /// Whether to do it.
    pub mode: Mode,
    /// Whether windows and `hold` do not count.
    pub at_once: bool,
    /// Whether somebody at a terminal picks.
    pub interactive: bool,
}

/// The timer that wakes us when a window opens: that of `reexec-apply.service`.
const TIMER: &str = "reexec-apply.timer";

/// Runs it.
pub fn apply(desk: &Desk<'_>, order: Order) -> Result<Run> {
    let Order { moment, mode, .. } = order;
    let loaded = desk.policy();
    if let (Err(error), Moment::AfterTransaction) = (&loaded, moment) {
        // Nothing is lost, and our own unit is not woken again and again.
        desk.store.hold(&desk.pending().0)?;
        return Err(anyhow::anyhow!("{error}\nnothing was done; what is pending waits for the next run"));
    }
    let policy = loaded?.policy;
    if moment == Moment::AfterTransaction && policy.defaults.when == When::Manual {
        desk.store.hold(&desk.pending().0)?;
        return Ok(Run::idle(None, None));
    }
    if mode == Mode::Act {
        may_act(desk, moment)?;
    }
    let _lock = match mode {
        Mode::Act => {
            let _line = progress::show("waiting for another run to end");
            Some(desk.store.lock(LOCK_DEADLINE)?)
        }
        Mode::DryRun => None,
    };
    // Half of it is gone: what it would see is no proof, and what it would start is in the way.
    if mode == Mode::Act && goes_down(desk) {
        ensure!(moment != Moment::Now, "the machine is going down; what is pending waits for the next run");
        return Ok(Run::idle(None, None));
    }
    let Some(gather::Gathered { paths, pending, known }) = gather::gather(desk, moment, policy.defaults.quiet)? else {
        return Ok(Run::idle(None, None));
    };
    let mut run = Round { desk, policy: &policy, known: &known, order, files: None }.run(&pending)?;
    if mode == Mode::Act {
        finish(desk, &run, &paths, &pending, &known)?;
        if let Some(report) = &mut run.report {
            publish(desk, &policy.defaults, report);
        }
    }
    Ok(run)
}

/// Whether the machine, or its user space, is going down. Behind a soft reboot that was asked for it is until
/// systemd says otherwise.
fn goes_down(desk: &Desk<'_>) -> bool {
    let asked_for = || desk.store.begun().is_some_and(|begun: Begun| begun.restarts_user_space());
    systemd::is_stopping().unwrap_or_else(asked_for)
}

/// Forgets what was acted on; keeps what waits for a window, and is woken for it.
fn finish(desk: &Desk<'_>, run: &Run, paths: &[PathBuf], pending: &[Pending], known: &Known) -> Result<()> {
    if run.restarting == Restarting::Yes {
        return Ok(());
    }
    match run.opens {
        Some(opens) if !paths.is_empty() => {
            desk.store.hold(paths)?;
            if systemd::is_running() {
                systemd::wake_at(TIMER, opens).context("be woken when the window opens")?;
            }
        }
        _ => {
            let mut memory: Memory = desk.store.memory(&desk.boot_id);
            memory.add(pending, &known.now, clock::now());
            memory.packages.clone_from(&known.packages);
            memory.windows = unsettled_windows(known, run.report.as_ref());
            memory.leftovers = run.others > 0 || run.report.as_ref().is_none_or(leaves_old_files);
            desk.store.remember(&memory)?;
            desk.store.clear(paths)?;
        }
    }
    desk.store.end()
}

/// The windows in which processes were started that are left and not fresh: nobody else can have started
/// in them later.
fn unsettled_windows(known: &Known, report: Option<&Report>) -> Vec<Window> {
    let boot = clock::boot();
    let rows = report.iter().flat_map(|report| &report.processes).filter(|row| row.verdict != Verdict::Fresh);
    let starts: Vec<Stamp> = rows.map(|row| clock::of_ticks(boot, row.process.key.start_ticks)).collect();
    known.windows.iter().filter(|window| starts.iter().any(|&start| window.has(start))).copied().collect()
}

/// Whether processes are left that the next run has to find again.
fn leaves_old_files(report: &Report) -> bool {
    report.summary.stale + report.summary.tainted > 0
}

/// Half-configured packages are no place to restart anything in.
fn may_act(desk: &Desk<'_>, moment: Moment) -> Result<()> {
    if host::uid() != 0 {
        bail!("only root can act; `reexec plan` says what would be done");
    }
    if moment == Moment::Now && wait::is_busy(desk) {
        bail!("packages are being changed; `reexec apply --after-transaction` waits until that is done");
    }
    Ok(())
}

struct Round<'a> {
    desk: &'a Desk<'a>,
    policy: &'a Policy,
    known: &'a Known,
    order: Order,
    /// What it is about; `None`: everything.
    files: Option<&'a HashSet<PathBuf>>,
}

impl Round<'_> {
    fn narrow(&self, report: &mut Report) -> usize {
        self.files.map_or(0, |files| report.narrow(|path| files.contains(path)))
    }

    fn run(&self, pending: &[Pending]) -> Result<Run> {
        let (desk, policy) = (self.desk, self.policy);
        let mode = self.order.mode;
        let interrupted = desk.store.begun().filter(|begun: &Begun| begun.boot_id == desk.boot_id);
        if let (Some(begun), Mode::Act) = (&interrupted, mode) {
            wait::until_settled(&begun.units(), policy.defaults.deadline);
        }
        let way = match (self.order.moment, &interrupted) {
            (Moment::AfterTransaction, None) => old::ask(desk, pending, self.known),
            _ => Way::default(),
        };
        let mut report = match way {
            Way::Inodes(inodes) => unused(desk, self.known, inodes)?,
            way => Report { way, ..look(desk, self.known, Some(policy), Asked::Each)? },
        };
        let others = self.narrow(&mut report);
        let asked = Circumstances {
            asked: self.order.moment == Moment::Now,
            at_once: self.order.at_once,
            ..Circumstances::default()
        };
        let mut deciding = Deciding::of(desk, policy, pending, asked);
        let units = deciding.decide(&mut report);
        spare(desk, &mut report.owners);
        if self.order.interactive {
            super::choose::choose(&mut report, &mut deciding, &desk.common.proc)?;
        }
        let acts = report.owners.iter().any(|row| row.decision.acts());
        let opens = opens_next(&report);
        if mode == Mode::DryRun || (!acts && interrupted.is_none()) {
            judge_reboot(desk, &mut report);
            return Ok(Run { others, ..Run::idle(Some(report), opens) });
        }
        let mut climb = Climb::begin(desk, self.known, policy, interrupted, units);
        climb.run(&mut report).context("carry out the plan")?;
        let others = self.narrow(&mut report).max(others);
        judge_reboot(desk, &mut report);
        let keep = |report: &Report| {
            let code = exit_code(&report.owners);
            desk.store.keep_report(&json::value(report, code), report.time).context("keep the report")
        };
        keep(&report)?;
        let mut restarting = Restarting::No;
        if Climb::wants_soft_reboot(&report) {
            restarting = climb.soft_reboot(&mut report)?;
            judge_reboot(desk, &mut report);
            keep(&report)?;
        }
        let proven = exit_code(&report.owners);
        // What a soft reboot does is proven by whoever runs behind it.
        let exit_code = if restarting == Restarting::Yes { proven.max(1) } else { proven };
        Ok(Run { report: Some(report), exit_code, opens, others, restarting })
    }
}

/// When the first window opens that something waits for.
fn opens_next(report: &Report) -> Option<Stamp> {
    let opens = |row: &OwnerRow| match row.decision.later {
        Some(Later::Window(opens)) => Some(opens),
        Some(Later::Reboot | Later::Asked) | None => None,
    };
    report.owners.iter().filter_map(opens).min()
}

fn exit_code(rows: &[OwnerRow]) -> u8 {
    let acted = rows.iter().filter(|row| row.proof.is_some());
    let unproven: Vec<_> = acted.filter(|row| row.proof != Some(Proof::Fresh) || !row.fallen.is_empty()).collect();
    match (unproven.is_empty(), unproven.iter().any(|row| row.verdict == Verdict::Tainted)) {
        (true, _) => 0,
        (false, true) => 3,
        (false, false) => 1,
    }
}

/// Paths of pending files, for who only wants to know that there are some.
pub fn waiting(desk: &Desk<'_>) -> Vec<PathBuf> {
    desk.pending().0
}
