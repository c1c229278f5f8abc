//! One rung of every ladder at once: units in one batch, so that systemd orders them; managers last.

use super::wait::some;
use crate::model::judge::VerdictOf;
use crate::model::note;
use crate::model::plan::{Action, Outcome, Step, StepReport};
use crate::model::policy::{Defaults, Program};
use crate::model::report::{OwnerRow, Proof};
use crate::model::unit::UnitName;
use crate::model::verdict::Verdict;
use crate::run::signalled;
use crate::sys::perform::{self, Batch, Single};
use crate::sys::systemd::JobEnd;
use crate::sys::{clock, progress, services};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// A pause between two looks at something that changes.
pub const PULSE: Duration = Duration::from_millis(100);
/// A start limit is waited for at most so long.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// A step that is to be taken for an owner.
#[derive(Debug)]
pub struct Due<'a> {
    /// The owner, with what was decided about it.
    pub row: &'a OwnerRow,
    /// The step.
    pub step: &'a Step,
    /// Its processes that are not fresh.
    pub members: Vec<&'a VerdictOf>,
    /// Where `/proc` is.
    pub proc: &'a Path,
}

impl Due<'_> {
    fn deadline(&self) -> Duration {
        let own = match self.step {
            Step::Command(Program { deadline, .. }) | Step::Ask { deadline } => *deadline,
            _ => None,
        };
        own.unwrap_or(self.row.decision.terms.deadline)
    }

    /// A manager's name is its unit's; of others it is the unit.
    fn unit(&self) -> UnitName {
        self.row.owner.unit().unwrap_or_else(|| UnitName::system(&self.row.owner.name))
    }
}

/// In this order: what asks before what stops, and managers last, since while one re-executes itself no
/// job of its units is heard of.
const ORDER: [Action; 7] = [
    Action::Notify,
    Action::Ask,
    Action::Signal,
    Action::Command,
    Action::Reload,
    Action::Restart,
    Action::ReexecManager,
];

/// Takes the steps; the answers stand in the order of the wishes. Each end is told as it comes.
pub fn perform(due: &[Due<'_>], defaults: &Defaults, mut told: impl FnMut(usize, &StepReport)) -> Vec<StepReport> {
    let mut reports: Vec<Option<StepReport>> = vec![None; due.len()];
    for action in ORDER {
        let indices: Vec<usize> = (0..due.len()).filter(|&index| due[index].step.action() == action).collect();
        for chunk in chunks(&indices, due, defaults.max_parallel) {
            let deadline = chunk.iter().map(|&index| due[index].deadline()).max().unwrap_or(defaults.deadline);
            let wishes: Vec<&Due<'_>> = chunk.iter().map(|&index| &due[index]).collect();
            let names: Vec<UnitName> = wishes.iter().map(|due| due.unit()).collect();
            let _line = progress::show(format!("{action} of {}", some(&names)));
            for (&index, end) in chunk.iter().zip(take(action, &wishes, deadline)) {
                let millis = u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX);
                let report = StepReport { action, outcome: end.outcome, message: end.message, millis };
                told(index, &report);
                reports[index] = Some(report);
            }
        }
    }
    let missing =
        |action| StepReport { action, outcome: Outcome::Failed, message: "nothing was done".to_owned(), millis: 0 };
    reports.into_iter().zip(due).map(|(report, due)| report.unwrap_or_else(|| missing(due.step.action()))).collect()
}

/// As many at one time as the policy allows, in all and of each rule.
fn chunks(indices: &[usize], due: &[Due<'_>], max_parallel: usize) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = indices.to_vec();
    let mut chunks = Vec::new();
    while !left.is_empty() {
        let mut of_rule: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut chunk, mut later) = (Vec::new(), Vec::new());
        for index in left {
            let decision = &due[index].row.decision;
            let count = of_rule.entry(&decision.source).or_default();
            let fits = decision.terms.max_parallel.is_none_or(|most| *count < most);
            match fits && chunk.len() < max_parallel.max(1) {
                true => {
                    *count += 1;
                    chunk.push(index);
                }
                false => later.push(index),
            }
        }
        chunks.push(chunk);
        left = later;
    }
    chunks
}

fn take(action: Action, wishes: &[&Due<'_>], deadline: Duration) -> Vec<JobEnd> {
    let units = || wishes.iter().map(|due| due.unit()).collect::<Vec<_>>();
    match action {
        Action::Reload => perform::batch(&Batch::Reload(units()), deadline),
        Action::Restart => restart(wishes, deadline),
        Action::ReexecManager => {
            perform::batch(&Batch::Reexecute(units().into_iter().map(|unit| unit.name).collect()), deadline)
        }
        Action::Notify => notify(wishes),
        Action::Ask | Action::Signal | Action::Command => at_once(wishes),
        Action::Ignore | Action::Report | Action::SoftReboot | Action::RebootHint => Vec::new(),
    }
}

/// Owners that need nobody else, each in a thread of its own.
fn at_once(wishes: &[&Due<'_>]) -> Vec<JobEnd> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = wishes.iter().map(|due| scope.spawn(move || alone(due))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
    })
}

