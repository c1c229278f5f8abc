//! The one place that changes the machine.

use super::systemd::{Job, JobEnd, Systemd};
use crate::model::plan::Outcome;
use std::time::{Duration, Instant};

/// What is to be done, to units or managers by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Reload these units.
    Reload(Vec<String>),
    /// Restart those of these units that are running.
    Restart(Vec<String>),
    /// Let these managers execute themselves again: `init`, or the units of users' managers.
    Reexecute(Vec<String>),
}

/// Does it; one answer for each name, in their order.
pub fn perform(wanted: &Wanted, deadline: Duration) -> Vec<JobEnd> {
    let started = Instant::now();
    match wanted {
        Wanted::Reload(names) => jobs(Job::Reload, names, deadline),
        Wanted::Restart(names) => jobs(Job::TryRestart, names, deadline),
        Wanted::Reexecute(names) => names
            .iter()
            .map(|name| match reexecute(name) {
                Ok(()) => JobEnd {
                    outcome: Outcome::Done,
                    message: "asked to execute itself again".to_owned(),
                    took: started.elapsed(),
                },
                Err(error) => failed(&error, started),
            })
            .collect(),
    }
}

fn jobs(job: Job, names: &[String], deadline: Duration) -> Vec<JobEnd> {
    let started = Instant::now();
    match Systemd::connect().and_then(|systemd| systemd.run_jobs(job, names, deadline)) {
        Ok(ends) => ends,
        Err(error) => names.iter().map(|_| failed(&error, started)).collect(),
    }
}

fn reexecute(name: &str) -> anyhow::Result<()> {
    let systemd = Systemd::connect()?;
    match name {
        "init" => systemd.reexecute(),
        user_manager => systemd.reexecute_user_manager(user_manager),
    }
}

fn failed(error: &anyhow::Error, started: Instant) -> JobEnd {
    JobEnd { outcome: Outcome::Failed, message: format!("{error:#}"), took: started.elapsed() }
}
