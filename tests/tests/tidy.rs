//! Reads the sources and holds the invariants of `ARCHITECTURE.md`.
//!
//! Each finding is `file:line: rule`. A rule is a function from a source to findings, and each one
//! is shown to fire on a planted offence below: a rule that cannot fail holds nothing.

use anyhow::{ensure, Context, Result};
use reexec_tests::place::workspace;
use reexec_tests::source::Source;
use std::fs;
use std::path::Path;

const MAX_FUNCTION: usize = 60;
const MAX_FILE: usize = 450;
const MAX_MAIN: usize = 60;
const CRATES: [&str; 5] = ["hook", "plugins", "client", "tests", "bench"];
const MANAGERS: [&str; 7] = ["dpkg", "apt", "rpm", "dnf", "zypp", "zypper", "pacman"];

/// Other tools' forms of output, by the names that the admin types for them.
const FORMS: [(&str, &str); 1] = [("dnf", "hook/src/cli")];

/// Outside things, and the only files that may name them (beginnings of paths).
const DOORS: [(&str, &[&str]); 10] = [
    ("libloading", &["hook/src/sys/plugin"]),
    ("procfs", &["hook/src/sys/procs"]),
    ("serde_yaml", &["hook/src/sys/config"]),
    ("zbus", &["hook/src/sys/systemd"]),
    ("glob", &["hook/src/model/policy"]),
    ("clap", &["hook/src/cli", "hook/src/main.rs"]),
    ("libc", &["hook/src/sys/raw", "hook/src/sys/plugin"]),
    ("rustix::ioctl", &["hook/src/sys/raw"]),
    ("minisign_verify", &["hook/src/sys/replace"]),
    ("prometheus_client", &["hook/src/render/openmetrics"]),
];

/// What the model must not know: the machine, the clock, and the layers above it.
const NOT_IN_MODEL: [&str; 17] = [
    "crate::sys",
    "crate::run",
    "crate::render",
    "crate::cli",
    "std::fs",
    "std::process",
    "std::env",
    "std::net",
    "std::thread",
    "std::os::unix::net",
    "procfs",
    "libloading",
    "anyhow",
    "rustix",
    "zbus",
    "std::io::stdin",
    "std::io::stdout",
];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 5] = ["plugins/abi/", "client/src/raw", "client/c/src", "hook/src/sys/plugin", "hook/src/sys/raw"];

/// Only a child of the process that was started to die may exit, besides `main.rs`.
const EXITS: [&str; 2] = ["hook/src/main.rs", "hook/src/sys/plugin"];

/// Besides `main.rs`, only this asks about the streams: whether they are a terminal, how wide it is.
/// A build script speaks to cargo, and an example is a program of its own.
const STREAMS: [&str; 7] = [
    "hook/src/main.rs",
    "hook/src/sys/host",
    "hook/src/sys/log",
    "hook/src/sys/progress",
    "hook/build.rs",
    "client/c/build.rs",
    "client/examples/ask",
];

type Rule = fn(&Source) -> Vec<(usize, String)>;

const RULES: [Rule; 11] = [
    model_is_pure,
    layers_are_kept,
    one_door_per_outside_thing,
    plugins_know_nothing_of_hook,
    hook_names_no_package_manager,
    only_main_prints_and_exits,
    modules_say_what_they_are,
    functions_fit_on_a_screen,
    files_are_short,
    unsafe_has_its_places,
    nothing_panics_or_was_left_behind,
];

fn is_program(source: &Source) -> bool {
    !source.path.starts_with("tests/")
}

fn within(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| path.starts_with(place))
}

