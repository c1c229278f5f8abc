//! Every state that `victim list` names: what is true of it, and that it is what is said.

use anyhow::{ensure, Result};
use reexec_tests::place::Scratch;
use reexec_tests::skip;
use reexec_tests::states::{factories, unprinted, Report, Rights, Shop, States};
use reexec_tests::truth::{Cause, Expect, Needs, Truth, TRUTHS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where packages keep files: no folder that anybody may write to.
const INSTALLED: &str = "/var/lib";

/// What is wrong with what is said of one process; nothing where all is right.
fn faults(expect: &Expect, row: Option<&Value>, folder: &Path, exact: bool) -> Vec<String> {
    let Some(row) = row else {
        let fresh = expect.verdicts.contains(&"fresh");
        return if fresh { Vec::new() } else { vec![format!("not listed instead of {:?}", expect.verdicts)] };
    };
    let verdict = row["verdict"].as_str().unwrap_or_default();
    let honest = !exact && verdict == "unknown";
    if !expect.verdicts.contains(&verdict) && !honest {
        return vec![format!("{verdict} instead of {:?}: {}", expect.verdicts, row["causes"])];
    }
    if verdict == "unknown" && row["gap"].as_str().is_none_or(str::is_empty) {
        return vec!["unknown, and no gap says why".to_owned()];
    }
    let said = row["causes"].as_array().cloned().unwrap_or_default();
    let either = verdict == "fresh" && expect.verdicts.len() > 1;
    if either || (matches!(verdict, "unknown" | "fresh") && expect.causes.is_empty()) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for cause in expect.causes {
        let hits: Vec<&Value> = said.iter().filter(|said| names(said, cause, folder)).collect();
        match hits.as_slice() {
            [hit] => found.extend(cause_faults(cause, hit, exact)),
            [] if verdict == "unknown" => {}
            [] => found.push(format!("does not name {}", cause.path)),
            hits => found.push(format!("names {} {} times", cause.path, hits.len())),
        }
    }
    if verdict != "fresh" {
        let strangers = said.iter().filter(|said| !expect.causes.iter().any(|cause| names(said, cause, folder)));
        found.extend(strangers.map(|stranger| format!("also accuses {}", stranger["path"])));
    }
    found
}

fn names(said: &Value, cause: &Cause, folder: &Path) -> bool {
    let path = unprinted(said["path"].as_str().unwrap_or_default());
    let deep = [&*"d".repeat(200); 24].join("/");
    let all = cause.path.replace('%', &deep);
    let wanted: Vec<&[u8]> = all.split('|').map(str::as_bytes).collect();
    let inside = |wanted: &[u8]| {
        let below = folder.join(std::ffi::OsStr::from_bytes(&octal(wanted)));
        path == below || path.as_os_str().as_bytes() == octal(wanted).as_slice()
    };
    wanted.into_iter().any(inside)
}

/// `\377` in a row stands for that byte.
fn octal(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', more @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = more;
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    bytes
}

fn cause_faults(cause: &Cause, said: &Value, exact: bool) -> Vec<String> {
    let mut found = Vec::new();
    if said["kind"] != cause.kind {
        found.push(format!("{}: kind {} instead of {}", cause.path, said["kind"], cause.kind));
    }
    let method = said["method"].as_str().unwrap_or_default();
    if !cause.methods.contains(&method) && (exact || method != "unknown") {
        found.push(format!("{}: method {method} instead of {:?}", cause.path, cause.methods));
    }
    if said["content"] == "same" {
        found.push(format!("{}: content same", cause.path));
    }
    if said["evidence"].as_str().is_none_or(str::is_empty) {
        found.push(format!("{}: no evidence", cause.path));
    }
    found
}

/// Compares a report with what is true of all the states.
fn compare(states: &States, report: &Report, all: bool, exact: bool) -> Result<()> {
    compare_those(states, report, all, exact, |_| true)
}

/// Compares a report with what is true of those of the states that are meant.
fn compare_those(states: &States, report: &Report, all: bool, exact: bool, is_meant: fn(&Truth) -> bool) -> Result<()> {
    let mut wrong = Vec::new();
    for truth in TRUTHS.iter().filter(|truth| is_meant(truth)) {
        let Some((folder, victim)) = states.held.get(truth.state) else { continue };
        let pids = std::iter::once(victim.pid()).chain(victim.children().iter().copied());
        for (number, (pid, expect)) in pids.zip(truth.processes).enumerate() {
            let row = report.rows.get(&pid);
            let mut found = faults(expect, row, folder, exact);
            if all && expect.listed && row.is_none() {
                found.push("not listed".to_owned());
            }
            wrong.extend(found.into_iter().map(|fault| format!("{} (process {number}): {fault}", truth.state)));
        }
    }
    ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

fn up(shop: &Shop, top: &Scratch, rights: Rights) -> Result<States> {
    std::fs::set_permissions(top.path(), std::fs::Permissions::from_mode(0o755))?;
    let fits = |truth: &&Truth| match truth.needs {
        Needs::Nothing => true,
        Needs::Root => rights == Rights::Root,
        Needs::Alone => false,
        Needs::Program(path) => Path::new(path).exists(),
    };
    let only = std::env::var("STATES").unwrap_or_default();
    let wanted = |name: &&str| only.is_empty() || only.split(',').any(|only| only == *name);
    let names: Vec<&str> = TRUTHS.iter().filter(fits).map(|truth| truth.state).filter(wanted).collect();
    States::put_up(shop, top.path(), &names, rights)
}

/// Whether this kernel can be asked for mappings (`PROCMAP_QUERY`, Linux 6.11).
fn answers_queries() -> bool {
    let system = rustix::system::uname();
    let release = system.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(11))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn every_state_has_its_truth() -> Result<()> {
    let known: BTreeSet<&str> = TRUTHS.iter().map(|truth| truth.state).collect();
    let listed = factories()?;
    assert_eq!(known.len(), TRUTHS.len(), "a state has two truths");
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    Ok(())
}

#[test]
fn every_state_is_told_as_it_is_to_root_with_and_without_map_files() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge")?);
    let states = up(&shop, &top, Rights::Root)?;
    for (rights, arguments) in [
        (Rights::Root, &["--all"][..]),
        (Rights::Root, &["--mappings", "text"]),
        (Rights::NoMapFiles, &["--all"]),
        (Rights::NoMapFiles, &["--all", "--mappings", "text"]),
        (Rights::NoMapFiles, &[]),
    ] {
        let report = states.report(rights, arguments)?;
        let all = arguments.contains(&"--all");
        compare(&states, &report, all, rights == Rights::Root)
            .map_err(|wrong| wrong.context(format!("{rights:?} {arguments:?}")))?;
    }
    if !answers_queries() {
        return Ok(());
    }
    // The fast source shows code only.
    let of_code =
        |truth: &Truth| truth.processes.iter().all(|expect| expect.causes.iter().all(|cause| cause.kind != "data"));
    compare_those(&states, &states.report(Rights::Root, &["--mappings", "query"])?, false, true, of_code)
}

#[test]
fn every_state_of_a_user_is_told_to_him_as_it_is_or_as_unknown() -> Result<()> {
    if !is_root() {
        skip!("needs root, to become somebody else");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-user")?);
    let states = up(&shop, &top, Rights::User)?;
    for arguments in [&["--all"][..], &["--all", "--mappings", "text"], &[]] {
        let report = states.report(Rights::User, arguments)?;
        compare(&states, &report, !arguments.is_empty(), false)?;
    }
    // The same states, asked by root.
    compare(&states, &states.report(Rights::Root, &[])?, false, true)
}

/// Asks about each state by itself, with these rights, and compares with this column of exit codes.
fn codes_of(states: &States, rights: Rights, column: usize, modes: &[&str]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for truth in TRUTHS {
        for mode in modes.iter().filter(|_| states.held.contains_key(truth.state)) {
            let code = states.alone(truth.state, rights, mode)?;
            if !truth.codes[column].contains(&code.to_string()) {
                wrong.push(format!("{} {rights:?} {mode}: {code} instead of {:?}", truth.state, truth.codes[column]));
            }
        }
    }
    Ok(wrong)
}

#[test]
fn every_state_has_its_exit_code_by_itself_whoever_asks_and_however_it_is_read() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-alone")?);
    let states = up(&shop, &top, Rights::Root)?;
    let sources: &[&str] = if answers_queries() { &["query", "text"] } else { &["text"] };
    let mut wrong = codes_of(&states, Rights::Root, 0, sources)?;
    wrong.extend(codes_of(&states, Rights::NoMapFiles, 1, &["auto"])?);
    drop((states, top));
    let top = Scratch::below(Path::new(INSTALLED), "judge-alone")?;
    let states = up(&shop, &top, Rights::User)?;
    wrong.extend(codes_of(&states, Rights::User, 2, &["auto"])?);
    ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn how_a_file_was_replaced_is_explained_with_the_evidence() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-explain")?);
    let table = [
        ("library-renamed", "lib.so", "method    renamed: the new inode was born"),
        ("library-recreated", "lib.so", "method    recreated: the path was absent for"),
        ("overwritten-claimed", "lib.so", "method    overwritten: said to be replaced, the inode is the same"),
        ("library-removed-claimed", "lib.so", "method    removed: the path names nothing"),
        ("untouched", "lib.so", "method    untouched: the path names the inode that is mapped"),
        ("mounted-over-with-new", "d/lib.so", "method    unknown: the mapped file still has its name"),
        ("moved-aside-claimed", "lib.so", "method    unknown: it was moved aside"),
        ("script-python", "s.py", "method    unknown: the script that it was started with is another file since"),
        ("script-bash", "s.sh", "method    renamed: it holds the old file open as descriptor"),
        ("data-renamed", "data", "method    renamed: the new inode was born"),
        ("open-replaced", "data", "method    renamed: open as descriptor"),
    ];
    let names: Vec<&str> = table.iter().map(|(name, _, _)| *name).collect();
    let states = States::put_up(&shop, top.path(), &names, Rights::Root)?;
    for (name, file, words) in table {
        let path = states.held[name].0.join(file);
        let said = states.ask(Rights::Root, &["explain", &path.to_string_lossy()])?.text();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(said.contains(&words), "{name}: {words:?} is not in\n{said}");
        // The same in JSON, where it is a reason.
        let json = states.ask(Rights::Root, &["explain", "--format", "json", &path.to_string_lossy()])?;
        let json: Value = serde_json::from_slice(&json.stdout)?;
        let method = words.trim_start_matches("method").trim_start().split(':').next().unwrap_or_default();
        let row = json["replacements"].as_array().and_then(|rows| rows.first()).cloned().unwrap_or_default();
        ensure!(row["method"] == method || method == "untouched", "{name}: {json}");
        let why = row["evidence"].as_str().unwrap_or_default();
        ensure!(method == "untouched" || !why.is_empty(), "{name}: {json}");
    }
    Ok(())
}

#[test]
fn the_exit_code_of_each_state_is_that_of_its_verdict() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-codes")?);
    let names = ["untouched", "library-renamed", "overwritten-claimed", "stale-and-tainted", "reinstalled-claimed"];
    let states = States::put_up(&shop, top.path(), &names, Rights::Root)?;
    for (name, code) in names.iter().zip([0, 1, 3, 3, 0]) {
        let pid = states.held[*name].1.pid().to_string();
        let output = states.ask(Rights::Root, &["explain", &pid])?;
        assert_eq!(output.code(), Some(code), "{name}: {}", output.text());
    }
    Ok(())
}

