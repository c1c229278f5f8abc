//! Fixed input for measuring: the text of `maps`, and a whole `/proc` of processes that never were.

use anyhow::Result;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::Path;

/// The text of a process with this number of mappings, nine in ten of a file and one in five code, as
/// on a usual machine.
pub fn maps_text(lines: usize) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..lines {
        let (start, end) = (0x7f00_0000_0000_u64 + line as u64 * 0x21000, 0x7f00_0002_1000_u64 + line as u64 * 0x21000);
        let permissions = ["r--p", "r-xp", "r--p", "r--p", "rw-p"][line % 5];
        let _ = match line % 10 {
            9 => writeln!(text, "{start:x}-{end:x} rw-p 00000000 00:00 0 "),
            _ => writeln!(
                text,
                "{start:x}-{end:x} {permissions} 0002{:x}000 fe:00 {}                    /usr/lib/x86_64-linux-gnu/libfixture-{}.so.1.2.3",
                line % 16,
                1_000_000 + line / 5,
                line / 5
            ),
        };
    }
    text.into_bytes()
}

/// Files that processes map, below a folder.
const FILES: usize = 100;
/// Files that each process maps.
const MAPPED: usize = 30;

/// Writes a `/proc` of this many processes below `place`, one in twenty of them stale, and the files
/// that they map beside it. Inode numbers are made to have ten digits, so that every run is the same.
pub fn proc_folder(place: &Path, processes: usize) -> Result<()> {
    let (proc, files) = (place.join("proc"), place.join("files"));
    fs::create_dir_all(&files)?;
    let mut mapped = Vec::new();
    for number in 0..FILES {
        let path = files.join(format!("libfixture-{number:03}.so"));
        fs::write(&path, [0; 8192])?;
        let data = fs::metadata(&path)?;
        mapped.push((path, data.dev(), data.ino()));
    }
    for pid in 1..=processes {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("ns"))?;
        symlink("mnt:[4026531841]", folder.join("ns/mnt"))?;
        symlink(&mapped[0].0, folder.join("exe"))?;
        fs::write(folder.join("maps"), maps_of(pid, &mapped))?;
        fs::write(
            folder.join("stat"),
            format!("{pid} (fixture) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99999999999 1000 1 2 3 4\n"),
        )?;
        fs::write(folder.join("status"), "Name:\tfixture\nUid:\t0\t0\t0\t0\n")?;
        fs::write(folder.join("cgroup"), format!("0::/system.slice/fixture-{}.service\n", pid % 7))?;
    }
    Ok(())
}

fn maps_of(pid: usize, files: &[(std::path::PathBuf, u64, u64)]) -> String {
    let mut text = String::new();
    // The program lies lowest.
    let chosen = std::iter::once(0).chain((0..MAPPED).map(|number| 1 + (pid * 7 + number) % (FILES - 1)));
    for (place, file) in chosen.enumerate() {
        let (path, dev, ino) = &files[file];
        let (major, minor) = (rustix::fs::major(*dev), rustix::fs::minor(*dev));
        let stale = pid.is_multiple_of(20) && place == MAPPED;
        let (ino, gone) = if stale { (ino + 100_000_000, " (deleted)") } else { (*ino, "") };
        for (part, permissions) in ["r--p", "r-xp", "r--p", "rw-p"].iter().enumerate() {
            let start = 0x7f00_0000_0000_u64 + ((place * 8 + part) as u64) * 0x1000;
            let _ = writeln!(
                text,
                "{start:x}-{:x} {permissions} 00000000 {major:02x}:{minor:02x} {ino}                    {}{gone}",
                start + 0x1000,
                path.display()
            );
        }
    }
    text
}
