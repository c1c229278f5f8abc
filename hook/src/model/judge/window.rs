//! Processes that started while a transaction was replacing files: all that they map may be final, and
//! what they read before may be of another version.

use super::claims::ClaimIndex;
use super::process::Candidate;
use super::standing::{FileView, Standing};
use crate::model::file::Stamp;
use crate::model::pending::{Pending, Side};
use crate::model::text::escape_path;
use crate::model::time::span;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// Where the kernel's numbering of processes stood at a moment: pids are given out in turn, and from the
/// lowest again behind the highest (`pid_max`, proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbering {
    /// The pid that was given out last.
    pub last: i32,
    /// Processes and threads that were started since boot.
    pub started: u64,
    /// The highest pid.
    pub most: i32,
}

impl Numbering {
    /// Whether so many were started before `to` that every pid may have been given out.
    fn may_be_round(self, to: Numbering) -> bool {
        to.started.saturating_sub(self.started) >= u64::try_from(self.most / 2).unwrap_or(0)
    }

    /// Whether a process that was started after this moment and before `to` may have this pid.
    pub fn may_have_given(self, pid: i32, to: Numbering) -> bool {
        match self.last <= to.last {
            _ if self.may_be_round(to) => true,
            true => self.last < pid && pid <= to.last,
            false => self.last < pid || pid <= to.last,
        }
    }
}

/// From the call before a transaction to the one behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it was announced.
    pub from: Stamp,
    /// When it was over.
    pub to: Stamp,
    /// Where the numbering of processes stood at both moments.
    #[serde(default)]
    pub numbering: Option<(Numbering, Numbering)>,
}

impl Window {
    /// The windows of transactions that were announced and that ended.
    pub fn of(pending: &[Pending]) -> Vec<Window> {
        let end = |pre: &&Pending| {
            let posts = pending.iter().filter(|one| one.side == Side::Post && one.manager == pre.manager);
            posts.filter(|post| post.time >= pre.time).max_by_key(|post| post.time)
        };
        let announced = pending.iter().filter(|one| one.side == Side::Pre);
        let window = |pre: &Pending| {
            let post = end(&pre)?;
            Some(Window { from: pre.time, to: post.time, numbering: pre.numbering.zip(post.numbering) })
        };
        announced.filter_map(window).collect()
    }

    /// Whether a process with this pid may have been started in it.
    pub fn may_have(&self, pid: i32) -> bool {
        self.numbering.is_none_or(|(from, to)| from.may_have_given(pid, to))
    }

    /// The pids that were given in it, where they are known to be these and no others.
    pub fn pids(&self) -> Option<RangeInclusive<i32>> {
        let (from, to) = self.numbering?;
        let in_turn = from.last <= to.last && !from.may_be_round(to);
        in_turn.then_some(from.last.checked_add(1)?..=to.last)
    }

    /// Whether a moment lies in it.
    pub fn has(&self, moment: Stamp) -> bool {
        (self.from..=self.to).contains(&moment)
    }
}

