//! `bench [COUNT…]`: reexec beside the least that any scanner must do, and beside every other tool on this machine,
//! on the very same processes; 0: the hook alone. See docs/performance.md.
//!
//! It runs in a mount namespace of its own, in which the state of reexec and the package database are its own, so
//! that the machine's are neither measured nor changed. Each pair of commands runs in turn, A B A B, after one run of
//! each that does not count; the ratio is the median of the pairs' ratios, since two runs right after each other share
//! the machine's mood.

use anyhow::{bail, ensure, Context, Result};
use reexec_tests::load::{compile, measure, median, pids_in, Cost, Load, Objects, Streams, SETTLED};
use reexec_tests::peers;
use reexec_tests::place::Scratch;
use reexec_tests::upgrade::{forget, mount_private, set_policy, Upgrade};
use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Rounds that count.
const ROUNDS: usize = 7;
/// The same beside what is one process of a fraction of a second, on which a bar hangs by a hair.
const MANY_ROUNDS: usize = 20;
/// Processes that the other tools are run on at most: some need a minute for more.
const COUNTS: [usize; 3] = [200, 1000, 5000];

/// One process in so many runs between two looks.
const PART: usize = 4;
/// Until those are asleep again.
const ASLEEP: Duration = Duration::from_millis(50);

/// Files of the packages whose upgrades the hook is called for: an ordinary one, and the largest of which the
/// inodes are asked.
const FILES: [usize; 3] = [1, 20, 5000];
/// Set in the mount namespace of our own.
const INSIDE: &str = "REEXEC_BENCH_INSIDE";

/// What we are compared with.
struct Other {
    name: &'static str,
    /// What runs the command where it is not installed.
    runner: Vec<String>,
    command: Vec<String>,
    /// What of ours stands beside it.
    ours: Ours,
    /// The ratio of processor times that we want to stay below.
    at_most: Option<f64>,
    /// Prints pids.
    lists: bool,
    /// It is one process, and soon done.
    single: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    /// The look alone: no package database is asked, nothing is printed.
    Scan,
    /// The same, and every process is asked what it maps, as in the first look since boot.
    Each,
    /// The whole report, with owners and packages, printed.
    Report,
    /// The whole report, from the text of `maps`, as before Linux 6.11.
    Text,
    /// Not ours: the least that a scanner must do by questions, and judges nothing.
    Least,
}

struct Bench {
    reexec: String,
    plugins: String,
    /// A folder with the plugin for dpkg alone, as Debian's package has it.
    dpkg: String,
    nothing: String,
    measure: String,
    yardstick: String,
    scratch: Scratch,
}

impl Bench {
    fn ours(&self, which: Ours) -> Vec<String> {
        let report = [self.reexec.as_str(), "report", "--plugins"];
        let rest: &[&str] = match which {
            Ours::Scan => &[&self.nothing, "--quiet"],
            Ours::Each => &[&self.nothing, "--quiet", "--mappings", "query"],
            Ours::Report => &[&self.plugins],
            Ours::Text => &[&self.plugins, "--mappings", "text"],
            Ours::Least => return vec![self.yardstick.clone(), "query".to_owned()],
        };
        report.iter().chain(rest).map(|&word| word.to_owned()).collect()
    }

    fn others(&self) -> Vec<Other> {
        let yardstick = |mode: &str| vec![self.yardstick.clone(), mode.to_owned()];
        let other = |name, command, ours, at_most, lists| Other {
            name,
            runner: Vec::new(),
            command,
            ours,
            at_most: Some(at_most),
            lists,
            single: true,
        };
        let shell = |line: &str| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
        let grep = || shell("grep -l '(deleted)' /proc/[0-9]*/maps");
        let mut all = vec![
            other("yardstick query: the scan", yardstick("query"), Ours::Scan, 1.25, false),
            Other { at_most: None, ..other("the same, each asked", yardstick("query"), Ours::Each, 0.0, false) },
            other("yardstick query: the report", yardstick("query"), Ours::Report, 1.40, false),
            other("yardstick text: text mode", yardstick("text"), Ours::Text, 1.20, false),
            other("grep (deleted)", grep(), Ours::Report, 0.40, true),
            // What of that bar no scanner by questions can be below on the machine at hand.
            Other { at_most: None, ..other("grep: the yardstick beside", grep(), Ours::Least, 0.0, true) },
        ];
        all.extend(peers::all().into_iter().map(|peer| Other {
            runner: peer.runner,
            single: false,
            ..other(peer.name, peer.command, Ours::Report, peer.at_most, true)
        }));
        all
    }

