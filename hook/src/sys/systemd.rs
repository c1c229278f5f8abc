//! systemd over D-Bus: facts about units, jobs and their results, re-execution of managers.
//!
//! Calls have a deadline and are tried again for a while, since PID 1 is away for 0.2 s when it
//! re-executes itself (measured, systemd 252 to 262), as it does right before our hook when libc is
//! upgraded. A call that failed so was not taken, so it can be made again.

mod facts;
mod machine;

pub use machine::wake_at;

use super::procs;
use crate::model::plan::Outcome;
use anyhow::{anyhow, Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::mpsc::{channel, Receiver};
use std::time::{Duration, Instant};
use zbus::blocking::{connection::Builder, Connection, MessageIterator};
use zbus::zvariant::{DynamicType, OwnedObjectPath};
use zbus::Message;

const BUS: &str = "org.freedesktop.DBus";
const SERVICE: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// One call. Looking up a unit takes milliseconds; a hung manager must not hold us.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long a manager may be away: its re-execution takes 0.2 s, more on a loaded machine.
const AWAY: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
/// `SIGRTMIN+25` asks a manager to execute itself again (systemd(1)); glibc's `SIGRTMIN` is 34.
const SIGNAL_REEXECUTE: i32 = 34 + 25;

/// A connection to a manager: the system's, or that of the user who we are.
#[derive(Debug)]
pub struct Systemd {
    connection: Connection,
    /// Whose manager; `None`: the system's.
    user: Option<u32>,
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEnd {
    /// In one word.
    pub outcome: Outcome,
    /// systemd's own words.
    pub message: String,
    /// From the call to the end.
    pub took: Duration,
}

/// What a unit is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Job {
    /// Restart it if it is running.
    TryRestart,
    /// Restart it, also where it has fallen over meanwhile.
    Restart,
    /// Reload it.
    Reload,
    /// Start it.
    Start,
}

impl Job {
    fn method(self) -> &'static str {
        match self {
            Job::TryRestart => "TryRestartUnit",
            Job::Restart => "RestartUnit",
            Job::Start => "StartUnit",
            Job::Reload => "ReloadUnit",
        }
    }
}

/// Whether systemd is the init of the running system (sd_booted(3)).
pub fn is_running() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether systemd is taking the machine, or its user space, down; `None` where it cannot be asked, as when the
/// message bus has gone down already.
pub fn is_stopping() -> Option<bool> {
    match is_running() {
        true => Systemd::connect().and_then(|systemd| systemd.is_stopping()).ok(),
        false => Some(false),
    }
}

impl Systemd {
    /// Connects over the system bus. (The manager's own socket would do without a bus, but it signs
    /// its messages with a name that zbus takes for an error, and panics.)
    pub fn connect() -> Result<Systemd> {
        Systemd::over(None, || Builder::system()?.method_timeout(CALL_DEADLINE).build())
    }

    /// Connects to the manager of the user who we are: it takes nobody else's calls, not even root's
    /// (`facts/testbed.md`, section 5).
    pub fn of_own_user(uid: u32) -> Result<Systemd> {
        let address = format!("unix:path=/run/user/{uid}/bus");
        Systemd::over(Some(uid), move || Builder::address(address.as_str())?.method_timeout(CALL_DEADLINE).build())
    }

    fn over(user: Option<u32>, connect: impl Fn() -> zbus::Result<Connection> + Send + 'static) -> Result<Systemd> {
        let (send, receive) = channel();
        // A hung bus takes the connection and never says hello, and nothing of zbus bounds that.
        std::thread::Builder::new().name("bus".to_owned()).spawn(move || send.send(patiently(connect)))?;
        let connection = receive.recv_timeout(CALL_DEADLINE).context("the message bus does not answer")?;
        Ok(Systemd { connection: connection.context("connect to the message bus")?, user })
    }

    fn call<B: serde::Serialize + DynamicType>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> zbus::Result<Message> {
        patiently(|| self.connection.call_method(Some(SERVICE), path, Some(interface), method, body))
    }

    /// A new connection to the same manager.
    fn again(&self) -> Result<Systemd> {
        match self.user {
            Some(uid) => Systemd::of_own_user(uid),
            None => Systemd::connect(),
        }
    }

