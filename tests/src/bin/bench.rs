//! `bench [COUNT…]`: reexec beside the least that any scanner must do, and beside every other tool on
//! this machine, on the very same processes; see docs/performance.md.
//!
//! Each pair of commands runs in turn, A B A B, after one run of each that does not count; the ratio
//! is the median of the pairs' ratios, since two runs right after each other share the machine's mood.

use anyhow::{bail, ensure, Context, Result};
use reexec_tests::load::{compile, measure, median, pids_in, Cost, Load, Objects};
use reexec_tests::place::Scratch;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Rounds that count.
const ROUNDS: usize = 7;
/// Processes that the other tools are run on at most: some need a minute for more.
const COUNTS: [usize; 3] = [200, 1000, 5000];

/// What we are compared with.
struct Other {
    name: &'static str,
    command: Vec<String>,
    /// What of ours stands beside it.
    ours: Ours,
    /// The ratio of processor times that we want to stay below.
    at_most: Option<f64>,
    /// Prints pids.
    lists: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ours {
    /// The look alone: no package database is asked, nothing is printed.
    Scan,
    /// The whole report, with owners and packages, printed.
    Report,
    /// The whole report, from the text of `maps`, as before Linux 6.11.
    Text,
}

struct Bench {
    reexec: String,
    plugins: String,
    nothing: String,
    measure: PathBuf,
    yardstick: String,
    scratch: Scratch,
}

impl Bench {
    fn ours(&self, which: Ours) -> Vec<String> {
        let report = [self.reexec.as_str(), "report", "--plugins"];
        let rest: &[&str] = match which {
            Ours::Scan => &[&self.nothing, "--quiet"],
            Ours::Report => &[&self.plugins],
            Ours::Text => &[&self.plugins, "--mappings", "text"],
        };
        report.iter().chain(rest).map(|&word| word.to_owned()).collect()
    }

    fn others(&self) -> Vec<Other> {
        let yardstick = |mode: &str| vec![self.yardstick.clone(), mode.to_owned()];
        let other = |name, command, ours, at_most, lists| Other { name, command, ours, at_most, lists };
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let shell = |line: &str| vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
        let mut all = vec![
            other("yardstick query: the scan", yardstick("query"), Ours::Scan, Some(1.25), false),
            other("yardstick query: the report", yardstick("query"), Ours::Report, Some(1.40), false),
            other("yardstick text: text mode", yardstick("text"), Ours::Text, Some(1.20), false),
            other("grep (deleted)", shell("grep -l '(deleted)' /proc/[0-9]*/maps"), Ours::Report, Some(0.40), true),
        ];
        let peers = [
            ("lib_users", "lib_users", 0.25),
            ("lsof", "lsof -n -P -d DEL", 0.16),
            ("zypper", "zypper ps", 0.12),
            ("zypp-CheckAccessDeleted", "zypp-CheckAccessDeleted", 0.12),
            ("checkrestart", "checkrestart", 0.10),
            ("needrestart", "needrestart -b -v -l -r l", 0.07),
            ("dnf", "dnf needs-restarting", 0.05),
        ];
        let is_here = |name: &&(&str, &str, f64)| found(name.0).is_some();
        all.extend(
            peers
                .iter()
                .filter(is_here)
                .map(|&(name, line, at_most)| other(name, words(line), Ours::Report, Some(at_most), true)),
        );
        all
    }

    /// Which of the load a command names: how many rightly, how many wrongly.
    fn names(&self, command: &[String], load: &Load) -> Result<(usize, usize)> {
        let out = self.scratch.join("said");
        measure(&self.measure, command, Some(&out))?;
        let said = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
        let named = pids_in(&said, load);
        Ok((named.intersection(&load.stale).count(), named.difference(&load.stale).count()))
    }

