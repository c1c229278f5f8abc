//! The bed itself: it boots, answers, upgrades real packages, and nothing is left of it.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::packages::repacked;
use reexec_tests::place::workspace;
use reexec_tests::run::{run, wait_until};
use reexec_tests::suite::libraries;
use reexec_tests::{needs_bed, skip};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const BASE: &str = "daemons";

/// The build-id of a file in the bed, by the bytes of its note.
fn build_id(bed: &Bed, path: &str) -> Result<Vec<u8>> {
    let content = bed.read_file(path)?;
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = content
        .windows(note.len())
        .position(|window| window == note)
        .with_context(|| format!("{path} has no build-id"))?
        + note.len();
    Ok(content[at..at + 20].to_vec())
}

#[test]
fn a_bed_runs_real_services_and_commands_in_it() -> Result<()> {
    needs_bed!(BASE);
    let bed = Bed::boot("basics", BASE, &Options::default())?;
    assert_eq!(bed.systemctl_show("nginx.service", "ActiveState")?, "active");
    assert_eq!(bed.exec(&["sh", "-c", "echo out; echo err >&2; exit 7"])?.code(), Some(7));

    let pids = bed.pids_of("nginx.service")?;
    let main: u32 = bed.systemctl_show("nginx.service", "MainPID")?.parse()?;
    ensure!(pids.len() >= 2, "no master and worker: {pids:?}");
    let master = pids.iter().find(|pid| pid.inside == main);
    let outside = master.context("the main process is not in the cgroup")?.outside;
    let comm = fs::read_to_string(format!("/proc/{outside}/comm"))?;
    assert_eq!(comm, "nginx\n");
    assert_eq!(bed.pids_of("no-such.service")?, []);

    bed.write_file("/var/run/reexec-test/file", b"\xff\x00")?;
    assert_eq!(bed.read_file("/run/reexec-test/file")?, b"\xff\x00");
    ensure!(!Path::new("/run/reexec-test").exists(), "the host's /run was written through the bed's link");
    Ok(())
}

#[test]
fn a_command_that_hangs_ends_at_its_deadline_inside_too() -> Result<()> {
    needs_bed!(BASE);
    let bed = Bed::boot("deadline", BASE, &Options::default())?;
    let hung = bed.exec_within(Duration::from_millis(700), b"", &["sleep", "4711"]);
    ensure!(hung.is_err(), "a hang was taken for an answer");
    wait_until("the command is gone in the bed", Duration::from_secs(3), || {
        let left = bed.exec(&["pgrep", "-fx", "sleep 4711"])?;
        Ok((left.code() == Some(1)).then_some(()))
    })
}

#[test]
fn a_dropped_bed_is_gone_at_once() -> Result<()> {
    needs_bed!(BASE);
    let bed = Bed::boot("dropped", BASE, &Options::default())?;
    let (name, leader) = (bed.name().to_owned(), bed.leader());
    drop(bed);
    let stat = fs::read_to_string(format!("/proc/{leader}/stat")).unwrap_or_default();
    ensure!(stat.is_empty() || stat.contains(") Z "), "it runs: {stat}");
    ensure!(!Path::new("/var/tmp/reexec-bed").join(name).exists());
    Ok(())
}

#[test]
fn an_upgrade_gives_other_bytes_and_other_inodes_and_leaves_the_old_ones_mapped() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let options = Options::default().bind_ro(&repository, "/srv/repo");
    let bed = Bed::boot("upgrade", BASE, &options)?;
    let file = "/usr/lib/x86_64-linux-gnu/libssl.so.3";
    let old = (build_id(&bed, file)?, bed.shell(&format!("stat -c %i {file}"))?);

    bed.use_repositories(&["/srv/repo"])?;
    bed.apt_install(&libraries())?.success()?;

    let new = (build_id(&bed, file)?, bed.shell(&format!("stat -c %i {file}"))?);
    assert_ne!(old.0, new.0, "the same build-id");
    assert_ne!(old.1, new.1, "the same inode");
    for package in libraries() {
        let version = bed.shell(&format!("dpkg-query -W -f '${{Version}}' {package}"))?;
        ensure!(version.ends_with("+reexec1"), "{package} is {version}");
    }
    let stale = bed.pids_of("nginx.service")?.into_iter().find(|pid| {
        let maps = fs::read_to_string(format!("/proc/{}/maps", pid.outside));
        maps.is_ok_and(|maps| maps.contains("libssl.so.3 (deleted)"))
    });
    stale.context("no process of nginx maps the old libssl")?;
    bed.shell("systemctl restart nginx redis-server && systemctl is-active nginx redis-server")?;
    Ok(())
}

#[test]
fn nothing_is_left_of_a_bed_however_it_ends() -> Result<()> {
    needs_bed!(BASE);
    if run(Command::new("which").arg("ps"), b"", Duration::from_secs(5))?.code() != Some(0) {
        skip!("needs ps");
    }
    let mut selftest = Command::new(workspace().join("tests/bed/selftest"));
    selftest.arg(BASE);
    run(&mut selftest, b"", Duration::from_secs(180))?.success()?;
    Ok(())
}
