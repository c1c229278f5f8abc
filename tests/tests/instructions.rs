//! The processor's own work, counted in instructions: the same in every run of a build, so that a
//! loss of five percent shows, where times on a shared machine would hide it.

use anyhow::{ensure, Context, Result};
use reexec::sys::plugin::{child, Phase, Plugin, Plugins, TriggerInput};
use reexec_tests::counted::{compiler, records, RECORD, VALGRIND};
use reexec_tests::fixture::{dpkg_database, proc_folder, ANNOUNCED};
use reexec_tests::machine::figure;
use reexec_tests::place::{released, workspace, Scratch};
use reexec_tests::run::run;
use reexec_tests::skip;
use serde_json::{json, Value};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Times a figure that was recorded.
const WORST: f64 = 1.05;
/// The same where it was recorded with another compiler or for another processor.
const WORST_OF_OTHERS: f64 = 1.25;
const COUNTING: [&str; 2] = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
const LONG: Duration = Duration::from_secs(300);

fn recorded() -> PathBuf {
    workspace().join("tests/bench/instructions.json")
}

/// Another compiler makes other code, and another processor is given other code by the libraries.
fn toolchain() -> Result<String> {
    let version = compiler()?;
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let wide = if processor.contains(" avx2 ") { "avx2" } else { "sse2" };
    Ok(format!("{version} {} {wide}", std::env::consts::ARCH))
}

fn count(command: &[&str]) -> Result<u64> {
    let mut valgrind = Command::new(VALGRIND);
    // A developer's wish for backtraces is no work of the program.
    valgrind.args(COUNTING).args(command).env_remove("RUST_BACKTRACE");
    let said = run(&mut valgrind, b"", LONG)?;
    counted(&said.errors()).with_context(|| said.errors())
}

/// What callgrind says at its end.
fn counted(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")).and_then(|(_, number)| number.trim().parse().ok())
}