    fn cost(&self, command: &[String]) -> Result<Cost> {
        measure(std::slice::from_ref(&self.measure), command, Streams::default())
    }

    fn cost_of(&self, other: &Other, to: Option<&Path>) -> Result<Cost> {
        let mut runner = other.runner.clone();
        runner.push(self.measure.clone());
        measure(&runner, &other.command, Streams { from: None, to })
    }

    /// Which of the load a command names: how many rightly, how many wrongly.
    fn names(&self, other: &Other, load: &Load) -> Result<(usize, usize)> {
        let out = self.scratch.join("said");
        self.cost_of(other, Some(&out))?;
        let said = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        let named = pids_in(&said, load);
        Ok((named.intersection(&load.stale).count(), named.difference(&load.stale).count()))
    }

    /// Ours must be exact in every way of looking, or no figure counts.
    fn check(&self, load: &Load) -> Result<()> {
        // At last it relies on what was noted before.
        for (way, more) in [("by questions", "query"), ("from text", "text"), ("first", "auto"), ("again", "auto")] {
            for threads in ["1", "2"] {
                let mut command = self.ours(Ours::Report);
                command.extend(["--format", "json", "--mappings", more, "--threads", threads].map(str::to_owned));
                let out = self.scratch.join("report");
                let streams = Streams { from: None, to: Some(&out) };
                measure(std::slice::from_ref(&self.measure), &command, streams)?;
                let report: serde_json::Value = serde_json::from_slice(&fs::read(&out)?).context("our report")?;
                let rows = report["processes"].as_array().context("processes")?;
                let stale: BTreeSet<i32> = rows
                    .iter()
                    .filter(|row| row["verdict"] != "fresh")
                    .filter_map(|row| i32::try_from(row["pid"].as_i64()?).ok())
                    .filter(|pid| load.pids.contains(pid))
                    .collect();
                let resting = report["summary"]["resting"].as_u64().unwrap_or(0);
                ensure!(way == "first" || (resting > 0) == (way == "again"), "{way}: {resting} processes were known");
                ensure!(stale == load.stale, "{way}, {threads} threads: {} found of {}", stale.len(), load.stale.len());
            }
            if way == "first" {
                sleep(SETTLED);
            }
        }
        Ok(())
    }

