//! Policy files with faults in them, and where each is said to be.

use super::*;
use crate::model::owner::OwnerKind;
use crate::model::policy::{Action, Subject, When};
use crate::model::verdict::Verdict;
use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/share/policy.d/50-default.yaml");
const CONFFILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/share/policy.yaml");

const ACTIONS: &str = "one of: ignore, report, notify, ask, signal, reload, restart, reexec-manager, command, \
    soft-reboot, reboot-hint";
const RULE_KEYS: &str = "one of: name, match, action, protect, window, when, settle, deadline, max_parallel, canary, \
    hold, on_failure, dependents";

/// A system's folder, gone at the end of the test.
struct Bed(PathBuf);

impl Bed {
    fn new() -> Bed {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("reexec-policy-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bed = Bed(std::env::temp_dir().join(name));
        for folder in ["usr/lib/reexec/policy.d", "etc/reexec/policy.d"] {
            bed.folder(folder);
        }
        bed
    }

    fn folder(&self, below: &str) {
        let mut path = self.0.clone();
        fs::create_dir_all(&path).unwrap();
        set_mode(&path, 0o755);
        for part in Path::new(below) {
            path.push(part);
            fs::create_dir_all(&path).unwrap();
            set_mode(&path, 0o755);
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    fn write(&self, below: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(below);
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o644);
        path
    }

    fn load(&self) -> Result<Loaded, ConfigErrors> {
        load(&Sources::below(&self.0))
    }

    /// What is told, one line a problem, without the bed's own path.
    fn told(&self) -> Vec<String> {
        let root = format!("{}/", self.0.display());
        let errors = self.load().expect_err("a broken policy was taken");
        errors.iter().map(|error| error.headline().replace(&root, "")).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn policy_of(text: &str) -> Policy {
    let file = PathBuf::from("/etc/p.yaml");
    let fragment = parse(&file, text.as_bytes()).unwrap_or_else(|errors| panic!("{}", ConfigErrors(errors)));
    Input::merge(vec![vec![Layer { file, fragment }]]).settle()
}

/// `line:column: message (hint)` of every problem.
fn problems_of(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let errors = parse(Path::new("p"), bytes.as_ref()).err().unwrap_or_default();
    let print = |error: &ConfigError| {
        let hint = error.problem.hint.as_ref();
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}{hint}", error.headline().trim_start_matches("p:"))
    };
    errors.iter().map(print).collect()
}

/// A text without its `¦`, and the line and column that it stood before.
fn marked(text: &str) -> (String, String) {
    let (before, after) = text.split_once('¦').unwrap();
    let lines = before.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let line = lines.matches('\n').count() + 1;
    let column = lines.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (format!("{before}{after}"), format!("{line}:{column}"))
}

fn service(unit: &str) -> Subject<'_> {
    Subject { unit: Some(unit), ..Subject::new(OwnerKind::Service, Verdict::Stale) }
}

#[test]
fn every_slip_is_told_at_its_token() {
    let durations = "a number and a unit: 500ms, 5s, 2m, 1h";
    for (text, expected) in [
        ("rules:\n  - action: ¦reboot\n", format!("unknown action \"reboot\" ({ACTIONS})")),
        ("rules:\n  - action: [report, ¦reboot]\n", format!("unknown action \"reboot\" ({ACTIONS})")),
        ("rules:\n  - action: ¦signal\n", "`signal` needs to know which one (signal: HUP)".into()),
        ("rules:\n  - action: { signal: ¦KILL }\n", "KILL can have no handler (asking never kills)".into()),
        (
            "rules:\n  - action: { signal: [USR2, { send: QUIT, until: ¦gone }] }\n",
            "unknown value of until \"gone\" (one of: sent, successor, ended)".into(),
        ),
        ("rules:\n  - action: { signal: ¦{ to: main } }\n", "a signal without `send` (send: USR2)".into()),
        (
            "rules:\n  - action:\n      - command: { run: [¦x] }\n",
            "not an absolute path (no folder is searched for programs)".into(),
        ),
        (
            "rules:\n  - action:\n      - command: { run: ¦/bin/x y }\n",
            "expected a list of a program and its arguments, found text (there is no shell: [/usr/bin/x, y])".into(),
        ),
        ("rules:\n  - action:\n      - command: ¦{ deadline: 5s }\n", "a command without `run` (run: [/absolute/path, argument])".into()),
        ("rules:\n  - action: ¦command\n", "`command` needs to know what to run (command: { run: [/usr/local/sbin/x] })".into()),
        ("rules:\n  - action: { notify: { ¦tty: true } }\n", "unknown key \"tty\" (one of: terminal)".into()),
        ("rules:\n  - action: { ¦restart: {} }\n", "`restart` takes no settings".into()),
        ("rules:\n  - action: ¦5\n", format!("expected an action or a list of actions, found a number ({ACTIONS})")),
        ("rules:\n  - action: ¦[]\n", "an empty list of actions (`report` says it and leaves the owner alone)".into()),
        ("rules:\n  - action: [reload, ¦reload]\n", "the same action twice (each step of a ladder is tried once)".into()),
        ("rules:\n  - action: [reload, ¦ignore]\n", "`ignore` beside other actions (it stands alone)".into()),
        ("rules:\n  - ¦name: a\n", format!("a rule without an action (action: {ACTIONS})")),
        ("rules:\n  - ¦nam: a\n    action: report\n", format!("unknown key \"nam\" ({RULE_KEYS})")),
        ("rules:\n  - action: report\n    window: ¦[nights]\n", "expected the name of a window, found a list".into()),
        ("rules:\n  - action: report\n    when: ¦inline\n", "unknown value of when \"inline\" (one of: always, manual)".into()),
        ("windows: ¦[]\n", "expected a map of windows by name, found a list".into()),
        ("windows: { a: ¦{ from: \"02:00\" } }\n", "a window without `from` and `to` (from: \"02:00\", to: \"05:00\")".into()),
        (
            "windows: { a: { from: ¦\"2:00\", to: \"05:00\" } }\n",
            "not a time of day: \"2:00\" (hours and minutes in quotes: \"02:00\"; \"24:00\" is a day's end)".into(),
        ),
        (
            "windows: { a: { days: [¦mon-fry], from: \"02:00\", to: \"05:00\" } }\n",
            "unknown day \"mon-fry\" (one of: mon, tue, wed, thu, fri, sat, sun)".into(),
        ),
        (
            "windows: { a: { from: \"02:00\", to: \"05:00\", timezone: ¦Europe/Atlantis } }\n",
            "unknown time zone \"Europe/Atlantis\" (a name of the time zone database: Europe/Berlin, UTC)".into(),
        ),
        ("¦rule: []\n", "unknown key \"rule\" (one of: version, defaults, windows, rules)".into()),
        ("rules: ¦{}\n", "expected a list of rules, found a map".into()),
        ("rules: [¦report]\n", "expected a rule: a map of name, match and action, found text".into()),
        ("rules:\n  - { name: ¦5, action: report }\n", "expected a name, found a number".into()),
        ("rules:\n  - { name: ¦\"\", action: report }\n", "not a name for a rule (1 to 100 characters on one line)".into()),
        (
            "rules:\n  - { name: a, action: report }\n  - { name: ¦a, action: report }\n",
            "two rules are named \"a\" (the first is on line 2)".into(),
        ),
        ("rules:\n  - { action: report, protect: ¦1 }\n", "expected true or false, found a number (write true or false)".into()),
        ("rules:\n  - action: report\n    match¦:\n", "nothing to match (`match: {}` takes every owner)".into()),
        ("rules:\n  - action: report\n    match: ¦[a]\n", "expected a map of what to match, found a list".into()),
        (
            "rules:\n  - action: report\n    match: { ¦unti: a }\n",
            "unknown key \"unti\" (one of: unit, exe, path, package, user, owner, slice, container, cause, method, verdict)".into(),
        ),
        ("rules:\n  - action: report\n    match: { unit: ¦[] }\n", "an empty list matches nothing (leave the key out, or say what to match)".into()),
        ("rules:\n  - action: report\n    match: { unit: [a, ¦5] }\n", "expected a pattern, found a number (put it in quotes)".into()),
        ("rules:\n  - action: report\n    match: { unit: ¦\"a[b\" }\n", "not a pattern: invalid range pattern".into()),
        ("rules:\n  - action: report\n    match: { unit: ¦\"\" }\n", "not a pattern: an empty pattern matches nothing".into()),
        (
            "rules:\n  - action: report\n    match: { exe: ¦sbin/x }\n",
            "not a pattern: not an absolute path (begin with / or **/, or leave out every / to match file names)".into(),
        ),
        ("rules:\n  - action: report\n    match: { method: [renamed, ¦moved] }\n",
            "unknown method \"moved\" (one of: renamed, recreated, overwritten, removed, untouched, unknown)".into()),
        ("rules:\n  - action: report\n    match: { verdict: ¦old }\n", "unknown verdict \"old\" (one of: fresh, unknown, stale, tainted)".into()),
        ("rules:\n  - action: report\n    match: { cause: ¦lib }\n", "unknown cause \"lib\" (one of: executable, library, data, script)".into()),
        (
            "rules:\n  - action: report\n    match: { owner: ¦Service }\n",
            "unknown owner \"Service\" (one of: service, user-service, session, container, init, user-manager, loose)".into(),
        ),
        ("rules:\n  - action: report\n    match: { not: ¦{} }\n", "an empty `not` excludes every owner (leave it out, or say what to exclude)".into()),
        (
            "rules:\n  - action: report\n    match: { not: { ¦not: {} } }\n",
            "unknown key \"not\" (one of: unit, exe, path, package, user, owner, slice, container, cause, method, verdict)".into(),
        ),
        ("defaults:\n  settle: ¦5\n", format!("5 has no unit ({durations})")),
        ("defaults:\n  settle: ¦1h30m\n", format!("not a duration: \"1h30m\" ({durations})")),
        ("defaults:\n  settle: ¦2h\n", "2h is out of bounds (from 0s to 1h)".into()),
        ("defaults:\n  deadline: ¦0s\n", "0s is out of bounds (from 100ms to 24h)".into()),
        ("defaults:\n  quiet: ¦true\n", format!("expected a duration, found true or false ({durations})")),
        ("defaults:\n  max_parallel: ¦0\n", "0 is out of bounds (from 1 to 1024)".into()),
        ("defaults:\n  max_parallel: ¦-1\n", "-1 is out of bounds (from 1 to 1024)".into()),
        ("defaults:\n  max_parallel: ¦many\n", "expected a number, found text (from 1 to 1024)".into()),
        ("defaults:\n  metrics: ¦m.prom\n", "expected the absolute path of a file, found text".into()),
        ("defaults:\n  reboot_flag: ¦1\n", "expected true or false, found a number (write true or false)".into()),
        ("defaults:\n  when: ¦now\n", "unknown value of when \"now\" (one of: after-transaction, inline, manual)".into()),
        ("defaults: ¦[]\n", "expected a map of settings, found a list".into()),
        ("version: ¦2\n", "version 2 is not supported (this reexec reads version 1)".into()),
        ("version: ¦one\n", "expected the number 1, found text".into()),
        ("¦- a\n", "expected a map of version, defaults, windows and rules, found a list".into()),
        ("# é ü\n¦\"ö\": 1\n", "unknown key \"ö\" (one of: version, defaults, windows, rules)".into()),
        ("\u{feff}¦rule: []\r\n", "unknown key \"rule\" (one of: version, defaults, windows, rules)".into()),
        ("version: 1\r\nrules:\r\n  - action: ¦reboot\r\n", format!("unknown action \"reboot\" ({ACTIONS})")),
        ("version: 1\r¦rule: []\r", "unknown key \"rule\" (one of: version, defaults, windows, rules)".into()),
    ] {
        let (text, place) = marked(text);
        assert_eq!(problems_of(&text), [format!("{place}: {expected}")], "{text:?}");
    }
}

#[test]
fn what_yaml_allows_and_a_policy_does_not_is_told_at_its_token() {
    let tab = "YAML takes spaces only";
    let quotes = "a pattern that begins with * needs quotes";
    for (text, expected) in [
        ("version: 1\n¦version: 1\n", "key \"version\" stands twice (the first is on line 1)".to_owned()),
        ("rules:\n  - name: a\n    ¦name: b\n", "key \"name\" stands twice (the first is on line 2)".into()),
        (
            "x: &d { settle: 5s }\ndefaults:\n  ¦<<: *d\n",
            "a merge key (<<) (not taken: write the keys out)".into(),
        ),
        ("version: 1\n¦---\nversion: 1\n", "a second document (a policy file is one document)".into()),
        ("version: 1\n...\n¦---\n", "a second document (a policy file is one document)".into()),
        ("version: ¦!!int 1\n", "a tag (`!` tags are not taken; quote a text with !)".into()),
        ("¦[a]: b\n", "a key that is a list or a map".into()),
        ("&a x: 1\n¦*a : 2\n", "a key that is an alias".into()),
        ("x: &a [¦*a]\n", "an alias inside what it stands for".into()),
        ("rules:\n¦\t- name: a\n", format!("a tab in the indentation ({tab})")),
        ("rules:\n  - name: a\n¦\taction: x\n", format!("a tab in the indentation ({tab})")),
        ("rules:\n  - name: a\n  ¦\taction: x\n", format!("a tab in the indentation ({tab})")),
        ("version:¦\t1\n", format!("a tab between words ({tab})")),
        ("rules:\n  - match: { unit: ¦* }\n", format!(
            "not YAML: while scanning an anchor or alias, did not find expected alphabetic or numeric character ({quotes})")),
        ("rules:\n  - match:\n      unit: ¦*.service\n", format!("not YAML: while parsing node, found unknown anchor ({quotes})")),
        ("version: [¦1\n\n", "not YAML: while parsing a flow sequence, expected ',' or ']' (is a bracket not closed?)".into()),
        ("version: 1\n bad¦: 2\n", "not YAML: mapping values are not allowed in this context".into()),
        ("version: ¦\"1\n", "not YAML: while scanning a quoted scalar, found unexpected end of stream".into()),
        ("version: 1\nx: a¦\0b\n", "a control character (U+0000)".into()),
        ("version: 1¦\u{85}x: 1\n", "a control character (U+0085)".into()),
        ("version: 1\n# \u{202e}¦\u{2028}\n", "a control character (U+2028)".into()),
    ] {
        let (text, place) = marked(text);
        assert_eq!(problems_of(&text), [format!("{place}: {expected}")], "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_told_at_their_place() {
    assert_eq!(problems_of(b"version: 1\r\nrules: \xff\n"), ["2:8: not UTF-8"]);
    assert_eq!(problems_of(b"\xff\xfev\0"), ["1:1: not UTF-8"]);
}

#[test]
fn all_problems_of_a_file_are_told_in_its_order() {
    let text = "rules:\n  - { name: a, action: reboot }\n  - { match: { unti: x, owner: [y, z] }, action: [a, b] }\ndefaults: { when: x, y: z }\nversion: 3\n";
    let places: Vec<_> =
        problems_of(text).iter().map(|told| told.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(places, ["2:24", "3:16", "3:33", "3:36", "3:51", "3:54", "4:19", "4:22", "5:10"]);
}

#[test]
fn a_problem_is_shown_with_its_line() {
    let bed = Bed::new();
    bed.write("etc/reexec/policy.yaml", "rules:\n  - name: a\n    action: reboot  # now\n");
    let file = bed.path("etc/reexec/policy.yaml");
    assert_eq!(
        bed.load().unwrap_err().to_string(),
        format!(
            "{}:3:13: unknown action \"reboot\"\n  |\n3 |     action: reboot  # now\n  |             ^^^^^^ {ACTIONS}",
            file.display()
        )
    );
}

#[test]
fn a_long_line_is_cut_around_the_problem() {
    let text = format!("rules: [{}{{ action: reboot }}]", "{ action: report }, ".repeat(1000));
    let shown = ConfigErrors(parse(Path::new("p"), text.as_bytes()).unwrap_err()).to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], "p:1:20019: unknown action \"reboot\"");
    assert_eq!(lines[2].find("reboot"), lines[3].find("^^^^^^"));
    assert!(shown.len() < 400, "{shown}");
}

#[test]
fn problems_of_all_files_are_told() {
    let bed = Bed::new();
    bed.write("usr/lib/reexec/policy.d/50-default.yaml", "version: 2\n");
    bed.write("etc/reexec/policy.yaml", "defaults: { settle: 1 }\n");
    bed.write("etc/reexec/policy.d/10-a.yaml", "rules: [{}]\n");
    bed.write("etc/reexec/policy.d/20-b.yaml", b"\xff");
    assert_eq!(
        bed.told(),
        [
            "usr/lib/reexec/policy.d/50-default.yaml:1:10: version 2 is not supported",
            "etc/reexec/policy.yaml:1:21: 1 has no unit",
            "etc/reexec/policy.d/10-a.yaml:1:9: a rule without an action",
            "etc/reexec/policy.d/20-b.yaml:1:1: not UTF-8",
        ]
    );
}

#[test]
fn a_file_that_says_nothing_leaves_all_defaults() {
    let nothing: &[&str] = &[
        "",
        "\u{feff}",
        "\r\n",
        "# only\n# comments",
        "---\n",
        "---\n...\n",
        "~\n",
        "{}\n",
        "defaults:\nrules:\n",
        "version: 1\n",
        "rules: []\n",
    ];
    for text in nothing {
        let policy = policy_of(text);
        assert_eq!(policy, Policy::default(), "{text:?}");
        assert_eq!(policy.decide(&service("a.service")).steps(), [Action::Report]);
    }
}

#[test]
fn a_system_without_any_policy_file_has_the_defaults() {
    let bed = Bed::new();
    fs::remove_dir_all(bed.path("usr")).unwrap();
    fs::remove_dir_all(bed.path("etc/reexec")).unwrap();
    let expected = Loaded { policy: Policy::default(), files: vec![], warnings: vec![] };
    assert_eq!(bed.load(), Ok(expected));
}

#[test]
fn settings_come_key_by_key_from_the_highest_file() {
    let bed = Bed::new();
    bed.write(
        "usr/lib/reexec/policy.d/50-default.yaml",
        "defaults: { settle: 1s, deadline: 1s, quiet: 1s, max_parallel: 1, action: ignore }",
    );
    bed.write("etc/reexec/policy.yaml", "defaults: { deadline: 2s, quiet: 2s, max_parallel: 2 }");
    bed.write("etc/reexec/policy.d/10-a.yaml", "defaults: { quiet: 3s, max_parallel: 3 }");
    bed.write("etc/reexec/policy.d/20-b.yaml", "defaults: { max_parallel: 4, when: manual }");
    let loaded = bed.load().unwrap();
    let defaults = loaded.policy.defaults;
    let seconds = [defaults.settle, defaults.deadline, defaults.quiet].map(|time| time.as_secs());
    assert_eq!((seconds, defaults.max_parallel, defaults.when), ([1, 2, 3], 4, When::Manual));
    assert_eq!(defaults.ladder.steps(), [Action::Ignore]);
    let source = defaults.ladder_source.unwrap();
    assert_eq!(source.to_string(), format!("{}:1", bed.path("usr/lib/reexec/policy.d/50-default.yaml").display()));
    let names: Vec<_> = loaded.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(names, ["50-default.yaml", "policy.yaml", "10-a.yaml", "20-b.yaml"]);
}

fn rule_names(loaded: &Loaded) -> Vec<&str> {
    loaded.policy.rules.iter().map(|rule| rule.name.as_str()).collect()
}

#[test]
fn rules_are_looked_at_from_the_highest_place_down() {
    let bed = Bed::new();
    let rules = |names: [&str; 2]| {
        format!(
            "rules:\n  - {{ name: {}, action: report }}\n  - {{ name: {}, match: {{ unit: x }}, action: restart }}\n",
            names[1], names[0]
        )
    };
    bed.write("usr/lib/reexec/policy.d/20-b.yaml", rules(["v3", "v4"]));
    bed.write("usr/lib/reexec/policy.d/10-a.yaml", rules(["v1", "masked"]));
    bed.write("etc/reexec/policy.yaml", rules(["m1", "masked"]));
    bed.write("etc/reexec/policy.d/9-b.yaml", rules(["d3", "d4"]));
    bed.write("etc/reexec/policy.d/10-a.yaml", rules(["d1", "d2"]));
    bed.write("usr/lib/reexec/policy.d/9-b.yaml", "never: read");
    let loaded = bed.load().unwrap();
    // The vendor's 10-a and 9-b are masked by their names, its 20-b is not.
    assert_eq!(rule_names(&loaded), ["d2", "d1", "d4", "d3", "masked", "m1", "v4", "v3"]);
    assert_eq!(loaded.policy.rules[1].source.line, 3);
}

#[test]
fn a_rules_name_masks_the_same_name_below() {
    let bed = Bed::new();
    bed.write("usr/lib/reexec/policy.d/50-default.yaml", "rules:\n- { name: bus, match: { unit: dbus.service }, action: report, protect: true }\n- { name: other, match: { unit: b }, action: report }\n");
    bed.write("etc/reexec/policy.yaml", "rules: [{ name: bus, match: { unit: a }, action: restart }]");
    bed.write("etc/reexec/policy.d/10-a.yaml", "rules: [{ name: twice, action: report }]");
    bed.write("etc/reexec/policy.d/20-b.yaml", "rules: [{ name: twice, action: ignore }]");
    let loaded = bed.load().unwrap();
    assert_eq!(rule_names(&loaded), ["twice", "bus", "other"]);
    assert_eq!(loaded.policy.rules[0].ladder.steps(), [Action::Ignore]);
    assert!(!loaded.policy.rules[1].protect);
    let folder = bed.path("etc/reexec/policy.d");
    let folder = folder.display();
    assert_eq!(loaded.warnings, [format!("{folder}/10-a.yaml:1: rule \"twice\" is masked by {folder}/20-b.yaml")]);
}

#[test]
fn rules_without_a_name_mask_nothing_and_are_named_by_their_place() {
    let bed = Bed::new();
    bed.write("etc/reexec/policy.yaml", "rules: [{ match: { unit: x }, action: restart }]");
    bed.write("etc/reexec/policy.d/10-a.yaml", "rules:\n\n  - { match: { unit: y }, action: restart }");
    assert_eq!(rule_names(&bed.load().unwrap()), ["10-a.yaml:3", "policy.yaml:1"]);
}

#[test]
fn an_empty_file_or_a_link_to_dev_null_masks() {
    for mask in ["empty", "link"] {
        let bed = Bed::new();
        bed.write("usr/lib/reexec/policy.d/50-default.yaml", "broken");
        let masking = bed.path("etc/reexec/policy.d/50-default.yaml");
        match mask {
            "empty" => drop(bed.write("etc/reexec/policy.d/50-default.yaml", "")),
            _ => symlink("/dev/null", masking).unwrap(),
        }
        assert_eq!(bed.load().unwrap().policy, Policy::default(), "{mask}");
    }
}

#[test]
fn only_yaml_files_are_read() {
    let bed = Bed::new();
    for name in [".10-a.yaml", "10-a.yaml~", "10-a.yaml.rpmnew", "README", "10-a.yml", "yaml"] {
        bed.write(&format!("etc/reexec/policy.d/{name}"), "broken");
    }
    let loaded = bed.load().unwrap();
    assert_eq!(loaded.files, Vec::<PathBuf>::new());
    let path = bed.path("etc/reexec/policy.d/10-a.yml");
    assert_eq!(loaded.warnings, [format!("{}: not read: its name does not end in .yaml", path.display())]);
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    for (mode, expected) in
        [(0o644, None), (0o600, None), (0o646, Some("writable by others")), (0o666, Some("writable by others"))]
    {
        let bed = Bed::new();
        let path = bed.write("etc/reexec/policy.yaml", "version: 1\n");
        set_mode(&path, mode);
        let told = bed.load().err().map(|errors| errors.iter().next().unwrap().headline());
        let expected = expected.map(|why| format!("{}: not trusted: {why}", path.display()));
        assert_eq!(told, expected, "{mode:o}");
        assert_eq!(load_file(&path).is_err(), expected.is_some(), "{mode:o}");
    }
}

#[test]
fn a_group_may_write_only_if_it_is_roots() {
    let bed = Bed::new();
    let path = bed.write("etc/reexec/policy.yaml", "version: 1\n");
    set_mode(&path, 0o664);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    assert!(bed.load().is_ok());
    std::os::unix::fs::chown(&path, None, Some(50)).unwrap();
    assert_eq!(bed.told(), ["etc/reexec/policy.yaml: not trusted: writable by group 50"]);
}

#[test]
fn a_file_or_folder_of_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bed = Bed::new();
    let path = bed.write("etc/reexec/policy.yaml", "version: 1\n");
    std::os::unix::fs::chown(&path, Some(1000), None).unwrap();
    assert_eq!(bed.told(), ["etc/reexec/policy.yaml: not trusted: owned by user 1000, not by root"]);
    assert!(load_file(&path).is_ok());

    let bed = Bed::new();
    std::os::unix::fs::chown(bed.path("etc"), Some(1000), None).unwrap();
    let folder = "not trusted: its folder etc is owned by user 1000, not by root";
    assert_eq!(bed.told(), [format!("etc/reexec/policy.d: {folder}"), format!("etc/reexec/policy.yaml: {folder}")]);
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    for folder in ["", "etc", "etc/reexec", "usr/lib"] {
        let bed = Bed::new();
        set_mode(&bed.path(folder), 0o777);
        let told = bed.load().unwrap_err().to_string();
        assert!(told.contains("writable by others"), "{folder}: {told}");
    }
}

#[test]
fn what_is_no_plain_file_is_refused_and_never_waited_for() {
    let begun = Instant::now();
    let bed = Bed::new();
    let elsewhere = bed.write("etc/other.yaml", "version: 1\n");
    let at = |name: &str| bed.path(&format!("etc/reexec/policy.d/{name}"));
    symlink(&elsewhere, at("10-link.yaml")).unwrap();
    symlink("/nowhere", at("20-dangling.yaml")).unwrap();
    bed.folder("etc/reexec/policy.d/30-folder.yaml");
    mknod(&at("40-fifo.yaml"), rustix::fs::FileType::Fifo);
    let _socket = std::os::unix::net::UnixListener::bind(at("50-socket.yaml")).unwrap();
    assert_eq!(
        bed.told(),
        [
            "etc/reexec/policy.d/10-link.yaml: a symbolic link; only one to /dev/null is taken, as a mask",
            "etc/reexec/policy.d/20-dangling.yaml: a symbolic link; only one to /dev/null is taken, as a mask",
            "etc/reexec/policy.d/30-folder.yaml: a folder, not a file",
            "etc/reexec/policy.d/40-fifo.yaml: not a regular file",
            "etc/reexec/policy.d/50-socket.yaml: not a regular file",
        ]
    );
    for path in [at("40-fifo.yaml"), PathBuf::from("/dev/zero"), PathBuf::from("/dev/null")] {
        let errors = load_file(&path).unwrap_err();
        assert_eq!(errors.headline(), format!("{}: not a regular file", path.display()));
    }
    assert_eq!(load_file(&at("10-link.yaml")).unwrap().policy, Policy::default());
    assert!(load_file(&at("60-none.yaml")).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

fn mknod(path: &Path, kind: rustix::fs::FileType) {
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RWXU, 0).unwrap();
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let bed = Bed::new();
    fs::remove_dir(bed.path("etc/reexec/policy.d")).unwrap();
    symlink("/tmp", bed.path("etc/reexec/policy.d")).unwrap();
    assert_eq!(bed.told(), ["etc/reexec/policy.d: not trusted: its folder etc/reexec/policy.d is a symbolic link"]);
}

#[test]
fn a_mebibyte_is_taken_and_no_byte_more() {
    let bed = Bed::new();
    let mut text = b"version: 1\n#".to_vec();
    text.resize(1 << 20, b'x');
    bed.write("etc/reexec/policy.yaml", &text);
    assert!(bed.load().is_ok());
    text.push(b'x');
    bed.write("etc/reexec/policy.yaml", &text);
    assert_eq!(bed.told(), ["etc/reexec/policy.yaml: longer than 1048576 bytes"]);
}

#[test]
fn an_alias_stands_for_its_value() {
    let policy = policy_of("rules:\n  - match: { unit: &web [a.service, b.service] }\n    action: &do [reload, restart]\n  - match: { unit: c.service, not: { unit: *web } }\n    action: *do\n");
    assert_eq!(policy.decide(&service("c.service")).steps(), [Action::Reload, Action::Restart]);
}

#[test]
fn aliases_of_aliases_do_not_blow_up() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_eq!(problems_of(&laughs), ["6:15: too much in one file (its aliases, written out, are counted too)"]);

    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a, ".repeat(100_000));
    assert_eq!(problems_of(&long), ["2:33: too much in one file (its aliases, written out, are counted too)"]);
}

#[test]
fn depth_is_bounded() {
    for (open, levels, place) in [
        ("[", 100, "1:33"),
        ("{ a: ", 100, "1:161"),
        // The parser looks ahead for the end of a bracket and stops there by itself.
        ("[", 100_000, "1:256"),
    ] {
        let text = open.repeat(levels);
        let expected = format!("{place}: nested more than 32 levels deep");
        assert_eq!(problems_of(text), [expected]);
    }
    let block: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(problems_of(block), ["33:33: nested more than 32 levels deep"]);
    let mut aliases = "a0: &a0 x\n".to_owned();
    for level in 1..100 {
        aliases.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(problems_of(aliases), ["32:12: nested more than 32 levels deep"]);
}

#[test]
fn hostile_text_is_answered_soon() {
    for unit in [
        "[",
        "]",
        "{",
        "- ",
        "-\n",
        "? ",
        ": ",
        "a: ",
        "a:\n",
        "&a ",
        "&a\n",
        "*a ",
        "!a ",
        "\"",
        "'",
        "|\n",
        "> ",
        "#",
        " ",
        "\n",
        "\t",
        "%",
        "---\n",
        "a\n",
        "a ",
        ", ",
        "\\",
        "é",
        "- a\n",
        "- &a a\n",
        "[a, ",
        "a",
        "  - x: y\n",
        "- [a]\n",
    ] {
        let text = unit.repeat((1 << 18) / unit.len());
        let begun = Instant::now();
        let _ = problems_of(&text);
        let _ = problems_of(format!("rules: [{text}"));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{unit:?} took {took:?}");
    }
}

#[test]
fn no_mutation_of_a_policy_panics() {
    let seeds = [
        fs::read(SHIPPED).unwrap(),
        uncommented().into_bytes(),
        b"rules: [{name: a, match: {unit: &x [\"*\"], not: {user: *x}}, action: [reload]}]".to_vec(),
    ];
    // xorshift64: reproducible, and no dependency for a test.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let tokens: &[&[u8]] = &[
        b"\t",
        b"\n",
        b"\r",
        b": ",
        b"- ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!",
        b"|",
        b">",
        b"'",
        b"\"",
        b"#",
        b"---\n",
        b"...\n",
        b"?",
        b"%",
        b"\0",
        b"\xff",
        b"\xc3",
        "\u{feff}".as_bytes(),
        b"~",
        b"null",
        b"1e999",
        b"0x",
        b".nan",
        b"  ",
        b"\\",
    ];
    for round in 0..3000 {
        let seed = &seeds[round % seeds.len()];
        let from = random(seed.len());
        let mut text = seed[from.saturating_sub(random(800))..(from + random(800)).min(seed.len())].to_vec();
        for _ in 0..=random(6) {
            let at = random(text.len() + 1);
            match random(3) {
                0 => drop(text.splice(at..at, tokens[random(tokens.len())].iter().copied())),
                1 => drop(text.splice(at..(at + random(20)).min(text.len()), [])),
                _ => text.truncate(at.max(20)),
            }
        }
        if let Err(errors) = parse(Path::new("p"), &text) {
            let _ = ConfigErrors(errors).to_string();
        }
    }
}

#[test]
fn the_shown_policy_reads_back() {
    for text in [fs::read_to_string(SHIPPED).unwrap(), uncommented()] {
        let policy = policy_of(&text);
        let shown = to_yaml(&policy).unwrap();
        assert_eq!(to_yaml(&policy_of(&shown)).unwrap(), shown);
        let ladders = |policy: &Policy| -> Vec<_> {
            policy
                .rules
                .iter()
                .map(|rule| (rule.name.clone(), rule.matching.clone(), rule.ladder.clone(), rule.protect))
                .collect()
        };
        assert_eq!(ladders(&policy_of(&shown)), ladders(&policy));
    }
}

/// The conffile with its examples taken in: `#` before an example, `##` before prose.
fn uncommented() -> String {
    let text = fs::read_to_string(CONFFILE).unwrap();
    let line = |line: &str| match line.strip_prefix('#') {
        Some(example) if !example.starts_with('#') => format!("{example}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_conffile_says_nothing_until_it_is_uncommented() {
    assert_eq!(policy_of(&fs::read_to_string(CONFFILE).unwrap()), Policy::default());
    let policy = policy_of(&uncommented());
    assert_eq!(policy.rules.len(), 4);
    let expected = Policy::default().defaults;
    assert_eq!(crate::model::policy::Defaults { ladder_source: None, ..policy.defaults }, expected);
}

#[test]
fn the_shipped_policy_acts_only_on_managers_and_protects_its_set() {
    let text = fs::read_to_string(SHIPPED).unwrap();
    let shipped = policy_of(&text);
    let defaults = crate::model::policy::Defaults { ladder_source: None, ..shipped.defaults.clone() };
    assert_eq!(defaults, Policy::default().defaults);
    for rule in &shipped.rules {
        assert!(rule.protect || rule.ladder.steps() == [Action::Notify], "{}", rule.name);
    }

    let bed = Bed::new();
    bed.write("usr/lib/reexec/policy.d/50-default.yaml", &text);
    bed.write("etc/reexec/policy.yaml", "rules: [{ name: everything, match: { unit: \"*\" }, action: restart }]");
    let greedy = bed.load().unwrap().policy;
    for (unit, expected) in [
        ("dbus.service", Action::RebootHint),
        ("dbus-broker.service", Action::RebootHint),
        ("systemd-logind.service", Action::RebootHint),
        ("NetworkManager.service", Action::RebootHint),
        ("gdm.service", Action::Report),
        ("getty@tty1.service", Action::Report),
        ("serial-getty@ttyS0.service", Action::Report),
        ("apt-daily-upgrade.service", Action::Report),
        ("unattended-upgrades.service", Action::Report),
        ("packagekit.service", Action::Report),
        ("dnf-automatic-install.service", Action::Report),
        ("reexec-apply.service", Action::Report),
        ("ssh.service", Action::Restart),
        ("nginx.service", Action::Restart),
        ("systemd-journald.service", Action::Restart),
    ] {
        assert_eq!(greedy.decide(&service(unit)).steps(), [expected], "{unit}");
    }
    for (kind, unit, expected) in [
        (OwnerKind::Init, "init.scope", Action::ReexecManager),
        (OwnerKind::UserManager, "user@1000.service", Action::ReexecManager),
        (OwnerKind::Session, "session-1.scope", Action::Notify),
        (OwnerKind::Container, "docker-0.scope", Action::Report),
    ] {
        let subject = Subject { unit: Some(unit), ..Subject::new(kind, Verdict::Stale) };
        for policy in [&greedy, &shipped] {
            assert_eq!(policy.decide(&subject).steps(), [expected], "{kind}");
        }
    }
    assert_eq!(shipped.decide(&service("nginx.service")).rule_name(), "default");
    for (unit, expected) in [("app-firefox-1.scope", Action::Notify), ("pipewire.service", Action::Report)] {
        let subject = Subject { unit: Some(unit), ..Subject::new(OwnerKind::UserService, Verdict::Stale) };
        assert_eq!(shipped.decide(&subject).steps(), [expected], "{unit}");
    }
}

#[test]
fn a_named_file_stands_in_for_the_admins_and_leaves_the_protected() {
    let bed = Bed::new();
    bed.write("usr/lib/reexec/policy.d/50-default.yaml", fs::read(SHIPPED).unwrap());
    bed.write("etc/reexec/policy.yaml", "broken");
    let named = bed.write("mine.yaml", "rules: [{ action: restart }]");
    let loaded = load_file_over(&Sources::below(&bed.0), &named).unwrap();
    assert_eq!(loaded.policy.decide(&service("dbus.service")).steps(), [Action::RebootHint]);
    assert_eq!(loaded.policy.decide(&service("cron.service")).rule_name(), "mine.yaml:1");
    assert_eq!(load_file(&named).unwrap().policy.rules.len(), 1);
}

#[test]
fn a_rule_that_nobody_gets_to_is_doubted() {
    let bed = Bed::new();
    let path = bed.write("etc/reexec/policy.yaml", "rules:\n- { match: {}, action: report }\n- { protect: true, action: report }\n- { match: { unit: a }, action: restart }\n");
    let expected = format!("{}:4: never looked at: the rule on line 2 takes every owner", path.display());
    assert_eq!(bed.load().unwrap().warnings, [expected]);
}

#[test]
fn a_window_is_defined_in_any_file_and_an_unknown_one_is_told_at_its_name() {
    let bed = Bed::new();
    bed.write(
        "etc/reexec/policy.yaml",
        "windows: { nights: { days: [mon-fri], from: \"02:00\", to: \"05:00\", timezone: Europe/Berlin } }",
    );
    bed.write("etc/reexec/policy.d/10-a.yaml", "rules:\n  - { action: restart, window: nights }\n");
    let loaded = bed.load().unwrap();
    assert_eq!(loaded.policy.rules[0].terms.window.as_deref(), Some("nights"));
    assert_eq!(loaded.policy.windows["nights"].days.len(), 5);
    bed.write("etc/reexec/policy.d/20-b.yaml", "rules:\n  - { action: restart, window: night }\n");
    assert_eq!(bed.told(), ["etc/reexec/policy.d/20-b.yaml:2:32: unknown window \"night\""]);
    let shown = bed.load().unwrap_err().to_string();
    assert!(shown.contains("^^^^^ one of: nights"), "{shown}");
}

#[test]
fn the_whole_language_is_shown_as_it_is_read() {
    let text = r#"
defaults: { action: [report], when: manual, settle: 1s, deadline: 3s, quiet: 1s, max_parallel: 3, hold: reboot-pending, metrics: /m.prom, reboot_flag: true }
windows: { nights: { days: [sat, mon-tue], from: "22:00", to: "24:00", timezone: UTC } }
rules:
  - name: everything
    match: { unit: [a.service, "b@*.service"], slice: x.slice, container: c, cause: data, method: removed, verdict: tainted, not: { user: root } }
    action:
      - notify: { terminal: true }
      - ask: { deadline: 5s }
      - signal: [{ send: USR2, until: successor, deadline: 10s }, { send: QUIT, to: stale, until: ended }]
      - command: { run: [/bin/true, "1", "2"], deadline: 30s }
      - reload
      - restart
      - soft-reboot
      - reboot-hint
    window: nights
    when: manual
    settle: 2s
    deadline: 1h
    max_parallel: 1
    canary: true
    hold: never
    on_failure: stop
    dependents: start
    protect: true
  - { name: plain, action: [ask, notify, { signal: HUP }] }
"#;
    let policy = policy_of(text);
    let shown = to_yaml(&policy).unwrap();
    let again = policy_of(&shown);
    assert_eq!((again.windows, &again.defaults.ladder), (policy.windows.clone(), &policy.defaults.ladder), "{shown}");
    let told = |defaults: &crate::model::policy::Defaults| {
        (defaults.hold, defaults.metrics.clone(), defaults.reboot_flag, defaults.max_parallel)
    };
    assert_eq!(told(&again.defaults), told(&policy.defaults), "{shown}");
    assert_eq!(policy.defaults.metrics.as_deref(), Some(Path::new("/m.prom")));
    for (again, rule) in again.rules.iter().zip(&policy.rules) {
        assert_eq!(
            (&again.ladder, &again.terms, &again.matching),
            (&rule.ladder, &rule.terms, &rule.matching),
            "{shown}"
        );
    }
    assert_eq!(policy.rules[0].ladder.steps().len(), 8);
}

/// The YAML blocks of a document, with the line that each begins on.
fn examples(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut open): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        match (open, line.trim()) {
            (false, "```yaml") => {
                found.push((index + 1, String::new()));
                open = true;
            }
            (true, "```") => open = false,
            (true, _) => found.last_mut().into_iter().for_each(|(_, text)| text.push_str(&format!("{line}\n"))),
            (false, _) => {}
        }
    }
    found
}

#[test]
fn every_example_in_the_documents_is_a_policy_without_a_doubt() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documents = ["docs/policy.md", "docs/guide.md", "README.md", "hook/share/policy.d/50-default.yaml"];
    let mut count = 0;
    for document in documents {
        let text = fs::read_to_string(folder.join(document)).unwrap();
        let examples = if document.ends_with(".md") { examples(&text) } else { vec![(0, text)] };
        for (line, example) in examples {
            let bed = Bed::new();
            bed.write("etc/reexec/policy.yaml", &example);
            let loaded = bed.load().unwrap_or_else(|errors| panic!("{document}:{line}: {errors}"));
            assert_eq!(loaded.warnings, [""; 0], "{document}:{line}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count} examples were found");
}

#[test]
fn a_rule_that_can_never_match_is_doubted_with_its_reason() {
    let warnings = |rules: &str| {
        let bed = Bed::new();
        bed.write("etc/reexec/policy.yaml", format!("rules:\n{rules}"));
        let file = format!("{}:", bed.path("etc/reexec/policy.yaml").display());
        let loaded = bed.load().unwrap_or_else(|errors| panic!("{errors}"));
        loaded.warnings.iter().map(|warning| warning.replace(&file, "")).collect::<Vec<_>>()
    };
    let hides = |line: &str| {
        format!("  - {{ name: a, match: {line}, action: restart }}\n  - {{ name: b, match: {{ unit: nginx.service, user: root }}, action: report }}\n")
    };
    let hidden = "3: rule \"b\" can never match: rule \"a\" (2) takes every owner that it asks for";
    for line in
        ["{ unit: nginx.service }", "{ unit: 'ngin*' }", "{ user: [root, www-data] }", "{ unit: '*', user: root }"]
    {
        assert_eq!(warnings(&hides(line)), [hidden], "{line}");
    }
    for line in [
        "{ unit: 'n?' }",
        "{ unit: nginx.service, package: x }",
        "{ unit: nginx.service, not: { user: root } }",
        "{ owner: service }",
    ] {
        assert_eq!(warnings(&hides(line)), [""; 0], "{line}");
    }
    for (matching, why) in [
        ("{ verdict: fresh }", "only what is stale or tainted is decided about"),
        ("{ method: untouched }", "nothing is stale for a file that was not touched"),
        ("{ owner: service, container: x }", "only an owner of the kind container has a container's name"),
        ("{ owner: init, unit: x.service }", "an owner of that kind is no unit"),
        ("{ unit: a.service, not: { unit: 'a*' } }", "`not` excludes all that it asks for"),
    ] {
        let rule = format!("  - {{ name: a, match: {matching}, action: restart }}\n");
        assert_eq!(warnings(&rule), [format!("2: rule \"a\" can never match: {why}")]);
    }
}
