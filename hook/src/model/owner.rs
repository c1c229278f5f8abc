//! Whose a process is: read from its own cgroup, from the root down, byte by byte.
//!
//! A process belongs to its own cgroup, never to its parent's, and its name says nothing.

use super::text;
use super::unit::UnitName;
use super::verdict::words;
use serde::{Deserialize, Serialize};

words! {
    /// The kinds of owners.
    OwnerKind {
        /// A unit of the system manager.
        Service = "service",
        /// A unit of a user's manager.
        UserService = "user-service",
        /// A login session.
        Session = "session",
        /// A container.
        Container = "container",
        /// PID 1.
        Init = "init",
        /// A user's manager.
        UserManager = "user-manager",
        /// Nobody that we know of.
        Loose = "loose",
    }
}

/// Whose a process is. Two processes with equal owners are acted on together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// What kind.
    pub kind: OwnerKind,
    /// Unit, session or container name, in printed form; empty for a loose process.
    pub name: String,
    /// The user, for what belongs to one.
    pub uid: Option<u32>,
    /// The innermost slice, for units.
    pub slice: Option<String>,
    /// The container runtime.
    pub runtime: Option<String>,
}

impl Owner {
    /// Nobody's process.
    pub fn loose() -> Owner {
        Owner::new(OwnerKind::Loose, "", None)
    }

    /// The unit that it is, of the system's manager or of its user's; `None` for whom no manager runs.
    pub fn unit(&self) -> Option<UnitName> {
        match self.kind {
            OwnerKind::Service => Some(UnitName { user: None, name: self.unit_name()? }),
            OwnerKind::UserService => Some(UnitName { user: Some(self.uid?), name: self.unit_name()? }),
            OwnerKind::Session | OwnerKind::Container | OwnerKind::Init | OwnerKind::UserManager | OwnerKind::Loose => {
                None
            }
        }
    }

    /// The unit by which it can be seen whether it stays up: also of a user's manager, which is one itself.
    pub fn seen_as(&self) -> Option<UnitName> {
        match self.kind {
            OwnerKind::UserManager => Some(UnitName::system(&self.unit_name()?)),
            _ => self.unit(),
        }
    }

    /// Its name as its manager has it: reports double the backslashes of `app-x\x2dterm.service`.
    fn unit_name(&self) -> Option<String> {
        String::from_utf8(text::unescape(&self.name)?).ok()
    }

    fn new(kind: OwnerKind, name: &str, uid: Option<u32>) -> Owner {
        Owner { kind, name: name.to_owned(), uid, slice: None, runtime: None }
    }

    /// The owner of the process `pid` whose `/proc/PID/cgroup` has this text.
    pub fn of(pid: i32, cgroup: &[u8]) -> Owner {
        if pid == 1 {
            return Owner::new(OwnerKind::Init, "init", None);
        }
        match cgroup_path(cgroup) {
            Some(path) => Owner::of_path(path),
            None => Owner::loose(),
        }
    }

    fn of_path(path: &[u8]) -> Owner {
        let parts: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
        if parts.contains(&&b".."[..]) {
            return Owner::loose();
        }
        let mut slice = None;
        for (index, part) in parts.iter().enumerate() {
            let rest = &parts[index + 1..];
            if part.ends_with(b".slice") {
                slice = Some(text::escape(part));
                continue;
            }
            let owner = container(part, rest).or_else(|| user(part, rest, slice.as_deref())).or_else(|| unit(part));
            let Some(mut owner) = owner else { break };
            owner.slice = owner.slice.or(slice);
            return owner;
        }
        Owner::loose()
    }
}

/// The path of the process in the hierarchy that says whose it is: the unified one, else
/// `name=systemd` (cgroups(7)). In a container or a hybrid system either may be just `/`.
pub fn cgroup_path(text: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    for line in text.split(|&byte| byte == b'\n') {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let unified = number == b"0" && controllers.is_empty();
        if !unified && controllers != b"name=systemd" {
            continue;
        }
        // The unified hierarchy comes last in the file and wins, unless it is bare.
        if found.is_none() || (unified && path != b"/") {
            found = Some(path);
        }
    }
    found
}

fn unit(part: &[u8]) -> Option<Owner> {
    (is_unit(part, b".service") || is_unit(part, b".scope"))
        .then(|| Owner::new(OwnerKind::Service, &text::escape(part), None))
}

fn is_unit(part: &[u8], suffix: &[u8]) -> bool {
    part.len() > suffix.len() && part.ends_with(suffix)
}

/// What lies below `user-UID.slice`: sessions, the user's manager and its units.
fn user(part: &[u8], rest: &[&[u8]], slice: Option<&str>) -> Option<Owner> {
    let uid_of_slice = slice.and_then(|name| name.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok());
    if let Some(session) = part.strip_prefix(b"session-").and_then(|tail| tail.strip_suffix(b".scope")) {
        let known = !session.is_empty() && uid_of_slice.is_some();
        return known.then(|| Owner::new(OwnerKind::Session, &text::escape(part), uid_of_slice));
    }
    let uid = std::str::from_utf8(part.strip_prefix(b"user@")?.strip_suffix(b".service")?).ok()?.parse().ok()?;
    let manager = || Owner::new(OwnerKind::UserManager, &text::escape(part), Some(uid));
    let mut inner_slice = None;
    for (index, inner) in rest.iter().enumerate() {
        if inner.ends_with(b".slice") {
            inner_slice = Some(text::escape(inner));
            continue;
        }
        if *inner == b"init.scope" {
            return Some(manager());
        }
        if let Some(mut owner) = container(inner, &rest[index + 1..]) {
            owner.uid = Some(uid);
            return Some(owner);
        }
        let owner = unit(inner).map(|owner| Owner {
            kind: OwnerKind::UserService,
            uid: Some(uid),
            slice: inner_slice,
            ..owner
        });
        return Some(owner.unwrap_or_else(manager));
    }
    Some(manager())
}

