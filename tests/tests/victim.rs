//! The victims are in the states that they claim to be in, and nothing is left of them.

use anyhow::{ensure, Context, Result};
use reexec_tests::place::Scratch;
use reexec_tests::run::{run, wait_until};
use reexec_tests::victim::{library, program, Victim};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

fn maps(pid: u32) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/maps")).with_context(|| format!("maps of {pid}"))
}

/// The permissions of all mappings whose line ends so.
fn permissions(pid: u32, end: &str) -> Result<Vec<String>> {
    let maps = maps(pid)?;
    let lines = maps.lines().filter(|line| line.ends_with(end));
    Ok(lines.filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect())
}

fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended too: not every machine has a quick reaper.
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}

#[test]
fn each_state_shows_in_the_maps() -> Result<()> {
    let folder = Scratch::new("states")?;
    let file = folder.join("file");
    fs::write(&file, [0; 5000])?;
    let file = file.to_string_lossy().into_owned();
    let scratch = folder.join("scratch").to_string_lossy().into_owned();
    for (state, argument, end, expected) in [
        ("map-code", &file, file.clone(), "r-xp"),
        ("map-data", &file, file.clone(), "r--p"),
        ("map-database", &file, file.clone(), "rw-s"),
        ("memfd", &"jit".to_owned(), "/memfd:jit (deleted)".to_owned(), "rwxs"),
        ("scratch", &scratch, format!("{scratch} (deleted)"), "r-xs"),
    ] {
        let victim = Victim::hold(&program()?, &[state, argument])?;
        assert_eq!(permissions(victim.pid(), &end)?, [expected], "{state}");
    }
    Ok(())
}

#[test]
fn a_loaded_library_that_is_replaced_by_rename_is_shown_as_deleted() -> Result<()> {
    let folder = Scratch::new("replaced")?;
    let (path, new) = (folder.join("libx.so"), folder.join("new"));
    fs::copy(library(1)?, &path)?;
    fs::copy(library(2)?, &new)?;
    assert_ne!(fs::read(&path)?, fs::read(&new)?, "the two versions are one");
    let text = path.to_string_lossy().into_owned();
    let victim = Victim::hold(&program()?, &["load", &text])?;
    ensure!(!permissions(victim.pid(), &text)?.is_empty());
    fs::rename(&new, &path)?;
    ensure!(permissions(victim.pid(), &text)?.is_empty());
    let deleted = format!("{text} (deleted)");
    ensure!(permissions(victim.pid(), &deleted)?.contains(&"r-xp".to_owned()));
    Ok(())
}

#[test]
fn threads_and_children_are_there_and_end_with_the_victim() -> Result<()> {
    let victim = Victim::hold(&program()?, &["threads", "3", "fork", "fork"])?;
    let tasks = fs::read_dir(format!("/proc/{}/task", victim.pid()))?.count();
    assert_eq!(tasks, 4);
    let everyone = [&[victim.pid()], victim.children()].concat();
    assert_eq!(everyone.len(), 3);
    assert!(everyone.iter().all(|pid| !has_ended(*pid)));
    drop(victim);
    wait_until("all have ended", SOON, || Ok(everyone.iter().all(|pid| has_ended(*pid)).then_some(())))
}

#[test]
fn a_victim_ends_with_the_test_that_was_killed() -> Result<()> {
    // The shell stands for a test: it holds the victim's input, and is killed.
    let script = r#"sleep 60 | "$0" fork & wait"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(program()?);
    let victim = Victim::start(&mut shell)?;
    let pids = [&[victim.pid()], victim.children()].concat();
    // The group has the shell, the sleep and the victims: kill just the first two.
    let group = format!("/proc/{}", victim.pid());
    ensure!(Path::new(&group).exists());
    run(Command::new("sh").args(["-c", &kill_all_but(&pids)?]), b"", SOON)?.success()?;
    wait_until("all have ended", SOON, || Ok(pids.iter().all(|pid| has_ended(*pid)).then_some(())))
}

/// A script that kills the process group of the first pid, but not these pids.
fn kill_all_but(pids: &[u32]) -> Result<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pids[0]))?;
    let after_name = stat.rsplit_once(") ").context("stat")?.1;
    let group: u32 = after_name.split(' ').nth(2).context("pgrp")?.parse()?;
    let mut doomed = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<u32>() else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
        let its_group = fields.and_then(|rest| rest.split(' ').nth(2)?.parse::<u32>().ok());
        if its_group == Some(group) && !pids.contains(&pid) {
            doomed.push(pid.to_string());
        }
    }
    ensure!(!doomed.is_empty(), "nobody holds the victim's input");
    Ok(format!("kill -9 {}", doomed.join(" ")))
}

#[test]
fn the_list_names_every_state_and_an_unknown_one_is_refused() -> Result<()> {
    let list = run(Command::new(program()?).arg("list"), b"", SOON)?.success()?;
    let text = list.text();
    let states: Vec<&str> = text.lines().collect();
    for state in ["run", "map-code FILE", "memfd NAME", "fork", "threads COUNT"] {
        assert!(states.contains(&state), "{state} is not in {states:?}");
    }
    let refused = run(Command::new(program()?).arg("no-such"), b"", SOON)?;
    assert_eq!(refused.code(), Some(2));
    Ok(())
}
