//! Processes that have not run since an earlier look: nothing of them may be missed.

use anyhow::{ensure, Context, Result};
use reexec_tests::load::SETTLED;
use reexec_tests::place::Scratch;
use reexec_tests::run::run;
use reexec_tests::skip;
use reexec_tests::states::tool;
use reexec_tests::victim::{library, program, Victim};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Where packages keep files: no folder that anybody may write to.
const INSTALLED: &str = "/var/lib";
const SOON: Duration = Duration::from_secs(60);
/// When some processes wake up: behind two looks and the time between them.
const WAKES: &str = "7000";

/// A mount namespace in which the state of reexec is our own, as long as this lives.
struct Apart(Child);

impl Apart {
    fn make() -> Result<Apart> {
        let script = "mkdir -p /run/reexec; mount -t tmpfs tmpfs /run/reexec; echo ready; read end";
        let mut apart = Apart(
            Command::new("unshare")
                .args(["--mount", "sh", "-euc", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
        let mut line = String::new();
        BufReader::new(apart.0.stdout.take().context("its output")?).read_line(&mut line)?;
        ensure!(line == "ready\n", "no mount namespace of our own");
        Ok(apart)
    }

    fn report(&self, tool: &Path, more: &[&str]) -> Result<Value> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.0.id())).arg(tool);
        command.args(["report", "--format", "json", "--plugins", "/nonexistent"]).args(more);
        let output = run(&mut command, b"", SOON)?;
        serde_json::from_slice(&output.stdout).with_context(|| output.errors())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What is said of each of these processes: its verdict, and the causes.
fn said(report: &Value, pids: &[u32]) -> BTreeMap<u32, (String, Value)> {
    let rows = report["processes"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        let pid = u32::try_from(row["pid"].as_u64()?).ok()?;
        pids.contains(&pid).then(|| (pid, (row["verdict"].as_str().unwrap_or("?").to_owned(), row["causes"].clone())))
    };
    rows.iter().filter_map(row).collect()
}

fn resting(report: &Value) -> u64 {
    report["summary"]["resting"].as_u64().unwrap_or(0)
}

fn beside(path: &Path, version: u32) -> Result<PathBuf> {
    let new = path.with_extension("new");
    fs::copy(library(version)?, &new)?;
    Ok(new)
}

fn renamed(path: &Path) -> Result<()> {
    Ok(fs::rename(beside(path, 2)?, path)?)
}

/// Name, what the process does besides mapping a library, what happens to the library while it sleeps, and what is
/// said of it and of its children then (nothing: it is fresh). Nobody says that anything was replaced, so that of a
/// file that keeps its inode it cannot be told with what it was overwritten, nor whether it should lie elsewhere.
type Case = (&'static str, &'static [&'static str], fn(&Path) -> Result<()>, &'static str);

const CASES: &[Case] = &[
    ("untouched", &[], |_| Ok(()), ""),
    ("renamed", &[], renamed, "stale"),
    (
        "recreated",
        &[],
        |path| Ok(fs::remove_file(path).and_then(|()| fs::copy(library(2).unwrap_or_default(), path)).map(drop)?),
        "stale",
    ),
    ("overwritten", &[], |path| Ok(fs::write(path, fs::read(library(2)?)?)?), "unknown"),
    ("truncated", &[], |path| Ok(fs::File::options().write(true).open(path)?.set_len(4096)?), "tainted"),
    ("removed", &[], |path| Ok(fs::remove_file(path)?), "stale"),
    ("identical", &[], |path| Ok(fs::rename(beside(path, 1)?, path)?), ""),
    (
        "folder-moved",
        &[],
        |path| {
            let folder = path.parent().context("a folder")?;
            fs::rename(folder, folder.with_extension("old"))?;
            fs::create_dir(folder)?;
            fs::copy(library(2)?, path)?;
            Ok(())
        },
        "",
    ),
    ("linked", &[], |path| Ok(fs::hard_link(path, path.with_extension("link"))?), ""),
    ("threads", &["threads", "3"], renamed, "stale"),
    ("first-thread-ended", &["leader-exit"], renamed, "stale"),
    ("forked", &["fork"], renamed, "stale"),
    ("shared", &["clone-memory"], renamed, "stale"),
    ("vforked", &["vfork"], renamed, "stale"),
    ("own-mounts", &["new-mounts"], renamed, "stale"),
    ("own-pids", &["new-pids"], renamed, "stale"),
    ("ring", &["uring"], renamed, "stale"),
];

#[test]
fn what_is_replaced_under_who_sleeps_is_told_as_if_each_process_had_been_asked() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    // `OVERLAYFS_SUPER_MAGIC` of include/uapi/linux/magic.h.
    if rustix::fs::statfs(INSTALLED)?.f_type == 0x794c_7630 {
        skip!("{INSTALLED} is on an overlayfs, where each file that was written since boot is looked at closely");
    }
    let (tool, apart, top) = (tool()?, Apart::make()?, Scratch::below(Path::new(INSTALLED), "resting")?);
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755))?;
    let place = |name: &str| -> Result<PathBuf> {
        let folder = top.join(name);
        fs::create_dir(&folder)?;
        fs::copy(library(1)?, folder.join("lib.so"))?;
        fs::copy(program()?, folder.join("prog"))?;
        Ok(folder)
    };
    let words = |folder: &Path, before: &[&str], behind: &[&str]| -> Command {
        let mut command = Command::new(folder.join("prog"));
        command.args(before).arg("map-code").arg(folder.join("lib.so")).args(behind);
        command
    };
    let folders = CASES.iter().map(|case| place(case.0)).collect::<Result<Vec<_>>>()?;
    let late_folders = [(place("late")?, &[][..]), (place("late-shared")?, &["clone-memory"])];
    for (folder, _) in &late_folders {
        fs::copy(library(1)?, folder.join("late.so"))?;
    }
    // Start times are told in hundredths of a second, and who started before its files were written is looked at.
    sleep(Duration::from_millis(100));
    let mut cases = Vec::new();
    for (case, folder) in CASES.iter().zip(folders) {
        // A first thread that ended, and a namespace, come before all else.
        let is_first = |word: &&&str| ["leader-exit", "new-mounts", "new-pids"].contains(*word);
        let (before, behind): (Vec<&str>, Vec<&str>) = case.1.iter().copied().partition(|word| is_first(&word));
        cases.push((case, Victim::begin(&mut words(&folder, &before, &behind))?, folder));
    }
    // Who runs between the looks, alone and where a process that sleeps has the same memory.
    let mut late = Vec::new();
    for (folder, more) in &late_folders {
        let library = folder.join("late.so");
        let library_word = library.to_string_lossy().into_owned();
        let behind = [*more, &["wait", WAKES, "map-code", &library_word]].concat();
        late.push((Victim::begin(&mut words(folder, &[], &behind))?, library));
    }
    for (case, victim, _) in &mut cases {
        victim.wait_until_ready().with_context(|| case.0)?;
    }
    let all: Vec<u32> =
        cases.iter().flat_map(|(_, victim, _)| victim.children().iter().copied().chain([victim.pid()])).collect();

