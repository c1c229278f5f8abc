//! What managers say of units, and the login manager of sessions.

use super::{Systemd, BUS};
use crate::model::guard::SessionFacts;
use crate::model::unit::{StartLimit, UnitFacts};
use anyhow::Result;
use std::collections::HashMap;
use std::time::Duration;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const LOGIN: &str = "org.freedesktop.login1";
const LOGIN_PATH: &str = "/org/freedesktop/login1";
const LOGIN_MANAGER: &str = "org.freedesktop.login1.Manager";

type Properties = HashMap<String, OwnedValue>;

/// A session, with what is needed to tell its user something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// What decides.
    pub facts: SessionFacts,
    /// Its unit: `session-3.scope`.
    pub scope: String,
    /// Its terminal, without `/dev/`; empty: none.
    pub terminal: String,
}

impl Systemd {
    /// What a manager says of a unit; an error where it knows none of that name.
    pub fn unit(&self, name: &str) -> Result<UnitFacts> {
        let path: OwnedObjectPath = self.manager("LoadUnit", &name)?.body().deserialize()?;
        let all = |interface: &str| -> Result<Properties> {
            Ok(self.call(path.as_str(), PROPERTIES, "GetAll", &interface)?.body().deserialize()?)
        };
        let unit = all("org.freedesktop.systemd1.Unit")?;
        let service = match name.ends_with(".service") {
            true => all("org.freedesktop.systemd1.Service")?,
            false => HashMap::new(),
        };
        let burst = number(&unit, "StartLimitBurst");
        let interval = Duration::from_micros(wide(&unit, "StartLimitIntervalUSec"));
        let dependents = ["RequiredBy", "BoundBy", "ConsistsOf"].iter().flat_map(|key| texts(&unit, key));
        Ok(UnitFacts {
            id: text(&unit, "Id"),
            load_state: text(&unit, "LoadState"),
            active_state: text(&unit, "ActiveState"),
            sub_state: text(&unit, "SubState"),
            refuses_stop: flag(&unit, "RefuseManualStop"),
            can_reload: flag(&unit, "CanReload"),
            service_type: text(&service, "Type"),
            main_pid: number(&service, "MainPID"),
            invocation: bytes(&unit, "InvocationID"),
            restarts: number(&service, "NRestarts"),
            result: text(&service, "Result"),
            cgroup: text(&service, "ControlGroup"),
            has_job: unit
                .get("Job")
                .and_then(|value| <(u32, OwnedObjectPath)>::try_from(value.try_clone().ok()?).ok())
                .is_some_and(|(number, _)| number != 0),
            slice: text(&service, "Slice"),
            refuses_start: flag(&unit, "RefuseManualStart"),
            dependents: dependents.collect(),
            start_limit: (burst > 0 && !interval.is_zero()).then_some(StartLimit { interval, burst }),
            started: i128::from(wide(&unit, "InactiveExitTimestamp")) * 1000,
            recent_starts: 0,
            stored_descriptors: number(&service, "NFileDescriptorStore"),
            markers: texts(&unit, "Markers"),
        })
    }

    /// Who is logged in. `parent_cgroup` is left open: processes are not asked about here.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        type Row = (String, u32, String, String, OwnedObjectPath);
        // Asking would start the login manager where it does not run.
        let runs: bool = self
            .connection
            .call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "NameHasOwner", &LOGIN)?
            .body()
            .deserialize()?;
        if !runs {
            return Ok(Vec::new());
        }
        let reply = self.connection.call_method(Some(LOGIN), LOGIN_PATH, Some(LOGIN_MANAGER), "ListSessions", &())?;
        let rows: Vec<Row> = reply.body().deserialize()?;
        let session = |(id, uid, user, _, path): Row| {
            let interface = "org.freedesktop.login1.Session";
            let reply = self.connection.call_method(Some(LOGIN), path.as_str(), Some(PROPERTIES), "GetAll", &interface);
            let all: Properties = reply.ok()?.body().deserialize().ok()?;
            let is_login = matches!(text(&all, "Class").as_str(), "user" | "user-early" | "greeter");
            let facts = SessionFacts {
                id,
                user,
                uid,
                leader: number(&all, "Leader"),
                parent_cgroup: Vec::new(),
                is_desktop: matches!(text(&all, "Type").as_str(), "x11" | "wayland" | "mir"),
            };
            is_login.then(|| Session { facts, scope: text(&all, "Scope"), terminal: text(&all, "TTY") })
        };
        Ok(rows.into_iter().filter_map(session).collect())
    }
}

fn text(properties: &Properties, key: &str) -> String {
    properties.get(key).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
}

fn texts(properties: &Properties, key: &str) -> Vec<String> {
    let value = properties.get(key).and_then(|value| value.try_clone().ok());
    value.and_then(|value| Vec::<String>::try_from(value).ok()).unwrap_or_default()
}

fn flag(properties: &Properties, key: &str) -> bool {
    properties.get(key).and_then(|value| bool::try_from(value).ok()).unwrap_or_default()
}

fn number(properties: &Properties, key: &str) -> u32 {
    properties.get(key).and_then(|value| u32::try_from(value).ok()).unwrap_or_default()
}

fn wide(properties: &Properties, key: &str) -> u64 {
    properties.get(key).and_then(|value| u64::try_from(value).ok()).unwrap_or_default()
}

fn bytes(properties: &Properties, key: &str) -> Vec<u8> {
    properties.get(key).and_then(|value| Vec::<u8>::try_from(value.try_clone().ok()?).ok()).unwrap_or_default()
}
