//! What is asked of the machine as a whole, or of a user's desktop.

use super::{words_of, Systemd, MANAGER, MANAGER_PATH};
use crate::model::file::Stamp;
use anyhow::{anyhow, bail, Result};
use std::collections::HashMap;
use zbus::zvariant::{OwnedObjectPath, Value};

/// `SD_LOGIND_ROOT_CHECK_INHIBITORS` and `SD_LOGIND_SOFT_REBOOT` of org.freedesktop.login1(5): without the
/// first, systemd before 257 does not let itself be inhibited by anybody where root asks.
const SOFT_REBOOT: u64 = 1 | 1 << 2;
/// Soft reboot came with this version (systemd 254, NEWS).
const SOFT_REBOOT_SINCE: u32 = 254;

/// Lets the service of this timer's name start at a moment; an earlier wish of ours is replaced.
pub fn wake_at(timer: &str, moment: Stamp) -> Result<()> {
    let systemd = Systemd::connect()?;
    let seconds = i64::try_from(moment / 1_000_000_000)?;
    let calendar = jiff::Timestamp::from_second(seconds)?.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    // What is not there cannot be stopped, and need not be.
    if let Ok(job) = systemd.manager("StopUnit", &(timer, "replace")) {
        let _: Result<OwnedObjectPath, _> = job.body().deserialize();
        std::thread::sleep(super::RETRY);
    }
    let properties: Vec<(&str, Value<'_>)> = vec![
        ("Description", Value::from("Act on what waits for a window of the policy")),
        ("TimersCalendar", Value::from(vec![("OnCalendar", calendar.as_str())])),
        ("AccuracyUSec", Value::from(1_000_000_u64)),
        ("RemainAfterElapse", Value::from(false)),
    ];
    let others: Vec<(&str, Vec<(&str, Value<'_>)>)> = Vec::new();
    systemd
        .manager("StartTransientUnit", &(timer, "replace", properties, others))
        .map(drop)
        .map_err(|error| anyhow!("{}", words_of(&error)))
}

impl Systemd {
    /// Takes a mark of somebody else's off a unit: what it asked for was done.
    pub fn unmark(&self, unit: &str, marker: &str) -> Result<()> {
        let properties = vec![("Markers", Value::from(vec![format!("-{marker}")]))];
        self.manager("SetUnitProperties", &(unit, true, properties))
            .map(drop)
            .map_err(|error| anyhow!("{}", words_of(&error)))
    }

    /// Whether the machine is going down, or its user space is.
    pub fn is_stopping(&self) -> Result<bool> {
        let reply = self.call(MANAGER_PATH, "org.freedesktop.DBus.Properties", "Get", &(MANAGER, "SystemState"))?;
        let body = reply.body();
        let state: Value<'_> = body.deserialize()?;
        Ok(matches!(state, Value::Str(state) if state.as_str() == "stopping"))
    }

    /// Restarts all of user space under the same kernel, unless somebody inhibits it.
    pub fn soft_reboot(&self) -> Result<()> {
        let reply = self.call(MANAGER_PATH, "org.freedesktop.DBus.Properties", "Get", &(MANAGER, "Version"))?;
        let version = reply.body().deserialize::<Value<'_>>().ok().map(|value| value.to_string()).unwrap_or_default();
        let digits: String =
            version.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
        if digits.parse::<u32>().unwrap_or(0) < SOFT_REBOOT_SINCE {
            bail!("this systemd ({digits}) has no soft reboot; it came with {SOFT_REBOOT_SINCE}");
        }
        self.connection
            .call_method(
                Some("org.freedesktop.login1"),
                "/org/freedesktop/login1",
                Some("org.freedesktop.login1.Manager"),
                "RebootWithFlags",
                &SOFT_REBOOT,
            )
            .map(drop)
            .map_err(|error| anyhow!("{}", words_of(&error)))
    }

    /// Shows a note on the desktop of the user whose bus this is.
    pub fn show_note(&self, title: &str, text: &str) -> Result<()> {
        const NOTES: &str = "org.freedesktop.Notifications";
        let hints: HashMap<&str, Value<'_>> = HashMap::new();
        let actions: Vec<&str> = Vec::new();
        let body = ("reexec", 0_u32, "system-software-update", title, text, actions, hints, -1_i32);
        self.connection
            .call_method(Some(NOTES), "/org/freedesktop/Notifications", Some(NOTES), "Notify", &body)
            .map(drop)
            .map_err(|error| anyhow!("{}", words_of(&error)))
    }
}
