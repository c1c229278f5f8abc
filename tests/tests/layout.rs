//! The functions that a look executes lie side by side in the program (`hook/look.ld`), so that few of its pages
//! are mapped: they are most of its memory.

use anyhow::{ensure, Context, Result};
use reexec_tests::counted::{compiler, records, RECORD, VALGRIND};
use reexec_tests::fixture::proc_folder;
use reexec_tests::machine::figure;
use reexec_tests::place::{released, workspace, Scratch};
use reexec_tests::run::run;
use reexec_tests::skip;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);
/// Of the bytes of executed functions. Another compiler makes other functions.
const AT_LEAST: f64 = 0.9;

/// What the hook and the answer after it execute besides, whole: valgrind cannot run them, as it knows no
/// descriptors of processes.
const OF_THE_HOOK: [&str; 13] = [
    "run::apply",
    "run::bracket",
    "run::desk",
    "run::gather",
    "run::hook",
    "run::packages",
    "run::told",
    "run::wait",
    "model::pending",
    "sys::config",
    "sys::inodes",
    "sys::plugin",
    "sys::state",
];

/// A function of the program.
#[derive(Debug, Clone, Copy)]
struct Function {
    at: u64,
    size: u64,
}

/// The program's functions by their names in it, which may be those of several.
struct Program {
    functions: BTreeMap<String, Vec<Function>>,
    /// Where those that a look executes were put.
    look: Option<(u64, u64)>,
}

impl Program {
    fn read(path: &Path) -> Result<Program> {
        let table = run(Command::new("nm").args(["-S", "--defined-only"]).arg(path), b"", LONG)?.success()?.text();
        let number = |word: &str| u64::from_str_radix(word, 16);
        let (mut functions, mut marks) = (BTreeMap::<String, Vec<Function>>::new(), [None, None]);
        for line in table.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                [at, size, "t" | "T" | "w" | "W", name] => {
                    let function = Function { at: number(at)?, size: number(size)? };
                    functions.entry(name.to_owned()).or_default().push(function);
                }
                [at, _, "reexec_look_begin"] => marks[0] = Some(number(at)?),
                [at, _, "reexec_look_end"] => marks[1] = Some(number(at)?),
                _ => {}
            }
        }
        ensure!(!functions.is_empty(), "{} names no function", path.display());
        Ok(Program { functions, look: marks[0].zip(marks[1]) })
    }

    fn bytes<'a>(&'a self, names: impl IntoIterator<Item = &'a String>, is_meant: impl Fn(&Function) -> bool) -> u64 {
        let all = names.into_iter().flat_map(|name| &self.functions[name]);
        all.filter(|function| is_meant(function)).map(|function| function.size).sum()
    }
}

/// The names of executed functions in what callgrind wrote into a folder.
fn executed(folder: &Path, program: &Program) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let text = String::from_utf8_lossy(&fs::read(entry?.path())?).into_owned();
        let said = text.lines().filter_map(|line| line.trim_start_matches('c').strip_prefix("fn=("));
        let said =
            said.filter_map(|rest| rest.split_once(") ")).map(|(_, name)| name.split('\'').next().unwrap_or(name));
        names.extend(said.filter(|name| program.functions.contains_key(*name)).map(str::to_owned));
    }
    Ok(names)
}

/// What a look and a report of its own execute: of processes that never were, by text; and of this machine.
fn look(reexec: &str, into: &Path) -> Result<()> {
    let place = Scratch::new("layout")?;
    proc_folder(&place.join("."), 200)?;
    let (proc, nothing) = (place.join("proc"), place.join("nothing"));
    let policy = workspace().join("hook/share/policy.d/50-default.yaml");
    let fixture = format!(
        "report --mappings text --proc {} --plugins {} --policy {}",
        proc.display(),
        nothing.display(),
        policy.display()
    );
    let own = format!("report --format json --plugins {}", nothing.display());
    for words in [fixture, own] {
        let mut command = Command::new(VALGRIND);
        command.args(counting(into)).arg(reexec).args(words.split(' ')).env_remove("RUST_BACKTRACE");
        let said = run(&mut command, b"", LONG)?;
        ensure!(said.errors().contains("Collected : "), "{}", said.errors());
    }
    Ok(())
}

fn counting(into: &Path) -> [String; 4] {
    let out = format!("--callgrind-out-file={}/%p", into.display());
    ["--tool=callgrind".to_owned(), "--trace-children=yes".to_owned(), "--demangle=no".to_owned(), out]
}

