//! Upgrades by the real pacman: it unlinks every file of a package and creates it anew, and the hook,
//! the unit that acts and the report do there what they promise.

use anyhow::{ensure, Context, Result};
use reexec_tests::acceptance;
use reexec_tests::bed::{cache, Options};
use reexec_tests::debian::library_bytes;
use reexec_tests::hostile;
use reexec_tests::machine::{figure, Machine, Report};
use reexec_tests::needs_bed;
use reexec_tests::pacman::{install, machine, pacman, Package, BASE, DAEMON, LIBRARY};
use reexec_tests::place::Scratch;
use reexec_tests::probes::{padded, Manager, Probes, RESTART_PROBES};
use reexec_tests::run::{run, wait_until};
use reexec_tests::services;
use reexec_tests::suite::libraries;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// So much takes longer to write than a tick of the clock.
const PADDING: usize = 24 << 20;

/// A machine with the probe's library and daemon, and these units of it running.
fn with_probes(name: &str, rules: &str, units: &[&str], options: Options) -> Result<Machine> {
    let probes = Probes::with(Manager::Pacman, name, rules, options)?;
    probes.build()?;
    probes.build()?;
    probes.start(units, rules)?;
    Ok(probes.machine)
}

/// Words as they are, however the lines are broken.
fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the doctor says.
fn health(machine: &Machine) -> Result<String> {
    Ok(unbroken(&machine.reexec(&["doctor"])?.text()))
}

/// `pacman -U` of packages of the test, which has to succeed; what was said.
fn upgrade(machine: &Machine, packages: &[&str]) -> Result<String> {
    let files: Vec<String> = packages.iter().map(|name| format!("/srv/dist/{name}-any.pkg.tar.zst")).collect();
    let said = install(&machine.bed, &files.iter().map(String::as_str).collect::<Vec<_>>())?.success()?;
    let text = format!("{}{}", said.text(), said.errors());
    ensure!(!text.contains("error") && !text.contains("nothing will be restarted"), "{text}");
    Ok(text)
}

/// How often a unit was started, and how often the unit that acts was.
fn counts(machine: &Machine, unit: &str) -> Result<(usize, usize)> {
    Ok((machine.starts(unit)?, machine.applies()?))
}

/// The one cause of a stale unit in a report: path, method, content and package.
fn cause<'a>(report: &'a Report, owner: &str) -> Result<[&'a str; 4]> {
    let causes = report.owner(owner)?["causes"].as_array().context("causes")?;
    ensure!(causes.len() == 1, "{causes:#?}");
    let word = |key: &str| causes[0][key].as_str().with_context(|| format!("{key}: {:#}", causes[0]));
    Ok([word("path")?, word("method")?, word("content")?, word("package")?])
}

/// Old and new version of a package of the transaction.
fn versions<'a>(report: &'a Report, name: &str) -> Result<(Option<&'a str>, Option<&'a str>)> {
    let rows = report.0["transaction"]["packages"].as_array().context("packages")?;
    let row = rows.iter().find(|row| row["name"] == name).with_context(|| format!("{rows:#?}"))?;
    Ok((row["old"].as_str(), row["new"].as_str()))
}

