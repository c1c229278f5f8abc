//! The states of `victim list`, put to every other tool in one run: the table in `docs/comparison.md`.
//!
//! `REEXEC_GENERATE=1 cargo test -p reexec-tests --test comparison` writes it anew.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::place::workspace;
use reexec_tests::run::wait_until;
use reexec_tests::states::{factories, Shop};
use reexec_tests::truth::{Needs, Truth, TRUTHS};
use reexec_tests::{needs_bed, skip, tools};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

const BASE: &str = "peers";
const SHOP: &str = "/usr/lib/shop";
/// Some of the others leave out what lies in `/var`.
const STATES: &str = "/usr/lib/states";
const SOON: Duration = Duration::from_secs(60);
const BEGIN: &str = "<!-- comparison: made by tests/tests/comparison.rs -->\n";
const END: &str = "<!-- end -->";
/// This line says what was installed; a newer version is no fault as long as it answers the same.
const VERSIONS: &str = "Versions: ";

/// Each state by one process that waits for the end of its input.
const UNIT: &str = r#"mkdir -p /run/ready "$STATES"
while read -r name; do
    mkdir "$STATES/$name"
    sleep 900 | "$SHOP/prog1" make "$name" "$STATES/$name" "$SHOP" >"/run/ready/$name" &
done </run/names
wait
"#;

/// One tool.
struct Tool {
    name: &'static str,
    /// What is typed.
    command: &'static [&'static str],
    /// Prints its version in the first line.
    version: &'static str,
    /// The pids that it names as running old files, and those of which it says that it cannot tell.
    named: fn(&str) -> (BTreeSet<u32>, BTreeSet<u32>),
    /// With a process in this state it ends with an error. Asked again when that process has ended.
    falls_over: Option<&'static str>,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "reexec",
        command: &["/usr/lib/shop/reexec", "report", "--format", "json", "--claims", "/run/claims"],
        version: "/usr/lib/shop/reexec --version",
        named: of_ours,
        falls_over: None,
    },
    Tool {
        name: "reexec, told nothing",
        command: &["/usr/lib/shop/reexec", "report", "--format", "json"],
        version: "",
        named: of_ours,
        falls_over: None,
    },
    Tool {
        name: "needrestart",
        command: &["needrestart", "-b", "-v"],
        version: "dpkg-query -Wf '${Package} ${Version}\\n' needrestart",
        named: |said| {
            let uses = ["uses deleted ", "uses obsolete ", "uses outdated "];
            let named = |line: &str| {
                let (pid, rest) = line.split_once('#')?.1.split_once(' ')?;
                uses.iter().any(|words| rest.starts_with(words)).then(|| pid.parse().ok())?
            };
            (said.lines().filter_map(named).collect(), BTreeSet::new())
        },
        falls_over: None,
    },
    Tool {
        name: "checkrestart",
        command: &["checkrestart", "-v"],
        version: "dpkg-query -Wf '${Package} ${Version}\\n' debian-goodies",
        named: |said| {
            let named = |line: &str| line.split_once("(PID: ")?.1.split_once(')')?.0.parse().ok();
            (said.lines().filter_map(named).collect(), BTreeSet::new())
        },
        falls_over: None,
    },
    Tool {
        name: "zypper ps",
        command: &["zypper", "--non-interactive", "ps"],
        version: "dpkg-query -Wf '${Package} ${Version}\\n' zypper",
        named: |said| {
            let named = |line: &str| line.split_once('|')?.0.trim().parse().ok();
            (said.lines().filter_map(named).collect(), BTreeSet::new())
        },
        falls_over: None,
    },
    Tool {
        name: "lsof -d DEL",
        command: &["lsof", "-n", "-w", "-d", "DEL"],
        version: "dpkg-query -Wf '${Package} ${Version}\\n' lsof",
        // Names of commands may have blanks in them.
        named: |said| {
            let named = |line: &str| {
                let before = line.split_once(" DEL ")?.0;
                before.split_whitespace().rev().nth(1)?.parse().ok()
            };
            (said.lines().filter_map(named).collect(), BTreeSet::new())
        },
        falls_over: None,
    },
    Tool {
        name: "lib_users",
        command: &["env", "PYTHONPATH=/usr/lib/peer", "python3", "-m", "lib_users.lib_users", "-m"],
        version: "echo lib_users 0.14.post1",
        named: |said| {
            let pids = said.lines().filter_map(|line| Some(line.split_once(';')?.0.split(',')));
            (pids.flatten().filter_map(|pid| pid.parse().ok()).collect(), BTreeSet::new())
        },
        falls_over: Some("name-bytes"),
    },
];

