//! `reexec replace` on real file systems, with real processes, real signals and full disks: at every instant
//! the old file or the new one, whole.
//!
//! Root's state is of the machine, so each test runs in a mount and pid namespace that goes away with it.

use anyhow::{ensure, Context, Result};
use reexec_tests::machine::figure;
use reexec_tests::place::Scratch;
use reexec_tests::run::{run, Output};
use reexec_tests::skip;
use reexec_tests::victim::{compile, library, Victim};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(240);
/// Set in the process that has namespaces of its own.
const INSIDE: &str = "REEXEC_TEST_INSIDE";
/// Set to do all that the issue asks for, and not only what fits into every run.
const IN_FULL: &str = "REEXEC_TEST_IN_FULL";

/// Runs a test of this file once more, where `/var/lib/reexec`, `/run` and `/proc` are its own.
macro_rules! alone {
    ($name:literal, $body:expr) => {{
        if std::env::var_os(INSIDE).is_some() {
            return $body;
        }
        if !rustix::process::geteuid().is_root() {
            skip!("needs root");
        }
        let script = "mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs -o mode=755 tmpfs /var/lib; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--propagation", "private"]);
        command.args(["--", "sh", "-euc", script, "-"]).arg(std::env::current_exe()?).args(["--exact", $name]);
        let said = run(command.arg("--nocapture").env(INSIDE, "1"), b"", LONG * 3)?;
        said.errors().lines().filter_map(|line| line.strip_prefix("figure: ")).for_each(figure);
        ensure!(said.status.success(), "{}\n{}", said.text(), said.errors());
        Ok(())
    }};
}

/// The program, built once.
fn tool() -> Result<&'static Path> {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    if let Some(tool) = TOOL.get() {
        return Ok(tool);
    }
    let built = reexec_tests::states::tool()?;
    Ok(TOOL.get_or_init(|| built))
}

fn reexec(arguments: &[&str]) -> Result<Output> {
    run(Command::new(tool()?).arg("replace").args(arguments), b"", SOON)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// What a call refused, by its exit code and its words.
fn refused(said: &Output, words: &str) -> Result<()> {
    ensure!(said.code() == Some(2) && said.errors().contains(words), "expected {words:?}: {said:?}");
    ensure!(said.errors().lines().count() == 1, "more than a line: {}", said.errors());
    Ok(())
}

#[test]
fn a_file_has_all_rights_of_the_old_one_when_it_takes_its_name() -> Result<()> {
    alone!("a_file_has_all_rights_of_the_old_one_when_it_takes_its_name", rights())
}

fn rights() -> Result<()> {
    use rustix::fs::{getxattr, setxattr, XattrFlags};
    let scratch = Scratch::below(Path::new("/var/tmp"), "rights")?;
    let (new, target) = (scratch.join("new"), scratch.join("target"));
    fs::write(&new, "new")?;
    fs::write(&target, "old")?;
    std::os::unix::fs::chown(&target, Some(12), Some(34))?;
    // capabilities(7): version 2, effective, CAP_NET_BIND_SERVICE.
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // acl(5) as the kernel keeps it: version 2; owner rwx, user 1000 r-x, group r-x, mask r-x, others none.
    let mut list: Vec<u8> = vec![2, 0, 0, 0];
    for (tag, bits, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 5, 1000), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes().iter().chain(&bits.to_le_bytes()).chain(&id.to_le_bytes()));
    }
    let attributes: [(&str, &[u8]); 5] = [
        ("system.posix_acl_access", &list),
        ("security.capability", capability),
        ("user.origin", b"somewhere"),
        ("trusted.mark", b"\0\x01"),
        // A label, as SELinux keeps it; without SELinux the kernel takes any.
        ("security.selinux", b"system_u:object_r:bin_t:s0\0"),
    ];
    fs::set_permissions(&target, fs::Permissions::from_mode(0o6750))?;
    for (name, value) in attributes {
        setxattr(&target, name, value, XattrFlags::empty()).with_context(|| name.to_owned())?;
    }
    let before = fs::metadata(&target)?;
    let traced = scratch.join("traced");
    let said = run(
        Command::new("strace")
            .args(["-f", "-e", "trace=openat,fchmod,fchown,fsetxattr,fsync,linkat,renameat2", "-o"])
            .args([&traced, tool()?])
            .args(["replace", "--later"])
            .args([&new, &target]),
        b"",
        SOON,
    )?
    .success()?;
    ensure!(said.text().starts_with("Replaced "), "{said:?}");
    let after = fs::metadata(&target)?;
    assert_eq!(fs::read(&target)?, b"new");
    assert_eq!((after.uid(), after.gid(), after.mode()), (12, 34, before.mode()));
    ensure!(after.ino() != before.ino(), "it was written to in place");
    for (name, value) in attributes {
        let mut now = vec![0; 100];
        let size = getxattr(&target, name, now.as_mut_slice()).with_context(|| name.to_owned())?;
        assert_eq!(&now[..size], value, "{name}");
    }
    // The order is the promise: nothing of it may come behind the change of the name.
    let traced = fs::read_to_string(&traced)?;
    let at = |what: &str| traced.find(what).with_context(|| format!("no {what} in\n{traced}"));
    let renamed = at("renameat2(")?;
    for what in ["O_EXCL", "fchown(", "fchmod(", "security.capability", "fsync(", "linkat("] {
        ensure!(at(what)? < renamed, "{what} came behind the change of the name:\n{traced}");
    }
    let mut made = traced.lines().filter(|line| line.contains("O_EXCL"));
    ensure!(made.all(|line| line.contains("0600)")), "others may read it while it is written:\n{traced}");

    // Told otherwise.
    let target = scratch.join("other");
    fs::write(&target, "old")?;
    reexec(&["--later", "--mode", "640", "--owner", "daemon:5", text(&new), text(&target)])?.success()?;
    let data = fs::metadata(&target)?;
    assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (1, 5, 0o640));
    reexec(&["--later", "--attributes", "new", text(&new), text(&target)])?.success()?;
    assert_eq!(fs::metadata(&target)?.uid(), 0);
    assert_eq!(names(scratch.path())?, ["new", "other", "target", "traced"]);
    Ok(())
}