    /// Ours must be exact in every way of looking, or no figure counts.
    fn check(&self, load: &Load) -> Result<()> {
        for (way, more) in [("by questions", "query"), ("from text", "text")] {
            for threads in ["1", "2"] {
                let mut command = self.ours(Ours::Report);
                command.extend(["--format", "json", "--mappings", more, "--threads", threads].map(str::to_owned));
                let out = self.scratch.join("report");
                measure(&self.measure, &command, Some(&out))?;
                let report: serde_json::Value = serde_json::from_slice(&fs::read(&out)?).context("our report")?;
                let rows = report["processes"].as_array().context("processes")?;
                let stale: BTreeSet<i32> = rows
                    .iter()
                    .filter(|row| row["verdict"] != "fresh")
                    .filter_map(|row| i32::try_from(row["pid"].as_i64()?).ok())
                    .filter(|pid| load.pids.contains(pid))
                    .collect();
                ensure!(stale == load.stale, "{way}, {threads} threads: {} found of {}", stale.len(), load.stale.len());
            }
        }
        Ok(())
    }

    /// The costs of both, in pairs.
    fn pairs(&self, ours: &[String], other: &[String], rounds: usize) -> Result<Vec<(Cost, Cost)>> {
        let pair = || Ok((measure(&self.measure, ours, None)?, measure(&self.measure, other, None)?));
        pair()?;
        (0..rounds).map(|_| pair()).collect()
    }

    fn row(&self, other: &Other, load: &Load, out: &mut impl Write) -> Result<()> {
        // A tool that takes half a minute tells enough in three rounds.
        let rounds = if other.at_most.is_some_and(|ratio| ratio < 0.2) && load.pids.len() > 1000 { 3 } else { ROUNDS };
        let pairs = self.pairs(&self.ours(other.ours), &other.command, rounds)?;
        let of = |value: fn(&(Cost, Cost)) -> f64| median(pairs.iter().map(value).collect());
        let named = match other.lists {
            true => {
                let (right, wrong) = self.names(&other.command, load)?;
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

    fn run(&self, count: usize, load: &Load, out: &mut impl Write) -> Result<f64> {
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
            let mut command = self.ours(Ours::Scan);
            command.extend(["--threads", threads].map(str::to_owned));
            command
        };
        let pairs = self.pairs(&with_threads("2"), &with_threads("1"), ROUNDS)?;
        let ratio = |value: fn(&Cost) -> f64| median(pairs.iter().map(|(two, one)| value(two) / value(one)).collect());
        let (wall, cpu) = (ratio(|cost| cost.wall), ratio(|cost| cost.cpu));
        writeln!(out, "two threads beside one: {wall:.2} of the wall time (0.80), {cpu:.2} of the processor time")?;
        Ok(median(pairs.iter().map(|(_, one)| one.cpu).collect()) / count as f64)
    }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Copies what only root may write to, since no other plugin is loaded.
fn trusted(folder: &Path, built: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    for entry in fs::read_dir(built)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("libreexec_") && name.ends_with(".so") {
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
    let scratch = Scratch::new("bench")?;
    let objects = Objects::copy()?;
    // A program beside the objects' folder: plugins are loaded only from where nobody but root writes.
    let place = objects.path().with_extension("plugins");
    let _gone_after = Gone(&place);
    let built = built_folder()?;
    trusted(&place, &built)?;
    let nothing = scratch.join("nothing");
    fs::create_dir(&nothing)?;
    let load = compile("load", scratch.path())?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let bench = Bench {
        reexec: text(&built.join("reexec")),
        plugins: text(&place),
        nothing: text(&nothing),
        measure: compile("measure", scratch.path())?,
        yardstick: text(&compile("yardstick", scratch.path())?),
        scratch,
    };
    let mut out = std::io::stdout();
    let mut each = Vec::new();
    for count in counts {
        let load = Load::start(&load, count, &objects, &bench.scratch)?;
        each.push((count, bench.run(count, &load, &mut out)?));
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
