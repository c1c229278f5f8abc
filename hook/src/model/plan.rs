//! What is to be done about each owner, and what became of it.

use super::judge::VerdictOf;
use super::owner::{Owner, OwnerKind};
pub use super::policy::Action;
use super::policy::{Policy, Subject};
use super::report::Proof;
use super::unit::{forbids, Protected, UnitFacts};
use super::verdict::{words, Cause, CauseKind, Method, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

words! {
    /// What doing a step said: an input, never proof.
    Outcome {
        /// The job ended well.
        Done = "done",
        /// The manager refused.
        Refused = "refused",
        /// It did not end in time.
        TimedOut = "timed-out",
        /// The unit or process went away meanwhile.
        Vanished = "vanished",
        /// The job failed.
        Failed = "failed",
    }
}

/// What the policy says about one owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Name of the rule; `default` where none matched.
    pub rule: String,
    /// `file:line` of the rule.
    pub source: String,
    /// Actions, each taken only where the proof of the one before is not fresh.
    pub ladder: Vec<Action>,
    /// Why nothing is done although the ladder says so.
    pub skip: Option<String>,
}

impl Decision {
    /// Whether something will be done.
    pub fn acts(&self) -> bool {
        self.skip.is_none() && self.ladder.iter().any(|action| action.changes())
    }
}

/// One step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// What was done.
    pub action: Action,
    /// What doing it said.
    pub outcome: Outcome,
    /// The manager's or our own words.
    pub message: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The processes of one owner that are not fresh.
#[derive(Debug)]
pub struct Group<'a> {
    /// Whose.
    pub owner: &'a Owner,
    /// The processes.
    pub processes: Vec<&'a VerdictOf>,
}

/// Gathers stale and tainted processes by owner. What could not be told is no reason to act.
pub fn by_owner(processes: &[VerdictOf]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<&Owner, Vec<&VerdictOf>> = BTreeMap::new();
    for process in processes.iter().filter(|row| row.verdict >= Verdict::Stale) {
        groups.entry(&process.process.owner).or_default().push(process);
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(|(owner, processes)| Group { owner, processes }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.verdict()));
    groups
}

impl Group<'_> {
    /// The worst verdict in it.
    pub fn verdict(&self) -> Verdict {
        self.processes.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Fresh)
    }

    /// Its pids.
    pub fn pids(&self) -> Vec<i32> {
        self.processes.iter().map(|row| row.process.key.pid).collect()
    }

    /// The old files that they run, each once, by path.
    pub fn causes(&self) -> Vec<Cause> {
        let mut causes: BTreeMap<&Path, &Cause> = BTreeMap::new();
        for cause in self.processes.iter().flat_map(|row| &row.causes) {
            causes.entry(&cause.path).or_insert(cause);
        }
        causes.into_values().cloned().collect()
    }

    /// What the policy says, and whether a fact forbids it.
    pub fn decide(&self, policy: &Policy, unit: Option<&UnitFacts>, protected: &Protected) -> Decision {
        let facts = self.facts();
        let decision = policy.decide(&self.subject(unit, &facts));
        let ladder = decision.steps().to_vec();
        let acts = ladder.iter().any(|action| action.changes());
        Decision {
            rule: decision.rule_name().to_owned(),
            source: decision.source.map(ToString::to_string).unwrap_or_default(),
            skip: acts.then(|| self.forbidden(&ladder, unit, protected)).flatten(),
            ladder,
        }
    }

    /// The rules before the deciding one, and why each of them does not decide.
    pub fn passed_rules(&self, policy: &Policy, unit: Option<&UnitFacts>) -> Vec<String> {
        let facts = self.facts();
        let subject = self.subject(unit, &facts);
        let decision = policy.decide(&subject);
        decision
            .why_not
            .iter()
            .map(|passed| format!("\"{}\": {}", passed.rule.name, passed.why.explain(&subject)))
            .collect()
    }

    fn forbidden(&self, ladder: &[Action], unit: Option<&UnitFacts>, protected: &Protected) -> Option<String> {
        let is_manager = matches!(self.owner.kind, OwnerKind::Init | OwnerKind::UserManager);
        let fits = |action: &Action| match action {
            Action::ReexecManager => is_manager,
            Action::Reload | Action::Restart => !is_manager,
            Action::Ignore | Action::Report | Action::RebootHint => true,
        };
        match ladder.iter().find(|action| !fits(action)) {
            Some(action) if is_manager => {
                Some(format!("a manager cannot take a {action}; it re-executes itself (reexec-manager)"))
            }
            Some(action) => Some(format!("{action} is for managers only")),
            None => forbids(self.owner, unit, protected),
        }
    }

    /// Whether units must be asked about before it can be decided.
    pub fn unit_name(&self) -> Option<&str> {
        matches!(self.owner.kind, OwnerKind::Service).then_some(self.owner.name.as_str())
    }

    fn facts(&self) -> Facts<'_> {
        let causes = || self.processes.iter().flat_map(|row| &row.causes);
        Facts {
            exes: unique(self.processes.iter().filter_map(|row| row.process.exe.as_deref())),
            paths: unique(causes().map(|cause| cause.path.as_path())),
            packages: unique(causes().filter_map(|cause| cause.package.as_deref())),
            uids: unique(self.processes.iter().filter_map(|row| row.process.uid))
                .into_iter()
                .map(|uid| uid.to_string())
                .collect(),
            users: unique(self.processes.iter().filter_map(|row| row.process.user.as_deref())),
            kinds: unique(causes().map(|cause| cause.kind)),
            methods: unique(causes().map(|cause| cause.method)),
        }
    }

    fn subject<'s>(&'s self, unit: Option<&'s UnitFacts>, facts: &'s Facts<'s>) -> Subject<'s> {
        let named = !self.owner.name.is_empty();
        let is_unit = matches!(
            self.owner.kind,
            OwnerKind::Service | OwnerKind::UserService | OwnerKind::UserManager | OwnerKind::Session
        );
        Subject {
            unit: (is_unit && named).then(|| unit.map_or(self.owner.name.as_str(), |unit| unit.id.as_str())),
            slice: self.owner.slice.as_deref(),
            container: (self.owner.kind == OwnerKind::Container).then_some(self.owner.name.as_str()),
            exes: facts.exes.clone(),
            paths: facts.paths.clone(),
            packages: facts.packages.clone(),
            users: facts.users.iter().copied().chain(facts.uids.iter().map(String::as_str)).collect(),
            causes: facts.kinds.clone(),
            methods: facts.methods.clone(),
            ..Subject::new(self.owner.kind, self.verdict())
        }
    }
}