    /// Whether a unit is started at boot, in systemd's words: `enabled`, `disabled`, …
    pub fn unit_file_state(&self, name: &str) -> Result<String> {
        Ok(self.manager("GetUnitFileState", &name)?.body().deserialize()?)
    }

    fn manager<B: serde::Serialize + DynamicType>(&self, method: &str, body: &B) -> zbus::Result<Message> {
        self.call(MANAGER_PATH, MANAGER, method, body)
    }

    /// Queues one job for each unit, all at once so that systemd orders them, and waits for each
    /// job's own result. The answers stand in the order of the units.
    pub fn run_jobs(&self, job: Job, units: &[String], deadline: Duration) -> Result<Vec<JobEnd>> {
        let started = Instant::now();
        let ends = self.subscribe()?;
        let mut jobs: Vec<Result<OwnedObjectPath, JobEnd>> = Vec::with_capacity(units.len());
        for path in self.queue(job, units) {
            jobs.push(path.map_err(|error| refused(&error)));
        }
        let mut results: Vec<Option<JobEnd>> = jobs.iter().map(|job| job.as_ref().err().cloned()).collect();
        while results.iter().any(Option::is_none) {
            let left = deadline.saturating_sub(started.elapsed());
            let Ok(removed) = ends.recv_timeout(left) else { break };
            let took = started.elapsed();
            let index = jobs.iter().position(|job| job.as_ref().is_ok_and(|path| path.as_str() == removed.path));
            if let Some(index) = index {
                results[index] = Some(JobEnd {
                    outcome: outcome_of(&removed.result),
                    message: format!("job {}", removed.result),
                    took,
                });
            }
        }
        let finish = |(index, result): (usize, Option<JobEnd>)| {
            result.unwrap_or_else(|| self.unanswered(&jobs[index], &units[index], started.elapsed()))
        };
        Ok(results.into_iter().enumerate().map(finish).collect())
    }

    /// systemd 262 takes a whole batch at once, all or nothing; before, and where it will not, one
    /// call for each unit.
    fn queue(&self, job: Job, units: &[String]) -> Vec<zbus::Result<OwnedObjectPath>> {
        if job == Job::TryRestart && units.len() > 1 {
            type Row = (u32, OwnedObjectPath, String, OwnedObjectPath, String);
            let reply = self.manager("EnqueueUnitJobMany", &(units, "try-restart", "replace", 0_u64));
            if let Ok(rows) = reply.and_then(|reply| reply.body().deserialize::<Vec<Row>>()) {
                let path_of = |unit: &String| rows.iter().find(|row| row.2 == *unit).map(|row| row.1.clone());
                let paths: Option<Vec<_>> = units.iter().map(path_of).collect();
                if let Some(paths) = paths {
                    return paths.into_iter().map(Ok).collect();
                }
            }
        }
        units.iter().map(|unit| self.manager(job.method(), &(unit, "replace"))?.body().deserialize()).collect()
    }

    /// No result came: the connection broke (the manager re-executed itself) or time is over. The job
    /// lives on there, so it is looked up and never queued twice.
    fn unanswered(&self, job: &Result<OwnedObjectPath, JobEnd>, unit: &str, took: Duration) -> JobEnd {
        let Ok(job) = job else { return JobEnd { outcome: Outcome::Failed, message: "no job".to_owned(), took } };
        let again = self.again();
        let pending = again.as_ref().is_ok_and(|again| {
            again
                .call(job.as_str(), "org.freedesktop.DBus.Properties", "GetAll", &"org.freedesktop.systemd1.Job")
                .is_ok()
        });
        match again.and_then(|again| again.unit(unit)) {
            Ok(_) if pending => {
                JobEnd { outcome: Outcome::TimedOut, message: "the job did not end in time".to_owned(), took }
            }
            Ok(facts) if facts.is_active() => JobEnd {
                outcome: Outcome::Done,
                message: "the job ended while the manager was away; the unit is active".to_owned(),
                took,
            },
            Ok(facts) => {
                JobEnd { outcome: Outcome::Failed, message: format!("the unit is {}", facts.active_state), took }
            }
            Err(error) => JobEnd { outcome: Outcome::TimedOut, message: format!("{error:#}"), took },
        }
    }

