//! The same states on file systems with habits of their own, on loop images in a mount and pid
//! namespace that goes away with the test: ext4 with and without birth times, xfs, a btrfs subvolume,
//! tmpfs, overlayfs with files of its lower layer, squashfs below an overlayfs.

use anyhow::{ensure, Context, Result};
use reexec_tests::place::Scratch;
use reexec_tests::run::run;
use reexec_tests::skip;
use reexec_tests::states::{unprinted, Rights, Shop, States};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(120);
/// Set in the process that has namespaces of its own.
const INSIDE: &str = "REEXEC_TEST_INSIDE";

/// What a file system keeps of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// Birth of the new inode, death of the old one.
    Times,
    /// No birth times.
    NoBirth,
    /// Nothing of the death of an inode of the lower layer.
    NoDeath,
}

/// A state, its verdict, and the word for the method where times are kept.
const STATES: &[(&str, &str, &str)] = &[
    ("untouched", "fresh", ""),
    ("library-renamed", "stale", "renamed"),
    ("library-recreated", "stale", "recreated"),
    ("library-linked-aside", "stale", "renamed"),
    ("library-removed-claimed", "stale", "removed"),
    ("library-backup-kept", "stale", "renamed"),
    ("reinstalled-claimed", "fresh", ""),
    ("reinstalled-recreated", "fresh", ""),
    ("moved-aside-claimed", "stale", "unknown"),
    ("moved-away-and-back", "fresh", ""),
    ("rolled-back", "fresh", ""),
    ("overwritten-claimed", "tainted", "overwritten"),
    ("mode-changed-claimed", "fresh", ""),
    ("program-renamed", "stale", "renamed"),
];

fn shell(script: &str) -> Result<()> {
    run(Command::new("bash").args(["-euc", script]), b"", MINUTE)?.success().context(script.to_owned())?;
    Ok(())
}

fn image(scratch: &Scratch, name: &str, make: &str) -> Result<PathBuf> {
    let (image, folder) = (scratch.join(format!("{name}.img")), scratch.join(name));
    File::create(&image)?.set_len(320 << 20)?;
    fs::create_dir(&folder)?;
    let (image, target) = (image.display(), folder.display());
    shell(&format!("{make} {image} >/dev/null; mount -o loop {image} {target}"))?;
    Ok(folder)
}

/// The lower layer: the files that the states begin with.
fn lower(shop: &Shop, folder: &Path) -> Result<()> {
    for (state, _, _) in STATES {
        fs::create_dir_all(folder.join(state))?;
        fs::copy(shop.file("lib1"), folder.join(state).join("lib.so"))?;
        fs::copy(shop.file("prog1"), folder.join(state).join("prog"))?;
    }
    Ok(())
}

fn overlay(scratch: &Scratch, name: &str, lower: &Path) -> Result<PathBuf> {
    let [upper, work, target] = ["upper", "work", "mnt"].map(|part| scratch.join(format!("{name}-{part}")));
    for folder in [&upper, &work, &target] {
        fs::create_dir(folder)?;
    }
    let (lower, upper, work, target_) = (lower.display(), upper.display(), work.display(), target.display());
    shell(&format!("mount -t overlay -o lowerdir={lower},upperdir={upper},workdir={work} overlay {target_}"))?;
    Ok(target)
}