fn alone(due: &Due<'_>) -> JobEnd {
    match due.step {
        Step::Signal(sequence) => match signalled::signals(due, sequence) {
            Some(signals) => perform::single(&Single::Signal(signals), due.deadline()),
            None => refused("it has no stale process to signal"),
        },
        Step::Ask { .. } => {
            let stale = due.members.iter().filter(|row| row.verdict >= Verdict::Stale);
            let keys: Vec<_> = stale.map(|row| row.process.key).collect();
            perform::single(&Single::Ask(keys), due.deadline())
        }
        Step::Command(program) => {
            let run = Single::Run { run: program.run.clone(), environment: environment(due) };
            perform::single(&run, due.deadline())
        }
        _ => refused("nothing that can be done for one owner"),
    }
}

/// One note for each user, however many of their owners it is about; each user in a thread of its own.
fn notify(wishes: &[&Due<'_>]) -> Vec<JobEnd> {
    let mut users: BTreeMap<Option<u32>, Vec<&Due<'_>>> = BTreeMap::new();
    for due in wishes {
        users.entry(due.row.owner.uid).or_default().push(due);
    }
    let ends: BTreeMap<Option<u32>, JobEnd> = std::thread::scope(|scope| {
        let threads: Vec<_> = users.iter().map(|(uid, dues)| (*uid, scope.spawn(move || tell(*uid, dues)))).collect();
        threads.into_iter().map(|(uid, thread)| (uid, thread.join().unwrap_or_else(|_| died()))).collect()
    });
    wishes.iter().map(|due| ends.get(&due.row.owner.uid).cloned().unwrap_or_else(died)).collect()
}

fn tell(uid: Option<u32>, dues: &[&Due<'_>]) -> JobEnd {
    let Some(uid) = uid else { return refused("there is no user of it") };
    let rows: Vec<&OwnerRow> = dues.iter().map(|due| due.row).collect();
    let members: Vec<&VerdictOf> = dues.iter().flat_map(|due| due.members.iter().copied()).collect();
    let wants_line = |due: &&&Due<'_>| *due.step == Step::Notify { terminal: true };
    let terminals = dues.iter().filter(wants_line).map(|due| due.row.owner.name.clone()).collect();
    let deadline = dues.iter().map(|due| due.deadline()).max().unwrap_or_default();
    perform::single(&Single::Notify { uid, note: note::of(&rows, &members), terminals }, deadline)
}

fn died() -> JobEnd {
    JobEnd { outcome: Outcome::Failed, message: "failed inside".to_owned(), took: Duration::ZERO }
}

fn refused(why: &str) -> JobEnd {
    JobEnd { outcome: Outcome::Refused, message: why.to_owned(), took: Duration::ZERO }
}

/// What a policy's program is told, besides its arguments.
fn environment(due: &Due<'_>) -> Vec<(&'static str, String)> {
    let owner = &due.row.owner;
    let pids: Vec<String> = due.members.iter().map(|row| row.process.key.pid.to_string()).collect();
    vec![
        ("REEXEC_OWNER", owner.kind.word().to_owned()),
        ("REEXEC_UNIT", due.unit().name),
        ("REEXEC_UID", owner.uid.map(|uid| uid.to_string()).unwrap_or_default()),
        ("REEXEC_PIDS", pids.join(" ")),
        ("REEXEC_RULE", due.row.decision.rule.clone()),
    ]
}

/// Restarts, those first whose start limit leaves room; what a step of ours brought down is started.
fn restart(wishes: &[&Due<'_>], deadline: Duration) -> Vec<JobEnd> {
    let names: Vec<UnitName> = wishes.iter().map(|due| due.unit()).collect();
    let mut facts = services::units(&names);
    let now = clock::now();
    services::count_starts(&mut facts, now);
    let wait = |name: &UnitName| facts.get(name).map_or(Duration::ZERO, |unit| unit.wait_for_start(now)).min(MOST_WAIT);
    let longest = names.iter().map(wait).max().unwrap_or_default();
    let mut ends: Vec<Option<JobEnd>> = vec![None; wishes.len()];
    let run = |ends: &mut Vec<Option<JobEnd>>, chosen: &dyn Fn(usize) -> bool, batch: fn(Vec<UnitName>) -> Batch| {
        let indices: Vec<usize> = (0..names.len()).filter(|&index| chosen(index)).collect();
        if indices.is_empty() {
            return;
        }
        let units = indices.iter().map(|&index| names[index].clone()).collect();
        for (index, end) in indices.into_iter().zip(perform::batch(&batch(units), deadline)) {
            ends[index] = Some(end);
        }
    };
    let down = |index: usize| wishes[index].row.proof == Some(Proof::Down);
    run(&mut ends, &|index| !down(index) && wait(&names[index]).is_zero(), Batch::Restart);
    run(&mut ends, &|index| down(index) && wait(&names[index]).is_zero(), Batch::Revive);
    if !longest.is_zero() {
        std::thread::sleep(longest);
        run(&mut ends, &|index| !down(index) && !wait(&names[index]).is_zero(), Batch::Restart);
        run(&mut ends, &|index| down(index) && !wait(&names[index]).is_zero(), Batch::Revive);
    }
    let missing = || JobEnd { outcome: Outcome::Failed, message: "nothing was done".to_owned(), took: Duration::ZERO };
    ends.into_iter().map(|end| end.unwrap_or_else(missing)).collect()
}