/// A pattern of the linker's for a function in every build: without the hashes that change with the compiler.
fn pattern(name: &str) -> String {
    let mut pattern = match name.find("17h").filter(|_| name.starts_with("_ZN")) {
        Some(at) => format!("{}*", &name[..at + 3]),
        None => name.to_owned(),
    };
    let mut from = 0;
    while let Some(at) = pattern[from..].find("Cs").map(|at| from + at + 2) {
        let end = pattern[at..].find('_').map_or(pattern.len(), |end| at + end);
        if pattern[at..end].bytes().all(|byte| byte.is_ascii_alphanumeric()) && name.starts_with("_R") {
            pattern.replace_range(at..end, "*");
        }
        from = at;
    }
    pattern
}

fn script(program: &Program, executed: &BTreeSet<String>, compiler: &str) -> String {
    let (mut all, mut used) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    for (name, functions) in &program.functions {
        let size: u64 = functions.iter().map(|function| function.size).sum();
        *all.entry(pattern(name)).or_default() += size;
        if executed.contains(name) {
            *used.entry(pattern(name)).or_default() += size;
        }
    }
    let is_mangled = |name: &&String| name.starts_with("_ZN") || name.starts_with("_R");
    let mut patterns: Vec<(bool, &String)> =
        used.keys().filter(is_mangled).map(|name| (used[name] * 2 < all[name], name)).collect();
    // Those that are mostly of functions that are not executed come last.
    patterns.sort();
    let of_module = |name: &&str| {
        let parts: Vec<&str> = name.split("::").collect();
        let own: String = parts.iter().map(|part| format!("{}{part}", part.len())).collect();
        // And what its types do of traits.
        [format!("_ZN6reexec{own}*"), format!("_ZN*_$LT$reexec..{}..*", parts.join(".."))]
    };
    let modules: Vec<String> = OF_THE_HOOK.iter().flat_map(of_module).collect();
    let patterns = modules.iter().chain(patterns.into_iter().map(|(_, name)| name));
    let lines: String = patterns.map(|name| format!("    *(.text.*{name})\n")).collect();
    format!(
        "/* The functions that a look, a report and the hook execute, side by side; any others come behind them.\n   \
         Made by `{RECORD}=1 cargo test -p reexec-tests --test layout` from a program of rustc {compiler}. */\n\
         SECTIONS\n{{\n  .text.look :\n  {{\n    reexec_look_begin = .;\n{lines}    reexec_look_end = .;\n  }}\n}}\n\
         INSERT BEFORE .text;\n"
    )
}

#[test]
fn what_a_look_executes_lies_side_by_side() -> Result<()> {
    if !Path::new(VALGRIND).exists() {
        skip!("needs {VALGRIND} (make deps)");
    }
    let released = released().context("nothing is released: make build comes first")?;
    let reexec = released.join("reexec");
    let program = Program::read(&reexec)?;
    let (list, compiler) = (workspace().join("hook/look.ld"), compiler()?);
    let out = Scratch::new("layout-out")?;
    let folder: PathBuf = out.join(".");
    look(&reexec.to_string_lossy(), &folder)?;
    if records() {
        let executed = executed(&folder, &program)?;
        return Ok(fs::write(list, script(&program, &executed, &compiler))?);
    }
    let Some((begin, end)) = program.look else {
        skip!("the linker that made the program takes no order of functions (cargo said so when it built it)");
    };
    let executed = executed(&folder, &program)?;
    let all = program.bytes(&executed, |_| true);
    ensure!(all > 200_000, "a look that executes {all} bytes was none");
    let inside = program.bytes(&executed, |function| (begin..end).contains(&function.at));
    let share = inside as f64 / all as f64;
    figure(&format!("{share:.3} of {all} bytes of executed functions lie in the {} of look.ld", end - begin));
    if share < AT_LEAST && !fs::read_to_string(list)?.contains(&format!("of rustc {compiler}.")) {
        skip!("hook/look.ld was made with another compiler than rustc {compiler}: {RECORD}=1 makes it anew");
    }
    let outside = executed.iter().filter(|name| program.bytes([*name], |at| !(begin..end).contains(&at.at)) > 2_000);
    let outside: Vec<&String> = outside.collect();
    ensure!(share >= AT_LEAST, "{share:.3} of them; {RECORD}=1 puts the others there: {outside:#?}");
    Ok(())
}

#[test]
fn a_pattern_holds_for_every_build() {
    assert_eq!(pattern("_ZN6reexec4main17h0123456789abcdefE.llvm.77"), "_ZN6reexec4main17h*");
    assert_eq!(pattern("_RNvCs1aB9_3std4main"), "_RNvCs*_3std4main");
}
