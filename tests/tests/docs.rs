//! What the documents show is so: every command in them is run, every policy is read, every table of
//! names is complete.

use anyhow::{ensure, Context, Result};
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::place::workspace;
use reexec_tests::run::run;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Commands that are run, or whose output is made, by something else than this test.
const ELSEWHERE: [(&str, &str); 15] = [
    ("make demo", "tests/demo checks what it shows; its output stands in the README"),
    ("make test", "this is it"),
    ("make deb", "every bed installs what it builds (tests/src/machine.rs)"),
    ("make rpm", "tests/src/rpm.rs builds it, and every bed with rpm installs it"),
    ("dnf install ./dist/", "tests/tests/rpm.rs"),
    ("rpm -U ./dist/", "tests/src/rpm.rs installs it"),
    ("make pacman", "tests/src/pacman.rs builds it"),
    ("pacman -U ./dist/", "every bed with pacman does (tests/src/pacman.rs)"),
    ("make build install", "tests/tests/package.rs installs so, into a folder of its own"),
    ("apt-get install ./dist/", "every bed does (tests/src/machine.rs)"),
    ("reexec replace --sha256 SHA256SUMS --signature", "tests/tests/replace.rs: it needs a key"),
    ("reexec run -- make install", "tests/tests/replace.rs: the bed has no make"),
    ("ansible-playbook ", "tests/tests/fleet.rs plays it"),
    ("cargo run -p reexec-client", "tests/tests of the client run that example"),
    ("cc -o echo echo.c ", "the tests of the C library build a program so"),
];

/// A fenced block: its language, its lines, and where it begins.
struct Block {
    language: String,
    lines: Vec<String>,
    place: String,
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut files = vec![workspace().join("README.md")];
    for entry in fs::read_dir(workspace().join("docs"))? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    Ok(files)
}

fn blocks() -> Result<Vec<Block>> {
    let mut found: Vec<Block> = Vec::new();
    for file in documents()? {
        let text = fs::read_to_string(&file)?;
        let mut open = false;
        for (index, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), open) {
                (Some(language), false) => {
                    let place = format!("{}:{}", file.display(), index + 1);
                    found.push(Block { language: language.to_owned(), lines: Vec::new(), place });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => found.last_mut().context("a block")?.lines.push(line.to_owned()),
                (None, false) => {}
            }
        }
        ensure!(!open, "{}: a block without an end", file.display());
    }
    Ok(found)
}

#[test]
fn every_command_that_is_shown_runs_and_every_policy_is_one() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("docs", "  []\n")?;
    let bed = &machine.bed;
    let (mut commands, mut policies) = (0, 0);
    for block in blocks()? {
        if block.language == "yaml" && block.lines.iter().any(|line| line == "version: 1") {
            bed.write_file("/tmp/policy.yaml", (block.lines.join("\n") + "\n").as_bytes())?;
            let said = machine.reexec(&["policy", "check", "/tmp/policy.yaml"])?;
            ensure!(said.code() == Some(0), "{}: {}{}", block.place, said.text(), said.errors());
            policies += 1;
        }
        if block.language != "sh" {
            continue;
        }
        for line in block.lines.iter().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if ELSEWHERE.iter().any(|(beginning, _)| line.starts_with(beginning)) {
                continue;
            }
            typed(&machine, line).with_context(|| format!("{}: {line}", block.place))?;
            commands += 1;
        }
    }
    ensure!(commands > 20 && policies > 5, "only {commands} commands and {policies} policies were found");
    Ok(())
}

/// Types a line in the machine; what stands behind a pipe into a program that it has not is run here.
fn typed(machine: &Machine, line: &str) -> Result<()> {
    let (inside, outside) = match line.split_once(" | jq ") {
        Some((inside, filter)) => (inside, Some(format!("jq {filter}"))),
        None => (line, None),
    };
    let inside = inside.strip_prefix("sudo ").unwrap_or(inside);
    let script = format!(
        "set -o pipefail; cd /tmp; timeout 60 bash -o pipefail -c '{}' </dev/null",
        inside.replace('\'', "'\\''")
    );
    let said = machine.bed.exec(&["bash", "-c", &script])?;
    // 1, 3 and 4 are answers of reexec; the rest of the commands here have no such code of their own.
    let good = match inside.contains("reexec ") {
        true => [0, 1, 3, 4].contains(&said.code().unwrap_or(-1)),
        false => said.code() == Some(0),
    };
    ensure!(good, "{said:?}");
    if let Some(filter) = outside {
        run(Command::new("sh").args(["-c", &filter]), &said.stdout, SOON)?.success()?;
    }
    Ok(())
}

/// The names in code marks in the first column of the table behind this comment.
fn first_column(document: &str, comment: &str) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(workspace().join("docs").join(document))?;
    let table = text.split_once(&format!("<!-- {comment} -->")).context("no such table")?.1.trim_start();
    let rows = table.lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    Ok(cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect())
}

#[test]
fn the_tables_of_names_are_complete() -> Result<()> {
    let sources = ["render/openmetrics.rs", "render/journal.rs"].map(|file| workspace().join("hook/src").join(file));
    let [metrics, fields] = sources.map(|file| fs::read_to_string(file).unwrap_or_default());
    // What is registered, by the names in the source; that they are printed is the business of reports.rs.
    let registered: BTreeSet<String> = metrics
        .split("registry,")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .map(|name| format!("reexec_{name}"))
        .collect();
    let told: BTreeSet<String> = first_column("monitoring.md", "metrics")?
        .iter()
        .map(|name| name.split('{').next().unwrap_or_default().trim_end_matches("_seconds").to_owned())
        .collect();
    assert_eq!(told, registered);
    let sent: BTreeSet<String> =
        fields.split('"').filter(|word| word.starts_with("REEXEC_")).map(str::to_owned).collect();
    let mut told = first_column("monitoring.md", "fields")?;
    ensure!(told.remove("MESSAGE_ID"), "MESSAGE_ID");
    assert_eq!(told, sent);
    let defaults = fs::read_to_string(workspace().join("hook/share/ansible/reexec/defaults/main.yml"))?;
    let variables: BTreeSet<String> = defaults
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("reexec_"))
        .collect();
    assert_eq!(first_column("fleet.md", "role")?, variables);
    Ok(())
}

#[test]
fn links_between_the_documents_lead_somewhere() -> Result<()> {
    let anchor = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    let mut links = 0;
    for file in documents()? {
        let text = fs::read_to_string(&file)?;
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (path, part) = target.split_once('#').unwrap_or((target, ""));
            let to = match path {
                "" => file.clone(),
                path => file.parent().context("a folder")?.join(path),
            };
            ensure!(to.exists(), "{}: {target} leads nowhere", file.display());
            if !part.is_empty() {
                let there = fs::read_to_string(&to)?;
                let mut headings = there.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == part);
                ensure!(found, "{}: no part {part} in {}", file.display(), to.display());
            }
            links += 1;
        }
    }
    ensure!(links > 10, "only {links} links");
    Ok(())
}
