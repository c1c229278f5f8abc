//! Services without systemd: which init script or service folder a daemon belongs to, from facts that
//! only root can have made.

use super::text::path_of;
use crate::model::verdict::words;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

words! {
    /// Who starts and stops a service.
    Supervisor {
        /// OpenRC: `rc-service`.
        OpenRc = "openrc",
        /// runit: `sv`.
        Runit = "runit",
        /// s6: `s6-svc`.
        S6 = "s6",
        /// Init scripts below `/etc/init.d`.
        SysV = "sysvinit",
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Service {
    /// Its name, of the script or the folder.
    pub name: String,
    /// Who starts and stops it.
    pub supervisor: Supervisor,
    /// Its folder, for supervisors that have one for each service.
    pub folder: Option<PathBuf>,
}

/// An init script as text.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its file's name.
    pub name: String,
    /// What it says.
    pub text: Vec<u8>,
}

/// A process, as far as it decides about its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon<'a> {
    /// Its program, as the kernel names it, without " (deleted)".
    pub exe: &'a Path,
    /// Real user id.
    pub uid: u32,
    /// PID files of root's that name it.
    pub pid_files: &'a [PathBuf],
}

/// User ids below this are the system's own (login.defs(5), `UID_MIN`).
const FIRST_PERSON: u32 = 1000;

/// The script that started a daemon: the one that names its PID file, else the one that names its
/// program. Two that do so are nobody's guess. A program that a person runs is no service.
pub fn script_of<'s>(daemon: &Daemon<'_>, scripts: &'s [Script]) -> Option<&'s Script> {
    if daemon.uid >= FIRST_PERSON {
        return None;
    }
    let naming = |path: &Path| only(scripts.iter().filter(|script| mentions(&script.text, path)));
    let of_file = |path: &PathBuf| {
        let older = Path::new("/var").join(path.strip_prefix("/").unwrap_or(path));
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        naming(path)
            .or_else(|| naming(&older))
            .or_else(|| only(scripts.iter().filter(|script| Some(&script.name) == stem.as_ref())))
    };
    daemon.pid_files.iter().find_map(of_file).or_else(|| naming(daemon.exe))
}

fn only<'s>(mut scripts: impl Iterator<Item = &'s Script>) -> Option<&'s Script> {
    let first = scripts.next()?;
    scripts.next().is_none().then_some(first)
}

/// Whether a script has this path as a word, outside of comments.
fn mentions(text: &[u8], path: &Path) -> bool {
    let Some(path) = path.to_str() else { return false };
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"/_.-".contains(byte));
    text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#")).any(|line| {
        line.windows(path.len()).enumerate().any(|(at, part)| {
            let (before, after) = (at.checked_sub(1).and_then(|at| line.get(at)), line.get(at + path.len()));
            part == path.as_bytes() && !is_word(before) && !is_word(after)
        })
    })
}

/// The path of a program without the word that the kernel puts behind the name of one that is gone.
pub fn program_path(exe: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let bytes = exe.as_os_str().as_bytes();
    path_of(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str, text: &str) -> Script {
        Script { name: name.into(), text: text.into() }
    }

    #[test]
    fn a_daemon_is_its_scripts_by_pid_file_or_program() {
        let scripts = [
            script("ssh", "PIDFILE=/run/sshd.pid\n/usr/sbin/sshd $OPTS\n"),
            script("nginx", "DAEMON=/usr/sbin/nginx\nNAME=nginx\n"),
            script("cron", "# not /usr/sbin/sshd\nPIDFILE=/var/run/crond.pid\nDAEMON=/usr/sbin/cron\n"),
            script("x-a", "/usr/bin/x"),
            script("x-b", "'/usr/bin/x' -b"),
            script("longer", "/usr/sbin/nginx-debug"),
        ];
        for (exe, uid, pid_file, expected) in [
            ("/usr/sbin/sshd", 0, Some("/run/sshd.pid"), Some("ssh")),
            ("/usr/sbin/sshd", 0, None, Some("ssh")),
            ("/usr/sbin/cron", 0, Some("/run/crond.pid"), Some("cron")),
            ("/usr/lib/y", 0, Some("/run/nginx.pid"), Some("nginx")),
            ("/usr/sbin/nginx", 33, None, Some("nginx")),
            ("/usr/sbin/nginx", 1000, None, None),
            ("/usr/bin/x", 0, None, None),
            ("/usr/bin/y", 0, None, None),
        ] {
            let files: Vec<PathBuf> = pid_file.map(PathBuf::from).into_iter().collect();
            let daemon = Daemon { exe: Path::new(exe), uid, pid_files: &files };
            assert_eq!(script_of(&daemon, &scripts).map(|script| script.name.as_str()), expected, "{daemon:?}");
        }
    }
}