/// What is wrong on one file system.
fn faults(shop: &Shop, name: &str, folder: &Path, keeps: Keeps) -> Result<Vec<String>> {
    let names: Vec<&str> = STATES.iter().map(|(state, _, _)| *state).collect();
    let states = States::put_up(shop, folder, &names, Rights::Root)?;
    let mut wrong = Vec::new();
    for arguments in [&["--all"][..], &[]] {
        let report = states.report(Rights::Root, arguments)?;
        for (state, verdict, method) in STATES {
            let (home, victim) = &states.held[*state];
            let row = report.rows.get(&victim.pid());
            let said = row.map_or("fresh", |row| row["verdict"].as_str().unwrap_or_default());
            // Whole seconds do not date what was done in the second of the start.
            let honest = keeps == Keeps::NoBirth && said == "unknown";
            if said != *verdict && !honest {
                wrong.push(format!("{name}: {state}: {said} instead of {verdict}: {row:?}"));
                continue;
            }
            let Some(cause) = row.and_then(|row| row["causes"].as_array()?.first()) else { continue };
            let how = cause["method"].as_str().unwrap_or_default();
            let open = keeps != Keeps::Times && !matches!(*method, "removed" | "overwritten");
            if !method.is_empty() && how != *method && !(open && how == "unknown") {
                wrong.push(format!("{name}: {state}: {how} instead of {method}: {}", cause["evidence"]));
            }
            let path = unprinted(cause["path"].as_str().unwrap_or_default());
            if *verdict != "fresh" && !path.starts_with(home) {
                wrong.push(format!("{name}: {state}: names {}", path.display()));
            }
        }
    }
    Ok(wrong)
}

fn inside() -> Result<()> {
    let (shop, scratch) = (Shop::open()?, Scratch::below(Path::new("/var/lib"), "filesystems")?);
    let mut wrong = Vec::new();
    for (name, make, keeps) in [
        ("ext4", "mkfs.ext4 -q -I 256", Keeps::Times),
        ("ext4-128", "mkfs.ext4 -q -I 128", Keeps::NoBirth),
        ("xfs", "mkfs.xfs -q -f", Keeps::Times),
    ] {
        wrong.extend(faults(&shop, name, &image(&scratch, name, make)?, keeps)?);
    }
    let top = image(&scratch, "btrfs", "mkfs.btrfs -q")?;
    shell(&format!("btrfs subvolume create {}/root >/dev/null", top.display()))?;
    wrong.extend(faults(&shop, "btrfs", &top.join("root"), Keeps::Times)?);

    let tmpfs = scratch.join("tmpfs");
    fs::create_dir(&tmpfs)?;
    shell(&format!("mount -t tmpfs -o size=300m tmpfs {}", tmpfs.display()))?;
    wrong.extend(faults(&shop, "tmpfs", &tmpfs, Keeps::Times)?);

    let layer = scratch.join("layer");
    lower(&shop, &layer)?;
    wrong.extend(faults(&shop, "overlay", &overlay(&scratch, "overlay", &layer)?, Keeps::NoDeath)?);
    let (squash, packed) = (scratch.join("squash"), scratch.join("packed"));
    fs::create_dir(&squash)?;
    let (from, packed, squash_) = (layer.display(), packed.display(), squash.display());
    shell(&format!("mksquashfs {from} {packed} -quiet -no-progress >/dev/null; mount -o loop {packed} {squash_}"))?;
    wrong.extend(faults(&shop, "squashfs", &overlay(&scratch, "squashfs", &squash)?, Keeps::NoDeath)?);

    let below = scratch.path().display();
    shell(&format!("findmnt -rno TARGET | grep '^{below}/' | sort -r | xargs -r umount -l"))?;
    ensure!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn the_states_are_told_on_every_file_system() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    for tool in ["mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mksquashfs"] {
        let there = ["/usr/sbin", "/usr/bin", "/sbin"].iter().any(|folder| Path::new(folder).join(tool).exists());
        if !there || !Path::new("/dev/loop-control").exists() {
            skip!("needs {tool} and loop devices (make deps)");
        }
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--propagation", "private"]);
    command.arg("--").arg(std::env::current_exe()?).args(["--exact", "the_states_are_told_on_every_file_system"]);
    let said = run(command.arg("--nocapture").env(INSIDE, "1"), b"", MINUTE * 2)?;
    ensure!(said.status.success(), "{}\n{}", said.text(), said.errors());
    Ok(())
}