/// The container that a cgroup folder's name stands for, as the runtimes make them.
fn container(part: &[u8], rest: &[&[u8]]) -> Option<Owner> {
    let named = |runtime: &str, name: &[u8]| Owner {
        runtime: Some(runtime.to_owned()),
        ..Owner::new(OwnerKind::Container, &text::escape(name), None)
    };
    for (prefix, runtime) in [
        (&b"docker-"[..], "docker"),
        (b"libpod-", "podman"),
        (b"crio-", "cri-o"),
        (b"cri-containerd-", "containerd"),
        (b"nerdctl-", "containerd"),
    ] {
        if let Some(id) = part.strip_prefix(prefix).map(|tail| tail.strip_suffix(b".scope").unwrap_or(tail)) {
            if is_id(id) {
                return Some(named(runtime, &id[..12]));
            }
        }
    }
    if let Some(name) = part.strip_prefix(b"systemd-nspawn@").and_then(|tail| tail.strip_suffix(b".service")) {
        // Beside the payload lies the supervisor, which is the host's own process.
        let inside = rest.first() != Some(&&b"supervisor"[..]);
        return (inside && !name.is_empty()).then(|| named("systemd-nspawn", name));
    }
    if let Some(name) = part.strip_prefix(b"machine-").and_then(|tail| tail.strip_suffix(b".scope")) {
        return (!name.is_empty()).then(|| named("machine", name));
    }
    if let Some(name) = part.strip_prefix(b"lxc.payload.") {
        return (!name.is_empty()).then(|| named("lxc", name));
    }
    let name = rest.first().filter(|name| !name.ends_with(b".service") && !name.ends_with(b".scope"));
    match part {
        b"lxc" | b"lxc.payload" => name.map(|name| named("lxc", name)),
        b"docker" => name.filter(|name| is_id(name)).map(|name| named("docker", &name[..12])),
        b"kubepods" => rest.iter().find(|name| is_id(name)).map(|name| named("kubernetes", &name[..12])),
        _ => None,
    }
}

/// A container id: 64 hexadecimal digits in every runtime that names cgroups by id.
fn is_id(name: &[u8]) -> bool {
    name.len() == 64 && name.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4c0d1e2b5a69788796a5b4c3d2e1f03f4c0d1e2b5a69788796a5b4c3d2e1f0";

    fn owner(path: &str) -> (OwnerKind, String, Option<u32>) {
        let found = Owner::of(4242, format!("0::{path}\n").as_bytes());
        (found.kind, found.name, found.uid)
    }

    #[test]
    fn the_cgroup_says_whose_a_process_is() {
        use OwnerKind::*;
        let id = &ID[..12];
        for (path, expected) in [
            ("/system.slice/nginx.service".into(), (Service, "nginx.service", None)),
            ("/system.slice/web.slice/a:b.service".into(), (Service, "a:b.service", None)),
            ("/system.slice/deleg.service/payload/worker-1".into(), (Service, "deleg.service", None)),
            ("/system.slice/system-getty.slice/getty@tty1.service".into(), (Service, "getty@tty1.service", None)),
            ("/system.slice/run-u1.scope".into(), (Service, "run-u1.scope", None)),
            ("/user.slice/user-1000.slice/session-93.scope".into(), (Session, "session-93.scope", Some(1000))),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope".into(),
                (UserManager, "user@1000.service", Some(1000)),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service".into(),
                (UserService, "x.service", Some(1000)),
            ),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
                (Container, id, Some(1000)),
            ),
            (format!("/system.slice/docker-{ID}.scope"), (Container, id, None)),
            (format!("/docker/{ID}"), (Container, id, None)),
            (format!("/machine.slice/libpod-{ID}.scope/container"), (Container, id, None)),
            (format!("/kubepods/burstable/pod1/{ID}"), (Container, id, None)),
            ("/machine.slice/systemd-nspawn@rxdeb.service/payload".into(), (Container, "rxdeb", None)),
            (
                "/machine.slice/systemd-nspawn@rxdeb.service/supervisor".into(),
                (Service, "systemd-nspawn@rxdeb.service", None),
            ),
            ("/machine.slice/machine-c3.scope/payload".into(), (Container, "c3", None)),
            ("/lxc.payload.l1/system.slice/x.service".into(), (Container, "l1", None)),
            ("/system.slice/docker-proxy.service".into(), (Service, "docker-proxy.service", None)),
            ("/".into(), (Loose, "", None)),
            ("/../../elsewhere.service".into(), (Loose, "", None)),
            ("/session-3.scope".into(), (Service, "session-3.scope", None)),
        ] {
            let path: String = path;
            let (kind, name, uid) = expected;
            assert_eq!(owner(&path), (kind, name.to_owned(), uid), "{path}");
        }
    }

    #[test]
    fn the_unified_hierarchy_is_asked_first_unless_it_is_bare() {
        for text in [
            "9:name=systemd:/\n4:memory:/x\n0::/system.slice/a.service\n",
            "9:name=systemd:/system.slice/a.service\n0::/\n",
            "1:name=systemd:/system.slice/a.service\n",
            "9:name=systemd:/system.slice/a.service\n0::/system.slice/a.service\n",
        ] {
            assert_eq!(Owner::of(4242, text.as_bytes()).name, "a.service", "{text}");
        }
        assert_eq!(Owner::of(1, b"0::/init.scope\n").kind, OwnerKind::Init);
    }
}
