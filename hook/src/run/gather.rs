//! Gathers what the triggers said, and what the package databases say now of the packages that they named.

use super::apply::Moment;
use super::desk::{Desk, Known};
use super::wait::{self, State};
use crate::model::claim::Claim;
use crate::model::pending::{merge_packages, Pending};
use crate::sys::plugin::{Answer, Function, Plugin, Question, Reading};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of all questions to one plugin.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is to be acted on.
#[derive(Debug)]
pub struct Gathered {
    /// The files of what was pending, to be forgotten in the end.
    pub paths: Vec<PathBuf>,
    /// What was pending.
    pub pending: Vec<Pending>,
    /// What it says together.
    pub known: Known,
}

/// Gathers it; after a transaction only once nobody has been at work for `quiet`. `None` where nothing is
/// pending that could be acted on.
pub fn gather(desk: &Desk<'_>, moment: Moment, quiet: Duration) -> Result<Option<Gathered>> {
    let after = moment == Moment::AfterTransaction;
    let typed = typed(desk)?;
    let (end, mut was_busy) = (Instant::now() + wait::BUSY_AT_MOST, false);
    loop {
        let waits = after && wait::until_quiet(desk, quiet, end);
        // Mostly nobody is any more, and one process answers all; else that alone is asked until it is so.
        if waits && was_busy && wait::is_busy(desk) {
            std::thread::sleep(wait::BUSY_PULSE);
            continue;
        }
        if after {
            desk.store.sweep();
        }
        let (paths, mut pending, gaps) = desk.pending();
        if after && paths.is_empty() {
            return Ok(None);
        }
        pending.extend(desk.unclaimed(&pending)?);
        match said(desk, &pending, typed.clone(), waits) {
            Some(mut known) => {
                known.gaps.extend(gaps);
                return Ok(Some(Gathered { paths, pending, known }));
            }
            None => was_busy = true,
        }
    }
}

/// What just these say, with what is typed and remembered; nobody is waited for.
pub fn known(desk: &Desk<'_>, pending: &[Pending]) -> Result<Known> {
    Ok(said(desk, pending, typed(desk)?, false).unwrap_or_default())
}

/// The claims on the command line.
fn typed(desk: &Desk<'_>) -> Result<Vec<Claim>> {
    Ok(desk.common.claims.as_deref().map(super::claims::from_file).transpose()?.unwrap_or_default())
}

/// What all of it says together; `None` where a package manager is at work and we wait for that.
fn said(desk: &Desk<'_>, pending: &[Pending], typed: Vec<Claim>, waits: bool) -> Option<Known> {
    let mut known = Known { now: typed, ..Known::default() };
    known.add_memory(desk.store.memory(&desk.boot_id));
    known.add_pending(pending);
    if ask(desk, pending, waits, &mut known) == Asked::AtWork {
        return None;
    }
    let mut met = HashSet::new();
    known.now.retain(|claim: &Claim| met.insert(claim.clone()));
    Some(known)
}

/// How asking ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Idle,
    /// A package manager is at work: what its database says is not the last word.
    AtWork,
}

/// Asks each plugin once, in one process: whether its package manager is at work, if we wait for that, and
/// which files the named packages have now.
fn ask(desk: &Desk<'_>, pending: &[Pending], waits: bool, known: &mut Known) -> Asked {
    for plugin in &desk.plugins {
        let mut questions: Vec<Question> = Vec::new();
        if waits {
            questions.push(Question::Busy { root: desk.common.root.clone() });
        }
        let named = named(pending, plugin);
        questions
            .extend(named.into_iter().map(|(root, packages)| Question::Expand { root: root.to_owned(), packages }));
        if questions.is_empty() {
            continue;
        }
        let functions: Vec<Function> = questions.iter().map(Question::function).collect();
        let answers = match plugin.ask(questions, DEADLINE) {
            Ok(answers) => answers,
            // One that cannot say whether its package manager is at work is not waited for.
            Err(_) if functions == [Function::Busy] => continue,
            Err(error) => {
                known.gaps.push(error.to_string());
                continue;
            }
        };
        for (function, answer) in functions.into_iter().zip(answers) {
            match (function, answer) {
                (_, Ok(Answer::Busy(busy))) => {
                    if matches!(wait::state_of(desk, busy), Ok(State::AtWork(_))) {
                        return Asked::AtWork;
                    }
                }
                (_, Ok(Answer::Reading(reading))) => add(reading, known),
                (_, Ok(Answer::Owners(_) | Answer::Dependencies(_))) | (Function::Busy, Err(_)) => {}
                (_, Err(error)) => known.gaps.push(error.to_string()),
            }
        }
    }
    Asked::Idle
}

/// The packages that the triggers of a package manager named, below each root.
fn named<'p>(pending: &'p [Pending], plugin: &Plugin) -> BTreeMap<&'p Path, Vec<String>> {
    let mut named: BTreeMap<&Path, BTreeSet<&str>> = BTreeMap::new();
    for one in pending.iter().filter(|one| one.manager == plugin.name() && !one.packages.is_empty()) {
        named.entry(&one.root).or_default().extend(one.packages.iter().map(|package| package.name.as_str()));
    }
    named.into_iter().map(|(root, names)| (root, names.into_iter().map(str::to_owned).collect())).collect()
}

fn add(reading: Reading, known: &mut Known) {
    known.now.extend(reading.claims);
    let (there, gone): (Vec<_>, Vec<_>) = reading.packages.iter().partition(|one| one.new.is_some());
    merge_packages(&mut known.packages, there);
    for row in known.packages.iter_mut().filter(|row| gone.iter().any(|one| one.name == row.name)) {
        row.new = None;
    }
}
