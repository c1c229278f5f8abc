//! What the inodes that were replaced say of their users, on real files with real users.

use anyhow::{Context, Result};
use reexec::model::old::{Fate, Way};
use reexec::model::pending::Snapshot;
use reexec::run::old::of_snapshots;
use reexec::sys::files::Root;
use reexec::sys::inodes::Inodes;
use reexec_tests::place::Scratch;
use reexec_tests::skip;
use reexec_tests::victim::{self, Victim};
use std::fs;
use std::path::Path;

fn snapshot(path: &Path) -> Result<Snapshot> {
    Root::Own.snapshot(path.to_owned()).context("no such file")
}

/// A replacement by rename, as package managers do it.
fn replace(path: &Path) -> Result<()> {
    let beside = path.with_extension("new");
    fs::copy(victim::library(2)?, &beside)?;
    fs::rename(&beside, path)?;
    Ok(())
}

#[test]
fn an_inode_says_whether_anybody_still_uses_it() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let place = Scratch::new("inodes")?;
    let program = victim::program()?;
    // Name, whether it is mapped, what is done to it, and what is said of the inode then.
    type Done = fn(&Path) -> Result<()>;
    let nothing: Done = |_| Ok(());
    let renamed: Done = |path| replace(path);
    let linked_and_renamed: Done = |path| {
        fs::hard_link(path, path.with_extension("kept"))?;
        replace(path)
    };
    let moved_aside: Done = |path| {
        fs::rename(path, path.with_extension("aside"))?;
        replace(path)
    };
    let overwritten: Done = |path| Ok(fs::write(path, fs::read(victim::library(2)?)?)?);
    let removed: Done = |path| Ok(fs::remove_file(path)?);
    for (name, mapped, done, expected) in [
        ("untouched", false, nothing, Fate::Untouched),
        ("untouched-used", true, nothing, Fate::Untouched),
        ("renamed", false, renamed, Fate::Gone),
        ("renamed-used", true, renamed, Fate::Used),
        ("linked", false, linked_and_renamed, Fate::Unused),
        ("linked-used", true, linked_and_renamed, Fate::Used),
        ("aside", false, moved_aside, Fate::Unused),
        ("aside-used", true, moved_aside, Fate::Used),
        ("overwritten", false, overwritten, Fate::Unused),
        ("overwritten-used", true, overwritten, Fate::Used),
        ("removed", false, removed, Fate::Gone),
        ("removed-used", true, removed, Fate::Used),
    ] {
        let path = place.join(format!("{name}.so"));
        fs::copy(victim::library(1)?, &path)?;
        let before = snapshot(&path)?;
        let user = match mapped {
            true => Some(Victim::hold(&program, &["map-code".as_ref(), path.as_os_str()])?),
            false => None,
        };
        done(&path)?;
        let fate = Inodes::default().fate(&before);
        if let Fate::Unknown(why) = &fate {
            skip!("what inodes say of their users: {why}");
        }
        assert_eq!(fate, expected, "{name}");
        if user.is_some() && expected == Fate::Used {
            drop(user);
            assert!(matches!(of_snapshots(&[&before]), Way::Inodes(1)), "{name}: its user has ended");
        }
    }
    Ok(())
}

#[test]
fn of_a_file_that_is_read_and_not_mapped_the_inode_does_not_tell() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let place = Scratch::new("read")?;
    for (name, told) in [("module.py", false), ("script", false), ("page.html", true)] {
        let path = place.join(name);
        fs::write(&path, "old")?;
        let before = snapshot(&path)?;
        fs::write(place.join("new"), "new")?;
        fs::rename(place.join("new"), &path)?;
        let fate = Inodes::default().fate(&before);
        assert_eq!(matches!(fate, Fate::Gone), told, "{name}: {fate:?}");
    }
    Ok(())
}

#[test]
fn a_file_that_is_opened_while_it_is_asked_is_opened_and_nobody_is_ended_by_a_signal() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let place = Scratch::new("lease")?;
    let path = place.join("kept.so");
    fs::write(&path, "x")?;
    let before = snapshot(&path)?;
    fs::hard_link(&path, place.join("link"))?;
    let reads = std::thread::spawn(move || (0..2000).filter(|_| fs::read(&path).is_ok()).count());
    for _ in 0..2000 {
        let _ = Inodes::default().fate(&before);
    }
    assert_eq!(reads.join().expect("it reads"), 2000);
    Ok(())
}