    /// The costs of both, in pairs. Before each one process in four wakes up and falls asleep again, so that it has to
    /// be asked anew. What is a single process runs on each processor in turn: two of a virtual
    /// machine differ by a third, and ours has a thread on each.
    fn pairs(
        &self,
        ours: &[String],
        other: impl Fn() -> Result<Cost>,
        (rounds, single): (usize, bool),
        load: &Load,
    ) -> Result<Vec<(Cost, Cost)>> {
        let all = sched_getaffinity(None)?;
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&processor| all.is_set(processor)).collect();
        let pair = |round: usize| {
            load.wake(PART)?;
            sleep(ASLEEP);
            let ours = self.cost(ours)?;
            if single {
                let mut one = CpuSet::new();
                one.set(processors[round % processors.len()]);
                sched_setaffinity(None, &one)?;
            }
            let other = other();
            sched_setaffinity(None, &all)?;
            Ok((ours, other?))
        };
        pair(0)?;
        (0..rounds).map(pair).collect()
    }

    fn row(&self, other: &Other, load: &Load, out: &mut impl Write) -> Result<()> {
        // A tool that takes half a minute tells enough in three rounds.
        let is_long = other.at_most.is_some_and(|ratio| ratio < 0.2) && load.pids.len() > 1000;
        let rounds = match (other.single, is_long) {
            (true, _) => MANY_ROUNDS,
            (false, true) => 3,
            (false, false) => ROUNDS,
        };
        let pairs = self.pairs(&self.ours(other.ours), || self.cost_of(other, None), (rounds, other.single), load)?;
        let of = |value: fn(&(Cost, Cost)) -> f64| median(pairs.iter().map(value).collect());
        let named = match other.lists {
            true => {
                let (right, wrong) = self.names(other, load)?;
                format!("{right:>5} {wrong:>5}")
            }
            false => format!("{:>5} {:>5}", "", ""),
        };
        let ratio = of(|(ours, other)| ours.cpu / other.cpu.max(1.0));
        let bar = match other.at_most {
            Some(most) if ratio <= most => format!("{most:.2}"),
            Some(most) => format!("{most:.2} missed"),
            None => String::new(),
        };
        writeln!(
            out,
            "{:28} {:>9.1} {:>9.1} {:>7.1} {:>9.1} {:>9.1} {:>7.1} {:>7.3} {:>7.3} {named}  {bar}",
            other.name,
            of(|(_, other)| other.cpu) / 1e3,
            of(|(_, other)| other.wall) / 1e3,
            of(|(_, other)| other.peak) / 1024.0,
            of(|(ours, _)| ours.cpu) / 1e3,
            of(|(ours, _)| ours.wall) / 1e3,
            of(|(ours, _)| ours.peak) / 1024.0,
            ratio,
            of(|(ours, other)| ours.wall / other.wall.max(1.0)),
        )?;
        out.flush()?;
        Ok(())
    }

    /// What the hook costs beside the package manager: before and after an upgrade whose old files nobody uses,
    /// and the answer to who does.
    fn hook(&self, files: usize, out: &mut impl Write) -> Result<()> {
        let mut upgrade = Upgrade::install(files, &self.scratch)?;
        let (mut before, mut after, mut answer) = (Vec::new(), Vec::new(), Vec::new());
        let plugin = ["--plugins", &self.dpkg];
        let run = |words: &[&str], from: Option<&Path>| {
            let said = self.scratch.join("said");
            let words: Vec<String> = std::iter::once(self.reexec.as_str())
                .chain(words.iter().copied())
                .chain(plugin)
                .map(str::to_owned)
                .collect();
            let cost = measure(std::slice::from_ref(&self.measure), &words, Streams { from, to: Some(&said) })?;
            Ok::<_, anyhow::Error>((cost.cpu / 1e3, fs::read_to_string(said)?))
        };
        for round in 0..=ROUNDS {
            // Each time as the first upgrade since boot.
            forget()?;
            set_policy("manual")?;
            let (pre, _) = run(&["hook", "dpkg", "--phase", "pre"], Some(&upgrade.announced))?;
            upgrade.replace()?;
            let (post, said) = run(&["hook", "dpkg", "--phase", "post"], None)?;
            ensure!(said.contains(&format!("with {files} files replaced")), "the hook said {said}");
            set_policy("after-transaction")?;
            let (asked, said) = run(&["apply", "--after-transaction", "--verbose"], None)?;
            ensure!(said.contains("their inodes were asked"), "it looked at the processes: {said}");
            if round > 0 {
                before.push(pre);
                after.push(post);
                answer.push(asked);
            }
        }
        let (before, after, answer) = (median(before), median(after), median(answer));
        let hook = before + after;
        writeln!(
            out,
            "{files:>6} files: {before:>7.1} before, {after:>7.1} after, {hook:>7.1} in all; {answer:>7.1} the answer"
        )?;
        Ok(())
    }

    fn run(&self, count: usize, load: &Load, out: &mut impl Write) -> Result<f64> {
        forget()?;
        self.check(load)?;
        let stale = load.stale.len();
        writeln!(out, "\n{count} processes, {stale} of them stale; ours found {stale} and no other, in every mode")?;
        writeln!(
            out,
            "{:28} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>7} {:>7} {:>5} {:>5}  at most",
            "beside", "cpu ms", "wall ms", "MiB", "our cpu", "our wall", "our MiB", "cpu ×", "wall ×", "found", "wrong"
        )?;
        for other in self.others() {
            self.row(&other, load, out)?;
        }
        let with_threads = |threads: &str| {
            let mut command = self.ours(Ours::Each);
            command.extend(["--threads", threads].map(str::to_owned));
            command
        };
        let pairs = self.pairs(&with_threads("2"), || self.cost(&with_threads("1")), (MANY_ROUNDS, true), load)?;
        let ratio = |value: fn(&Cost) -> f64| median(pairs.iter().map(|(two, one)| value(two) / value(one)).collect());
        let (wall, cpu) = (ratio(|cost| cost.wall), ratio(|cost| cost.cpu));
        writeln!(out, "two threads beside one: {wall:.2} of the wall time (0.80), {cpu:.2} of the processor time")?;
        Ok(median(pairs.iter().map(|(_, one)| one.cpu).collect()) / count as f64)
    }
}