    /// Every end of a job from now on. The thread ends with the connection.
    fn subscribe(&self) -> Result<Receiver<Removed>> {
        let messages = MessageIterator::from(&self.connection);
        self.manager("Subscribe", &()).context("subscribe to systemd's signals")?;
        let rule = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
        self.connection.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "AddMatch", &rule)?;
        let (send, receive) = channel();
        std::thread::Builder::new().name("jobs".to_owned()).spawn(move || {
            for message in messages {
                let Ok(message) = message else { return };
                let header = message.header();
                if header.member().is_none_or(|member| member.as_str() != "JobRemoved") {
                    continue;
                }
                let Ok((_, path, _, result)) = message.body().deserialize::<(u32, OwnedObjectPath, String, String)>()
                else {
                    continue;
                };
                if send.send(Removed { path: path.to_string(), result }).is_err() {
                    return;
                }
            }
        })?;
        Ok(receive)
    }

    /// Asks PID 1 to execute itself again and waits until it answers again.
    pub fn reexecute(self) -> Result<()> {
        self.ask_to_reexecute();
        std::thread::sleep(RETRY);
        Systemd::connect()?.manager("GetDefaultTarget", &()).map(drop).context("systemd after its re-execution")
    }

    /// Asks the manager at the other end to execute itself again, and waits for nothing.
    pub fn ask_to_reexecute(&self) {
        // It goes away before it answers: that is no failure, and no reason to ask again.
        let _ = self.connection.call_method(Some(SERVICE), MANAGER_PATH, Some(MANAGER), "Reexecute", &());
    }

    /// Asks a user's manager to execute itself again, by the signal that it documents; `false` where
    /// that manager does not wait for it (before systemd 250), and would be ended by it.
    pub fn signal_user_manager(&self, unit: &str) -> Result<bool> {
        let main = i32::try_from(self.unit(unit)?.main_pid).unwrap_or(0);
        let process = procs::open(Path::new("/proc"), main).map_err(|gap| anyhow!("{unit}: {gap}"))?;
        if process.blocked_signals().is_none_or(|blocked| blocked & (1 << (SIGNAL_REEXECUTE - 1)) == 0) {
            return Ok(false);
        }
        self.manager("KillUnit", &(unit, "main", SIGNAL_REEXECUTE))
            .map(|_| true)
            .map_err(|error| anyhow!("{}", words_of(&error)))
    }

    /// Starts a unit without waiting for it.
    pub fn start(&self, unit: &str) -> Result<()> {
        self.manager("StartUnit", &(unit, "replace")).map(drop).map_err(|error| anyhow!("{}", words_of(&error)))
    }
}

/// Makes a call again for a while where it failed because the manager or the bus is away.
fn patiently<T>(mut call: impl FnMut() -> zbus::Result<T>) -> zbus::Result<T> {
    let end = Instant::now() + AWAY;
    loop {
        match call() {
            Err(error) if is_away(&error) && Instant::now() < end => std::thread::sleep(RETRY),
            result => return result,
        }
    }
}

fn is_away(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::InputOutput(_) => true,
        zbus::Error::MethodError(name, _, _) => {
            let word = name.as_str().strip_prefix("org.freedesktop.DBus.Error.").unwrap_or_default();
            matches!(word, "NoReply" | "Disconnected" | "ServiceUnknown" | "NameHasNoOwner" | "NoServer")
        }
        _ => false,
    }
}

#[derive(Debug)]
struct Removed {
    path: String,
    result: String,
}

/// Results of jobs (org.freedesktop.systemd1(5), JobRemoved).
fn outcome_of(result: &str) -> Outcome {
    match result {
        "done" => Outcome::Done,
        "timeout" => Outcome::TimedOut,
        "canceled" | "skipped" | "collected" => Outcome::Vanished,
        "invalid" | "unsupported" => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

fn refused(error: &zbus::Error) -> JobEnd {
    JobEnd { outcome: Outcome::Refused, message: words_of(error), took: Duration::ZERO }
}

/// What systemd said, without the name of the error before it.
fn words_of(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(words), _) => words.clone(),
        other => other.to_string(),
    }
}