/// Why a process may hold a mix of versions: it maps files that were replaced before it started, and
/// others of the same packages, or of packages that were made with them, were replaced after.
pub fn mixed(candidate: &Candidate, files: &[FileView], windows: &[Window], claims: &ClaimIndex) -> Option<String> {
    let started = candidate.started?;
    let window = windows.iter().find(|window| window.has(started))?;
    let new = candidate.uses.iter().filter_map(|usage| {
        let view = &files[usage.file as usize];
        let Standing::Live(facts) = &view.standing else { return None };
        let claim = claims.file(view.sighting.path()).filter(|_| facts.changed >= window.from)?;
        (facts.changed <= started).then_some(claim.package.as_deref()).flatten()
    });
    let packages: HashSet<&str> = new.collect();
    let later = claims.files().find(|(_, claim)| {
        let of_them = |package: &str| packages.iter().any(|one| *one == package || claims.are_siblings(one, package));
        claim.package.as_deref().is_some_and(of_them)
            && claim.now.found().is_some_and(|facts| facts.changed > started && facts.changed <= window.to)
    });
    let (path, claim) = later?;
    let after = span(claim.now.found()?.changed.abs_diff(started));
    Some(format!(
        "it was started while packages were being replaced, and {} of {} came {after} later: it may hold a mix of versions",
        escape_path(path),
        claim.package.as_deref().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim::Package;
    use crate::model::file::{FileFacts, FileId, FileKind, Look};
    use crate::model::judge::{ClaimedFile, Named, Sighting, Space, Use};
    use crate::model::owner::Owner;
    use crate::model::process::{ProcessKey, ProcessSnapshot};
    use std::path::PathBuf;

    fn facts(ino: u64, changed: Stamp) -> FileFacts {
        let id = FileId { dev: 1, ino };
        FileFacts {
            id,
            kind: FileKind::Regular,
            born: Some(1),
            changed,
            modified: 1,
            size: 1,
            links: 1,
            uid: 0,
            mode: 0,
        }
    }

    fn candidate(started: Stamp) -> Candidate {
        let snapshot = ProcessSnapshot {
            key: ProcessKey { pid: 2, start_ticks: 1 },
            comm: b"a".to_vec(),
            parent: 1,
            terminal: None,
            exe: None,
            uid: None,
            user: None,
            owner: Owner::loose(),
            cgroup: Vec::new(),
        };
        let usage = Use {
            file: 0,
            is_program: false,
            execute: true,
            writes: false,
            shared: false,
            reach: 0,
            range: (0, 1),
            named: Named::Unsaid,
            old_bytes: false,
            elsewhere: None,
        };
        Candidate { snapshot, started: Some(started), uses: vec![usage], scripts: Vec::new(), script: None, gap: None }
    }

    #[test]
    fn who_started_between_two_files_of_a_package_may_hold_a_mix() {
        let view = FileView::of(Sighting {
            space: Space::HOST,
            name: b"/l".to_vec(),
            printed: FileId { dev: 1, ino: 7 },
            mapped: Look::Found(facts(7, 120)),
            mounted: true,
            unmounted: false,
            keeps_death: true,
            bound: false,
            names: vec![(PathBuf::from("/l"), Look::Found(facts(7, 120)))],
            on_host: true,
            mounted_in: false,
            in_scratch_folder: false,
        });
        let window = Window { from: 100, to: 200, numbering: None };
        for (package_of_later, later, started, is_mixed) in [
            ("a", 180, 150, true),
            ("a", 140, 150, false),
            ("b", 180, 150, false),
            ("a-data", 180, 150, true),
            ("a", 180, 110, false),
            ("a", 180, 250, false),
        ] {
            let mut claims = ClaimIndex::default();
            let versions = |(name, old, new): (&str, &str, &str)| Package {
                name: name.to_owned(),
                old: Some(old.to_owned()),
                new: Some(new.to_owned()),
            };
            claims.add_before(&[], &[("a", "1", "2"), ("a-data", "1", "2"), ("b", "1", "3")].map(versions));
            for (path, package, changed) in [("/l", "a", 120), ("/x", package_of_later, later)] {
                let now = Look::Found(facts(9, changed));
                let package = Some(package.to_owned());
                claims.add_file(path.into(), ClaimedFile { package, now, link_changed: None, earlier: false });
            }
            let said = mixed(&candidate(started), std::slice::from_ref(&view), &[window], &claims);
            assert_eq!(said.is_some(), is_mixed, "{package_of_later} {later} {started}: {said:?}");
        }
    }

    #[test]
    fn pids_are_given_out_in_turn_and_from_the_lowest_again() {
        let at = |last, started| Numbering { last, started, most: 32768 };
        for (from, to, given, not) in [
            (at(400, 1000), at(403, 1003), &[401, 403][..], &[300, 400, 404, 32767][..]),
            (at(400, 1000), at(400, 1000), &[], &[300, 400, 401]),
            (at(32766, 1000), at(301, 1004), &[32767, 300, 301], &[302, 32766]),
            (at(400, 0), at(401, 40_000), &[7, 32767], &[]),
        ] {
            let may_have = |pid: &&i32| from.may_have_given(**pid, to);
            assert_eq!(given.iter().filter(may_have).count(), given.len(), "{from:?} {to:?}");
            assert_eq!(not.iter().find(may_have), None, "{from:?} {to:?}");
            let window = Window { from: 0, to: 1, numbering: Some((from, to)) };
            if let Some(pids) = window.pids() {
                let all: Vec<i32> = (1..=to.most).filter(|&pid| window.may_have(pid)).collect();
                assert_eq!(pids.collect::<Vec<i32>>(), all, "{from:?} {to:?}");
            }
        }
        let window = |numbering| Window { from: 0, to: 1, numbering };
        assert_eq!(window(Some((at(400, 1000), at(403, 1003)))).pids(), Some(401..=403));
        assert_eq!(window(Some((at(32766, 1000), at(301, 1004)))).pids(), None);
        assert_eq!(window(Some((at(400, 0), at(401, 40_000)))).pids(), None);
        assert_eq!(window(None).pids(), None);
    }
}