#[test]
fn up_down_again_and_away_each_transaction_is_one_apply_with_the_right_words() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("pacman", RESTART_PROBES, &["probed", "other"], Options::default())?;
    let rules = RESTART_PROBES.replace("match: {", "match: { unit: probed.service,");
    machine.policy(&rules)?;
    let (bed, other) = (&machine.bed, machine.unit("other.service")?);

    let mut before = counts(&machine, "probed.service")?;
    for (from, to) in [("1.0-1", "2.0-1"), ("2.0-1", "1.0-1")] {
        let said = upgrade(&machine, &[&format!("libprobe-{to}")])?;
        ensure!(said.contains("reexec: 1 package with 2 files"), "{said}");
        machine.applied()?;
        let after = counts(&machine, "probed.service")?;
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{}", machine.journal()?);
        before = after;
        let last = machine.last()?;
        assert_eq!(last.owner("probed.service")?["proof"], "fresh");
        assert_eq!(cause(&last, "probed.service")?, [LIBRARY, "recreated", "differs", "libprobe"]);
        let evidence = last.owner("probed.service")?["causes"][0]["evidence"].as_str().context("evidence")?;
        ensure!(evidence.contains("the path was absent for"), "{evidence}");
        assert_eq!(last.0["transaction"]["manager"], "pacman");
        assert_eq!(versions(&last, "libprobe")?, (Some(from), Some(to)));
        assert_eq!(machine.unit("other.service")?, other, "it was to be reported only");
        ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");
    }
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (0, vec![]), "other runs version 1, and that is back");

    // The same version again, twice in one burst.
    let runs = machine.runs()?;
    upgrade(&machine, &["libprobe-1.0-1"])?;
    upgrade(&machine, &["libprobe-1.0-1", "probed-1.0-1"])?;
    machine.applied()?;
    assert_eq!((machine.starts("probed.service")?, machine.runs()?), (before.0, runs), "{}", machine.journal()?);
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (0, vec![]));
    ensure!(report.0["summary"]["identical"].as_u64() >= Some(1), "{:#}", report.0["summary"]);

    // From a repository, with everything that `-Syu` does.
    let repository = "mkdir -p /srv/repo; cp /srv/dist/libprobe-3.0-1-any.pkg.tar.zst /srv/repo
        cd /srv/repo; repo-add -q test.db.tar.zst *.pkg.tar.zst >&2
        printf '[test]\\nServer = file:///srv/repo\\n' >>/etc/pacman.conf";
    bed.shell(repository)?;
    before = counts(&machine, "probed.service")?;
    pacman(bed, &["-Syyu"])?.success()?;
    machine.applied()?;
    assert_eq!(counts(&machine, "probed.service")?, (before.0 + 1, before.1 + 1), "{}", machine.journal()?);
    assert_eq!(versions(&machine.last()?, "libprobe")?.1, Some("3.0-1"));
    assert_eq!(machine.report()?.owners(), ["other.service"]);

    // Nobody asked for the daemon to be taken down with its library.
    machine.policy("  []\n")?;
    pacman(bed, &["-Rn", "probed", "libprobe"])?.success()?;
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (1, vec!["other.service", "probed.service"]));
    let causes = report.causes_of("probed.service");
    let mut paths: Vec<&str> = causes.iter().filter_map(|cause| cause["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, [DAEMON, LIBRARY], "{causes:#?}");
    ensure!(causes.iter().all(|cause| cause["method"] == "removed" && cause["current"].is_null()), "{causes:#?}");
    assert_eq!(versions(&report, "probed")?, (Some("1.0-1"), None));
    Ok(())
}

/// A package of pacman with the files of a tree, in which `/lib` is `/usr/lib`, and with a big one that is
/// written before them.
fn of_tree(name: &str, version: u32, tree: &Path) -> Result<Package> {
    let merge = "if [ -d lib ]; then mkdir -p usr; cp -a lib usr/; rm -r lib; fi";
    run(Command::new("sh").args(["-ec", merge]).current_dir(tree), b"", SOON)?.success()?;
    let package = Package::new(name, &format!("{version}.0-1")).tree(tree)?;
    Ok(package.file(&format!("/usr/lib/padding-{name}"), &vec![0; PADDING]))
}

#[test]
fn real_services_are_restarted_once_or_named_when_their_libraries_are_upgraded() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("pacman-upgrade", services::RULES, Options::default())?;
    let dist = machine.dist();
    services::each_library(BASE, |name, version, tree| of_tree(name, version, tree)?.build(dist).map(drop))?;
    let to = |version: &str| {
        let files = libraries().map(|name| format!("/srv/dist/{name}-{version}-any.pkg.tar.zst"));
        // The first ones come over what Debian's own packages brought.
        let words: Vec<&str> = files.iter().map(String::as_str).chain(["--overwrite", "*"]).collect();
        install(&machine.bed, &words)
    };
    to("1.0-1")?.success()?;
    services::begin(&machine)?;
    let _login = machine.log_in()?;
    let recreated = |cause: &Value| cause["method"] == "recreated";
    services::upgraded(&machine, "2.0-1", &recreated, || to("2.0-1"))?;
    services::again(&machine, "rm /usr/share/libalpm/hooks/*reexec*", || to("2.0-1"))
}

#[test]
fn what_is_promised_of_an_upgrade_holds_with_pacman() -> Result<()> {
    needs_bed!(BASE);
    acceptance::holds(&Probes::boot(Manager::Pacman, "pacman-accepted", RESTART_PROBES)?)
}

#[test]
fn moved_files_links_and_kept_configuration_are_told_apart() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("pacman-files", "  []\n", &["probed"], Options::default())?;
    let bed = &machine.bed;
    let stale = |method: &str, package: &str| -> Result<()> {
        machine.applied()?;
        let report = machine.report()?;
        let state = machine.unit("probed.service")?;
        assert_eq!((report.exit_code(), report.owners()), (1, vec!["probed.service"]), "{package} {method} {state:?}");
        let cause = report.causes_of("probed.service")[0];
        let words = [&cause["path"], &cause["method"], &cause["package"]];
        // A file that is removed and created at once is so in one tick of the clock.
        let tie =
            method == "recreated" && cause["method"] == "unknown" && cause["evidence"].to_string().contains("tick");
        ensure!(tie || words == [LIBRARY, method, package], "{cause:#}");
        bed.shell("systemctl reset-failed probed; systemctl restart probed")?;
        Ok(())
    };

    // The file goes over to another package, in one transaction.
    Package::new("libprobe", "4.0-1").field("depend = libother").build(machine.dist())?;
    let gains = Package::new("libother", "4.0-1").file(LIBRARY, &library_bytes(4)?);
    gains.build(machine.dist())?;
    upgrade(&machine, &["libprobe-4.0-1", "libother-4.0-1"])?;
    stale("recreated", "libother")?;

    // A link takes its place, and a file the link's. What is mapped then has another path.
    let real = "/usr/lib/libprobe.so.1.5";
    let linked = Package::new("libother", "5.0-1").file(real, &library_bytes(5)?).link(LIBRARY, "libprobe.so.1.5");
    linked.build(machine.dist())?;
    upgrade(&machine, &["libother-5.0-1"])?;
    stale("recreated", "libother")?;
    Package::new("libother", "6.0-1").file(LIBRARY, &library_bytes(6)?).build(machine.dist())?;
    upgrade(&machine, &["libother-6.0-1"])?;
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!(report.owners(), ["probed.service"]);
    let cause = report.causes_of("probed.service")[0];
    assert_eq!([&cause["path"], &cause["method"]], [real, "removed"], "{cause:#}");
    bed.shell("systemctl reset-failed probed; systemctl restart probed")?;

    // A file of `backup` comes by rename; one that the admin changed stays, and the new one lies beside.
    let kept = |version: u32| -> Result<PathBuf> {
        let package = Package::new("libother", &format!("{version}.0-1")).field("backup = usr/lib/libprobe.so.1");
        // Written for longer than a tick of the clock, before it takes its name.
        let big = [library_bytes(version)?, vec![0; PADDING]].concat();
        package.file(LIBRARY, &big).build(machine.dist())
    };
    for version in 7..=9 {
        kept(version)?;
    }
    // Of a file that was none of `backup` before, pacman does not know what the package had in it.
    let said = upgrade(&machine, &["libother-7.0-1"])?;
    ensure!(said.contains("libprobe.so.1.pacnew"), "{said}");
    machine.applied()?;
    assert_eq!(machine.report()?.exit_code(), 0, "it was kept");
    bed.shell(&format!("mv {LIBRARY}.pacnew {LIBRARY}; systemctl reset-failed probed; systemctl restart probed"))?;
    upgrade(&machine, &["libother-8.0-1"])?;
    stale("renamed", "libother")?;
    bed.shell(&format!("cp {LIBRARY} /tmp/own; echo own >>/tmp/own; mv /tmp/own {LIBRARY}; systemctl reset-failed probed; systemctl restart probed"))?;
    let runs = machine.runs()?;
    let said = upgrade(&machine, &["libother-9.0-1"])?;
    ensure!(said.contains("libprobe.so.1.pacnew"), "{said}");
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners(), machine.runs()?), (0, vec![], runs), "{:#}", report.0);
    Ok(())
}

