//! What looking again says of an owner that was acted on: doing is not done.

use super::image::Executed;
use super::judge::VerdictOf;
use super::report::Proof;
use super::text::escape;
use super::unit::UnitFacts;
use super::verdict::{CauseKind, Verdict};

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

/// An owner's processes before and after a step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Members<'a> {
    /// Those that are not fresh now.
    pub left: &'a [&'a VerdictOf],
    /// The pids of those that were not before.
    pub old: &'a [i32],
    /// What those executed before.
    pub executed: &'a [Executed],
    /// What those that are not fresh execute now.
    pub executes: &'a [Executed],
}

/// What a second look says, in a word and in words.
pub fn proof_of(states: &UnitStates<'_>, members: &Members<'_>) -> (Proof, String) {
    if let Some(fallen) = fallen(states) {
        return fallen;
    }
    let stale: Vec<&VerdictOf> = members.left.iter().copied().filter(|row| row.verdict >= Verdict::Stale).collect();
    if stale.is_empty() {
        let unknown = members.left.iter().find(|row| row.verdict == Verdict::Unknown);
        return match unknown {
            Some(row) => (Proof::Unknown, row.doubt().to_owned()),
            None => (Proof::Fresh, format!("nothing of it runs an old file{}", crashed(states))),
        };
    }
    if let Some(again) = stale.iter().find(|row| executed_again(row, members)) {
        let words = format!("pid {} has executed the old file again", again.process.key.pid);
        return (Proof::StillStale, words);
    }
    let main = states.after.map_or(0, |unit| unit.main_pid as i32);
    let only_old_workers =
        main != 0 && stale.iter().all(|row| row.process.key.pid != main && members.old.contains(&row.process.key.pid));
    match only_old_workers {
        true => {
            let words = if let [_] = stale[..] { "process is finishing its" } else { "processes are finishing their" };
            (Proof::Draining, format!("{} old {words} work: {}", stale.len(), names(&stale)))
        }
        false => (Proof::StillStale, format!("{} of its processes run an old file: {}", stale.len(), names(&stale))),
    }
}

/// What is said of a unit that did not stay up.
fn fallen(states: &UnitStates<'_>) -> Option<(Proof, String)> {
    let (at_once, after) = (states.at_once?, states.after?);
    let since = after.restarts.saturating_sub(at_once.restarts);
    if after.sub_state == "auto-restart" || since > 0 {
        let words = format!("it does not stay up: systemd has restarted it {} times ({})", since.max(1), after.result);
        return Some((Proof::Down, words));
    }
    if !after.is_active() {
        let ended = states.before.is_some_and(|before| before.is_active());
        let words = format!("{} ({}), {}", after.active_state, after.sub_state, after.result);
        return Some((if ended { Proof::Down } else { Proof::Gone }, words));
    }
    let other = after.invocation != at_once.invocation;
    other.then(|| (Proof::Down, "it was started again by somebody else meanwhile".to_owned()))
}

/// A unit that crashed while it reloaded, and that its manager started again, is up: but the step
/// did not go as it said.
fn crashed(states: &UnitStates<'_>) -> &'static str {
    let (Some(before), Some(after)) = (states.before, states.after) else { return "" };
    match after.restarts > before.restarts {
        true => "; it crashed on the way, and its manager started it again",
        false => "",
    }
}

/// Whether a stale process has called `exec` since, and got the old program once more.
fn executed_again(row: &VerdictOf, members: &Members<'_>) -> bool {
    let key = row.process.key;
    let runs_old_program = row.causes.iter().any(|cause| cause.kind == CauseKind::Executable);
    let Some(now) = members.executes.iter().find(|one| one.key == key) else { return false };
    let known = members.executed.iter().any(|one| one.image == now.image);
    runs_old_program && !known && !members.executed.is_empty()
}

/// Names that are printed of many processes.
const SHOWN: usize = 4;

fn names(stale: &[&VerdictOf]) -> String {
    let name = |row: &&VerdictOf| format!("{} {}", row.process.key.pid, escape(&row.process.comm));
    let mut shown: Vec<String> = stale.iter().take(SHOWN).map(name).collect();
    if stale.len() > SHOWN {
        shown.push(format!("and {} more", stale.len() - SHOWN));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image::Image;
    use crate::model::owner::Owner;
    use crate::model::process::{ProcessKey, ProcessSnapshot};
    use crate::model::verdict::{Cause, Certainty, Content, Method, PathRoot};

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
            parent: 1,
            terminal: None,
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
        let waits = UnitFacts { sub_state: "auto-restart".into(), ..unit("activating", 0, 2) };
        let (main, worker) = (row(50, Verdict::Stale), row(60, Verdict::Stale));
        for (after, left, expected) in [
            (&started, vec![], Proof::Fresh),
            (&fell, vec![], Proof::Down),
            (&looping, vec![], Proof::Down),
            (&waits, vec![], Proof::Down),
            (&other, vec![], Proof::Down),
            (&started, vec![&main], Proof::StillStale),
            (&started, vec![&worker], Proof::Draining),
            (&started, vec![&main, &worker], Proof::StillStale),
        ] {
            let states = UnitStates { before: Some(&up), at_once: Some(&started), after: Some(after) };
            let members = Members { left: &left, old: &[60], ..Members::default() };
            assert_eq!(proof_of(&states, &members).0, expected, "{after:?}");
        }
    }

    #[test]
    fn a_crash_that_was_mended_by_the_manager_is_told() {
        let (up, mended) = (unit("active", 0, 1), unit("active", 1, 2));
        let states = UnitStates { before: Some(&up), at_once: Some(&mended), after: Some(&mended) };
        let (proof, words) = proof_of(&states, &Members::default());
        assert_eq!(proof, Proof::Fresh);
        assert!(words.contains("crashed on the way"), "{words}");
    }

    #[test]
    fn a_process_that_executed_the_old_file_again_is_told_from_one_that_did_nothing() {
        let cause = Cause {
            path: "/a".into(),
            kind: CauseKind::Executable,
            method: Method::Renamed,
            content: Content::Differs,
            package: None,
            mapped: None,
            current: None,
            evidence: String::new(),
            certainty: Certainty::Proven,
            root: PathRoot::Host,
            damage: None,
        };
        let stale = VerdictOf { causes: vec![cause], ..row(50, Verdict::Stale) };
        let (left, key) = ([&stale], stale.process.key);
        let executed = |stack| [Executed { key, image: Image { code: 1, stack } }];
        for (before, now, again) in [(7, 7, false), (7, 8, true)] {
            let (before, now) = (executed(before), executed(now));
            let members = Members { left: &left, old: &[50], executed: &before, executes: &now };
            let (proof, words) = proof_of(&UnitStates::default(), &members);
            assert_eq!((proof, words.contains("executed the old file again")), (Proof::StillStale, again), "{words}");
        }
    }
}