struct Facts<'a> {
    exes: Vec<&'a Path>,
    paths: Vec<&'a Path>,
    packages: Vec<&'a str>,
    users: Vec<&'a str>,
    uids: Vec<String>,
    kinds: Vec<CauseKind>,
    methods: Vec<Method>,
}

fn unique<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<BTreeSet<T>>().into_iter().collect()
}

/// What a second look says of an owner that was acted on. `before` and `at_once` are the unit before
/// the step and right after it, `after` when it had time to fall over; `left` are its processes that
/// are not fresh now, `old` the pids that were not before.
pub fn proof_of(states: &UnitStates<'_>, left: &[&VerdictOf], old: &[i32]) -> (Proof, String) {
    if let (Some(at_once), Some(after)) = (states.at_once, states.after) {
        let since = after.restarts.saturating_sub(at_once.restarts);
        if after.sub_state == "auto-restart" || since > 0 {
            return (
                Proof::Down,
                format!("it does not stay up: systemd has restarted it {} times ({})", since.max(1), after.result),
            );
        }
        if !after.is_active() {
            let ended = states.before.is_some_and(|before| before.is_active());
            let words = format!("{} ({}), {}", after.active_state, after.sub_state, after.result);
            return if ended { (Proof::Down, words) } else { (Proof::Gone, words) };
        }
        if after.invocation != at_once.invocation {
            return (Proof::Down, "it was started again by somebody else meanwhile".to_owned());
        }
    }
    let stale: Vec<&&VerdictOf> = left.iter().filter(|row| row.verdict >= Verdict::Stale).collect();
    if stale.is_empty() {
        let unknown = left.iter().find(|row| row.verdict == Verdict::Unknown);
        return match unknown {
            Some(row) => (Proof::Unknown, row.gap.clone().unwrap_or_default()),
            None => (Proof::Fresh, "nothing of it runs an old file".to_owned()),
        };
    }
    let main = states.after.map_or(0, |unit| unit.main_pid as i32);
    let only_old_workers =
        main != 0 && stale.iter().all(|row| row.process.key.pid != main && old.contains(&row.process.key.pid));
    match only_old_workers {
        true => (Proof::Draining, format!("{} old processes are finishing their work", stale.len())),
        false => (Proof::StillStale, format!("{} of its processes run an old file", stale.len())),
    }
}

/// A unit at three moments; `None` for what is no unit, or could not be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnitStates<'a> {
    /// Before the step.
    pub before: Option<&'a UnitFacts>,
    /// Right after it.
    pub at_once: Option<&'a UnitFacts>,
    /// When it had time to fall over.
    pub after: Option<&'a UnitFacts>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::process::{ProcessKey, ProcessSnapshot};

    fn unit(active: &str, restarts: u32, invocation: u8) -> UnitFacts {
        UnitFacts {
            active_state: active.into(),
            restarts,
            invocation: vec![invocation],
            main_pid: 50,
            ..UnitFacts::default()
        }
    }

    fn row(pid: i32, verdict: Verdict) -> VerdictOf {
        let owner = Owner::of(pid, b"0::/system.slice/a.service\n");
        let key = ProcessKey { pid, start_ticks: 1 };
        let process = ProcessSnapshot {
            key,
            comm: b"a".to_vec(),
            exe: None,
            uid: Some(0),
            user: None,
            owner,
            cgroup: Vec::new(),
        };
        VerdictOf { process, verdict, causes: Vec::new(), gap: None, identical: 0 }
    }

    #[test]
    fn a_job_that_was_done_proves_nothing() {
        let (up, started) = (unit("active", 0, 1), unit("active", 0, 2));
        let (fell, looping, other) = (unit("failed", 0, 2), unit("active", 3, 5), unit("active", 0, 9));
        let (main, worker) = (row(50, Verdict::Stale), row(60, Verdict::Stale));
        for (after, left, expected) in [
            (&started, vec![], Proof::Fresh),
            (&fell, vec![], Proof::Down),
            (&looping, vec![], Proof::Down),
            (&other, vec![], Proof::Down),
            (&started, vec![&main], Proof::StillStale),
            (&started, vec![&worker], Proof::Draining),
            (&started, vec![&main, &worker], Proof::StillStale),
        ] {
            let states = UnitStates { before: Some(&up), at_once: Some(&started), after: Some(after) };
            assert_eq!(proof_of(&states, &left, &[60]).0, expected, "{after:?}");
        }
    }
}