/// A file system image of the base, as a disk with ext4 has it.
fn ext4_image(scratch: &Scratch) -> Result<PathBuf> {
    let (image, base) = (scratch.join("root.img"), fs::canonicalize(cache().join(BASE))?);
    fs::File::create(&image)?.set_len(2 << 30)?;
    let mut make = Command::new("mkfs.ext4");
    make.args(["-qF", "-O", "^has_journal", "-d"]).args([&base, &image]);
    run(&mut make, b"", Duration::from_secs(180))?.success()?;
    Ok(image)
}

#[test]
fn on_ext4_where_a_new_file_gets_the_old_ones_inode_number_the_judge_is_not_fooled() -> Result<()> {
    needs_bed!(BASE);
    let scratch = Scratch::new("ext4")?;
    let store = format!("image:{}", ext4_image(&scratch)?.display());
    let machine = with_probes("pacman-ext4", "  []\n", &[], Options::default().store(&store))?;
    let bed = &machine.bed;
    let identity = || bed.shell(&format!("stat -c '%i' {LIBRARY}; stat -c '%W %Z' {LIBRARY}"));
    let number = |identity: &str| identity.lines().next().unwrap_or_default().to_owned();

    // Nobody maps it: the number comes back, and what stands there is another file.
    let mut again = 0;
    for version in [2, 1, 2, 1, 2] {
        let before = identity()?;
        upgrade(&machine, &[&format!("libprobe-{version}.0-1")])?;
        let after = identity()?;
        again += usize::from(number(&before) == number(&after));
    }
    figure(&format!("ext4: the old inode number {again} times of 5"));
    ensure!(again > 0, "this file system gives no number again: the test shows nothing");
    machine.applied()?;
    assert_eq!(machine.report()?.exit_code(), 0);

    // From now on a process holds one of these numbers, and three more files come and go at its path.
    bed.shell("systemctl start probed")?;
    let mapped: u64 = number(&identity()?).parse()?;
    assert_eq!(machine.report()?.exit_code(), 0, "it runs what stands there");
    for (version, exit_code) in [(3, 1), (1, 1), (2, 0), (3, 1)] {
        upgrade(&machine, &[&format!("libprobe-{version}.0-1")])?;
        machine.applied()?;
        let report = machine.report()?;
        assert_eq!(report.exit_code(), exit_code, "{version}: {:#}", report.0);
        if exit_code == 1 {
            let cause = report.causes_of("probed.service")[0];
            assert_eq!([&cause["path"], &cause["method"]], [LIBRARY, "recreated"], "{cause:#}");
            assert_eq!(cause["mapped"]["ino"], mapped, "{cause:#}");
            assert_ne!(cause["current"]["ino"], mapped, "{cause:#}");
        }
    }
    bed.shell("systemctl reset-failed probed; systemctl restart probed")?;
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

/// A scriptlet that waits as long as `/run/slow` is there, and says so.
const SLOW: &str = "pre_upgrade() { touch /run/reached; while [ -e /run/slow ]; do sleep 0.1; done; }\n";

#[test]
fn what_a_failed_or_killed_transaction_replaced_is_found_and_a_left_over_lock_blocks_nobody() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("pacman-fails", RESTART_PROBES, &["probed"], Options::default())?;
    let bed = &machine.bed;
    let restarted_once = |before: (usize, usize), new: &str| -> Result<()> {
        machine.applied()?;
        assert_eq!(counts(&machine, "probed.service")?, (before.0 + 1, before.1 + 1), "{}", machine.journal()?);
        let last = machine.last()?;
        assert_eq!(last.owner("probed.service")?["proof"], "fresh");
        assert_eq!(cause(&last, "probed.service")?, [LIBRARY, "recreated", "differs", "libprobe"]);
        assert_eq!(versions(&last, "libprobe")?.1, Some(new));
        assert_eq!(machine.report()?.exit_code(), 0);
        Ok(())
    };

    // A scriptlet that fails is pacman's affair, and the transaction goes on.
    let failing = padded(2)?.scriptlet("post_upgrade() { exit 3; }\n");
    failing.build(machine.dist())?;
    let before = counts(&machine, "probed.service")?;
    let said = install(bed, &["/srv/dist/libprobe-2.0-1-any.pkg.tar.zst"])?.success()?;
    ensure!(said.errors().contains("failed to execute correctly"), "{said:?}");
    restarted_once(before, "2.0-1")?;

    // The second package does not fit on its file system: the first one is replaced, no hook is called.
    bed.shell("mkdir -p /opt/small; mount -t tmpfs -o size=64k tmpfs /opt/small")?;
    Package::new("zzz", "1.0-1").file("/opt/small/x", b"x").build(machine.dist())?;
    Package::new("zzz", "2.0-1").file("/opt/small/x", &vec![b'x'; 1 << 20]).build(machine.dist())?;
    upgrade(&machine, &["zzz-1.0-1"])?;
    machine.applied()?;
    let before = counts(&machine, "probed.service")?;
    let both = ["/srv/dist/libprobe-3.0-1-any.pkg.tar.zst", "/srv/dist/zzz-2.0-1-any.pkg.tar.zst"];
    let said = install(bed, &both)?;
    assert_eq!(said.code(), Some(1), "{said:?}");
    ensure!(!said.text().contains("Looking for who still runs"), "a hook was called: {said:?}");
    restarted_once(before, "3.0-1")?;

    // Killed between the first package and the second one.
    Package::new("zzz", "3.0-1").scriptlet(SLOW).file("/opt/small/x", b"y").build(machine.dist())?;
    let before = counts(&machine, "probed.service")?;
    bed.shell("touch /run/slow")?;
    let files = ["/srv/dist/libprobe-1.0-1-any.pkg.tar.zst", "/srv/dist/zzz-3.0-1-any.pkg.tar.zst"];
    let _pacman = machine.start(&["pacman", "--noconfirm", "-U", files[0], files[1]])?;
    wait_until("the first package is in place", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;
    let said = health(&machine)?;
    ensure!(said.contains("/var/lib/pacman/db.lck is held by pacman, process "), "{said}");
    let early = machine.reexec(&["apply"])?;
    assert_eq!(early.code(), Some(2), "{early:?}");
    bed.shell("kill -9 $(pidof pacman); rm /run/slow")?;
    restarted_once(before, "1.0-1")?;
    let said = health(&machine)?;
    let left = "a transaction was left half-way: /var/lib/pacman/db.lck was left over, no process has it open";
    ensure!(said.contains(left), "{said}");
    // Who may open it as a path only, or not at all, is no pacman.
    let blocker = machine.start(&[
        "python3",
        "-c",
        "import os,time; os.open('/var/lib/pacman/db.lck', os.O_PATH); time.sleep(900)",
    ])?;
    ensure!(health(&machine)?.contains(left), "{}", health(&machine)?);
    drop(blocker);

    // pacman itself refuses until an admin has removed it, and goes on then.
    assert_eq!(install(bed, &files[..1])?.code(), Some(1));
    bed.shell("rm /var/lib/pacman/db.lck")?;
    let before = counts(&machine, "probed.service")?;
    upgrade(&machine, &["libprobe-3.0-1", "zzz-3.0-1"])?;
    restarted_once(before, "3.0-1")
}

/// Kills its process at the moment at which pacman creates the library anew: the old one is unlinked.
const KILLED_AT_CREATION: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
static int opened(const char *symbol, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, symbol);
    if ((flags & O_EXCL) && strstr(path, "libprobe.so.1")) kill(getpid(), SIGKILL);
    return real(path, flags, mode);
}
#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); return opened(#name, path, flags, mode); }
OPEN(open)
OPEN(open64)
"#;

