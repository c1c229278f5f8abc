//! The load that scanners are measured on: a handle on `tests/bench/load.c`, and what was measured.

use crate::place::{unique, workspace, Scratch};
use crate::run::run;
use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, Pid, Signal};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Real objects that the processes map, and those of them that are replaced.
const OBJECTS: usize = 400;
const VICTIMS: usize = 5;
/// Smaller ones are stubs, larger ones would fill the disk.
const SIZES: std::ops::Range<u64> = 15 << 10..4 << 20;

/// What a look noted of processes is not relied on for so long, and somewhat longer.
pub const SETTLED: Duration = Duration::from_millis(3500);

/// A program of `tests/bench`, compiled into a folder.
pub fn compile(name: &str, into: &Path) -> Result<PathBuf> {
    let (source, program) = (workspace().join(format!("tests/bench/{name}.c")), into.join(name));
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"]).args([&program, &source]).arg("-pthread");
    run(&mut gcc, b"", Duration::from_secs(60))?.success()?;
    Ok(program)
}

/// Copies of real shared objects, five of them under a victim's name, in a folder that is removed when
/// dropped. It lies below `/usr/lib`: some scanners look at nothing in a folder for temporary files.
#[derive(Debug)]
pub struct Objects(PathBuf);

impl Objects {
    /// Copies what this machine has.
    pub fn copy() -> Result<Objects> {
        let mut found = Vec::new();
        gather(Path::new("/usr/lib"), &mut found)?;
        // The same name may be there for several architectures.
        let mut names = BTreeSet::new();
        found.retain(|path| path.file_name().is_some_and(|name| names.insert(name.to_owned())));
        found.sort();
        let step = (found.len() / OBJECTS).max(1);
        let folder = Objects(Path::new("/usr/lib").join(unique("reexec-bench")));
        fs::create_dir(&folder.0).with_context(|| format!("create {}", folder.0.display()))?;
        for (number, path) in found.iter().step_by(step).take(OBJECTS).enumerate() {
            let name = path.file_name().context("a name")?;
            fs::copy(path, folder.0.join(name))?;
            if number % (OBJECTS / VICTIMS) == 0 {
                fs::copy(path, folder.0.join(format!("victim-{number}.so")))?;
            }
        }
        Ok(folder)
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            // Files that were written by packages, not by an earlier run that was killed.
            if !path.to_string_lossy().contains("reexec-bench") {
                gather(&path, found)?;
            }
        } else if kind.is_file() && path.to_string_lossy().contains(".so") && SIZES.contains(&entry.metadata()?.len()) {
            let mut head = [0; 20];
            let read = fs::File::open(&path)?.read(&mut head)?;
            // A 64-bit shared object (ET_DYN) of elf(5).
            if read == head.len() && head.starts_with(b"\x7fELF\x02") && head[16] == 3 {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Processes that run. Dropping it ends them.
#[derive(Debug)]
pub struct Load {
    leader: Child,
    /// All of its processes.
    pub pids: BTreeSet<i32>,
    /// Those that run an old file.
    pub stale: BTreeSet<i32>,
}

impl Load {
    /// Starts this many, and waits until all are up and the victims were replaced.
    pub fn start(program: &Path, count: usize, objects: &Objects, scratch: &Scratch) -> Result<Load> {
        let truth = scratch.join("truth");
        let mut leader = Command::new(program)
            .arg(count.to_string())
            .args([objects.path(), &truth])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(leader.stdout.take().context("its output")?).read_line(&mut line)?;
        let mut load = Load { leader, pids: BTreeSet::new(), stale: BTreeSet::new() };
        ensure!(line.starts_with("ready "), "the load did not come up");
        load.stale = fs::read_to_string(&truth)?.lines().map(str::parse).collect::<Result<_, _>>()?;
        load.pids = children(load.leader.id())?;
        ensure!(load.pids.len() == count, "{} of {count} processes are up", load.pids.len());
        ensure!(load.stale.is_subset(&load.pids), "a stale process is gone");
        Ok(load)
    }

    /// Wakes one process in so many, which fall asleep again.
    pub fn wake(&self, part: usize) -> Result<()> {
        for &pid in self.pids.iter().step_by(part) {
            kill_process(Pid::from_raw(pid).context("a pid")?, Signal::USR1)?;
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.leader.stdin.take());
        let _ = self.leader.wait();
    }
}

fn children(of: u32) -> Result<BTreeSet<i32>> {
    let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children"))?;
    Ok(list.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

/// What one run of a command cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Wall time in microseconds.
    pub wall: f64,
    /// Processor time of it and its children in microseconds.
    pub cpu: f64,
    /// Memory of its largest process in KiB.
    pub peak: f64,
    /// Exit code.
    pub code: i32,
}

/// What a command reads and where it prints to; nothing and nowhere where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Streams<'a> {
    /// Standard input.
    pub from: Option<&'a Path>,
    /// Standard output and error.
    pub to: Option<&'a Path>,
}

/// Runs a command once by `measure`: the words that run `tests/bench/measure.c`.
pub fn measure(measure: &[String], command: &[String], streams: Streams<'_>) -> Result<Cost> {
    let (program, before) = measure.split_first().context("a program that measures")?;
    let mut runner = Command::new(program);
    // A developer's wish for backtraces is no cost of the program.
    runner.args(before).args(command).env_remove("RUST_BACKTRACE");
    for (name, path) in [("MEASURE_IN", streams.from), ("MEASURE_OUT", streams.to)] {
        if let Some(path) = path {
            runner.env(name, path);
        }
    }
    let said = run(&mut runner, b"", Duration::from_secs(300))?.success()?.text();
    let fields: Vec<f64> = said.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [wall, cpu, peak, code] = fields[..] else { bail!("{command:?}: {said}") };
    ensure!(code < 126.0, "{command:?} ended with {code}");
    Ok(Cost { wall, cpu, peak, code: code as i32 })
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

/// Pids of the load in what a command printed: the first number of each line that is one of them.
pub fn pids_in(text: &str, load: &Load) -> BTreeSet<i32> {
    let first = |line: &str| {
        let words = line.split(|letter: char| !letter.is_alphanumeric());
        words.filter_map(|word| word.parse().ok()).find(|pid| load.pids.contains(pid))
    };
    text.lines().filter_map(first).collect()
}
