//! Fixed input for measuring: the text of `maps`, and a whole `/proc` of processes that never were.

use anyhow::Result;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};

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

/// The mount namespace of all of them.
const NAMESPACE: &str = "mnt:[4026531841]";

/// A file that is mapped, and what stood at its path before: who is stale maps that.
struct Mapped {
    path: PathBuf,
    now: fs::Metadata,
    old: PathBuf,
    before: fs::Metadata,
}

/// Writes a `/proc` of this many processes below `place`, one in twenty of them stale, and the files
/// that they map beside it.
pub fn proc_folder(place: &Path, processes: usize) -> Result<()> {
    let (proc, files, old) = (place.join("proc"), place.join("files"), place.join("old"));
    fs::create_dir_all(&files)?;
    fs::create_dir_all(&old)?;
    let mut mapped = Vec::new();
    for number in 0..FILES {
        let name = format!("libfixture-{number:03}.so");
        let (path, old) = (files.join(&name), old.join(&name));
        fs::write(&path, [0; 8192])?;
        fs::write(&old, [1; 8192])?;
        mapped.push(Mapped { now: fs::metadata(&path)?, before: fs::metadata(&old)?, path, old });
    }
    for pid in 1..=processes {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("ns"))?;
        symlink(NAMESPACE, folder.join("ns/mnt"))?;
        symlink(&mapped[0].path, folder.join("exe"))?;
        fs::write(folder.join("maps"), maps_of(pid, &mapped, &folder.join("map_files"))?)?;
        fs::write(
            folder.join("stat"),
            format!("{pid} (fixture) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99999999999 1000 1 2 3 4\n"),
        )?;
        fs::write(folder.join("status"), "Name:\tfixture\nUid:\t0\t0\t0\t0\n")?;
        fs::write(folder.join("cgroup"), format!("0::/system.slice/fixture-{}.service\n", pid % 7))?;
    }
    // Who looks is in the mount namespace of the others.
    let own = proc.join((processes + 1).to_string());
    fs::create_dir_all(own.join("ns"))?;
    symlink(NAMESPACE, own.join("ns/mnt"))?;
    symlink(own.file_name().unwrap_or_default(), proc.join("self"))?;
    Ok(())
}

/// Packages of a usual server, and the files of each.
const PACKAGES: usize = 700;
const FILES_OF_EACH: usize = 50;

/// Writes a dpkg database below `root`: some hundred packages, and one called `fixture` with this many files,
/// which are there. Where these are.
pub fn dpkg_database(root: &Path, files: usize) -> Result<PathBuf> {
    let (database, folder) = (root.join("var/lib/dpkg"), root.join("usr/lib/fixture"));
    fs::create_dir_all(database.join("info"))?;
    fs::create_dir_all(&folder)?;
    let mut status = String::new();
    let mut add = |name: &str, list: &str| {
        let _ = writeln!(
            status,
            "Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDescription: a package\n"
        );
        fs::write(database.join("info").join(format!("{name}.list")), list)
    };
    for number in 0..PACKAGES {
        let name = format!("other-{number:03}");
        let files: String = (0..FILES_OF_EACH).map(|file| format!("/usr/share/{name}/file-{file}\n")).collect();
        add(&name, &format!("/.\n/usr\n/usr/share\n/usr/share/{name}\n{files}"))?;
    }
    let mut list = "/.\n/usr\n/usr/lib\n/usr/lib/fixture\n".to_owned();
    for number in 0..files {
        let name = format!("libfixture-{number:04}.so");
        fs::write(folder.join(&name), "a library")?;
        let _ = writeln!(list, "/usr/lib/fixture/{name}");
    }
    add("fixture", &list)?;
    fs::write(database.join("status"), status)?;
    Ok(folder)
}

/// What apt tells the hook before it upgrades that package (protocol 3 of apt.conf(5)).
pub const ANNOUNCED: &str =
    "VERSION 3\nAPT::Architecture=amd64\n\nfixture 1 all none < 2 all none /var/cache/apt/archives/fixture_2_all.deb\n";

fn maps_of(pid: usize, files: &[Mapped], links: &Path) -> Result<String> {
    let mut text = String::new();
    // The program lies lowest.
    let chosen = std::iter::once(0).chain((0..MAPPED).map(|number| 1 + (pid * 7 + number) % (FILES - 1)));
    for (place, file) in chosen.enumerate() {
        let Mapped { path, now, old, before } = &files[file];
        let (major, minor) = (rustix::fs::major(now.dev()), rustix::fs::minor(now.dev()));
        let stale = pid.is_multiple_of(20) && place == MAPPED;
        let (ino, gone) = if stale { (before.ino(), " (deleted)") } else { (now.ino(), "") };
        for (part, permissions) in ["r--p", "r-xp", "r--p", "rw-p"].iter().enumerate() {
            let start = 0x7f00_0000_0000_u64 + ((place * 8 + part) as u64) * 0x1000;
            let end = start + 0x1000;
            let _ = writeln!(
                text,
                "{start:x}-{end:x} {permissions} 00000000 {major:02x}:{minor:02x} {ino}                    {}{gone}",
                path.display()
            );
            if stale {
                fs::create_dir_all(links)?;
                symlink(old, links.join(format!("{start:x}-{end:x}")))?;
            }
        }
    }
    Ok(text)
}
