//! `work TASK [FOLDER]`: a part of the program at a fixed piece of work, for counting its instructions: a parser
//! on text that is made here, or what the hook does with the files in a folder.

use anyhow::{bail, ensure, Context, Result};
use reexec::model::claim::Claim;
use reexec::model::mapping::{parse_maps, Wanted};
use reexec::model::old::Fate;
use reexec::model::pending::{Pending, Side, Snapshot};
use reexec::model::process::{parse_start, parse_stat};
use reexec::model::starts::{Starts, StartsOf};
use reexec::sys::files::Root;
use reexec::sys::inodes::Inodes;
use reexec_tests::fixture::maps_text;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

const TIMES: usize = 200;

fn main() -> Result<()> {
    let task = std::env::args().nth(1).unwrap_or_default();
    if let Some(folder) = std::env::args_os().nth(2) {
        return hook(&task, Path::new(&folder));
    }
    let text = maps_text(300);
    let stat = b"4321 (a (b) c) S 1 4321 4321 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 1 2 3 4";
    let of = StartsOf { boot_id: "boot".to_owned(), pids: 1, times: 2 };
    let starts = Starts::of((1..2000).map(|pid| (pid, u64::from(pid) * 7)).collect()).bytes(&of);
    for _ in 0..TIMES {
        match task.as_str() {
            "maps-code" => drop(black_box(parse_maps(black_box(&text), Wanted::Code).count())),
            "maps-files" => drop(black_box(parse_maps(black_box(&text), Wanted::Files).count())),
            "stat" => (0..100).for_each(|_| drop(black_box(parse_stat(black_box(stat))))),
            "start" => (0..100).for_each(|_| _ = black_box(parse_start(black_box(stat)))),
            "starts" => drop(black_box(Starts::parse(black_box(&starts), &of))),
            _ => bail!("work: maps-code, maps-files, stat, start, starts, or handles, notes, inodes with a folder"),
        }
    }
    Ok(())
}

/// What the hook does with the files of a folder, but for asking the package database.
fn hook(task: &str, folder: &Path) -> Result<()> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    // As text: taking paths apart is no work of ours.
    paths.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    // Of the pre phase: identity and handle of each.
    let taken = |path: &PathBuf| Root::Own.snapshot(path.clone()).with_context(|| path.display().to_string());
    let snapshots: Vec<Snapshot> = paths.iter().map(taken).collect::<Result<_>>()?;
    match task {
        "handles" => ensure!(snapshots.iter().all(|one| one.handle.is_some()), "a file system without handles"),
        // What it writes down, and who acts on it reads.
        "notes" => {
            let claim = |path: &PathBuf| Claim::File { path: path.clone(), package: Some("fixture".to_owned()) };
            let mut notes = Pending::new("boot", 1, Side::Pre, "dpkg", Path::new("/"));
            (notes.claims, notes.snapshots) = (paths.iter().map(claim).collect(), snapshots);
            let read: Pending = serde_json::from_slice(&serde_json::to_vec(&notes)?)?;
            ensure!(read == notes, "what was written is not what is read");
        }
        // Of who acts on it: whether anybody uses what was replaced.
        "inodes" => {
            for path in &paths {
                fs::remove_file(path)?;
            }
            let mut inodes = Inodes::default();
            let used = snapshots.iter().filter(|one| inodes.fate(one) != Fate::Gone).count();
            ensure!(used == 0, "{used} of {} are said to be there", paths.len());
        }
        _ => bail!("work: handles, notes, or inodes"),
    }
    Ok(())
}
