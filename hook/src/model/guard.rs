//! Facts that forbid an action, whatever the policy says; each with its reason.

use super::owner::{Owner, OwnerKind};
use super::policy::{Action, Circumstances, Step};
use super::unit::{UnitFacts, UnitName, Units};
use std::collections::BTreeSet;
use std::time::Duration;

/// A login, as the login manager tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionFacts {
    /// Its number or name.
    pub id: String,
    /// Whose.
    pub user: String,
    /// The same by number.
    pub uid: u32,
    /// The process that leads it.
    pub leader: u32,
    /// The cgroup of that process's parent: of a display manager, for a desktop.
    pub parent_cgroup: Vec<u8>,
    /// Whether it is a desktop, which ends with its display manager.
    pub is_desktop: bool,
}

/// What must not be disturbed.
#[derive(Debug, Clone, Default)]
pub struct Protected {
    /// Cgroups of ourselves, of whoever ran the transaction, and of what their terminals hang on:
    /// their units and all above them; with words for it.
    pub cgroups: Vec<(Vec<u8>, String)>,
    /// Who is logged in.
    pub sessions: Vec<SessionFacts>,
    /// Cgroups in which somebody works at a terminal: of a login that the login manager does not know.
    pub terminals: Vec<(Vec<u8>, String)>,
}

/// What is known when it is decided.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Units that may be acted on, and those that hang on them.
    pub units: &'a Units,
    /// What must not be disturbed.
    pub protected: &'a Protected,
    /// The moment.
    pub circumstances: &'a Circumstances,
    /// Owners whose user was told of just these files, and those that a soft reboot did not renew.
    pub told: &'a BTreeSet<String>,
}

impl Protected {
    /// Whether somebody's desktop can show a note.
    pub fn has_desktop(&self, uid: u32) -> bool {
        self.sessions.iter().any(|session| session.is_desktop && session.uid == uid)
    }

    /// Why a unit must stay; `None` where nothing that is protected lives in it.
    pub fn reason(&self, unit: &UnitFacts) -> Option<String> {
        let path = unit.cgroup.as_bytes();
        let inside = |inner: &[u8]| {
            let within = inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
            !path.is_empty() && path != b"/" && within
        };
        if let Some((_, what)) = self.cgroups.iter().find(|(inner, _)| inside(inner)) {
            return Some(format!("{what} inside it"));
        }
        let leads = |session: &&SessionFacts| session.leader != 0 && session.leader == unit.main_pid;
        if let Some(session) = self.sessions.iter().find(leads) {
            return Some(format!("session {} of {} runs on it", session.id, session.user));
        }
        if let Some(session) = self.sessions.iter().find(|session| session.is_desktop && inside(&session.parent_cgroup))
        {
            return Some(format!("the desktop of {} (session {}) ends with it", session.user, session.id));
        }
        let (_, who) = self.terminals.iter().find(|(inner, _)| inside(inner))?;
        Some(format!("{who} works at a terminal inside it"))
    }
}

/// Why this owner must be left alone, by fact and whatever the policy says; `None` where it may be
/// acted on.
pub fn forbids(owner: &Owner, steps: &[Step], evidence: &Evidence<'_>) -> Option<String> {
    if let Some(reason) = steps.iter().find_map(|step| misfit(owner, step.action())) {
        return Some(reason);
    }
    let touches = steps.iter().any(|step| step.action().changes());
    match (owner.unit(), owner.kind) {
        (Some(name), OwnerKind::Service | OwnerKind::UserService) if touches => unit_forbids(&name, steps, evidence),
        _ => None,
    }
}

/// Why an action is not for owners of this kind.
fn misfit(owner: &Owner, action: Action) -> Option<String> {
    let is_manager = matches!(owner.kind, OwnerKind::Init | OwnerKind::UserManager);
    match action {
        Action::Ignore | Action::Report | Action::RebootHint | Action::Command => None,
        Action::ReexecManager if is_manager => None,
        Action::ReexecManager => Some(format!("{action} is for managers only")),
        Action::Notify if owner.uid.is_some() => None,
        Action::Notify => Some("there is no user of it to tell".to_owned()),
        Action::SoftReboot if owner.kind == OwnerKind::Container => alone(owner),
        Action::SoftReboot => None,
        Action::Reload | Action::Restart | Action::Ask | Action::Signal if is_manager => {
            Some(format!("a manager cannot take a {action}; it re-executes itself (reexec-manager)"))
        }
        Action::Reload | Action::Restart => alone(owner),
        Action::Ask | Action::Signal => match owner.kind {
            OwnerKind::Container => alone(owner),
            _ => None,
        },
    }
}