#[test]
fn what_an_overwritten_file_left_in_memory_of_the_old_and_the_new_is_counted() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-memory")?);
    let names = ["overwritten-claimed", "written-into-claimed", "truncated", "library-renamed"];
    let states = States::put_up(&shop, top.path(), &names, Rights::Root)?;
    let report = states.report(Rights::Root, &[])?;
    let memory = |name: &str| report.rows[&states.held[name].1.pid()]["causes"][0]["memory"].clone();
    let bytes = |name: &str, part: &str, key: &str| memory(name)[part][key].as_u64().unwrap_or(u64::MAX);
    // Cutting a file takes its private copies along, so all that is left is the new.
    for part in ["code", "data"] {
        let [mapped, new, old] = ["mapped", "new", "private"].map(|key| bytes("overwritten-claimed", part, key));
        ensure!(mapped >= 4096 && (new, old) == (mapped, 0), "{}", memory("overwritten-claimed"));
    }
    // Data that the loader wrote to was copied before, and is still the old.
    let [mapped, new, old] = ["mapped", "new", "private"].map(|key| bytes("written-into-claimed", "data", key));
    ensure!(old >= 4096 && mapped == new + old, "{}", memory("written-into-claimed"));
    // What was cut off is behind the end of the file: touching it ends the process.
    let beyond = bytes("truncated", "code", "beyond_end");
    ensure!((4096..u64::MAX).contains(&beyond), "{}", memory("truncated"));
    assert_eq!(memory("library-renamed"), Value::Null);
    Ok(())
}