#[test]
fn what_cannot_be_replaced_safely_is_refused_by_name() -> Result<()> {
    alone!("what_cannot_be_replaced_safely_is_refused_by_name", refusals())
}

fn refusals() -> Result<()> {
    let scratch = Scratch::below(Path::new("/var/tmp"), "refused")?;
    let path = |name: &str| scratch.join(name);
    fs::write(path("new"), "new")?;
    for folder in ["folder", "open", "theirs", "there", "there/empty"] {
        fs::create_dir(path(folder))?;
    }
    fs::set_permissions(path("open"), fs::Permissions::from_mode(0o777))?;
    std::os::unix::fs::chown(path("theirs"), Some(1234), Some(1234))?;
    symlink("file", path("link"))?;
    fs::write(path("file"), "old")?;
    run(Command::new("mkfifo").arg(path("fifo")), b"", SOON)?.success()?;
    fs::write(path("manifest"), "new\t/x\nnonsense\n")?;
    for (target, words) in [
        ("folder", "is a folder: --folder swaps one"),
        ("fifo", "is a device, a FIFO or a socket"),
        ("link", "is a symbolic link: --follow"),
        ("open/x", "can be written to by everybody"),
        ("theirs/x", "can be written to by its owner, user 1234"),
        ("nowhere/x", "its folder"),
        ("new", "are the same file"),
    ] {
        refused(&reexec(&[text(&path("new")), text(&path(target))])?, words)?;
    }
    for (new, words) in [("folder", "is a folder"), ("fifo", "is no regular file"), ("nothing", "no such file")] {
        let said = reexec(&[text(&path(new)), text(&path("file"))])?;
        refused(&Output { stderr: said.errors().to_lowercase().into_bytes(), ..said }, words)?;
    }
    refused(&reexec(&["--manifest", text(&path("manifest"))])?, "manifest:2: expected NEW, a tab, and TARGET")?;
    refused(&reexec(&["--set", text(&path("there/empty")), text(&path("there"))])?, "nothing is in")?;
    refused(&reexec(&["--root", "/tmp", text(&path("new")), text(&path("file"))])?, "on the running system only")?;
    assert_eq!(fs::read(path("file"))?, b"old");
    // And followed where that was asked for.
    reexec(&["--later", "--follow", text(&path("new")), text(&path("link"))])?.success()?;
    assert_eq!((fs::read(path("file"))?, path("link").is_symlink()), (b"new".to_vec(), true));
    // What keeps the old content is named.
    fs::write(path("file"), "older")?;
    fs::hard_link(path("file"), path("folder/second"))?;
    let said = reexec(&["--later", text(&path("new")), text(&path("file"))])?.success()?;
    let words = said.text().split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(words.contains("folder/second") && words.contains("keeps its old content under other names"), "{words}");
    Ok(())
}

/// A loop that executes a program and opens a library, until it is asked to end.
struct Loop(Child);

impl Loop {
    fn begin(opener: &Path, program: &Path, library: &Path) -> Result<Loop> {
        let mut command = Command::new(opener);
        command.arg("loop").args([program, library]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Loop(command.spawn()?))
    }

    /// How often it did, how often that failed, and how the first of these ended.
    fn end(mut self) -> Result<(u64, u64, u64)> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0.stdout.take().context("its output")?.read_to_string(&mut said)?;
        self.0.wait()?;
        let numbers: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        Ok((numbers[0], numbers[1], numbers[2]))
    }
}

/// Two builds of the program and of its library, and the places that they take.
struct Builds {
    opener: PathBuf,
    programs: [PathBuf; 2],
    libraries: [PathBuf; 2],
    program: PathBuf,
    library: PathBuf,
}

impl Builds {
    fn below(folder: &Path) -> Result<Builds> {
        let take = |from: &Path, name: &str| -> Result<PathBuf> {
            fs::copy(from, folder.join(name))?;
            Ok(folder.join(name))
        };
        let opener = compile("opener.c", &["-ldl"])?;
        let second = compile("opener.c", &["-ldl", "-O2"])?;
        let builds = Builds {
            programs: [take(&opener, "program1")?, take(&second, "program2")?],
            libraries: [take(&library(1)?, "lib1")?, take(&library(2)?, "lib2")?],
            program: take(&opener, "program")?,
            library: take(&library(1)?, "library.so")?,
            opener,
        };
        Ok(builds)
    }
}

#[test]
fn a_program_and_its_library_work_at_every_instant_while_they_are_replaced() -> Result<()> {
    alone!("a_program_and_its_library_work_at_every_instant_while_they_are_replaced", every_instant())
}

