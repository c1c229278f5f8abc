//! The processor's own work, counted in instructions: the same in every run of a build, so that a
//! loss of five percent shows, where times on a shared machine would hide it.

use anyhow::{ensure, Context, Result};
use reexec_tests::fixture::proc_folder;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::run;
use reexec_tests::skip;
use serde_json::{json, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Times a figure that was recorded.
const WORST: f64 = 1.05;
const RECORD: &str = "REEXEC_RECORD";
const LONG: Duration = Duration::from_secs(300);

fn recorded() -> PathBuf {
    workspace().join("tests/bench/instructions.json")
}

/// Another compiler makes other code, and another processor is given other code by the libraries.
fn toolchain() -> Result<String> {
    let version = run(Command::new("rustc").arg("--version"), b"", LONG)?.success()?.text();
    let version = version.split(' ').nth(1).context("a version")?.to_owned();
    let processor = fs::read_to_string("/proc/cpuinfo")?;
    let wide = if processor.contains(" avx2 ") { "avx2" } else { "sse2" };
    Ok(format!("{version} {} {wide}", std::env::consts::ARCH))
}

fn count(command: &[&str]) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(command);
    let said = run(&mut valgrind, b"", LONG)?;
    let errors = said.errors();
    let collected = errors.lines().find_map(|line| line.split_once("Collected : ")).with_context(|| errors.clone())?;
    Ok(collected.1.trim().parse()?)
}

fn released(program: &str) -> Option<PathBuf> {
    let target = std::env::current_exe().ok()?.ancestors().nth(3)?.to_owned();
    Some(target.join("release").join(program)).filter(|path| path.is_file())
}

#[test]
fn no_work_takes_five_percent_more_instructions_than_were_recorded() -> Result<()> {
    if !Path::new("/usr/bin/valgrind").exists() {
        skip!("needs /usr/bin/valgrind (make deps)");
    }
    let (Some(reexec), Some(work)) = (released("reexec"), released("work")) else {
        skip!("needs the released programs (make build)");
    };
    let (toolchain, recorded) = (toolchain()?, recorded());
    let mut figures: Value = serde_json::from_slice(&fs::read(&recorded)?)?;
    let record = std::env::var_os(RECORD).is_some();
    if figures[&toolchain].is_null() && !record {
        skip!("no figures for {toolchain}; {RECORD}=1 records them");
    }
    // The same length of path in every run.
    let place = Scratch::new("fixture")?;
    let fixture = Path::new("/var/tmp/reexec-fixture");
    let _ = fs::remove_file(fixture);
    std::os::unix::fs::symlink(place.path(), fixture)?;
    let outcome = compare(&mut figures[&toolchain], &reexec, &work, fixture, place.path(), record);
    fs::remove_file(fixture)?;
    outcome?;
    if record {
        fs::write(&recorded, format!("{figures:#}\n"))?;
    }
    Ok(())
}

fn compare(figures: &mut Value, reexec: &Path, work: &Path, link: &Path, place: &Path, record: bool) -> Result<()> {
    proc_folder(link, 200)?;
    let (reexec, work) = (reexec.to_string_lossy(), work.to_string_lossy());
    let (proc, none) = (link.join("proc").to_string_lossy().into_owned(), place.to_string_lossy().into_owned());
    // A system without anything: kernels, policies and state of this machine are not what is counted.
    fs::create_dir(link.join("root"))?;
    let root = link.join("root").to_string_lossy().into_owned();
    let look = [
        &*reexec,
        "report",
        "--format",
        "json",
        "--threads",
        "1",
        "--mappings",
        "text",
        "--proc",
        &proc,
        "--root",
        &root,
        "--plugins",
        &none,
    ];
    let found = run(Command::new(look[0]).args(&look[1..]), b"", LONG)?;
    let report: Value = serde_json::from_slice(&found.stdout).with_context(|| found.errors())?;
    ensure!(report["summary"]["scanned"] == 200 && report["summary"]["stale"] == 10, "{}", report["summary"]);
    for (name, command) in [
        ("report", &look[..]),
        ("maps-code", &[&*work, "maps-code"]),
        ("maps-files", &[&*work, "maps-files"]),
        ("stat", &[&*work, "stat"]),
        ("start", &[&*work, "start"]),
        ("starts", &[&*work, "starts"]),
    ] {
        let now = count(command)?;
        if record {
            figures[name] = json!(now);
            continue;
        }
        let before = figures[name].as_u64().with_context(|| format!("{name}: no figure"))?;
        let ratio = now as f64 / before as f64;
        ensure!(ratio <= WORST, "{name}: {now} instructions, {before} were recorded ({ratio:.3} of them)");
    }
    Ok(())
}