#[test]
fn data_and_open_files_make_stale_whom_a_rule_asks_for_them_and_nobody_else() -> Result<()> {
    if !is_root() {
        skip!("needs root");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-data")?);
    let names = ["data-renamed", "open-replaced", "own-database", "untouched", "library-renamed"];
    let states = States::put_up(&shop, top.path(), &names, Rights::Root)?;
    let policy = top.join("policy.yaml");
    let (mapped, open) = (top.join("data-renamed/*"), top.join("open-replaced/*"));
    let rules = |rules: &str| format!("version: 1\nrules:\n{rules}");
    let rule = |path: &Path, action: &str| {
        format!("  - {{ name: {action}, match: {{ cause: data, path: {path:?} }}, action: {action} }}\n")
    };
    for (text, stale) in [
        (rules("  - { name: all, match: { unit: \"*\" }, action: restart }\n"), &["library-renamed"][..]),
        (rules(&rule(&mapped, "report")), &["data-renamed", "library-renamed"]),
        (rules(&rule(&open, "report")), &["library-renamed", "open-replaced"]),
        // The first rule that matches decides: what is ignored does not count.
        (
            rules(&(rule(&open, "ignore") + "  - { name: data, match: { cause: [data, script] }, action: report }\n")),
            &["data-renamed", "library-renamed"],
        ),
    ] {
        std::fs::write(&policy, &text)?;
        let arguments = ["--policy".as_ref(), policy.as_os_str()].map(|one| one.to_str().unwrap_or_default());
        let report = states.report(Rights::Root, &arguments)?;
        let told = |name: &&&str| report.rows.contains_key(&states.held[**name].1.pid());
        let mut found: Vec<&str> = names.iter().filter(told).copied().collect();
        found.sort_unstable();
        assert_eq!(found, stale, "{text}");
        for name in found {
            let row = &report.rows[&states.held[name].1.pid()];
            ensure!(row["verdict"] == "stale" && row["causes"].as_array().is_some_and(|all| all.len() == 1), "{row}");
        }
    }
    Ok(())
}

#[test]
fn a_file_system_that_does_not_answer_is_a_gap_and_ends_no_look() -> Result<()> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        skip!("needs root and /dev/fuse");
    }
    let (shop, top) = (Shop::open()?, Scratch::below(Path::new(INSTALLED), "judge-silent")?);
    let states = States::put_up(&shop, top.path(), &["server-gone", "library-renamed", "untouched"], Rights::Root)?;
    let report = states.report(Rights::Root, &["--all"])?;
    compare(&states, &report, true, true)?;
    let gone = &states.held["server-gone"];
    let why = report.rows[&gone.1.pid()]["gap"].as_str().unwrap_or_default();
    ensure!(why.contains("does not answer"), "{why}");
    let gaps = report.whole["gaps"].as_array().cloned().unwrap_or_default();
    let mount = format!("file system at {}", gone.0.join("d").display());
    ensure!(gaps.iter().any(|gap| gap["what"] == mount.as_str()), "{gaps:?}");
    Ok(())
}
