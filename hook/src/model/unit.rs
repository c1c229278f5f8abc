//! A unit as systemd tells of it, and why it must be left alone.

use super::owner::{Owner, OwnerKind};

/// Properties of one unit (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
}

impl UnitFacts {
    /// Whether it is up.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether a job is at work on it. Between two of systemd's own attempts there is none.
    pub fn is_changing(&self) -> bool {
        let changing = ["activating", "deactivating", "reloading", "refreshing"];
        changing.contains(&self.active_state.as_str()) && self.sub_state != "auto-restart"
    }
}

/// What must not be disturbed, as cgroup paths and unit names.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Cgroups of ourselves and of whoever ran the transaction: their units and all above them.
    pub cgroups: Vec<(Vec<u8>, String)>,
}

impl Protected {
    /// Why a unit's cgroup must stay; `None` where nothing that is protected lives in it.
    fn reason(&self, cgroup: &str) -> Option<String> {
        let path = cgroup.as_bytes();
        let inside =
            |inner: &[u8]| inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        let hit = self.cgroups.iter().find(|(inner, _)| !path.is_empty() && path != b"/" && inside(inner));
        hit.map(|(_, what)| format!("{what} runs inside it"))
    }
}

/// Why this owner must be left alone, by fact and whatever the policy says; `None` where it may be
/// acted on.
pub fn forbids(owner: &Owner, unit: Option<&UnitFacts>, protected: &Protected) -> Option<String> {
    match owner.kind {
        OwnerKind::Init | OwnerKind::UserManager => return None,
        OwnerKind::Service => {}
        OwnerKind::Session => return Some("a session ends when its user logs out".to_owned()),
        OwnerKind::Container => return Some("the container's runtime restarts it".to_owned()),
        OwnerKind::UserService => return Some("units of a user's manager are the user's to restart".to_owned()),
        OwnerKind::Loose => return Some("it belongs to no unit".to_owned()),
    }
    let Some(unit) = unit else { return Some("systemd could not be asked about it".to_owned()) };
    if unit.id.ends_with(".scope") {
        return Some("a scope cannot be restarted, only what started it".to_owned());
    }
    if unit.load_state != "loaded" {
        return Some(format!("its unit file is {}", unit.load_state));
    }
    if let Some(reason) = protected.reason(&unit.cgroup) {
        return Some(reason);
    }
    if unit.refuses_stop {
        return Some("it refuses to be stopped by hand (RefuseManualStop=yes)".to_owned());
    }
    if unit.service_type == "oneshot" {
        return Some("a oneshot would do its work again".to_owned());
    }
    if !unit.is_active() {
        return Some(format!("it is {} ({}), and what is stopped is not started", unit.active_state, unit.sub_state));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> UnitFacts {
        UnitFacts {
            id: "a.service".into(),
            load_state: "loaded".into(),
            active_state: "active".into(),
            cgroup: "/system.slice/a.service".into(),
            ..UnitFacts::default()
        }
    }

    #[test]
    fn a_unit_is_left_alone_by_fact() {
        let owner = Owner::of(7, b"0::/system.slice/a.service\n");
        let inside = |cgroup: &str| Protected { cgroups: vec![(cgroup.as_bytes().to_vec(), "the upgrade".to_owned())] };
        for (unit, protected, expected) in [
            (unit(), Protected::default(), None),
            (unit(), inside("/system.slice/a.service"), Some("the upgrade runs inside it")),
            (unit(), inside("/system.slice/a.service/sub"), Some("the upgrade runs inside it")),
            (unit(), inside("/system.slice/a.service2"), None),
            (
                UnitFacts { refuses_stop: true, ..unit() },
                Protected::default(),
                Some("it refuses to be stopped by hand (RefuseManualStop=yes)"),
            ),
            (
                UnitFacts { service_type: "oneshot".into(), ..unit() },
                Protected::default(),
                Some("a oneshot would do its work again"),
            ),
            (
                UnitFacts { active_state: "inactive".into(), sub_state: "dead".into(), ..unit() },
                Protected::default(),
                Some("it is inactive (dead), and what is stopped is not started"),
            ),
            (
                UnitFacts { load_state: "masked".into(), ..unit() },
                Protected::default(),
                Some("its unit file is masked"),
            ),
            (
                UnitFacts { id: "x.scope".into(), ..unit() },
                Protected::default(),
                Some("a scope cannot be restarted, only what started it"),
            ),
        ] {
            assert_eq!(forbids(&owner, Some(&unit), &protected).as_deref(), expected, "{unit:?}");
        }
    }
}