/// Whether the path is this one or leads into it.
fn leads_into(path: &str, into: &str) -> bool {
    path.strip_prefix(into).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Paths outside of tests that are, or lead into, one of these.
fn named_outside_tests(source: &Source, wanted: &[&str]) -> Vec<(usize, String)> {
    let named = source.named().into_iter();
    named
        .filter(|named| !source.is_test(named.at))
        .filter_map(|named| {
            let absolute = absolute(&source.path, &named.path);
            let hit = wanted.iter().find(|into| leads_into(&absolute, into))?;
            Some((named.at, (*hit).to_owned()))
        })
        .collect()
}

/// The path with `super::` and `reexec::` resolved: `super::super::sys` in the model is `crate::sys`.
fn absolute(file: &str, path: &str) -> String {
    if let Some(rest) = path.strip_prefix("reexec::") {
        return format!("crate::{rest}");
    }
    if !path.starts_with("super::") {
        return path.trim_start_matches("core::").to_owned();
    }
    let inside = file.split_once("/src/").map_or("", |(_, inside)| inside);
    let module = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    let mut segments: Vec<&str> = module.split('/').collect();
    let mut rest = path;
    while let Some(after) = rest.strip_prefix("super::") {
        segments.pop();
        rest = after;
    }
    segments.insert(0, "crate");
    segments.push(rest);
    segments.join("::")
}

fn model_is_pure(source: &Source) -> Vec<(usize, String)> {
    if !source.path.starts_with("hook/src/model") {
        return Vec::new();
    }
    let mut found: Vec<_> = named_outside_tests(source, &NOT_IN_MODEL)
        .into_iter()
        .map(|(at, what)| (at, format!("the model imports {what}")))
        .collect();
    for named in source.named() {
        if named.path.ends_with("::now") && !source.is_test(named.at) {
            let why = format!("the model reads a clock ({})", named.path);
            found.push((named.at, why));
        }
    }
    found
}

/// Who must not know whom: `sys` and `render` are called, and call nobody but the model.
fn layers_are_kept(source: &Source) -> Vec<(usize, String)> {
    let layers: [(&str, &[&str]); 3] = [
        ("hook/src/sys", &["crate::run", "crate::render", "crate::cli"]),
        ("hook/src/render", &["crate::run", "crate::sys", "crate::cli"]),
        ("hook/src/cli", &["crate::sys", "crate::render"]),
    ];
    let mut found = Vec::new();
    for (layer, strangers) in layers {
        if !source.path.starts_with(layer) {
            continue;
        }
        for (at, what) in named_outside_tests(source, strangers) {
            found.push((at, format!("{layer} imports {what}")));
        }
    }
    found
}

fn one_door_per_outside_thing(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !source.path.starts_with("hook/src") {
        return found;
    }
    for (thing, doors) in DOORS {
        if within(&source.path, doors) {
            continue;
        }
        for (at, _) in named_outside_tests(source, &[thing]) {
            let doors = doors.join("*, ");
            found.push((at, format!("{thing} has one door: {doors}*")));
        }
    }
    found
}

fn plugins_know_nothing_of_hook(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !source.path.starts_with("plugins/") {
        return found;
    }
    for named in source.named() {
        if leads_into(&named.path, "reexec") {
            let why = format!("a plugin imports hook ({})", named.path);
            found.push((named.at, why));
        }
    }
    found
}

fn hook_names_no_package_manager(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !source.path.starts_with("hook/src") {
        return found;
    }
    for manager in MANAGERS {
        if FORMS.iter().any(|(form, place)| *form == manager && source.path.starts_with(place)) {
            continue;
        }
        for at in source.spoken(manager).filter(|at| !source.is_test(*at)) {
            found.push((at, format!("hook names a package manager ({manager})")));
        }
    }
    found
}

fn only_main_prints_and_exits(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !is_program(source) {
        return found;
    }
    // They panic when the pipe is closed, in main.rs as anywhere.
    for word in ["println", "print", "eprintln", "eprint"] {
        for at in source.words(word) {
            if source.code[at + word.len()..].starts_with('!') && !source.is_test(at) {
                found.push((at, format!("{word}! panics on a closed pipe: use the one writer")));
            }
        }
    }
    let of_main = [("exit", &EXITS[..]), ("stdout", &STREAMS), ("stderr", &STREAMS)];
    for named in source.named() {
        let last = named.path.rsplit("::").next().unwrap_or_default();
        let owner = named.path.trim_end_matches(last).trim_end_matches("::");
        let ends_process = matches!(owner, "std::process" | "process") && last == "exit";
        let prints = matches!(owner, "std::io" | "io") && matches!(last, "stdout" | "stderr");
        let allowed = of_main.iter().find(|(what, _)| *what == last);
        if (ends_process || prints)
            && !source.is_test(named.at)
            && !allowed.is_some_and(|(_, places)| within(&source.path, places))
        {
            found.push((named.at, format!("only main.rs prints and exits ({})", named.path)));
        }
    }
    found
}

fn modules_say_what_they_are(source: &Source) -> Vec<(usize, String)> {
    let first = source.text.lines().find(|line| !line.trim().is_empty());
    if first.is_some_and(|line| line.starts_with("//! ")) {
        return Vec::new();
    }
    vec![(0, "a module opens with one //! sentence".to_owned())]
}

fn functions_fit_on_a_screen(source: &Source) -> Vec<(usize, String)> {
    let long =
        source.functions().into_iter().filter(|function| function.lines > MAX_FUNCTION && !source.is_test(function.at));
    long.map(|function| {
        let (name, lines) = (&function.name, function.lines);
        (function.at, format!("fn {name} has {lines} lines, more than {MAX_FUNCTION}"))
    })
    .collect()
}

fn files_are_short(source: &Source) -> Vec<(usize, String)> {
    let (lines, most) = if source.path == "hook/src/main.rs" {
        (source.text.lines().count(), MAX_MAIN - 1)
    } else {
        (source.lines_without_tests(), MAX_FILE)
    };
    if lines <= most {
        return Vec::new();
    }
    vec![(0, format!("{lines} lines without tests, more than {most}"))]
}

fn unsafe_has_its_places(source: &Source) -> Vec<(usize, String)> {
    if within(&source.path, &UNSAFE) {
        return Vec::new();
    }
    let places = UNSAFE.join("*, ");
    source.words("unsafe").map(|at| (at, format!("unsafe stands only in {places}*"))).collect()
}

fn nothing_panics_or_was_left_behind(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let code = &source.code;
    for word in ["unwrap", "todo", "unimplemented", "dbg"] {
        for at in source.words(word) {
            let after = &code[at + word.len()..];
            let called = word == "unwrap" && code[..at].ends_with('.') && after.starts_with('(');
            let invoked = word != "unwrap" && after.starts_with('!');
            if (called || invoked) && !source.is_test(at) && is_program(source) {
                found.push((at, format!("{word} outside of tests")));
            }
        }
    }
    found
}

fn findings(source: &Source) -> Vec<String> {
    let mut all: Vec<(usize, String)> = RULES.iter().flat_map(|rule| rule(source)).collect();
    all.sort();
    all.dedup();
    all.into_iter().map(|(at, why)| format!("{}:{}: {why}", source.path, source.line(at))).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "target" {
                rust_files(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// All Rust sources of the workspace; a module that is only declared for tests counts as tests.
fn sources() -> Result<Vec<Source>> {
    let mut files = Vec::new();
    for name in CRATES {
        let folder = workspace().join(name);
        if folder.is_dir() {
            rust_files(&folder, &mut files)?;
        }
    }
    files.sort();
    let root = workspace();
    files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(root)?.to_string_lossy().into_owned();
            Ok(Source::new(&path, &fs::read_to_string(file)?))
        })
        .collect()
}

#[test]
fn the_sources_keep_the_invariants() -> Result<()> {
    let sources = sources()?;
    ensure!(sources.len() > 10, "the sources were not found");
    let found: Vec<String> = sources.iter().flat_map(findings).collect();
    ensure!(found.is_empty(), "\n{}\n", found.join("\n"));
    Ok(())
}

#[test]
fn plugins_depend_on_the_contract_and_never_on_hook() -> Result<()> {
    for entry in fs::read_dir(workspace().join("plugins"))? {
        let manifest = entry?.path().join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&manifest) else {
            continue;
        };
        let keys = text.lines().filter_map(|line| line.split(['.', '=', ' ']).next());
        let on_hook: Vec<&str> = keys.filter(|key| *key == "reexec").collect();
        ensure!(on_hook.is_empty(), "{} depends on hook", manifest.display());
        ensure!(!text.contains("hook\""), "{} depends on hook", manifest.display());
    }
    Ok(())
}

#[test]
fn each_rule_finds_a_planted_offence() {
    let long = format!("//! D.\nfn f() {{\n{}}}\n", "x();\n".repeat(MAX_FUNCTION));
    let endless = format!("//! D.\n{}", "const A: u8 = 0;\n".repeat(MAX_FILE));
    for (path, text, line, word) in [
        ("hook/src/model/a.rs", "//! D.\nuse std::{io, fs};", 2, "std::fs"),
        ("hook/src/model/a.rs", "//! D.\nuse super::super::sys::x;", 2, "crate::sys"),
        ("hook/src/model/a/mod.rs", "//! D.\n\nuse super::super::sys;", 3, "crate::sys"),
        ("hook/src/model/a.rs", "//! D.\nfn f() { std::env::var(\"A\"); }", 2, "std::env"),
        ("hook/src/model/a.rs", "//! D.\nfn f() { Instant::now(); }", 2, "clock"),
        ("hook/src/sys/a.rs", "//! D.\nuse crate::run::x;", 2, "crate::run"),
        ("hook/src/render/a.rs", "//! D.\nuse crate::sys::x;", 2, "crate::sys"),
        ("hook/src/sys/a.rs", "//! D.\nuse libloading::Library;", 2, "one door"),
        ("hook/src/run/a.rs", "//! D.\nfn f() { serde_yaml::from_str(x); }", 2, "one door"),
        ("hook/src/sys/procs.rs", "//! D.\nuse zbus::blocking;", 2, "one door"),
        ("plugins/rpm/src/lib.rs", "//! D.\nuse reexec::model;", 2, "imports hook"),
        ("hook/src/run/a.rs", "//! D.\nconst A: &str = \"dpkg\";", 2, "dpkg"),
        ("hook/src/sys/a.rs", "//! D.\nfn rpm_lock() {}", 2, "rpm"),
        ("hook/src/sys/a.rs", "//! D.\nstruct PacmanLock;", 2, "pacman"),
        ("hook/src/cli.rs", "//! D.\nenum Plugin { Rpm }", 2, "rpm"),
        ("hook/src/run/a.rs", "//! D.\nfn f() { println!(); }", 2, "println!"),
        ("hook/src/main.rs", "//! D.\nfn f() { eprintln!(); }", 2, "eprintln!"),
        ("hook/src/run/a.rs", "//! D.\nfn f() { std::process::exit(1); }", 2, "exits"),
        ("hook/src/run/a.rs", "//! D.\nuse std::process;\nfn f() { process::exit(1); }", 3, "exits"),
        ("hook/src/render/a.rs", "//! D.\nuse std::io::stdout;", 2, "prints"),
        ("hook/src/run/a.rs", "\n// no\nfn f() {}", 1, "//!"),
        ("hook/src/run/a.rs", &long, 2, "lines"),
        ("hook/src/run/a.rs", &endless, 1, "lines"),
        ("hook/src/main.rs", &"//! D.\n".repeat(MAX_MAIN), 1, "lines"),
        ("hook/src/sys/a.rs", "//! D.\nfn f() { unsafe { g() } }", 2, "unsafe"),
        ("hook/src/run/a.rs", "//! D.\nfn f() { g().unwrap(); }", 2, "unwrap"),
        ("plugins/rpm/src/a.rs", "//! D.\nfn f() { todo!() }", 2, "todo"),
    ] {
        let found = findings(&Source::new(path, text));
        let place = format!("{path}:{line}: ");
        assert!(
            found.len() == 1 && found[0].starts_with(&place) && found[0].contains(word),
            "{text:?} should give one finding, {place}…{word}: {found:?}"
        );
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    let in_tests = "//! D.\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n    \
        fn g() { h().unwrap(); println!(\"dpkg\"); }\n}\n";
    for (path, text) in [
        ("hook/src/model/a.rs", in_tests),
        ("hook/src/model/a/tests.rs", "//! D.\nuse std::fs;\nfn g() { h().unwrap(); }"),
        ("hook/src/model/a.rs", "//! D.\nuse super::file::FileId;\nuse std::io;"),
        ("hook/src/model/a.rs", "//! As dpkg does.\n// apt\nconst A: &str = \"std::fs\";"),
        ("hook/src/sys/plugin/child.rs", "//! D.\nuse libloading::os;\nfn f() { unsafe {} }"),
        ("hook/src/sys/raw_stat.rs", "//! D.\nuse rustix::ioctl;\nfn f() { unsafe {} }"),
        ("hook/src/sys/a.rs", "//! D.\n#![forbid(unsafe_code)]\nfn capture() { adapt(x.unwrap_or(1)); }"),
        ("hook/src/main.rs", "//! D.\nfn main() { std::process::exit(x(std::io::stdout())) }"),
        ("plugins/abi/src/lib.rs", "//! D.\nunsafe fn f() {}"),
        ("hook/src/sys/host.rs", "//! D.\nuse std::io::stdout;"),
        ("hook/src/cli.rs", "//! D.\nconst A: &str = \"dnf-services\";"),
    ] {
        assert_eq!(findings(&Source::new(path, text)), [""; 0], "{text:?}");
    }
}
