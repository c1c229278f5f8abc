//! Man pages and completions: made of the command line's own definition, and held to it.
//!
//! `REEXEC_GENERATE=1 cargo test -p reexec-tests --test pages` writes them anew.

use anyhow::{ensure, Context, Result};
use clap::CommandFactory;
use clap_complete::{generate, Shell};
use reexec::cli::Cli;
use reexec_tests::manual::man_page;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::run;
use reexec_tests::skip;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Of the last change that a reader would care for.
const DATE: &str = "2026-11-26";
const SOON: Duration = Duration::from_secs(30);
/// Written by hand: it says what no definition of options knows.
const BY_HAND: &str = "man/reexec.1";

fn share() -> PathBuf {
    workspace().join("hook/share")
}

fn shells() -> [(Shell, &'static str); 3] {
    [
        (Shell::Bash, "completions/bash/reexec"),
        (Shell::Zsh, "completions/zsh/_reexec"),
        (Shell::Fish, "completions/fish/reexec.fish"),
    ]
}

/// All files that are made of the definition, by their path below `hook/share`.
fn made() -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (shell, path) in shells() {
        let mut text = Vec::new();
        generate(shell, &mut Cli::command(), "reexec", &mut text);
        files.insert(path.to_owned(), String::from_utf8(text)?);
    }
    let mut cli = Cli::command();
    cli.build();
    let version = format!("reexec {}", env!("CARGO_PKG_VERSION"));
    let mut commands: Vec<(String, clap::Command)> = Vec::new();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        commands.push((format!("reexec-{}", command.get_name()), command.clone()));
    }
    for (name, command) in commands {
        let mut text = Vec::new();
        let page = command.display_name(name.clone()).version(env!("CARGO_PKG_VERSION"));
        clap_mangen::Man::new(page)
            .title(name.clone())
            .section("1")
            .date(DATE)
            .source(version.clone())
            .manual("System administration")
            .render(&mut text)?;
        files.insert(format!("man/{name}.1"), tidied(&String::from_utf8(text)?));
    }
    let policy = fs::read_to_string(workspace().join("docs/policy.md"))?;
    let subject = "what reexec does about services that run replaced files";
    let mut page =
        man_page(&policy, "reexec-policy", "5", &version, subject).replacen("\"\"", &format!("\"{DATE}\""), 1);
    page.push_str(".SH \"SEE ALSO\"\n.BR reexec (1)\n");
    files.insert("man/reexec-policy.5".to_owned(), page);
    Ok(files)
}

/// Without what clap repeats in each page, and with a way on.
fn tidied(page: &str) -> String {
    let page = page.replace("\n.br\n\n.br\n", "\n.br\n").replace("\\*(Aq", "\\(aq");
    let mut lines: Vec<&str> = page.lines().filter(|line| !line.contains(".ds Aq")).map(str::trim_end).collect();
    if let Some(at) = lines.iter().position(|line| *line == ".SH VERSION") {
        lines.truncate(at);
    }
    let mut text = lines.join("\n");
    text.push_str(
        "\n.SH \"EXIT STATUS\"\nSee\n.BR reexec (1).\n.SH \"SEE ALSO\"\n.BR reexec (1),\n.BR reexec\\-policy (5)\n",
    );
    text
}

#[test]
fn pages_and_completions_are_those_of_the_command_line() -> Result<()> {
    let generate = std::env::var_os("REEXEC_GENERATE").is_some();
    let made = made()?;
    for (path, text) in &made {
        let file = share().join(path);
        if generate {
            fs::create_dir_all(file.parent().context("a folder")?)?;
            fs::write(&file, text)?;
        }
        let there = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        ensure!(there == *text, "{path} is not up to date: REEXEC_GENERATE=1 cargo test -p reexec-tests --test pages");
    }
    for entry in fs::read_dir(share().join("man"))? {
        let name = format!("man/{}", entry?.file_name().to_string_lossy());
        let of_command = made.contains_key(&name) || name == BY_HAND;
        ensure!(of_command || !name.ends_with(".1"), "{name} is of no command");
    }
    Ok(())
}

#[test]
fn the_main_page_names_every_command_and_every_form() -> Result<()> {
    let page = fs::read_to_string(share().join(BY_HAND))?.replace("\\-", "-").replace("\\~", " ");
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        ensure!(page.contains(command.get_name()), "reexec(1) does not name {}", command.get_name());
    }
    let report = cli.find_subcommand("report").context("report")?;
    for argument in report.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let long = argument.get_long().unwrap_or_default();
        if ["help", "version"].contains(&long) {
            continue;
        }
        ensure!(page.contains(&format!("--{long}")), "reexec(1) does not name --{long}");
        for value in argument.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
            ensure!(page.contains(value.get_name()), "reexec(1) does not name {long} {}", value.get_name());
        }
    }
    Ok(())
}

#[test]
fn all_pages_render_without_a_word_of_complaint() -> Result<()> {
    if !Path::new("/usr/bin/mandoc").exists() || !Path::new("/usr/bin/groff").exists() {
        skip!("needs mandoc and groff (make deps)");
    }
    let mut pages = 0;
    for entry in fs::read_dir(share().join("man"))? {
        let page = entry?.path();
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-rLL=80n"]).arg(&page);
        let said = run(&mut groff, b"", SOON)?;
        ensure!(said.status.success() && said.errors().is_empty(), "{}: {}", page.display(), said.errors());
        ensure!(said.text().lines().count() > 10, "{} is empty", page.display());
        let said = run(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page), b"", SOON)?;
        ensure!(said.text().is_empty(), "{}", said.text());
        pages += 1;
    }
    ensure!(pages > 8, "only {pages} pages");
    Ok(())
}

#[test]
fn shells_load_their_completions_and_offer_the_commands() -> Result<()> {
    let scratch = Scratch::new("completions")?;
    let path = |index: usize| share().join(shells()[index].1).to_string_lossy().into_owned();
    let bash = format!(
        "source {}; COMP_WORDS=(reexec hist); COMP_CWORD=1; _reexec reexec hist reexec; echo \"${{COMPREPLY[*]}}\"",
        path(0)
    );
    let zsh = format!("autoload -U compinit; compinit -D -u; source {}; whence -w _reexec", path(1));
    let fish = format!("source {}; complete -C 'reexec hist'", path(2));
    for (shell, arguments, expected) in [
        ("bash", vec!["--norc", "-c", &bash], "history"),
        ("zsh", vec!["-f", "-c", &zsh], "_reexec: function"),
        ("fish", vec!["--no-config", "-c", &fish], "history\tPast runs"),
    ] {
        if !Path::new("/usr/bin").join(shell).exists() {
            skip!("needs {shell} (make deps)");
        }
        let mut command = Command::new(shell);
        command.args(&arguments).env("HOME", scratch.path()).env("XDG_DATA_HOME", scratch.path());
        let said = run(&mut command, b"", SOON)?.success().with_context(|| shell.to_owned())?;
        ensure!(said.text().starts_with(expected), "{shell} says {}", said.text());
        ensure!(said.errors().is_empty(), "{shell}: {}", said.errors());
    }
    Ok(())
}
