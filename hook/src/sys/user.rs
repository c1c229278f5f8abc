//! Errands to a user's own bus, run by a child of ours that has become that user: the bus takes
//! nobody else, and a manager that is asked so can hurt nobody but its user.

use super::program::{self, Invocation};
use super::systemd::{Job, JobEnd, Systemd};
use crate::model::unit::UnitFacts;
use anyhow::{bail, Context, Result};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The word that our own program is called with for an errand.
pub const WORD: &str = "__errand";
/// Starting a process and a connection.
const EXTRA: Duration = Duration::from_secs(20);

/// What is to be asked on a user's bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Errand {
    /// Facts about these units.
    Facts(Vec<String>),
    /// A job for each of these units.
    Jobs {
        /// Which job.
        job: Job,
        /// The units.
        units: Vec<String>,
        /// Of the whole.
        deadline: Duration,
    },
    /// The user's manager executes itself again.
    Reexecute,
    /// A note on the desktop.
    Note {
        /// In some words.
        title: String,
        /// In a sentence.
        text: String,
    },
}

/// What came back. It is the user's own process that says it: a claim, and never proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// Facts about those units that are known.
    Facts(Vec<(String, UnitFacts)>),
    /// The ends of the jobs, in their order.
    Jobs(Vec<JobEnd>),
    /// The note was taken.
    Noted,
    /// The manager was asked.
    Asked,
    /// It could not be done.
    Failed(String),
}

/// Whether a user has a bus of their own.
pub fn has_bus(uid: u32) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(bus(uid)).is_ok_and(|data| data.file_type().is_socket())
}

fn bus(uid: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{uid}/bus"))
}

/// Becomes the user, in a child, and runs the errand.
pub fn send(uid: u32, errand: &Errand, deadline: Duration) -> Result<Reply> {
    if !has_bus(uid) {
        bail!("user {uid} has no bus of their own");
    }
    let folder = format!("/run/user/{uid}");
    let opened = rustix::fs::open(&folder, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let facts = rustix::fs::fstat(opened.with_context(|| folder.clone())?)?;
    if facts.st_uid != uid {
        bail!("{folder} does not belong to user {uid}");
    }
    let invocation = Invocation {
        run: vec!["/proc/self/exe".to_owned(), WORD.to_owned(), uid.to_string()],
        input: serde_json::to_vec(errand)?,
        user: Some((uid, facts.st_gid)),
        ..Invocation::default()
    };
    let said = program::run(&invocation, deadline + EXTRA)?;
    if said.status.is_none() {
        bail!("the bus of user {uid} did not answer in time");
    }
    match serde_json::from_slice(&said.output) {
        Ok(Reply::Failed(why)) => bail!("{why}"),
        Ok(reply) => Ok(reply),
        Err(_) => bail!("the errand failed: {}", said.last_line().unwrap_or_default()),
    }
}

/// Runs an errand: in the child, as the user. The text to print.
pub fn run(uid: Option<&str>, input: &[u8]) -> String {
    let done = || -> Result<Reply> {
        let uid: u32 = uid.context("whose bus")?.parse()?;
        if rustix::process::geteuid().as_raw() != uid {
            bail!("an errand is run as its user");
        }
        let errand: Errand = serde_json::from_slice(input)?;
        let systemd = Systemd::of_own_user(uid)?;
        Ok(match errand {
            Errand::Facts(names) => {
                let facts = |name: String| Some((name.clone(), systemd.unit(&name).ok()?));
                Reply::Facts(names.into_iter().filter_map(facts).collect())
            }
            Errand::Jobs { job, units, deadline } => Reply::Jobs(systemd.run_jobs(job, &units, deadline)?),
            Errand::Reexecute => {
                systemd.ask_to_reexecute();
                Reply::Asked
            }
            Errand::Note { title, text } => systemd.show_note(&title, &text).map(|()| Reply::Noted)?,
        })
    };
    let reply = done().unwrap_or_else(|error| Reply::Failed(format!("{error:#}")));
    serde_json::to_string(&reply).unwrap_or_default()
}
