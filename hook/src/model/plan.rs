//! What is to be done about each owner, and what became of it.

use super::guard::{forbids, Evidence};
use super::judge::VerdictOf;
use super::owner::{Owner, OwnerKind};
pub use super::policy::{Action, Step};
use super::policy::{Later, Policy, Rule, Subject, Terms};
use super::text::escape_path;
use super::unit::{UnitFacts, UnitName};
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
        /// The process does it by itself, at a time of its own.
        Later = "later",
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
    /// The same with their settings.
    pub steps: Vec<Step>,
    /// When and how they are taken.
    pub terms: Terms,
    /// Why nothing is done although the ladder says so.
    pub skip: Option<String>,
    /// What it waits for, where it will be acted on later.
    pub later: Option<Later>,
    /// What a restart takes along, and what is kept over it; for people.
    pub notes: Vec<String>,
}

impl Decision {
    /// Whether something will be done.
    pub fn acts(&self) -> bool {
        self.skip.is_none() && self.ladder.iter().any(|action| action.acts())
    }

    /// Leaves it alone after all.
    pub fn leave(&mut self, why: impl Into<String>) {
        self.skip = Some(why.into());
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
    grouped(processes.iter().filter(|row| row.verdict >= Verdict::Stale))
}

/// Gathers all processes by owner, also fresh ones: for what would be decided about them.
pub fn all_by_owner(processes: &[VerdictOf]) -> Vec<Group<'_>> {
    grouped(processes.iter())
}

fn grouped<'a>(processes: impl Iterator<Item = &'a VerdictOf>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<&Owner, Vec<&VerdictOf>> = BTreeMap::new();
    for process in processes {
        groups.entry(&process.process.owner).or_default().push(process);
    }
    let mut groups: Vec<Group<'_>> = groups.into_iter().map(|(owner, processes)| Group { owner, processes }).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.verdict()));
    groups
}