fn every_instant() -> Result<()> {
    use reexec::cli::{Cli, Command as Typed};
    use reexec::run::{desk::Desk, replace::replace};
    let scratch = Scratch::below(Path::new("/run"), "instant")?;
    let builds = Builds::below(scratch.path())?;
    let times = if std::env::var_os(IN_FULL).is_some() { 10_000 } else { 500 };
    let runs = Loop::begin(&builds.opener, &builds.program, &builds.library)?;
    let started = Instant::now();
    // As the command does it, but for the start of a process and the look at all others.
    for index in 0..times {
        let pairs = [(&builds.programs, &builds.program), (&builds.libraries, &builds.library)];
        let (new, target) = pairs[index % 2];
        let new = &new[(index / 2 + 1) % 2];
        let words = ["reexec", "replace", "--dry-run", text(new), text(target)];
        let cli = <Cli as clap::Parser>::try_parse_from(words)?;
        let Typed::Replace(mut typed) = cli.command else { anyhow::bail!("another command") };
        (typed.dry_run, typed.later) = (false, true);
        let said = replace(&Desk::open(&typed.common), &typed)?;
        ensure!(said.replaced.files.len() == 1, "{:?}", said.replaced);
        if index % 500 == 499 {
            // What waits to be judged is not what is tested here.
            fs::remove_dir_all("/run/reexec/held")?;
        }
    }
    let took = started.elapsed();
    let (done, failed, first) = runs.end()?;
    figure(&format!("{times} replacements in {took:?}: executed {done} times, {failed} failures"));
    ensure!(failed == 0 && done > 100, "{failed} of {done} failed, the first with {first}");
    ensure!(!names(scratch.path())?.iter().any(|name| name.starts_with(".reexec")), "left over");

    // The whole command, with its look at the processes: the loop's own is an old one, time and again.
    let runs = Loop::begin(&builds.opener, &builds.program, &builds.library)?;
    for index in 0..10 {
        let said = reexec(&[text(&builds.libraries[index % 2]), text(&builds.library)])?;
        ensure!(matches!(said.code(), Some(0)), "{said:?}");
    }
    let (done, failed, first) = runs.end()?;
    ensure!(failed == 0 && done > 20, "{failed} of {done} failed, the first with {first}");

    // The same loop sees what others do.
    for (tool, arguments) in [("cp", &[][..]), ("install", &["-m", "755"])] {
        let runs = Loop::begin(&builds.opener, &builds.program, &builds.library)?;
        for index in 0..80 {
            for (new, target) in [(&builds.programs, &builds.program), (&builds.libraries, &builds.library)] {
                // cp refuses a program that is being executed; that is no failure of this test.
                run(Command::new(tool).args(arguments).arg(&new[index % 2]).arg(target), b"", SOON)?;
            }
        }
        let (done, failed, first) = runs.end()?;
        figure(&format!("the same with {tool}: executed {done} times, {failed} failures, the first with {first}"));
        ensure!(failed > 0, "{tool} never failed in {done} runs");
        for (new, target) in [(&builds.programs, &builds.program), (&builds.libraries, &builds.library)] {
            reexec(&["--later", text(&new[0]), text(target)])?.success()?;
        }
    }
    Ok(())
}

/// A set of 20 files in two folders, with a link, in an old and a new state, and a folder that is missing.
fn make_set(scratch: &Scratch) -> Result<(PathBuf, PathBuf)> {
    let (set, root) = (scratch.join("set"), scratch.join("root"));
    for folder in ["lib", "bin"] {
        fs::create_dir_all(set.join(folder))?;
        fs::create_dir_all(root.join(folder))?;
    }
    for index in 0..9 {
        fs::copy(library(2)?, set.join(format!("lib/lib{index}.so")))?;
        fs::write(set.join(format!("bin/script{index}")), format!("#!/bin/sh\n# new {index}\n"))?;
    }
    fs::create_dir_all(set.join("share/new"))?;
    fs::write(set.join("share/new/data"), "new")?;
    symlink("lib1.so", set.join("lib/lib.so"))?;
    reset(&root)?;
    Ok((set, root))
}

fn reset(root: &Path) -> Result<()> {
    for index in 0..9 {
        let file = root.join(format!("lib/lib{index}.so"));
        let _ = fs::remove_file(&file);
        fs::copy(library(1)?, file)?;
        fs::write(root.join(format!("bin/script{index}")), format!("#!/bin/sh\n# old {index}\n"))?;
    }
    let _ = fs::remove_dir_all(root.join("share"));
    let _ = fs::remove_file(root.join("lib/lib.so"));
    symlink("lib0.so", root.join("lib/lib.so"))?;
    Ok(())
}

/// All of a tree: names with their content, or the text of a link.
fn tree(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder_) = open.pop() {
        for entry in fs::read_dir(&folder_)? {
            let path = entry?.path();
            let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
            if path.is_symlink() {
                all.insert(name, fs::read_link(&path)?.into_os_string().into_encoded_bytes());
            } else if path.is_dir() {
                all.insert(name, Vec::new());
                open.push(path);
            } else {
                all.insert(name, fs::read(&path)?);
            }
        }
    }
    Ok(all)
}

#[test]
fn a_set_that_is_killed_at_any_system_call_is_whole_after_the_next_one() -> Result<()> {
    alone!("a_set_that_is_killed_at_any_system_call_is_whole_after_the_next_one", killed())
}

