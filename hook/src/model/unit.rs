//! A unit as its manager tells of it.

use super::file::Stamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A unit of the system's manager, or of a user's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitName {
    /// The user whose manager has it; `None`: the system's.
    pub user: Option<u32>,
    /// Its name, without `.service` where no systemd runs.
    pub name: String,
}

impl UnitName {
    /// A unit of the system.
    pub fn system(name: &str) -> UnitName {
        UnitName { user: None, name: name.to_owned() }
    }
}

/// Units that were asked about.
pub type Units = BTreeMap<UnitName, UnitFacts>;

/// How often a unit may be started (`StartLimitIntervalSec=`, `StartLimitBurst=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartLimit {
    /// Within this time.
    pub interval: Duration,
    /// So many starts are allowed.
    pub burst: u32,
}

/// Properties of one unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its own name, where it was asked for by an alias.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, …
    pub load_state: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active_state: String,
    /// `running`, `exited`, `auto-restart`, …
    pub sub_state: String,
    /// `RefuseManualStop=`.
    pub refuses_stop: bool,
    /// Whether it can be reloaded.
    pub can_reload: bool,
    /// `Type=` of a service; empty for other units.
    pub service_type: String,
    /// Main process; 0: none.
    pub main_pid: u32,
    /// Another one after every start.
    pub invocation: Vec<u8>,
    /// How often systemd has restarted it by itself.
    pub restarts: u32,
    /// How the last run ended: `success`, `exit-code`, `start-limit-hit`, …
    pub result: String,
    /// Its cgroup; empty while it has none.
    pub cgroup: String,
    /// Whether a job for it waits or is at work.
    #[serde(default)]
    pub has_job: bool,
    /// The slice that its processes are put into.
    #[serde(default)]
    pub slice: String,
    /// `RefuseManualStart=`: a restart would not bring it up again.
    pub refuses_start: bool,
    /// Units that stop with it and that a restart of it restarts (`RequiredBy=`, `BoundBy=`,
    /// `ConsistsOf=`).
    pub dependents: Vec<String>,
    /// `None`: it may be started as often as one likes.
    pub start_limit: Option<StartLimit>,
    /// When it was started last, in nanoseconds since 1970; 0: never.
    pub started: Stamp,
    /// Starts that are known of within the limit's interval.
    pub recent_starts: u32,
    /// Open descriptors that its manager keeps for it over a restart (`FileDescriptorStoreMax=`).
    pub stored_descriptors: u32,
    /// `Markers=`: what somebody else has asked its manager for (`needs-restart`, `needs-reload`).
    pub markers: Vec<String>,
}

impl UnitFacts {
    /// Whether it is up.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }

    /// How long a start must wait so that it is within the limit; zero where there is room.
    pub fn wait_for_start(&self, now: Stamp) -> Duration {
        let Some(limit) = self.start_limit.filter(|limit| self.recent_starts >= limit.burst) else {
            return Duration::ZERO;
        };
        let since = Duration::from_nanos(u64::try_from(now - self.started).unwrap_or(0));
        limit.interval.saturating_sub(since)
    }

    /// Whether a job waits for it or is at work on it. Between two of systemd's own attempts there is none.
    pub fn is_changing(&self) -> bool {
        let changing = ["activating", "deactivating", "reloading", "refreshing"];
        let changes = self.has_job || changing.contains(&self.active_state.as_str());
        changes && self.sub_state != "auto-restart"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_where_the_limit_is_used_up() {
        let second = 1_000_000_000;
        let limit = StartLimit { interval: Duration::from_secs(10), burst: 5 };
        for (start_limit, recent_starts, ago, expected) in [
            (None, 9, 1, 0),
            (Some(limit), 4, 1, 0),
            (Some(limit), 5, 1, 9),
            (Some(limit), 5, 10, 0),
            (Some(limit), 5, -1, 10),
        ] {
            let unit = UnitFacts { start_limit, recent_starts, started: 100 * second, ..UnitFacts::default() };
            assert_eq!(unit.wait_for_start((100 + ago) * second).as_secs(), expected, "{unit:?}");
        }
    }
}