/// What systemd names the process that it forks beside each user's manager (`src/core/exec-invoke.c`).
const KEPT: &str = "(sd-pam)";

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

    /// What the policy says, and whether a fact forbids it or it has to wait.
    pub fn decide(&self, policy: &Policy, evidence: &Evidence<'_>) -> Decision {
        let facts = self.facts();
        let decision = policy.decide(&self.subject(self.unit(evidence), &facts));
        let steps = decision.steps().to_vec();
        let mut decided = Decision {
            rule: decision.rule_name().to_owned(),
            source: decision.source.map(ToString::to_string).unwrap_or_default(),
            ladder: decision.ladder.actions(),
            terms: policy.terms(decision.rule),
            steps,
            skip: None,
            later: None,
            notes: Vec::new(),
        };
        if !decided.acts() {
            return decided;
        }
        self.drop_soft_reboot(&mut decided, evidence);
        if decided.skip.is_some() {
            return decided;
        }
        decided.skip = self.forbidden(policy, &decided, evidence);
        if let (None, Some((why, later))) = (&decided.skip, policy.postpones(decision.rule, evidence.circumstances)) {
            decided.skip = Some(why);
            decided.later = Some(later);
        }
        if decided.skip.is_none() && decided.ladder.contains(&Action::Restart) {
            decided.notes = self.notes(evidence);
        }
        decided
    }

    /// What a restart takes along, and what its manager keeps for it meanwhile.
    fn notes(&self, evidence: &Evidence<'_>) -> Vec<String> {
        let Some((unit, user)) = self.unit(evidence).zip(self.owner.unit().map(|name| name.user)) else {
            return Vec::new();
        };
        let is_up = |name: &&String| {
            let name = UnitName { user, name: (*name).clone() };
            evidence.units.get(&name).is_some_and(UnitFacts::is_active)
        };
        let along: BTreeSet<&str> = unit.dependents.iter().filter(is_up).map(String::as_str).collect();
        let along = (!along.is_empty()).then(|| {
            let along: Vec<&str> = along.into_iter().collect();
            format!("a restart takes {} along", along.join(", "))
        });
        let kept = (unit.stored_descriptors > 0).then(|| {
            let noun = if unit.stored_descriptors == 1 { "descriptor" } else { "descriptors" };
            format!("keeps {} open {noun} over a restart (FileDescriptorStoreMax=)", unit.stored_descriptors)
        });
        along.into_iter().chain(kept).collect()
    }

    /// Takes the soft reboot off a ladder whose owner outlived one with just these old files: it would do
    /// so again, for ever.
    fn drop_soft_reboot(&self, decided: &mut Decision, evidence: &Evidence<'_>) {
        if decided.ladder.contains(&Action::SoftReboot) && evidence.told.contains(&self.soft_rebooted_as()) {
            decided.steps.retain(|step| *step != Action::SoftReboot);
            decided.ladder.retain(|action| *action != Action::SoftReboot);
            if !decided.acts() {
                decided.leave("it outlived a soft reboot with these old files; only a reboot helps");
            }
        }
    }

    fn forbidden(&self, policy: &Policy, decision: &Decision, evidence: &Evidence<'_>) -> Option<String> {
        let only_tells = decision.ladder.iter().all(|action| !action.changes());
        if only_tells && evidence.told.contains(&self.told_as()) {
            return Some("its user has been told".to_owned());
        }
        if only_tells && decision.steps.contains(&Step::Notify { terminal: false }) {
            let uid = self.owner.uid?;
            if !evidence.protected.has_desktop(uid) {
                return Some(format!("user {uid} has no desktop to be told on"));
            }
        }
        if self.is_what_a_manager_keeps() && decision.ladder.contains(&Action::ReexecManager) {
            return Some(format!("the manager itself is fresh; its {KEPT} ends when the user logs out"));
        }
        forbids(self.owner, &decision.steps, evidence)
            .or_else(|| self.takes_protected_along(policy, decision, evidence))
    }

    /// Whether of a user's manager only the process is left that ends its PAM session: it executes nothing anew.
    fn is_what_a_manager_keeps(&self) -> bool {
        let is_kept = |row: &&VerdictOf| row.process.comm == KEPT.as_bytes();
        self.owner.kind == OwnerKind::UserManager && self.processes.iter().all(is_kept)
    }

    /// A restart takes along what hangs on the unit, also what a rule protects.
    fn takes_protected_along(&self, policy: &Policy, decision: &Decision, evidence: &Evidence<'_>) -> Option<String> {
        let unit = self.unit(evidence).filter(|_| decision.ladder.contains(&Action::Restart))?;
        let user = self.owner.unit()?.user;
        unit.dependents.iter().find_map(|name| {
            let name = UnitName { user, name: name.clone() };
            evidence.units.get(&name).filter(|facts| facts.is_active())?;
            let guard = policy.guard_of(&name.name)?;
            Some(format!("{} hangs on it, which the rule \"{}\" protects", name.name, guard.name))
        })
    }

    /// The owner and the files that its user would be told of, as one line: whoever was told of just
    /// these is not told again.
    pub fn told_as(&self) -> String {
        let file = |cause: &Cause| {
            let ino = cause.current.map_or(0, |id| id.ino);
            format!("{} {ino}", escape_path(&cause.path))
        };
        let files: Vec<String> = self.causes().iter().map(file).collect();
        format!("{} {} {}", self.owner.kind, self.owner.name, files.join(" "))
    }

    /// The owner and the files with which it goes into a soft reboot.
    pub fn soft_rebooted_as(&self) -> String {
        format!("soft-reboot {}", self.told_as())
    }

    fn unit<'e>(&self, evidence: &Evidence<'e>) -> Option<&'e UnitFacts> {
        evidence.units.get(&self.owner.unit()?)
    }

    /// Whether a rule that asks for data files by their kind decides, and does more than ignore it.
    pub fn counts_data(&self, policy: &Policy) -> bool {
        let facts = self.facts();
        policy.decide(&self.subject(None, &facts)).rule.is_some_and(Rule::counts_data)
    }

    /// The rules before the deciding one, and why each of them does not decide.
    pub fn passed_rules(&self, policy: &Policy, evidence: &Evidence<'_>) -> Vec<String> {
        let facts = self.facts();
        let subject = self.subject(self.unit(evidence), &facts);
        let decision = policy.decide(&subject);
        decision
            .why_not
            .iter()
            .map(|passed| format!("\"{}\": {}", passed.rule.name, passed.why.explain(&subject)))
            .collect()
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