fn killed() -> Result<()> {
    if !Path::new("/usr/bin/strace").exists() {
        skip!("needs strace (make deps)");
    }
    let scratch = Scratch::below(Path::new("/run"), "killed")?;
    let (set, root) = make_set(&scratch)?;
    let old = tree(&root)?;
    let words = ["replace", "--later", "--set", text(&set), text(&root)];
    let trace = scratch.join("trace");
    let strace = |more: &[&str]| -> Result<Output> {
        let mut command = Command::new("/usr/bin/strace");
        command.args(["-o", text(&trace)]).args(more).arg(tool()?).args(words);
        run(&mut command, b"", SOON)
    };
    strace(&[])?.success()?;
    let new = tree(&root)?;
    ensure!(new != old && new.len() == 24, "{:?}", new.keys());
    let calls = fs::read_to_string(&trace)?;
    let begun = calls.find("replacing.json").context("the journal")?;
    // Each call by its name and its number among those of that name.
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all = Vec::new();
    let mut at = 0;
    for line in calls.lines() {
        let name = line.split('(').next().unwrap_or_default();
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let number = numbers.entry(name).or_default();
            *number += 1;
            // Names, and what is about them, each time; the rest now and then.
            let counts = ["renameat2", "rename", "linkat", "unlinkat", "unlink", "fsync", "mkdirat"].contains(&name);
            if at >= begun {
                all.push((name, *number, counts));
            }
        }
        at += line.len() + 1;
    }
    let full = std::env::var_os(IN_FULL).is_some();
    let chosen: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|(index, (_, _, counts))| full || index % 37 == 0 || (*counts && index % 5 == 0))
        .collect();
    let (mut finished, mut taken_back) = (0, 0);
    for (_, (name, number, _)) in &chosen {
        reset(&root)?;
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let said = strace(&["-e", &format!("trace={name}"), "-e", &inject])?;
        let again = reexec(&["--recover", "--later"])?;
        let place = || format!("{name} {number}: {said:?}\n{again:?}");
        ensure!(again.code() == Some(0), "{}", place());
        let now = tree(&root)?;
        match (now == old, now == new) {
            (true, _) => taken_back += 1,
            (_, true) => finished += 1,
            _ => {
                let left: Vec<_> =
                    now.iter().filter(|(name, value)| new.get(*name) != Some(value)).map(|(name, _)| name).collect();
                anyhow::bail!("half a set after {}: not new: {left:?}", place());
            }
        }
        let state = names(Path::new("/var/lib/reexec"))?;
        ensure!(state.iter().all(|name| name == "replacing.lock" || name == "replacing.new"), "{state:?} {}", place());
        fs::remove_dir_all("/run/reexec").or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    figure(&format!(
        "killed at {} of {} calls: {taken_back} times all old, {finished} times all new",
        chosen.len(),
        all.len()
    ));
    ensure!(taken_back > 5 && finished > 5, "{taken_back} {finished}");
    Ok(())
}

#[test]
fn the_window_of_a_set_is_measured_beside_that_of_rsync() -> Result<()> {
    alone!("the_window_of_a_set_is_measured_beside_that_of_rsync", windows())
}

/// Both under one instrument, which costs both the same for each change of a name.
fn windows() -> Result<()> {
    if !Path::new("/usr/bin/strace").exists() || !Path::new("/usr/bin/rsync").exists() {
        skip!("needs strace and rsync (make deps)");
    }
    let scratch = Scratch::below(Path::new("/run"), "window")?;
    let (set, root) = make_set(&scratch)?;
    let (trace, tool) = (scratch.join("trace"), text(tool()?));
    let from = format!("{}/", set.display());
    let ours = [tool, "replace", "--later", "--set", text(&set), text(&root)];
    let rsync = ["/usr/bin/rsync", "--recursive", "--checksum", "--delay-updates", &from, text(&root)];
    let mut spans = Vec::new();
    // What takes a name that counts: rsync writes each file under a name with a dot before it, and keeps what is
    // ready in a folder of such a name.
    for words in [ours.as_slice(), rsync.as_slice()] {
        reset(&root)?;
        let mut command = Command::new("/usr/bin/strace");
        command.args(["-f", "-ttt", "-e", "trace=rename,renameat,renameat2", "-o", text(&trace)]).args(words);
        run(&mut command, b"", SOON)?.success()?;
        let traced = fs::read_to_string(&trace)?;
        let done = traced.lines().filter(|line| {
            let from = line.split('"').nth(1).unwrap_or_default();
            let is_new = from.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
            line.ends_with("= 0") && if words[0] == tool { line.contains("renameat2(") } else { !is_new }
        });
        let times: Vec<f64> =
            done.filter_map(|line| line.split_whitespace().find(|word| word.contains('.'))?.parse().ok()).collect();
        ensure!(times.len() >= 18, "{words:?}: {} names changed in\n{traced}", times.len());
        spans.push((times[times.len() - 1] - times[0]) * 1000.0);
    }
    figure(&format!(
        "from the first name of a set to the last, traced: {:.1} ms, with rsync --delay-updates {:.1} ms",
        spans[0], spans[1]
    ));
    Ok(())
}

#[test]
fn a_full_disk_or_an_immutable_file_leaves_all_as_it_was() -> Result<()> {
    alone!("a_full_disk_or_an_immutable_file_leaves_all_as_it_was", full())
}