    let first = apart.report(&tool, &[])?;
    ensure!(resting(&first) == 0, "nobody had been looked at: {}", first["summary"]);
    sleep(SETTLED);
    let second = apart.report(&tool, &[])?;
    let known = resting(&second);
    ensure!(said(&second, &all).is_empty(), "nothing was replaced yet: {:?}", said(&second, &all));
    // All but who shares its memory, and whose first thread has ended.
    let can_be_known = cases.len() as u64 - 4;
    ensure!(known >= can_be_known, "{known} known again of {can_be_known}: {}", second["summary"]);

    for (victim, _) in &mut late {
        victim.wait_until_ready()?;
    }
    for (case, _, folder) in &cases {
        (case.2)(&folder.join("lib.so")).with_context(|| case.0)?;
    }
    for (_, library) in &late {
        renamed(library)?;
    }
    let (third, each) = (apart.report(&tool, &[])?, apart.report(&tool, &["--mappings", "text"])?);
    ensure!(resting(&third) > 0, "who kept its files is known as before: {}", third["summary"]);
    ensure!(resting(&each) == 0, "each was to be asked: {}", each["summary"]);
    let all: Vec<u32> = all.into_iter().chain(late.iter().map(|(victim, _)| victim.pid())).collect();
    assert_eq!(said(&third, &all), said(&each, &all), "by what was kept, and with each asked");
    let mut wrong = Vec::new();
    for (case, victim, _) in &cases {
        for pid in victim.children().iter().copied().chain([victim.pid()]) {
            let verdict = said(&third, &[pid]).remove(&pid).map(|(verdict, _)| verdict).unwrap_or_default();
            if verdict != case.3 {
                wrong.push(format!("{} ({pid}): \"{verdict}\" instead of \"{}\"", case.0, case.3));
            }
        }
    }
    for (victim, library) in &late {
        for pid in victim.children().iter().copied().chain([victim.pid()]) {
            if said(&third, &[pid]).get(&pid).is_none_or(|(verdict, _)| verdict != "stale") {
                wrong.push(format!("{} ({pid}) is not stale", library.display()));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