#[test]
fn a_unit_whose_files_a_killed_transaction_took_away_is_left_running() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("pacman-killed", RESTART_PROBES, &["probed"], Options::default())?;
    let bed = &machine.bed;
    let source = machine.dist().join("killed.c");
    fs::write(&source, KILLED_AT_CREATION)?;
    let shared = machine.dist().join("killed.so");
    run(Command::new("gcc").args(["-shared", "-fPIC", "-o"]).args([&shared, &source]), b"", SOON)?.success()?;
    let (unit, before) = (machine.unit("probed.service")?, counts(&machine, "probed.service")?);
    let command =
        "LD_PRELOAD=/srv/dist/killed.so pacman --noconfirm -U /srv/dist/libprobe-2.0-1-any.pkg.tar.zst || true";
    bed.shell(&format!("({command}) >&2; test -e /var/lib/pacman/db.lck; ! test -e {LIBRARY}"))?;

    machine.applied()?;
    assert_eq!(machine.unit("probed.service")?, unit, "it would not come up again");
    assert_eq!(counts(&machine, "probed.service")?, (before.0, before.1 + 1), "{}", machine.journal()?);
    let report = machine.report()?;
    assert_eq!(report.owners(), ["probed.service"]);
    let cause = report.causes_of("probed.service")[0];
    assert_eq!([&cause["path"], &cause["method"]], [LIBRARY, "removed"], "{cause:#}");
    let plan = unbroken(&machine.reexec(&["plan"])?.text());
    let why = "is missing: pacman: /var/lib/pacman/db.lck was left over";
    ensure!(plan.contains(why), "{plan}");
    ensure!(unbroken(&machine.journal()?).contains(why), "{}", machine.journal()?);

    // What pacman asks for then: the half-written entry goes away by hand.
    bed.shell("rm /var/lib/pacman/db.lck")?;
    let said = health(&machine)?;
    ensure!(said.contains("not written to the end in pacman's database: libprobe"), "{said}");
    bed.shell("rm -r /var/lib/pacman/local/libprobe-*")?;
    let files = ["/srv/dist/libprobe-2.0-1-any.pkg.tar.zst", "--overwrite", "*"];
    install(bed, &files)?.success()?;
    machine.applied()?;
    assert_eq!(machine.starts("probed.service")?, before.0 + 1, "{}", machine.journal()?);
    assert_eq!(
        (machine.last()?.owner("probed.service")?["proof"].as_str(), machine.report()?.exit_code()),
        (Some("fresh"), 0)
    );
    Ok(())
}