fn full() -> Result<()> {
    let scratch = Scratch::below(Path::new("/run"), "full")?;
    let (set, _) = make_set(&scratch)?;
    let small = scratch.join("small");
    fs::create_dir(&small)?;
    let sh = |script: &str| run(Command::new("sh").args(["-euc", script]), b"", SOON)?.success();
    sh(&format!("mount -t tmpfs -o size=2m tmpfs {}", text(&small)))?;
    let root = small.join("root");
    fs::create_dir_all(root.join("lib"))?;
    fs::create_dir_all(root.join("bin"))?;
    reset(&root)?;
    let old = tree(&root)?;
    let filler = small.join("filler");
    let (mut failed, mut done) = (0, 0);
    for free in (0..90).step_by(3) {
        let _ = fs::remove_file(&filler);
        let room = rustix::fs::statfs(&small)?;
        let keep: u64 = free * 4096;
        let fill = (room.f_bavail * room.f_bsize as u64).saturating_sub(keep);
        fs::write(&filler, vec![1; usize::try_from(fill)?])?;
        let said = reexec(&["--later", "--set", text(&set), text(&root)])?;
        let now = tree(&root)?;
        match said.code() {
            Some(0) => {
                done += 1;
                let _ = fs::remove_file(&filler);
                reset(&root)?;
            }
            _ => {
                failed += 1;
                ensure!(now == old, "{free}: {said:?}");
                refused(&said, "nothing was changed")?;
                ensure!(said.errors().to_lowercase().contains("no space left"), "{said:?}");
            }
        }
        ensure!(names(Path::new("/var/lib/reexec"))? == ["replacing.lock"], "{said:?}");
    }
    ensure!(failed > 3 && done > 0, "{failed} failed, {done} did not");
    // The state has no room: nothing is even begun.
    let _ = fs::remove_file(&filler);
    sh("mount -t tmpfs -o size=12k,nr_inodes=5 tmpfs /var/lib; mkdir /var/lib/reexec; head -c 12k /dev/zero >/var/lib/f || true")?;
    let said = reexec(&["--later", "--set", text(&set), text(&root)])?;
    refused(&said, "write down what is about to be done")?;
    ensure!(tree(&root)? == old, "{said:?}");
    sh("umount /var/lib")?;
    // Read-only.
    sh(&format!("mount -o remount,ro {}", text(&small)))?;
    let said = reexec(&["--later", "--set", text(&set), text(&root)])?;
    ensure!(said.code() == Some(2) && said.errors().to_lowercase().contains("read-only"), "{said:?}");
    sh(&format!("umount {}", text(&small)))?;
    ensure!(names(Path::new("/var/lib/reexec"))? == ["replacing.lock"], "{said:?}");

    // Immutable: on a file system that knows it.
    let image = scratch.join("image");
    File::create(&image)?.set_len(16 << 20)?;
    sh(&format!("mkfs.ext4 -q {0}; mount -o loop {0} {1}", text(&image), text(&small)))?;
    let root = small.join("root");
    fs::create_dir_all(root.join("lib"))?;
    fs::create_dir_all(root.join("bin"))?;
    reset(&root)?;
    let old = tree(&root)?;
    sh(&format!("chattr +i {}/lib/lib5.so", text(&root)))?;
    refused(&reexec(&["--later", "--set", text(&set), text(&root)])?, "lib5.so or its folder is immutable")?;
    ensure!(tree(&root)? == old, "not as it was");
    sh(&format!("chattr -i {}/lib/lib5.so", text(&root)))?;
    reexec(&["--later", "--set", text(&set), text(&root)])?.success()?;
    sh(&format!("umount {}", text(&small)))?;
    Ok(())
}

#[test]
fn what_does_not_have_its_digest_or_its_signature_changes_nothing() -> Result<()> {
    alone!("what_does_not_have_its_digest_or_its_signature_changes_nothing", vouched())
}

fn vouched() -> Result<()> {
    if !Path::new("/usr/bin/minisign").exists() {
        skip!("needs minisign (make deps)");
    }
    let scratch = Scratch::below(Path::new("/var/tmp"), "vouched")?;
    let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
    let sh = |script: &str| {
        run(Command::new("sh").args(["-euc", script]).current_dir(scratch.path()), b"\n\n", SOON)?.success()
    };
    fs::write(path("new"), vec![7; 200_000])?;
    fs::write(path("target"), "old")?;
    sh("minisign -G -W -p key.pub -s key.sec >/dev/null; minisign -S -W -s key.sec -m new -x new.minisig >/dev/null")?;
    sh("minisign -G -W -p other.pub -s other.sec >/dev/null; sha256sum new >SUMS; minisign -S -W -s key.sec -m SUMS -x SUMS.minisig >/dev/null")?;
    sh("sha256sum --tag new >TAGGED; sed 's/^./0/; s/^0\\(.*\\)/\\1/' SUMS >SHORT; echo >EMPTY; tr a-f0-5 b-f0-6 <SUMS | head -c 64 >WRONG; echo '  new' >>WRONG")?;
    let signed = |key: &str, signature: &str, new: &str| {
        reexec(&["--later", "--key", &path(key), "--signature", &path(signature), &path(new), &path("target")])
    };
    let listed = |list: &str| reexec(&["--later", "--sha256", &path(list), &path("new"), &path("target")]);
    // One bit of the file, one of the signature; another key; another list.
    let mut flipped = fs::read(path("new"))?;
    flipped[123_456] ^= 1;
    fs::write(path("flipped"), flipped)?;
    let signature = fs::read_to_string(path("new.minisig"))?;
    let mut lines: Vec<String> = signature.lines().map(str::to_owned).collect();
    let other = if lines[1].as_bytes()[60] == b'A' { "B" } else { "A" };
    lines[1].replace_range(60..61, other);
    fs::write(path("bad.minisig"), lines.join("\n") + "\n")?;
    for said in [
        signed("key.pub", "new.minisig", "flipped")?,
        signed("key.pub", "bad.minisig", "new")?,
        signed("other.pub", "new.minisig", "new")?,
        signed("new", "new.minisig", "new")?,
        listed("WRONG")?,
        listed("SHORT")?,
        listed("EMPTY")?,
    ] {
        ensure!(said.code() == Some(2), "{said:?}");
        assert_eq!(fs::read(path("target"))?, b"old", "{said:?}");
    }
    ensure!(!names(scratch.path())?.iter().any(|name| name.starts_with(".reexec")), "left over");
    let dry = reexec(&["--dry-run", "--sha256", &path("WRONG"), &path("new"), &path("target")])?;
    refused(&dry, "its SHA-256 is")?;
    // Good ones.
    for arguments in [
        vec!["--key", "key.pub", "--signature", "new.minisig"],
        vec!["--sha256", "SUMS"],
        vec!["--sha256", "TAGGED"],
        vec!["--sha256", "SUMS", "--key", "key.pub", "--signature", "SUMS.minisig"],
    ] {
        fs::write(path("target"), "old")?;
        let mut words = vec!["--later".to_owned()];
        words.extend(arguments.iter().map(|word| if word.starts_with('-') { (*word).to_owned() } else { path(word) }));
        words.extend([path("new"), path("target")]);
        reexec(&words.iter().map(String::as_str).collect::<Vec<_>>())?.success()?;
        assert_eq!(fs::read(path("target"))?, fs::read(path("new"))?);
    }
    Ok(())
}

