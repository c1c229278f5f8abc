//! Units and their jobs, whoever manages them: systemd, a user's systemd, or another init.

use super::inits;
use super::program::{self, Invocation};
use super::systemd::{self, Job, JobEnd, Systemd};
use super::user::{self, Errand, Reply};
use crate::model::file::Stamp;
use crate::model::plan::Outcome;
use crate::model::unit::{StartLimit, UnitFacts, UnitName, Units};
use anyhow::{anyhow, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is acted on is of the machine that we run on, whatever `/proc` was looked at.
const PROC: &str = "/proc";
/// Facts about units of a user.
const ASK: Duration = Duration::from_secs(10);

/// What is known of these units; those that could not be asked about are missing.
pub fn units(names: &[UnitName]) -> Units {
    let mut found = Units::new();
    for (user, names) in by_manager(names.iter().cloned()) {
        let facts = match user {
            None if systemd::is_running() => of_system(&names),
            None => inits::units(Path::new(PROC), &names),
            Some(uid) => match user::send(uid, &Errand::Facts(names), ASK) {
                Ok(Reply::Facts(facts)) => facts,
                Ok(_) | Err(_) => Vec::new(),
            },
        };
        found.extend(facts.into_iter().map(|(name, facts)| (UnitName { user, name }, facts)));
    }
    found
}

fn of_system(names: &[String]) -> Vec<(String, UnitFacts)> {
    let Ok(systemd) = Systemd::connect() else { return Vec::new() };
    names.iter().filter_map(|name| Some((name.clone(), systemd.unit(name).ok()?))).collect()
}

/// Starts of units within the interval of their start limits that are known of: what the journal says,
/// else the last one and those that their managers count themselves.
pub fn count_starts(units: &mut Units, now: Stamp) {
    let since = |limit: StartLimit| now - limit.interval.as_nanos() as Stamp;
    let mut oldest = now;
    let mut asked = Vec::new();
    for (name, facts) in units.iter_mut() {
        let Some(limit) = facts.start_limit.filter(|limit| facts.started >= since(*limit)) else { continue };
        facts.recent_starts = facts.restarts.saturating_add(1);
        if name.user.is_none() {
            oldest = oldest.min(since(limit));
            asked.push(format!("UNIT={}", name.name));
        }
    }
    if asked.is_empty() {
        return;
    }
    let Some(starts) = journal_of_starts(asked, oldest) else { return };
    for (name, facts) in units.iter_mut().filter(|(name, _)| name.user.is_none()) {
        let Some(limit) = facts.start_limit else { continue };
        let count = starts.iter().filter(|(unit, when)| *unit == name.name && *when >= since(limit)).count();
        facts.recent_starts = facts.recent_starts.min(1).max(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

/// Units and when the journal says that they were being started; `None` where there is no journal.
fn journal_of_starts(units: Vec<String>, since: Stamp) -> Option<Vec<(String, Stamp)>> {
    /// `SD_MESSAGE_UNIT_STARTING` of sd-messages(3).
    const STARTING: &str = "MESSAGE_ID=7d4958e842da4a758f6c1cdc7b36dcc5";
    let from = format!("--since=@{}", since / 1_000_000_000);
    // In /bin where that is a folder of its own (Debian 11).
    let journalctl = ["/usr/bin/journalctl", "/bin/journalctl"].into_iter().find(|path| Path::new(path).exists())?;
    let words = [journalctl, "-q", "--no-pager", "-o", "json", "-b", &from, "_PID=1", STARTING];
    let run = words.iter().map(|word| (*word).to_owned()).chain(units).collect();
    let said = program::run(&Invocation { run, ..Invocation::default() }, ASK);
    let said = said.ok().filter(|said| said.status.is_some_and(|status| status.success()))?;
    let start = |line: &[u8]| {
        let entry: serde_json::Value = serde_json::from_slice(line).ok()?;
        let micros: Stamp = entry["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
        Some((entry["UNIT"].as_str()?.to_owned(), micros * 1000))
    };
    Some(said.output.split(|&byte| byte == b'\n').filter_map(start).collect())
}

/// One job for each unit, all of one manager at once; the answers stand in the order of the units.
pub fn run_jobs(job: Job, names: &[UnitName], deadline: Duration) -> Vec<JobEnd> {
    let mut ends: BTreeMap<&UnitName, JobEnd> = BTreeMap::new();
    for (user, units) in by_manager(names.iter().cloned()) {
        let started = Instant::now();
        let done = of_manager(user, job, &units, deadline);
        let done = done.unwrap_or_else(|error| units.iter().map(|_| failed(&error, started)).collect());
        for (unit, end) in units.iter().zip(done) {
            let name = names.iter().find(|name| name.user == user && name.name == *unit);
            ends.extend(name.map(|name| (name, end)));
        }
    }
    let missing = || failed(&anyhow!("nothing was done"), Instant::now());
    names.iter().map(|name| ends.get(name).cloned().unwrap_or_else(missing)).collect()
}

fn of_manager(user: Option<u32>, job: Job, units: &[String], deadline: Duration) -> Result<Vec<JobEnd>> {
    match user {
        None if systemd::is_running() => Systemd::connect()?.run_jobs(job, units, deadline),
        None => Ok(inits::run_jobs(Path::new(PROC), job, units, deadline)),
        Some(uid) => match user::send(uid, &Errand::Jobs { job, units: units.to_vec(), deadline }, deadline)? {
            Reply::Jobs(ends) if ends.len() == units.len() => Ok(ends),
            _ => Err(anyhow!("the user's manager answered something else")),
        },
    }
}

fn by_manager(names: impl Iterator<Item = UnitName>) -> BTreeMap<Option<u32>, Vec<String>> {
    let mut managers: BTreeMap<Option<u32>, Vec<String>> = BTreeMap::new();
    for name in names {
        managers.entry(name.user).or_default().push(name.name);
    }
    managers
}

/// The end of a job that could not even be asked for.
pub fn failed(error: &anyhow::Error, started: Instant) -> JobEnd {
    JobEnd { outcome: Outcome::Failed, message: format!("{error:#}"), took: started.elapsed() }
}