fn of_ours(said: &str) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let report = serde_json::Deserializer::from_str(said).into_iter::<Value>().next();
    let report = report.and_then(Result::ok).unwrap_or_default();
    let rows = report["processes"].as_array().cloned().unwrap_or_default();
    let pids = |verdicts: &[&str]| {
        let is_meant = |row: &&Value| verdicts.iter().any(|verdict| row["verdict"] == *verdict);
        rows.iter().filter(is_meant).filter_map(|row| u32::try_from(row["pid"].as_u64()?).ok()).collect()
    };
    (pids(&["stale", "tainted"]), pids(&["unknown"]))
}

/// What an answer about one state is worth, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Right,
    Untold,
    False,
    Missed,
    None,
}

impl Worth {
    const ALL: [Worth; 5] = [Worth::Right, Worth::Missed, Worth::False, Worth::Untold, Worth::None];

    fn words(self) -> &'static str {
        match self {
            Worth::Right => "right",
            Worth::Untold => "says that it cannot tell",
            Worth::False => "false alarm",
            Worth::Missed => "missed",
            Worth::None => "ended with an error",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Worth::Right => "yes",
            Worth::Untold => "?",
            Worth::False => "**false alarm**",
            Worth::Missed => "**missed**",
            Worth::None => "error",
        }
    }
}

/// The states, and what became of each.
struct Held {
    bed: Bed,
    /// Pids of each state, in the order of its truths.
    pids: BTreeMap<String, Vec<u32>>,
}

impl Held {
    fn put_up(bed: Bed, names: &[&str]) -> Result<Held> {
        bed.write_file("/run/names", format!("{}\n", names.join("\n")).as_bytes())?;
        bed.write_file("/run/unit", UNIT.as_bytes())?;
        let environment = [format!("--setenv=STATES={STATES}"), format!("--setenv=SHOP={SHOP}")];
        let mut run = vec!["systemd-run", "--quiet", "--unit=states"];
        run.extend(environment.iter().map(String::as_str));
        run.extend(["bash", "/run/unit"]);
        bed.exec(&run)?.success()?;
        let mut held = Held { bed, pids: BTreeMap::new() };
        wait_until("all states are there", SOON, || {
            let said = held.bed.shell("cd /run/ready; grep -H ^ready -- * || true")?;
            let state = |line: &str| {
                let (name, pids) = line.split_once(":ready ")?;
                Some((name.to_owned(), pids.split(' ').filter_map(|pid| pid.parse().ok()).collect()))
            };
            held.pids = said.lines().filter_map(state).collect();
            Ok((held.pids.len() == names.len()).then_some(()))
        })?;
        held.bed.shell(&format!("cat {STATES}/*/claims >/run/claims"))?;
        Ok(held)
    }

    /// What a tool says, and the states that it could not be asked about.
    fn ask(&mut self, tool: &Tool) -> Result<Vec<(String, Worth)>> {
        let mut said = self.bed.exec(tool.command)?;
        let mut lost = None;
        if said.errors().contains("Traceback") {
            let state = tool.falls_over.with_context(|| format!("{}: {}", tool.name, said.errors()))?;
            let pids: Vec<String> = self.pids[state].iter().map(u32::to_string).collect();
            self.bed.shell(&format!("kill -9 {}", pids.join(" ")))?;
            (said, lost) = (self.bed.exec(tool.command)?, Some(state));
        }
        ensure!(!said.errors().contains("Traceback"), "{}: {}", tool.name, said.errors());
        // Some say it on one stream, some on the other.
        let text = format!("{}\n{}", said.text(), said.errors());
        let (named, untold) = (tool.named)(&text);
        ensure!(!named.is_empty(), "{} names nobody: {text}", tool.name);
        let worth = |truth: &Truth| match lost == Some(truth.state) {
            true => Worth::None,
            false => self.worth(truth, &named, &untold),
        };
        Ok(TRUTHS.iter().filter(|truth| is_asked(truth)).map(|truth| (truth.state.to_owned(), worth(truth))).collect())
    }

    fn worth(&self, truth: &Truth, named: &BTreeSet<u32>, untold: &BTreeSet<u32>) -> Worth {
        let of = |(pid, expect): (&u32, &reexec_tests::truth::Expect)| {
            // The first is what is true, the others are honest.
            let is_old = matches!(expect.verdicts[0], "stale" | "tainted");
            match (named.contains(pid), is_old) {
                // Nobody can tell what stands at a path that leads nowhere any more.
                _ if untold.contains(pid) && expect.verdicts[0] == "unknown" => Worth::Right,
                _ if untold.contains(pid) => Worth::Untold,
                (true, true) | (false, false) => Worth::Right,
                (true, false) => Worth::False,
                (false, true) => Worth::Missed,
            }
        };
        self.pids[truth.state].iter().zip(truth.processes).map(of).max().unwrap_or(Worth::Right)
    }
}