#[test]
fn who_runs_the_old_is_named_and_is_fresh_again_where_it_comes_back() -> Result<()> {
    alone!("who_runs_the_old_is_named_and_is_fresh_again_where_it_comes_back", judged())
}

fn judged() -> Result<()> {
    let scratch = Scratch::below(Path::new("/var/tmp"), "judged")?;
    let target = scratch.join("lib.so");
    fs::copy(library(1)?, &target)?;
    let victim = Victim::hold(&reexec_tests::victim::program()?, &["map-code", text(&target)])?;
    let other = Victim::hold(&reexec_tests::victim::program()?, &["map-code", text(&library(3)?)])?;
    let said = reexec(&["--format", "json", text(&library(2)?), text(&target)])?.success()?;
    let report: Value = serde_json::from_slice(&said.stdout)?;
    let rows = report["processes"].as_array().context("processes")?;
    let row = rows.iter().find(|row| row["pid"] == victim.pid()).with_context(|| format!("{report:#}"))?;
    assert_eq!((&row["verdict"], rows.iter().any(|row| row["pid"] == other.pid())), (&"stale".into(), false));
    let cause = &row["causes"][0];
    assert_eq!((&cause["path"], &cause["method"]), (&text(&target).into(), &"renamed".into()), "{cause:#}");
    assert_eq!(report["replaced"]["files"][0]["path"], text(&target));
    // The report of later still knows it, as of any transaction.
    let later = run(Command::new(tool()?).args(["report", "--format", "json"]), b"", SOON)?;
    let later: Value = serde_json::from_slice(&later.stdout)?;
    ensure!(
        later["processes"].as_array().is_some_and(|rows| rows.iter().any(|row| row["pid"] == victim.pid())),
        "{later:#}"
    );
    // From standard input, and as an ordinary user who owns the folder.
    let said = run(Command::new(tool()?).args(["replace", "--later", "-", text(&target)]), b"from a pipe", SOON)?;
    said.success()?;
    assert_eq!(fs::read(&target)?, b"from a pipe");
    let home = scratch.join("home");
    fs::create_dir(&home)?;
    fs::write(home.join("file"), "old")?;
    for path in [home.clone(), home.join("file")] {
        std::os::unix::fs::chown(path, Some(61_236), Some(61_236))?;
    }
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    fs::copy(tool()?, scratch.join("reexec"))?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "61236", "--regid", "61236", "--clear-groups", "--"]).arg(scratch.join("reexec"));
    command.args(["replace", "-", text(&home.join("file"))]).env("HOME", &home).env_remove("XDG_STATE_HOME");
    run(&mut command, b"new", SOON)?.success()?;
    assert_eq!(fs::read(home.join("file"))?, b"new");
    assert_eq!(names(&home)?, [".local", "file"]);
    Ok(())
}

#[test]
fn a_folder_is_exchanged_and_a_version_link_is_flipped_in_one_step() -> Result<()> {
    alone!("a_folder_is_exchanged_and_a_version_link_is_flipped_in_one_step", folders())
}

fn folders() -> Result<()> {
    let scratch = Scratch::below(Path::new("/var/tmp"), "folders")?;
    let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
    for (folder, version) in [("app", 1), ("app.next", 2), ("v1", 1), ("v2", 2)] {
        fs::create_dir_all(scratch.join(folder).join("lib"))?;
        fs::copy(library(version)?, scratch.join(folder).join("lib/lib.so"))?;
    }
    symlink("v1", path("current"))?;
    let program = reexec_tests::victim::program()?;
    // Younger than all new files: what counts is when names changed.
    std::thread::sleep(Duration::from_millis(1100));
    let victim = Victim::hold(&program, &["map-code", &path("app/lib/lib.so")])?;
    let linked = Victim::hold(&program, &["map-code", &path("current/lib/lib.so")])?;
    let stale = |arguments: &[&str]| -> Result<Vec<u64>> {
        let said = reexec(&[&["--format", "json", "--folder"], arguments].concat())?;
        ensure!(said.code() == Some(0), "{said:?}");
        let report: Value = serde_json::from_slice(&said.stdout)?;
        let rows = report["processes"].as_array().context("processes")?;
        let pids = rows.iter().filter(|row| row["verdict"] == "stale").filter_map(|row| row["pid"].as_u64());
        Ok(pids.collect())
    };
    assert_eq!(stale(&[&path("app.next"), &path("app")])?, [u64::from(victim.pid())]);
    assert_eq!(fs::read(path("app/lib/lib.so"))?, fs::read(library(2)?)?);
    assert_eq!(fs::read(path("app.next/lib/lib.so"))?, fs::read(library(1)?)?, "the old tree is kept for going back");
    assert_eq!(stale(&[&path("v2"), &path("current")])?, [u64::from(linked.pid())]);
    assert_eq!(fs::read_link(path("current"))?, Path::new("v2"), "as relative as it was");
    // And back again: the very inodes.
    assert_eq!(stale(&[&path("app.next"), &path("app")])?, [0_u64; 0]);
    assert_eq!(names(scratch.path())?, ["app", "app.next", "current", "v1", "v2"]);
    let said = reexec(&["--folder", &path("v1"), "/run/other"])?;
    refused(&said, "another file system")?;
    Ok(())
}

