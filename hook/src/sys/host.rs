//! Facts about the machine.

use super::files::{Links, Root};
use super::procs::namespace_number;
use crate::model::judge::Numbering;
use crate::model::starts::StartsOf;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Kernel release, as `uname -r` prints it.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The id of this boot; empty where `/proc` has none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What start times that are read here count from; `None` where that cannot be told.
pub fn starts_of(boot_id: &str) -> Option<StartsOf> {
    let number = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        namespace_number(link.as_os_str().as_bytes(), kind)
    };
    let (pids, times) = (number("pid")?, number("time").unwrap_or(0));
    (!boot_id.is_empty()).then(|| StartsOf { boot_id: boot_id.to_owned(), pids, times })
}

/// Where the kernel's numbering of processes stands (proc_loadavg(5), proc_stat(5)).
pub fn numbering(proc: &Path) -> Option<Numbering> {
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).ok();
    let (load, stat) = (read("loadavg")?, read("stat")?);
    let started = stat.lines().find_map(|line| line.strip_prefix("processes "))?;
    Some(Numbering {
        last: load.split_ascii_whitespace().last()?.parse().ok()?,
        started: started.parse().ok()?,
        most: read("sys/kernel/pid_max")?.trim().parse().ok()?,
    })
}

/// Our pid as this `/proc` numbers us: another pid namespace's may be mounted there, in which our number is
/// somebody else's. `None` where we are not in it.
pub fn own_pid(proc: &Path) -> Option<i32> {
    std::fs::read_link(proc.join("self")).ok()?.to_str()?.parse().ok()
}

/// Our effective user id.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Our effective user and group ids.
pub fn own_ids() -> (u32, u32) {
    (uid(), rustix::process::getegid().as_raw())
}

/// Columns of the terminal on standard output; `None` where it is none.
pub fn terminal_columns() -> Option<usize> {
    columns(std::io::stdout())
}

/// Columns of the terminal on standard error; `None` where it is none.
pub fn error_columns() -> Option<usize> {
    columns(std::io::stderr())
}

fn columns(of: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(of).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0).or(Some(80))
}

/// Whether standard input is a terminal: nobody has anything for us there.
pub fn input_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// What stands on standard input, cut.
pub fn input_at_most(bytes: u64) -> Vec<u8> {
    use std::io::Read;
    let mut input = Vec::new();
    // What could not be read is no errand, and that is what is said then.
    let _ = std::io::stdin().take(bytes).read_to_end(&mut input);
    input
}

/// Whether standard output is a terminal.
pub fn output_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// Whether standard output goes to the journal: its device and inode are those that systemd has put
/// into `JOURNAL_STREAM` (systemd.exec(5)).
pub fn output_is_journal() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let Ok(found) = rustix::fs::fstat(std::io::stdout()) else { return false };
    stream == format!("{}:{}", found.st_dev, found.st_ino)
}

/// Whether the admin wants no colours anywhere (no-color.org).
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether our `/` is another folder than that of PID 1. Where PID 1 may not be asked: no.
pub fn in_chroot(proc: &Path) -> bool {
    let id = |path: &Path| Root::Own.look(path, Links::Follow).found().map(|facts| facts.id);
    let (own, first) = (id(Path::new("/")), id(&proc.join("1/root/")));
    first.is_some() && own != first
}

/// Whether there is a `/proc` with processes in it: a chroot may have none.
pub fn sees_processes(proc: &Path) -> bool {
    Root::Own.look(&proc.join("self/stat"), Links::Follow).found().is_some()
}

/// Why the machine is to be rebooted anyway: what package managers and the login manager leave behind.
pub fn reboot_pending(root: &Path) -> Option<String> {
    let marks = ["run/reboot-required", "run/systemd/shutdown/scheduled"];
    let mark = marks.iter().map(|mark| root.join(mark)).find(|mark| mark.exists())?;
    Some(mark.display().to_string())
}

/// An address in our own code.
pub fn own_code_address() -> Option<u64> {
    u64::try_from(own_code_address as *const () as usize).ok()
}