fn is_asked(truth: &Truth) -> bool {
    truth.needs != Needs::Alone
}

/// What the shop's `victim` says of each state.
fn about() -> Result<BTreeMap<String, String>> {
    let list = fs::read_to_string(workspace().join("tests/victim/factories.h"))?;
    let row = |line: &str| {
        let mut texts = line.trim().strip_prefix("{\"")?.split("\", \"");
        Some((texts.next()?.to_owned(), texts.next()?.split("\",").next()?.to_owned()))
    };
    Ok(list.lines().filter_map(row).collect())
}

fn table(answers: &BTreeMap<&str, Vec<(String, Worth)>>, versions: &str) -> Result<String> {
    let tools: Vec<&str> = TOOLS.iter().map(|tool| tool.name).filter(|name| answers.contains_key(name)).collect();
    let about = about()?;
    let mut text = format!("{VERSIONS}{versions}.\n\n| Of {} states |", answers[tools[0]].len());
    let head = |text: &mut String| {
        for tool in &tools {
            let _ = write!(text, " {tool} |");
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(tools.len()));
    };
    head(&mut text);
    for worth in Worth::ALL {
        let _ = write!(text, "| {} |", worth.words());
        for tool in &tools {
            let number = answers[tool].iter().filter(|(_, one)| *one == worth).count();
            let _ = write!(text, " {number} |");
        }
        text.push('\n');
    }
    text.push_str("\n| State | Old? |");
    for tool in &tools {
        let _ = write!(text, " {tool} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(tools.len()));
    for (row, truth) in TRUTHS.iter().filter(|truth| is_asked(truth)).enumerate() {
        let verdicts: BTreeSet<&str> = truth.processes.iter().map(|expect| expect.verdicts[0]).collect();
        let words = about.get(truth.state).with_context(|| truth.state)?.replace('|', "\\|");
        let _ = write!(text, "| {words} | {} |", verdicts.into_iter().collect::<Vec<_>>().join(", "));
        for tool in &tools {
            let _ = write!(text, " {} |", answers[tool][row].1.mark());
        }
        text.push('\n');
    }
    Ok(text)
}

#[test]
fn the_table_of_tools_says_what_each_of_them_says_of_every_state() -> Result<()> {
    needs_bed!(BASE);
    let Some(lib_users) = tools::python_package("lib_users") else { skip!("needs lib_users (make deps)") };
    let shop = Shop::open()?;
    let options = Options::default().bind_ro(shop.path(), SHOP).bind_ro(&lib_users, "/usr/lib/peer/lib_users");
    let bed = Bed::boot("peers", BASE, &options)?;
    let names = factories()?;
    let asked: Vec<&str> = TRUTHS.iter().filter(|truth| is_asked(truth)).map(|truth| truth.state).collect();
    ensure!(asked.iter().all(|state| names.iter().any(|name| name == state)), "a state that nobody makes");
    let mut held = Held::put_up(bed, &asked)?;
    let (mut answers, mut versions) = (BTreeMap::new(), Vec::new());
    for tool in TOOLS {
        answers.insert(tool.name, held.ask(tool)?);
        if !tool.version.is_empty() {
            versions.push(held.bed.shell(tool.version)?.lines().next().unwrap_or_default().to_owned());
        }
    }
    let certain = |state: &str| TRUTHS.iter().any(|truth| truth.state == state && truth.is_certain());
    let wrong: Vec<_> =
        answers["reexec"].iter().filter(|(state, worth)| *worth != Worth::Right && certain(state)).collect();
    ensure!(wrong.is_empty(), "ours: {wrong:?}");
    let path = workspace().join("docs/comparison.md");
    let document = fs::read_to_string(&path)?;
    let (before, rest) = document.split_once(BEGIN).context("the beginning of the table")?;
    let (told, after) = rest.split_once(END).context("the end of the table")?;
    let new = table(&answers, &versions.join(", "))?;
    if std::env::var_os("REEXEC_GENERATE").is_some() {
        return Ok(fs::write(&path, format!("{before}{BEGIN}{new}{END}{after}"))?);
    }
    let rows = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with(VERSIONS)).map(str::to_owned).collect()
    };
    let (told, new) = (rows(told), rows(&new));
    let different: Vec<_> = told.iter().zip(&new).filter(|(a, b)| a != b).collect();
    ensure!(told.len() == new.len() && different.is_empty(), "{path:?} says otherwise: {different:#?}");
    Ok(())
}