/// Copies plugins to where only root may write, since no other one is loaded, or the program. A package manager
/// writes files so, too; what a linker has written is held in smaller pieces by the kernel, and each start is dearer.
fn trusted(folder: &Path, built: &Path, is_meant: impl Fn(&str) -> bool) -> Result<()> {
    fs::create_dir(folder)?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = name == "reexec" || name.starts_with("libreexec_") && name.ends_with(".so");
        if ours && is_meant(&name) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let counts: Vec<usize> = match words.is_empty() {
        true => COUNTS.to_vec(),
        false => words
            .iter()
            .map(|word| word.parse().with_context(|| format!("\"{word}\" is no number")))
            .collect::<Result<_>>()?,
    };
    if !rustix::process::geteuid().is_root() {
        bail!("bench: needs root: nobody else may look at every process");
    }
    if std::env::var_os(INSIDE).is_none() {
        let mut inside = Command::new("unshare");
        inside.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe()?).args(&words);
        return Err(inside.env(INSIDE, "1").exec()).context("unshare");
    }
    let mut out = std::io::stdout();
    write!(out, "{}", peers::unpack()?)?;
    let scratch = Scratch::new("bench")?;
    mount_private(&scratch)?;
    let objects = Objects::copy()?;
    // Beside the objects' folder: plugins are loaded only from where nobody but root writes.
    let place = objects.path().with_extension("plugins");
    let _gone_after = Gone(&place);
    let built = built_folder()?;
    trusted(&place, &built, |_| true)?;
    let dpkg = objects.path().with_extension("dpkg");
    let _gone_too = Gone(&dpkg);
    trusted(&dpkg, &built, |name| name == "libreexec_dpkg.so")?;
    let nothing = scratch.join("nothing");
    fs::create_dir(&nothing)?;
    let load = compile("load", scratch.path())?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let bench = Bench {
        reexec: text(&place.join("reexec")),
        plugins: text(&place),
        dpkg: text(&dpkg),
        nothing: text(&nothing),
        measure: text(&compile("measure", scratch.path())?),
        yardstick: text(&compile("yardstick", scratch.path())?),
        scratch,
    };
    as_after_boot(&mut out)?;
    measure_all(&bench, &load, &objects, &counts, &mut out)
}

/// Frees the names of files that builds and tests have left in the kernel's cache, by the million: each name is
/// found by walking a chain of them. Says what cannot be made so.
fn as_after_boot(out: &mut impl Write) -> Result<()> {
    fs::write("/proc/sys/vm/drop_caches", "2").context("the kernel's cache of names")?;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let paths: BTreeSet<&str> = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    for path in paths.into_iter().filter(|path| path.contains(".so")) {
        let links = fs::metadata(path).map_or(1, |facts| facts.nlink());
        if links > 1 {
            writeln!(
                out,
                "{path} has {links} names, of which perf(1) makes some: its name is asked for in every process"
            )?;
        }
    }
    Ok(())
}

/// Prints all figures, for each number of processes; 0: of the hook alone.
fn measure_all(bench: &Bench, load: &Path, objects: &Objects, counts: &[usize], out: &mut impl Write) -> Result<()> {
    let mut each = Vec::new();
    for &count in counts {
        let load = if count > 0 { Some(Load::start(load, count, objects, &bench.scratch)?) } else { None };
        if let Some(load) = &load {
            each.push((count, bench.run(count, load, out)?));
        }
        writeln!(
            out,
            "the hook, milliseconds of processor time: 1 file at most 15 in all, 20 files at most 5 for the answer"
        )?;
        for files in FILES {
            bench.hook(files, out)?;
        }
    }
    if let (Some((few, first)), Some((many, last))) = (each.iter().find(|(count, _)| *count >= 1000), each.last()) {
        writeln!(out, "\nprocessor time of a process at {many} beside {few}: {:.2} (1.25)", last / first)?;
    }
    Ok(())
}

/// A folder that is removed at the end.
struct Gone<'a>(&'a Path);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0);
    }
}

fn built_folder() -> Result<PathBuf> {
    // target/PROFILE/bench, not a test in deps below it.
    let own = std::env::current_exe()?;
    let folder = own.parent().context("the target folder")?;
    ensure!(folder.join("reexec").is_file(), "{} holds no reexec: make build comes first", folder.display());
    Ok(folder.to_owned())
}