#[test]
fn another_root_is_none_of_its_business_and_hostile_input_ends_in_time() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("pacman-input", "  []\n", Options::default())?;
    let bed = &machine.bed;
    // A root that is being filled, as by pacstrap: hooks run in it, with nothing of the machine around.
    let package = "/srv/dist/reexec-0.1.0-1-x86_64.pkg.tar.zst";
    let fill = format!(
        "mkdir -p /srv/root/var/lib/pacman /srv/root/usr/lib /srv/root/usr/bin /srv/root/lib64
         ln -s usr/lib usr/bin /srv/root; cp /bin/dash /srv/root/usr/bin/sh
         for file in $(ldd /usr/bin/reexec /bin/dash | grep -o '/lib[^ ]*'); do cp --parents -Ln $file /srv/root/; done
         pacman --noconfirm --root /srv/root --hookdir /usr/share/libalpm/hooks -U /srv/dist/debian-shim-1-1-any.pkg.tar.zst {package} >&2
         pacman --noconfirm --root /srv/root --hookdir /usr/share/libalpm/hooks -U {package} 2>&1"
    );
    let said = bed.shell(&fill)?;
    ensure!(said.contains("nothing to look at") && !said.contains("error"), "{said}");
    assert_eq!(
        bed.shell("find /srv/root/run -name '*.json' 2>/dev/null || true")?,
        "",
        "left in a root that does not run"
    );
    ensure!(machine.waiting().is_empty(), "taken for the machine's own");

    for (input, words) in [
        (&b"usr/lib/last"[..], "1 file"),
        (b"usr/lib/a\0b\nusr/lib/last", "not understood: \"usr/lib/a\\x00b\""),
        (b"../etc/passwd\n", "not understood: \"../etc/passwd\""),
        (&hostile::noise(200_000), "not understood: "),
        (&[b'x'; 9000], "line too long: 9000 bytes"),
    ] {
        let said = hostile::said(bed, "pacman", input, &[])?.text();
        ensure!(said.contains(words), "no {words} in {said}");
    }
    hostile::fed(
        bed,
        "pacman",
        &[
            ("/dev/zero", "the input "),
            ("<(yes usr/lib/x)", "the input "),
            ("<(exec sleep 300)", "did not end within"),
            ("<(seq -f usr/lib/%.0f 10000000)", "the input "),
            ("<(yes usr/lib/x | head -c 30000000)", "too much"),
        ],
    )
}