/// A path that is the same in every run, since instructions depend on its length; nothing is left there.
struct Fixed(&'static str);

impl Fixed {
    fn new(path: &'static str) -> Result<Fixed> {
        let fixed = Fixed(path);
        fixed.remove();
        fs::create_dir(path)?;
        Ok(fixed)
    }

    fn remove(&self) {
        let _ = fs::remove_dir_all(self.0);
    }

    fn join(&self, name: &str) -> PathBuf {
        Path::new(self.0).join(name)
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What was recorded, or is being recorded.
struct Figures<'a> {
    rows: &'a mut Value,
    worst: f64,
    record: bool,
}

impl Figures<'_> {
    fn hold(&mut self, name: &str, now: u64) -> Result<()> {
        if self.record {
            self.rows[name] = json!(now);
            return Ok(());
        }
        let before = self.rows[name].as_u64().with_context(|| format!("{name}: no figure; {RECORD}=1 records it"))?;
        let ratio = now as f64 / before as f64;
        figure(&format!("{name}: {ratio:.4} of the {before} instructions that were recorded"));
        ensure!(ratio <= self.worst, "{name}: {now} instructions, {before} were recorded ({ratio:.3} of them)");
        Ok(())
    }
}

#[test]
fn no_work_takes_five_percent_more_instructions_than_were_recorded() -> Result<()> {
    if !Path::new(VALGRIND).exists() {
        skip!("needs {VALGRIND} (make deps)");
    }
    let released = released().context("nothing is released: make build comes first")?;
    let (reexec, work) = (released.join("reexec"), released.join("work"));
    for path in [&reexec, &work] {
        ensure!(path.is_file(), "no released {}: make build comes first", path.display());
    }
    let (toolchain, recorded) = (toolchain()?, recorded());
    let mut all: Value = serde_json::from_slice(&fs::read(&recorded)?)?;
    let record = records();
    let (like, worst) = match all[&toolchain].is_null() && !record {
        false => (toolchain, WORST),
        true => {
            let last = all.as_object().and_then(|all| all.keys().next_back().cloned());
            let other = last.with_context(|| format!("nothing is recorded; {RECORD}=1 records it"))?;
            figure(&format!("nothing is recorded for {toolchain}; held against {other}"));
            (other, WORST_OF_OTHERS)
        }
    };
    let mut figures = Figures { rows: &mut all[&like], worst, record };
    look(&mut figures, &reexec)?;
    for task in ["maps-code", "maps-files", "stat", "start", "starts"] {
        figures.hold(task, count(&[&work.to_string_lossy(), task])?)?;
    }
    hook(&mut figures, &released)?;
    if record {
        fs::write(&recorded, format!("{all:#}\n"))?;
    }
    Ok(())
}

/// A whole report on processes that never were.
fn look(figures: &mut Figures<'_>, reexec: &Path) -> Result<()> {
    let place = Fixed::new("/var/tmp/reexec-fixture")?;
    proc_folder(Path::new(place.0), 200)?;
    // A system without anything: kernels, policies and state of this machine are not what is counted.
    fs::create_dir(place.join("root"))?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (reexec, proc, root, none) =
        (text(reexec), text(&place.join("proc")), text(&place.join("root")), text(&place.join("none")));
    let command = format!(
        "{reexec} report --format json --threads 1 --mappings text --proc {proc} --root {root} --plugins {none}"
    );
    let command: Vec<&str> = command.split(' ').collect();
    let found = run(Command::new(command[0]).args(&command[1..]), b"", LONG)?;
    let report: Value = serde_json::from_slice(&found.stdout).with_context(|| found.errors())?;
    ensure!(report["summary"]["scanned"] == 200 && report["summary"]["stale"] == 10, "{}", report["summary"]);
    figures.hold("report", count(&command)?)
}

/// What the hook does around the upgrade of a package of so many files.
const FILES: usize = 5_000;

fn hook(figures: &mut Figures<'_>, released: &Path) -> Result<()> {
    let place = Fixed::new("/var/tmp/reexec-fixture")?;
    let root = place.join("root");
    let folder = dpkg_database(&root, FILES)?;
    let work = released.join("work");
    let (work, files) = (work.to_string_lossy(), folder.to_string_lossy());
    for task in ["handles", "notes", "inodes"] {
        figures.hold(task, count(&[&work, task, &files])?)?;
    }
    if !rustix::process::geteuid().is_root() {
        figure("what the plugin does is not counted: only root can put one where it may be loaded");
        return Ok(());
    }
    let plugins = Fixed::new("/usr/lib/reexec-fixture")?;
    fs::copy(released.join("libreexec_dpkg.so"), plugins.join("libreexec_dpkg.so"))?;
    let reexec = released.join("reexec");
    let read = |plugin: &Plugin| {
        let trigger = TriggerInput {
            phase: Phase::Pre,
            root: root.clone(),
            arguments: Vec::new(),
            input: ANNOUNCED.into(),
            since: None,
        };
        Ok(plugin.read(&trigger, LONG)?.claims.len())
    };
    // Of the last one nobody knows, so that every list is read to its end.
    let paths: Vec<PathBuf> =
        (0..20).map(|number| format!("/usr/lib/fixture/libfixture-{number:04}.so").into()).collect();
    let nobodys = PathBuf::from("/usr/lib/nobodys.so");
    let paths: Vec<&Path> = paths.iter().chain([&nobodys]).map(PathBuf::as_path).collect();
    let owners = |plugin: &Plugin| {
        let owners = plugin.owners(&root, &paths, LONG)?;
        Ok(owners.each.iter().flatten().count())
    };
    for (name, ask, expected) in [
        ("plugin-read", &read as &dyn Fn(&Plugin) -> Result<usize>, FILES),
        ("plugin-owners", &owners, paths.len() - 1),
    ] {
        let (said, instructions) = asked(&plugins, &reexec, ask).with_context(|| name.to_owned())?;
        ensure!(said == expected, "{name}: {said} of {expected}");
        figures.hold(name, instructions)?;
    }
    Ok(())
}

/// Asks a plugin, whose process runs under valgrind: what it said, and the instructions of that process. Its
/// rights are shed as ever, files cannot be written to, so that what is counted comes through a pipe.
fn asked(plugins: &Fixed, reexec: &Path, ask: &dyn Fn(&Plugin) -> Result<usize>) -> Result<(usize, u64)> {
    let place = Scratch::new("counted")?;
    let (pipe, program) = (place.join("pipe"), place.join("program"));
    run(Command::new("mkfifo").arg(&pipe), b"", LONG)?.success()?;
    let words = COUNTING.join(" ");
    let (log, reexec) = (pipe.display(), reexec.display());
    // Whoever asks ends the process with its group as soon as it has its answer; valgrind has to outlive that.
    fs::write(
        &program,
        format!(
            "#!/bin/sh\nexec 3<&0\n(setsid {VALGRIND} {words} --log-file={log} {reexec} {} <&3 3<&- &)\nexec sleep 300\n",
            child::WORD
        ),
    )?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let reader = std::thread::spawn(move || fs::read_to_string(pipe));
    let plugin = Plugins::new(vec![plugins.0.into()]).started_by(program).find("dpkg")?;
    let said = ask(&plugin)?;
    let Ok(log) = reader.join() else { anyhow::bail!("what valgrind said was lost") };
    let log = log?;
    Ok((said, counted(&log).with_context(|| log.clone())?))
}