/// Why owners of this kind cannot be restarted.
fn alone(owner: &Owner) -> Option<String> {
    match owner.kind {
        OwnerKind::Session => Some("a session ends when its user logs out".to_owned()),
        OwnerKind::Container => Some("the container's runtime restarts it".to_owned()),
        OwnerKind::Loose => Some("it belongs to no unit".to_owned()),
        OwnerKind::Service | OwnerKind::UserService | OwnerKind::Init | OwnerKind::UserManager => None,
    }
}

/// A start limit that is used up is waited for; longer than this, or the step's own deadline, nobody waits.
const MOST_WAIT_FOR_START: Duration = Duration::from_secs(60);

fn unit_forbids(name: &UnitName, steps: &[Step], evidence: &Evidence<'_>) -> Option<String> {
    let has = |action: Action| steps.iter().any(|step| step.action() == action);
    let Some(unit) = evidence.units.get(name) else {
        return Some("its manager could not be asked about it".to_owned());
    };
    if unit.id.ends_with(".scope") && (has(Action::Restart) || has(Action::Reload)) {
        return Some("a scope cannot be restarted, only what started it".to_owned());
    }
    if unit.load_state != "loaded" {
        return Some(format!("its unit file is {}", unit.load_state));
    }
    if let Some(reason) = evidence.protected.reason(unit) {
        return Some(reason);
    }
    if !unit.is_active() {
        return Some(format!("it is {} ({}), and what is stopped is not started", unit.active_state, unit.sub_state));
    }
    if !has(Action::Restart) {
        return None;
    }
    if unit.refuses_stop {
        return Some("it refuses to be stopped by hand (RefuseManualStop=yes)".to_owned());
    }
    if unit.refuses_start {
        return Some("it refuses to be started by hand (RefuseManualStart=yes)".to_owned());
    }
    if unit.service_type == "oneshot" {
        return Some("a oneshot would do its work again".to_owned());
    }
    if let (Some(limit), true) =
        (unit.start_limit, unit.wait_for_start(evidence.circumstances.now) > MOST_WAIT_FOR_START)
    {
        return Some(format!(
            "it was started {} times, and its start limit ({} in {} s) leaves no room",
            unit.recent_starts,
            limit.burst,
            limit.interval.as_secs()
        ));
    }
    let dependents = unit.dependents.iter().map(|dependent| UnitName { name: dependent.clone(), ..name.clone() });
    dependents.into_iter().find_map(|dependent| {
        let facts = evidence.units.get(&dependent).filter(|facts| facts.is_active())?;
        let reason = evidence.protected.reason(facts)?;
        Some(format!("{} hangs on it, and {reason}", dependent.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unit::StartLimit;

    fn unit() -> UnitFacts {
        UnitFacts {
            id: "a.service".into(),
            load_state: "loaded".into(),
            active_state: "active".into(),
            cgroup: "/system.slice/a.service".into(),
            main_pid: 70,
            ..UnitFacts::default()
        }
    }

    fn decide(steps: &[Step], facts: UnitFacts, protected: &Protected) -> Option<String> {
        let owner = Owner::of(7, b"0::/system.slice/a.service\n");
        let desktop = UnitFacts { cgroup: "/system.slice/d.service".into(), ..unit() };
        let units = Units::from([(UnitName::system("a.service"), facts), (UnitName::system("d.service"), desktop)]);
        let circumstances = Circumstances::default();
        let told = BTreeSet::new();
        forbids(&owner, steps, &Evidence { units: &units, protected, circumstances: &circumstances, told: &told })
    }

    fn inside(cgroup: &str) -> Protected {
        Protected { cgroups: vec![(cgroup.as_bytes().to_vec(), "the upgrade runs".to_owned())], ..Protected::default() }
    }

    #[test]
    fn a_unit_is_left_alone_by_fact() {
        let none = Protected::default;
        let refuses = UnitFacts { refuses_stop: true, ..unit() };
        let oneshot = UnitFacts { service_type: "oneshot".into(), ..unit() };
        let dead = UnitFacts { active_state: "inactive".into(), sub_state: "dead".into(), ..unit() };
        let masked = UnitFacts { load_state: "masked".into(), ..unit() };
        let scope = UnitFacts { id: "x.scope".into(), ..unit() };
        let limit = StartLimit { interval: Duration::from_secs(3600), burst: 3 };
        let limited = UnitFacts { start_limit: Some(limit), recent_starts: 3, ..unit() };
        let carries = UnitFacts { dependents: vec!["d.service".into()], ..unit() };
        for (facts, protected, expected) in [
            (unit(), none(), None),
            (unit(), inside("/system.slice/a.service"), Some("the upgrade runs inside it")),
            (unit(), inside("/system.slice/a.service/sub"), Some("the upgrade runs inside it")),
            (unit(), inside("/system.slice/a.service2"), None),
            (refuses, none(), Some("it refuses to be stopped by hand (RefuseManualStop=yes)")),
            (
                UnitFacts { refuses_start: true, ..unit() },
                none(),
                Some("it refuses to be started by hand (RefuseManualStart=yes)"),
            ),
            (oneshot, none(), Some("a oneshot would do its work again")),
            (dead, none(), Some("it is inactive (dead), and what is stopped is not started")),
            (masked, none(), Some("its unit file is masked")),
            (scope, none(), Some("a scope cannot be restarted, only what started it")),
            (limited, none(), Some("it was started 3 times, and its start limit (3 in 3600 s) leaves no room")),
            (carries.clone(), none(), None),
            (carries, inside("/system.slice/d.service"), Some("d.service hangs on it, and the upgrade runs inside it")),
        ] {
            assert_eq!(
                decide(&[Step::Reload, Step::Restart], facts.clone(), &protected).as_deref(),
                expected,
                "{facts:?}"
            );
        }
        let reloads = UnitFacts { refuses_stop: true, service_type: "oneshot".into(), ..unit() };
        assert_eq!(decide(&[Step::Reload], reloads, &none()), None, "a reload stops nothing");
    }

    #[test]
    fn logins_keep_what_they_hang_on() {
        let session = |leader, parent: &str, is_desktop| SessionFacts {
            id: "3".into(),
            user: "alice".into(),
            uid: 1000,
            leader,
            parent_cgroup: parent.as_bytes().to_vec(),
            is_desktop,
        };
        let terminal = (b"/system.slice/a.service".to_vec(), "pid 9 bash".to_owned());
        for (sessions, terminals, expected) in [
            (vec![session(70, "/", false)], vec![], Some("session 3 of alice runs on it")),
            (
                vec![session(71, "/system.slice/a.service", true)],
                vec![],
                Some("the desktop of alice (session 3) ends with it"),
            ),
            (vec![session(71, "/system.slice/a.service", false)], vec![], None),
            (vec![session(71, "/system.slice/gdm.service", true)], vec![], None),
            (vec![], vec![terminal], Some("pid 9 bash works at a terminal inside it")),
        ] {
            let protected = Protected { cgroups: Vec::new(), sessions, terminals };
            assert_eq!(decide(&[Step::Restart], unit(), &protected).as_deref(), expected);
        }
    }

    #[test]
    fn not_every_action_is_for_everybody() {
        let session = Owner::of(7, b"0::/user.slice/user-1000.slice/session-3.scope\n");
        let init = Owner::of(1, b"");
        for (owner, action, allowed) in [
            (&session, Action::Restart, false),
            (&session, Action::Notify, true),
            (&session, Action::Ask, true),
            (&session, Action::ReexecManager, false),
            (&init, Action::Restart, false),
            (&init, Action::ReexecManager, true),
            (&init, Action::Notify, false),
            (&Owner::loose(), Action::Reload, false),
            (&Owner::loose(), Action::Signal, true),
            (&Owner::loose(), Action::Command, true),
        ] {
            assert_eq!(misfit(owner, action).is_none(), allowed, "{action} {owner:?}");
        }
    }
}