#[test]
fn what_a_command_replaced_is_told_with_how_and_without_a_list() -> Result<()> {
    alone!("what_a_command_replaced_is_told_with_how_and_without_a_list", bracketed())
}

fn bracketed() -> Result<()> {
    let scratch = Scratch::below(Path::new("/var/tmp"), "bracketed")?;
    let path = |name: &str| scratch.join(name).to_string_lossy().into_owned();
    fs::create_dir(path("new"))?;
    fs::create_dir(path("app"))?;
    fs::create_dir(path("app.next"))?;
    fs::copy(library(2)?, path("new/lib.so"))?;
    fs::copy(library(2)?, path("app.next/lib.so"))?;
    // As a build with SOURCE_DATE_EPOCH leaves it: its time says nothing.
    run(Command::new("touch").args(["-d", "2020-01-01", &path("new/lib.so"), &path("app.next/lib.so")]), b"", SOON)?
        .success()?;
    run(Command::new("tar").args(["-cf", &path("new.tar"), "-C", &path("new"), "lib.so"]), b"", SOON)?.success()?;
    fs::write(path("Makefile"), "install:\n\tinstall -m755 new/lib.so app/lib.so\n")?;
    let program = reexec_tests::victim::program()?;
    let target = path("app/lib.so");
    for (script, how, method, code) in [
        ("cp new/lib.so app/lib.so", "overwritten", "overwritten", 3),
        ("cp -p new/lib.so app/lib.so", "overwritten", "overwritten", 3),
        ("install new/lib.so app/lib.so", "recreated", "recreated", 0),
        ("rsync -c new/lib.so app/lib.so", "renamed", "renamed", 0),
        ("rsync -c --inplace new/lib.so app/lib.so", "overwritten", "overwritten", 3),
        ("rsync -ct --inplace new/lib.so app/lib.so", "overwritten", "overwritten", 3),
        ("rsync -c --delay-updates new/lib.so app/lib.so", "renamed", "renamed", 0),
        ("tar -xf new.tar -C app", "recreated", "recreated", 0),
        ("make -s install", "recreated", "recreated", 0),
        ("mv app/lib.so app/lib.so.old; cp new/lib.so app/lib.so", "moved-aside", "unknown", 0),
        ("mv app app.old; mv app.next app; mv app.old app.next", "folder-swapped", "unknown", 0),
        ("rm app/lib.so", "removed", "removed", 0),
        ("chmod 700 app/lib.so; touch app/lib.so; ln app/lib.so app/second", "", "", 0),
    ] {
        if script.starts_with("rsync") && !Path::new("/usr/bin/rsync").exists() {
            skip!("needs rsync (make deps)");
        }
        fs::remove_dir_all(path("app"))?;
        fs::create_dir(path("app"))?;
        fs::copy(library(1)?, &target)?;
        let victim = Victim::hold(&program, &["map-code", &target])?;
        // Times of files are those of a clock that ticks slowly.
        std::thread::sleep(Duration::from_millis(50));
        let mut command = Command::new(tool()?);
        command.args(["run", "--format", "json", "--output", &path("said"), "--", "sh", "-euc", script]);
        let said = run(command.current_dir(scratch.path()), b"", SOON)?;
        let report: Value = serde_json::from_slice(&fs::read(path("said"))?)?;
        let place = || format!("{script}: {said:?}\n{report:#}");
        ensure!(said.code() == Some(code), "{}", place());
        let changes = report["command"]["changes"].as_array().context("changes")?;
        let of_target: Vec<&str> =
            changes.iter().filter(|row| row["path"] == target.as_str()).filter_map(|row| row["how"].as_str()).collect();
        if how.is_empty() {
            ensure!(changes.is_empty() && report["processes"].is_null(), "{}", place());
            continue;
        }
        // Unlinked and created within one tick of the clock of files: then nothing tells.
        let is = |said: &str, expected: &str| said == expected || (expected == "recreated" && said == "unknown");
        ensure!(of_target.len() == 1 && is(of_target[0], how), "{}", place());
        let rows = report["processes"].as_array().context("processes")?;
        let row = rows.iter().find(|row| row["pid"] == victim.pid()).with_context(place)?;
        let expected = if code == 3 { "tainted" } else { "stale" };
        let said = row["causes"][0]["method"].as_str().unwrap_or_default();
        ensure!(row["verdict"] == expected && is(said, method), "{}", place());
    }
    Ok(())
}

#[test]
fn pip_exchanges_a_folder_and_that_is_told() -> Result<()> {
    alone!("pip_exchanges_a_folder_and_that_is_told", pip())
}

/// A wheel with a library in it, in two versions.
const WHEELS: &str = r#"
import sys, zipfile
for version, library in zip("12", sys.argv[1:]):
    with zipfile.ZipFile(f"plug-{version}-py3-none-any.whl", "w") as wheel:
        wheel.write(library, "plug/lib.so")
        info = f"plug-{version}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: plug\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
"#;

fn pip() -> Result<()> {
    let pip = reexec_tests::bed::cache().join("tools/python/bin/pip");
    if !pip.exists() {
        skip!("needs pip (make deps)");
    }
    let scratch = Scratch::below(Path::new("/var/tmp"), "pip")?;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", WHEELS]).args([library(1)?, library(2)?]).current_dir(scratch.path());
    run(&mut python, b"", SOON)?.success()?;
    let venv = "/usr/bin/python3 -m venv --without-pip site";
    run(Command::new("sh").args(["-euc", venv]).current_dir(scratch.path()), b"", SOON)?.success()?;
    let install = |version: u32| {
        format!(
            "{} -q --disable-pip-version-check --python site/bin/python install --no-index plug-{version}-py3-none-any.whl",
            pip.display()
        )
    };
    exchanged(&scratch, [&install(1), &install(2)], "site/lib/python3*/site-packages/plug/lib.so")
}

#[test]
fn npm_exchanges_a_folder_and_that_is_told() -> Result<()> {
    alone!("npm_exchanges_a_folder_and_that_is_told", npm())
}

fn npm() -> Result<()> {
    if !Path::new("/usr/bin/npm").exists() {
        skip!("needs npm, which Debian brings with some hundred packages: `make deps` does not install it");
    }
    let scratch = Scratch::below(Path::new("/var/tmp"), "npm")?;
    let mut made = String::from("mkdir app\n");
    for version in 1..=2 {
        made += &format!(
            "mkdir package; cp {} package/lib.so; echo '{{\"name\":\"plug\",\"version\":\"{version}.0.0\"}}' >package/package.json
             tar -czf {version}.tgz package; rm -r package\n",
            library(version)?.display()
        );
    }
    run(Command::new("sh").args(["-euc", &made]).current_dir(scratch.path()), b"", SOON)?.success()?;
    let install = |version: u32| {
        format!(
            "cd app; HOME=$PWD npm_config_cache=$PWD/cache npm install --offline --no-audit --no-fund ../{version}.tgz"
        )
    };
    exchanged(&scratch, [&install(1), &install(2)], "app/node_modules/plug/lib.so")
}

/// Has the first installed, and the second by `run` while a process maps the first one's library.
fn exchanged(scratch: &Scratch, install: [&str; 2], library: &str) -> Result<()> {
    let shell = |script: &str| run(Command::new("sh").args(["-euc", script]).current_dir(scratch.path()), b"", SOON);
    shell(install[0])?.success()?;
    let target = shell(&format!("realpath {library}"))?.success()?.text();
    let victim = Victim::hold(&reexec_tests::victim::program()?, &["map-code", &target])?;
    std::thread::sleep(Duration::from_millis(50));
    let mut command = Command::new(tool()?);
    command.args(["run", "--format", "json", "--output", "said", "--", "sh", "-euc", install[1]]);
    let said = run(command.current_dir(scratch.path()), b"", SOON)?;
    let report: Value = serde_json::from_slice(&fs::read(scratch.join("said"))?)?;
    let place = || format!("{said:?}\n{report:#}");
    ensure!(said.code() == Some(0), "{}", place());
    let changes = report["command"]["changes"].as_array().with_context(place)?;
    let change = changes.iter().find(|row| row["path"] == target.as_str()).with_context(place)?;
    assert_eq!(change["how"], "folder-swapped", "{}", place());
    let mut rows = report["processes"].as_array().into_iter().flatten();
    let row = rows.find(|row| row["pid"] == victim.pid()).with_context(place)?;
    assert_eq!((&row["verdict"], &row["causes"][0]["path"]), (&"stale".into(), &target.into()), "{}", place());
    Ok(())
}

#[test]
fn a_bracketed_command_has_its_own_input_signals_and_exit_status() -> Result<()> {
    alone!("a_bracketed_command_has_its_own_input_signals_and_exit_status", own_status())
}

fn own_status() -> Result<()> {
    let bracket = |script: &str| {
        let mut command = Command::new(tool()?);
        command.args(["run", "--", "sh", "-c", script]);
        anyhow::Ok(command)
    };
    let said = run(&mut bracket("cat; exit 7")?, b"input", SOON)?;
    assert_eq!((said.code(), said.text().as_str()), (Some(7), "input"));
    ensure!(said.errors().contains("the command ended with 7"), "{said:?}");
    let said = run(&mut bracket("kill -SEGV $$")?, b"", SOON)?;
    assert_eq!(said.code(), Some(128 + 11));
    assert_eq!(run(&mut bracket("exit 0")?, b"", SOON)?.code(), Some(0));
    // What is sent to us is passed on, and no signal of the command's is held back.
    let mut child = bracket("trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = [0; 6];
    child.stdout.as_mut().context("its output")?.read_exact(&mut line)?;
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)?;
    let started = Instant::now();
    assert_eq!(child.wait()?.code(), Some(9));
    ensure!(started.elapsed() < SOON, "it did not hear of the signal");
    let said = run(Command::new(tool()?).args(["run", "--", "/nonexistent/command"]), b"", SOON)?;
    refused(&said, "cannot be run")?;
    Ok(())
}
