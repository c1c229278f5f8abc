//! Real transactions of rpm and dnf on a real machine: what the hook is told, what the unit that acts
//! does, and what the report says of it. Each test compares that with what systemd and the kernel say.

use anyhow::{ensure, Context, Result};
use reexec::sys::plugin::Plugins;
use reexec_tests::bed::Bed;
use reexec_tests::debian::{library_bytes, DAEMON, LIBRARY};
use reexec_tests::machine::{figure, Machine, Report, APPLY};
use reexec_tests::needs_bed;
use reexec_tests::packages::repacked;
use reexec_tests::place::{unique, workspace, Scratch};
use reexec_tests::rpm::{daemon, dnf, dnf_program, library, machine, packed, rpm, Package, BASE};
use reexec_tests::run::{run, wait_until, Output};
use reexec_tests::suite::libraries;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Units that run what rpm installed first, and that no policy restarts afterwards.
const RESTARTED: [&str; 4] = ["ssh.service", "rsyslog.service", "cron.service", "systemd-logind.service"];
const SOON: Duration = Duration::from_secs(30);
const RESTART_PROBES: &str = "  - { name: probes, match: { path: '**/libprobe.so.1' }, action: restart }\n";
const REPLACED: &str = "who still runs the old is looked at";

/// A machine with the probe's library and daemon, and these units of it running.
fn with_probes(name: &str, rules: &str, units: &[&str]) -> Result<Machine> {
    let machine = machine(name, rules)?;
    library(1)?.build(machine.dist())?;
    daemon()?.build(machine.dist())?;
    rpm(&machine.bed, &["-i", "/srv/dist/libprobe1-1-1.x86_64.rpm", "/srv/dist/probed-1-1.x86_64.rpm"])?.success()?;
    machine.applied()?;
    for unit in units.iter().filter(|unit| **unit != "probed") {
        let text = format!("[Service]\nType=exec\nExecStart={DAEMON}\n");
        machine.bed.write_file(&format!("/etc/systemd/system/{unit}.service"), text.as_bytes())?;
    }
    machine.bed.shell(&format!("systemctl daemon-reload; systemctl start {}", units.join(" ")))?;
    Ok(machine)
}

fn is_restarted_once(machine: &Machine, unit: &str, starts_before: usize) -> Result<()> {
    let starts = machine.starts(unit)? - starts_before;
    ensure!(starts == 1, "{unit} was started {starts} times\n{}", machine.journal()?);
    Ok(())
}

/// The one cause of an owner: path, package, method.
fn cause(report: &Report, owner: &str) -> Result<(String, String, String)> {
    let row = report.owner(owner)?;
    let [cause] = &row["causes"].as_array().context("causes")?[..] else { anyhow::bail!("{row:#}") };
    let word = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    Ok((word("path"), word("package"), word("method")))
}

/// Old and new version of a package in a report.
fn versions(report: &Report, name: &str) -> Result<(Option<String>, Option<String>)> {
    let rows = report.0["transaction"]["packages"].as_array().context("packages")?;
    let row = rows.iter().find(|row| row["name"] == name).with_context(|| format!("{rows:#?}"))?;
    let word = |key: &str| row[key].as_str().map(str::to_owned);
    Ok((word("old"), word("new")))
}

/// Waits for the unit that acts, and sees that it has proven the restart of `probed.service`.
fn probed_is_proven(machine: &Machine, starts: usize) -> Result<Report> {
    machine.applied()?;
    is_restarted_once(machine, "probed.service", starts)?;
    let last = machine.last()?;
    ensure!(last.owner("probed.service")?["proof"] == "fresh", "{:#}", last.0["owners"]);
    ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");
    Ok(last)
}

/// Packages of rpm with the bytes of Debian's libraries, in the versions that the base has and in two
/// newer ones: `1-1`, `2-1` and `3-1`.
fn system_libraries(dist: &Path) -> Result<()> {
    let originals = repacked(BASE, "+reexec0", &libraries())?;
    for (version, suffix) in [("1-1", "+reexec0"), ("2-1", "+reexec1"), ("3-1", "+reexec2")] {
        let repository = if version == "1-1" { originals.clone() } else { repacked(BASE, suffix, &libraries())? };
        for entry in fs::read_dir(repository)? {
            let deb = entry?.path();
            let Some(file) = deb.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".deb"))
            else {
                continue;
            };
            let name = file.split('_').next().context("a name")?;
            let tree = Scratch::new("tree")?;
            run(Command::new("dpkg-deb").arg("-x").args([&deb, tree.path()]), b"", SOON)?.success()?;
            run(Command::new("rm").arg("-rf").arg(tree.join("usr/share")), b"", SOON)?.success()?;
            Package::new(name, version).tree(tree.path())?.build(dist)?;
        }
    }
    Ok(())
}

fn all_libraries(version: &str) -> Vec<String> {
    libraries().iter().map(|name| format!("/srv/dist/{name}-{version}.x86_64.rpm")).collect()
}

#[test]
fn dnf_and_rpm_leave_the_same_processes_stale_and_what_the_policy_allows_is_restarted_once() -> Result<()> {
    needs_bed!(BASE);
    let allowed = ["nginx.service", "redis-server.service"];
    let rules = "  - { name: allowed, match: { unit: [nginx.service, redis-server.service] }, action: restart }\n";
    let machine = machine("rpm-upgrade", rules)?;
    system_libraries(machine.dist())?;
    // Over what Debian's own packages brought: from now on the files are rpm's.
    let first = all_libraries("1-1");
    let first: Vec<&str> = ["-i", "--replacefiles"].into_iter().chain(first.iter().map(String::as_str)).collect();
    rpm(&machine.bed, &first)?.success()?;
    machine.applied()?;
    machine
        .bed
        .shell("systemctl daemon-reexec; systemctl restart nginx redis-server ssh rsyslog cron systemd-logind")?;
    let _login = machine.log_in()?;

    let mut left = Vec::new();
    for (manager, version) in [("dnf", "2-1"), ("rpm", "3-1")] {
        let before = allowed.map(|unit| machine.unit(unit));
        let starts = allowed.map(|unit| machine.starts(unit));
        let (applies, ssh) = (machine.applies()?, machine.unit("ssh.service")?);
        let said = match manager {
            "dnf" => {
                machine.bed.shell(&format!(
                    "mkdir -p /srv/repo; cp /srv/dist/*-{version}.x86_64.rpm /srv/repo; createrepo_c -q /srv/repo"
                ))?;
                let upgrade = [&[dnf_program(), "-y", "upgrade"], &libraries()[..]].concat();
                machine.bed.exec_within(Duration::from_secs(120), b"input\n", &upgrade)?
            }
            _ => {
                let files = all_libraries(version);
                let arguments: Vec<&str> = std::iter::once("-U").chain(files.iter().map(String::as_str)).collect();
                rpm(&machine.bed, &arguments)?
            }
        }
        .success()?;
        let words = format!("{}{}", said.text(), said.errors());
        ensure!(words.contains("3 packages with"), "{words}");
        machine.applied()?;
        let last = machine.last()?;
        for ((unit, before), starts) in allowed.iter().zip(before).zip(starts) {
            let (before, after) = (before?, machine.unit(unit)?);
            ensure!(after.state == "active" && after.invocation != before.invocation, "{unit} {after:?}");
            is_restarted_once(&machine, unit, starts?)?;
            ensure!(!machine.maps_deleted(unit, "/lib")?, "{unit} maps the old");
            assert_eq!(last.owner(unit)?["proof"], "fresh");
        }
        assert_eq!(last.owner("init")?["proof"], "fresh");
        assert_eq!(machine.unit("ssh.service")?, ssh, "it was to be reported only");
        assert_eq!(machine.applies()?, applies + 1, "more than one apply for {manager}\n{}", machine.journal()?);
        let mut report = machine.report()?;
        report.forget("loose");
        assert_eq!(report.exit_code(), 1);
        let owners: Vec<String> = report.owners().into_iter().map(str::to_owned).collect();
        for owner in &owners {
            ensure!(!report.causes_of(owner).is_empty(), "{owner}");
            for cause in report.causes_of(owner) {
                ensure!(libraries().iter().any(|name| cause["package"] == *name), "{cause:#}");
                // The others run what the base system brought: overlayfs does not date its replacement.
                ensure!(cause["method"] == "renamed" || !RESTARTED.contains(&owner.as_str()), "{owner} {cause:#}");
            }
        }
        for name in libraries() {
            assert_eq!(versions(&report, name)?.1.as_deref(), Some(version));
        }
        left.push(owners);
    }
    for unit in RESTARTED {
        ensure!(left[0].iter().any(|owner| owner == unit), "{unit} is not among {:?}", left[0]);
    }
    assert_eq!(left[0], left[1], "dnf and rpm left other processes stale");

    let starts = allowed.map(|unit| machine.starts(unit));
    let files = all_libraries("3-1");
    let again: Vec<&str> = ["-U", "--force"].into_iter().chain(files.iter().map(String::as_str)).collect();
    rpm(&machine.bed, &again)?.success()?;
    machine.applied()?;
    for (unit, starts) in allowed.iter().zip(starts) {
        assert_eq!(machine.starts(unit)?, starts?, "{unit} was restarted for the same content");
    }
    ensure!(machine.report()?.0["summary"]["identical"].as_u64() >= Some(3), "{:#}", machine.report()?.0["summary"]);

    let with = fastest(&machine, &again)?;
    machine.applied()?;
    machine.bed.shell("chmod -x /usr/bin/reexec")?;
    let without = fastest(&machine, &again)?;
    figure(&format!("rpm: {with:?} with the hook, {without:?} without"));
    ensure!(with.saturating_sub(without) < Duration::from_millis(900), "{with:?} with the hook, {without:?} without");
    Ok(())
}

/// The fastest of three runs of rpm, which all have to succeed.
fn fastest(machine: &Machine, arguments: &[&str]) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        rpm(&machine.bed, arguments)?.success()?;
        fastest = fastest.min(started.elapsed());
    }
    Ok(fastest)
}

/// The library in this version with what changes in the course of its life: configuration that the
/// admin changes, a ghost, a file that stays the same, and one that is a link in every second version.
fn changing(version: u32) -> Result<Package> {
    let package = library(version)?
        .config("/usr/lib/probe/probe.conf", format!("version {version}\n").as_bytes())
        .file("/usr/lib/probe/same", b"the same in all versions\n")
        .ghost("/usr/lib/probe/ghost");
    Ok(match version % 2 {
        0 => package.link("/usr/lib/probe/link", "same"),
        _ => package.file("/usr/lib/probe/link", b"not a link\n"),
    })
}

#[test]
fn upgrade_downgrade_reinstallation_and_removal_are_each_told_as_what_they_are() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("rpm-life", RESTART_PROBES, &["probed", "mapper"])?;
    let bed = &machine.bed;
    for version in 2..=4 {
        changing(version)?.build(machine.dist())?;
    }
    let starts = machine.starts("probed.service")?;
    let said = dnf(bed, &["install", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    let renamed = |package: &str| (LIBRARY.to_owned(), package.to_owned(), "renamed".to_owned());
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe1"), "{}", said.text());
    assert_eq!(versions(&last, "libprobe1")?, (Some("1-1".into()), Some("2-1".into())));
    assert_eq!(last.exit_code(), 0);

    // A process that maps what rpm keeps: the admin's configuration, and the file that stays the same.
    bed.shell("echo admin >>/usr/lib/probe/probe.conf")?;
    bed.write_file("/usr/local/bin/mapper", MAPPER.as_bytes())?;
    let mapper = b"[Service]\nType=exec\nExecStart=/usr/bin/python3 /usr/local/bin/mapper\n";
    bed.write_file("/etc/systemd/system/mapper.service", mapper)?;
    bed.shell("systemctl daemon-reload; systemctl restart mapper")?;
    let conf = bed.shell("stat -c %i /usr/lib/probe/probe.conf /usr/lib/probe/same")?;
    let starts = machine.starts("probed.service")?;
    rpm(bed, &["-U", "--define", "_minimize_writes 1", "/srv/dist/libprobe1-3-1.x86_64.rpm"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("3-1"));
    assert_eq!(bed.shell("stat -c %i /usr/lib/probe/probe.conf /usr/lib/probe/same")?, conf, "rpm wrote them anew");
    assert_eq!(
        bed.shell(
            "cat /usr/lib/probe/probe.conf.rpmnew; test ! -h /usr/lib/probe/link; test ! -e /usr/lib/probe/ghost"
        )?,
        "version 3"
    );
    let all = machine.reexec(&["report", "--all", "--format", "json"])?;
    ensure!(!all.text().contains("probe.conf") && !all.text().contains("probe/same"), "{}", all.text());
    assert_eq!(machine.report()?.exit_code(), 0, "kept files make nobody stale");
    bed.shell("touch /usr/lib/probe/same; chmod 600 /usr/lib/probe/probe.conf; chmod 644 /usr/lib/probe/probe.conf")?;
    assert_eq!(machine.report()?.exit_code(), 0, "a relabel makes nobody stale");

    let starts = machine.starts("probed.service")?;
    dnf(bed, &["downgrade", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe1"));
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("2-1"));
    bed.shell("test -h /usr/lib/probe/link")?;

    let (starts, runs) = (machine.starts("probed.service")?, machine.runs()?);
    dnf(bed, &["reinstall", "libprobe1"])?.success()?;
    machine.applied()?;
    assert_eq!((machine.starts("probed.service")?, machine.runs()?), (starts, runs), "for the same content");
    assert_eq!(machine.report()?.owners(), [""; 0]);

    // The library moves into another package, which takes it over in the same transaction.
    Package::new("libprobe-next", "1-1")
        .file(LIBRARY, &library_bytes(4)?)
        .line("Provides: libprobe1 = 5")
        .line("Obsoletes: libprobe1 < 5")
        .build(machine.dist())?;
    dnf(bed, &["install", "libprobe-next"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe-next"));
    assert_eq!(versions(&last, "libprobe1")?, (Some("1-1".into()), None), "since boot");
    assert_eq!(versions(&last, "libprobe-next")?, (None, Some("1-1".into())));

    machine.policy("  []\n")?;
    rpm(bed, &["-e", "--nodeps", "libprobe-next"])?.success()?;
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (1, vec!["probed.service"]));
    assert_eq!(cause(&report, "probed.service")?.2, "removed");
    Ok(())
}

/// Maps two files and waits.
const MAPPER: &str = "import mmap, time
files = [open(name) for name in ('/usr/lib/probe/probe.conf', '/usr/lib/probe/same')]
maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]
time.sleep(900)
";

/// A script of a package that waits as long as `/run/slow` is there, and says so.
const SLOW: &str = "touch /run/reached; while [ -e /run/slow ]; do sleep 0.1; done";

#[test]
fn a_transaction_that_fails_or_is_killed_half_way_leaves_nothing_unseen() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("rpm-broken", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    // One package fails before its files come, the other one is replaced all the same.
    library(2)?.section("%post", "exit 1").build(machine.dist())?;
    Package::new("fails", "1-1").file("/usr/lib/fails", b"").section("%pre", "exit 1").build(machine.dist())?;
    let starts = machine.starts("probed.service")?;
    let said = rpm(bed, &["-U", "/srv/dist/libprobe1-2-1.x86_64.rpm", "/srv/dist/fails-1-1.x86_64.rpm"])?;
    ensure!(said.code() != Some(0) && said.errors().contains("scriptlet failed"), "{said:?}");
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?, (Some("1-1".into()), Some("2-1".into())));
    assert_eq!(machine.report()?.owners(), [""; 0]);

    // Killed when the new files are in place and the old package is still there.
    library(3)?.section("%post", SLOW).build(machine.dist())?;
    let starts = machine.starts("probed.service")?;
    bed.shell("touch /run/slow")?;
    let _rpm = machine.start(&["rpm", "-U", "/srv/dist/libprobe1-3-1.x86_64.rpm"])?;
    wait_until("the new files are in place", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;
    ensure!(!machine.waiting().is_empty(), "nothing was written down before");
    let doctor = machine.reexec(&["doctor"])?.text();
    ensure!(doctor.contains("answers: a transaction is in progress"), "{doctor}");
    assert_eq!(machine.starts("probed.service")?, starts, "it was restarted within the transaction");
    let now = machine.reexec(&["apply"])?;
    ensure!(now.code() == Some(2) && now.errors().contains("packages are being changed"), "{now:?}");
    bed.shell("kill -9 $(pidof rpm); rm /run/slow")?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, (LIBRARY.into(), "libprobe1".into(), "renamed".into()));
    assert_eq!(bed.shell("rpm -q libprobe1 2>/dev/null")?, "libprobe1-2-1.x86_64\nlibprobe1-3-1.x86_64");
    let doctor = machine.reexec(&["doctor"])?.text();
    let half = ["left half-way:", "libprobe1.x86_64: 2-1 and 3-1 are both in the database"];
    ensure!(half.iter().all(|part| doctor.contains(part)), "{doctor}");

    // The next transaction finds both versions, and says what it does.
    library(4)?.build(machine.dist())?;
    let starts = machine.starts("probed.service")?;
    rpm(bed, &["-U", "/srv/dist/libprobe1-4-1.x86_64.rpm"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("4-1"));
    assert_eq!(machine.report()?.exit_code(), 0);

    // The hook itself is killed, before and behind the transaction.
    for version in 5..=6 {
        library(version)?.build(machine.dist())?;
    }
    bed.shell("mv /usr/bin/reexec /usr/bin/reexec.real")?;
    bed.write_program("/usr/bin/reexec", KILLED.as_bytes())?;
    let starts = machine.starts("probed.service")?;
    let said = rpm(bed, &["-U", "/srv/dist/libprobe1-5-1.x86_64.rpm"])?.success()?;
    ensure!(bed.shell("cat /run/killed")?.lines().count() >= 2, "{said:?}");
    bed.shell("mv /usr/bin/reexec.real /usr/bin/reexec")?;
    let apply = machine.reexec(&["apply"])?;
    ensure!(apply.code() == Some(0), "{apply:?}");
    is_restarted_once(&machine, "probed.service", starts)?;

    // What acts is killed half-way: the next one takes it up.
    let slow = b"[Service]\nExecStartPre=/bin/sh -c 'touch /run/restarting; sleep 4'\n";
    bed.write_file("/etc/systemd/system/probed.service.d/x.conf", slow)?;
    bed.shell("systemctl daemon-reload")?;
    let starts = machine.starts("probed.service")?;
    rpm(bed, &["-U", "/srv/dist/libprobe1-6-1.x86_64.rpm"])?.success()?;
    wait_until("it is being restarted", SOON, || Ok(machine.outside("/run/restarting").exists().then_some(())))?;
    bed.shell(&format!("kill -9 {}", machine.unit(APPLY)?.main_pid))?;
    machine.applied_within(Duration::from_secs(60))?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    Ok(())
}

/// Is killed before it can do anything.
const KILLED: &str = "#!/bin/bash
case $1 in hook) echo killed >>/run/killed; kill -9 $$;; esac
exec /usr/bin/reexec.real \"$@\"
";

#[test]
fn without_file_triggers_dnfs_action_speaks_and_its_own_upgrade_and_removal_disturb_nothing() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("rpm-itself", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    for version in 2..=4 {
        library(version)?.build(machine.dist())?;
    }
    fs::copy(packed("0.1.0-2")?, machine.dist().join("reexec-0.1.0-2.x86_64.rpm"))?;
    // Debian's plugin of dnf 4 asks its libdnf for a name that the library has under another one.
    let plugin = "/usr/lib/python3/dist-packages/dnf-plugins/post-transaction-actions.py";
    bed.shell(&format!("test ! -e {plugin} || sed -i 's/ConfigParser_substitute/ConfigParser.substitute/' {plugin}"))?;
    let starts = machine.starts("probed.service")?;
    let said = dnf(bed, &["--setopt=tsflags=notriggers", "upgrade", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("2-1"), "{}{}", said.text(), said.errors());

    // With them, the action behind them adds nothing, and there is one apply.
    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    dnf(bed, &["upgrade", "libprobe1-3-1"])?.success()?;
    probed_is_proven(&machine, starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    let doctor = machine.reexec(&["doctor"])?;
    ensure!(doctor.code() == Some(0), "{}", doctor.text());
    for line in ["rpm file triggers", "dnf 4 action", "dnf 5 action", "zypp plugin", "plugin rpm"] {
        ensure!(doctor.text().lines().any(|row| row.starts_with("ok") && row.contains(line)), "{}", doctor.text());
    }

    let starts = machine.starts("probed.service")?;
    let both = ["-U", "/srv/dist/reexec-0.1.0-2.x86_64.rpm", "/srv/dist/libprobe1-4-1.x86_64.rpm"];
    let said = rpm(bed, &both)?.success()?;
    let all = format!("{}{}", said.text(), said.errors());
    // From rpm 6 on, the trigger behind the removal of the old reexec runs before the one of the new.
    ensure!((1..=2).contains(&all.matches(REPLACED).count()) && !all.contains("scriptlet failed"), "{all}");
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("4-1"));
    let rows = last.0["transaction"]["packages"].as_array().context("packages")?.len();
    ensure!(rows <= 5, "all that is installed was taken for replaced: {rows}");
    assert_eq!(bed.systemctl_show("reexec-apply.path", "ActiveState")?, "active");
    assert_eq!(machine.report()?.exit_code(), 0, "an old reexec runs");

    bed.shell("systemctl disable --now reexec-apply.path >&2")?;
    rpm(bed, &["-U", "--force", "/srv/dist/reexec-0.1.0-2.x86_64.rpm"])?.success()?;
    assert_eq!(
        bed.exec(&["systemctl", "is-enabled", "reexec-apply.path"])?.text(),
        "disabled",
        "the admin was overruled"
    );

    bed.shell("rm /etc/reexec/policy.d/10-test.yaml")?;
    let said = rpm(bed, &["-e", "reexec"])?.success()?;
    let left = "find / -xdev -iname '*reexec*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/tmp/*' \
        -not -path '/var/log/*' -not -path '/run/systemd/*'; ls -d /run/reexec /usr/lib/zypp 2>/dev/null || true; \
        systemctl list-units --all --no-legend 'reexec*'";
    assert_eq!(bed.shell(left)?, "", "{}{}", said.text(), said.errors());
    let said = rpm(bed, &["-U", "--force", "/srv/dist/libprobe1-4-1.x86_64.rpm"])?.success()?;
    ensure!(!format!("{}{}", said.text(), said.errors()).contains("reexec"), "{said:?}");
    assert_eq!(machine.unit("probed.service")?.state, "active");
    Ok(())
}

#[test]
fn hostile_input_to_the_hook_ends_in_time_with_a_clear_word() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("rpm-hostile", "  []\n")?;
    let hook = |input: &[u8], arguments: &[&str]| -> Result<Output> {
        let command = [&["reexec", "hook", "rpm", "--phase", "post"], arguments].concat();
        let said = machine.bed.exec_within(Duration::from_secs(60), input, &command)?;
        ensure!(said.code() == Some(0), "{said:?}");
        Ok(said)
    };
    let many: Vec<u8> = (0..600_000).flat_map(|number| format!("/a/{number}\n").into_bytes()).collect();
    let noise: Vec<u8> = (0..200_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (input, arguments, words) in [
        (&b"/usr/lib/x"[..], &[][..], REPLACED),
        (b"/usr/\0/x\n", &[], "not understood: \"/usr/\\x00/x\""),
        (b"relative\n", &["transfiletriggerin"], "not understood: \"relative\""),
        (&noise, &[], "not understood: "),
        (&noise, &["zypp"], "not understood: "),
        (&many, &[], "too many paths: the first 500000 are looked at, 100000 are not"),
        (b"{\"TransactionStepList\": [{", &["zypp"], "not understood: "),
        (b"{\"status\": \"ERROR\", \"message\": \"no\"}", &["libdnf5"], "libdnf5: no"),
        (b"", &["frobnicate"], "\"frobnicate\" is no trigger of rpm: one of transfiletriggerin, "),
    ] {
        machine.bed.shell("rm -f /run/reexec/pending/*")?;
        let said = hook(input, arguments)?;
        ensure!(said.text().contains(words), "{words}: {}", said.text());
        ensure!(said.text().len() < 2000, "{} bytes were said", said.text().len());
    }
    machine.bed.shell("rm -f /run/reexec/pending/*")?;
    let said = hook(b"/usr/lib/x\n", &["--quiet", "libdnf5"])?;
    assert_eq!((said.text(), said.errors()), (String::new(), String::new()), "libdnf5 reads what is printed");

    let inputs = ["/dev/zero", "<(yes /usr/lib/x)", "<(exec sleep 300)", "<(seq -f /usr/lib/%.0f 10000000)"];
    let measure = |input: &str| {
        format!(
            "( SECONDS=0; reexec hook rpm --phase post < {input} >/run/said.$BASHPID & pid=$!; most=0
             while peak=$(awk '/VmHWM/ {{ print $2 }}' /proc/$pid/status) && [ -n \"$peak\" ]; do most=$peak; sleep 0.05; done
             status=0; wait $pid || status=$?; echo $status $SECONDS $((most / 1024)) ) &\n"
        )
    };
    let said = machine.bed.shell(&(inputs.map(measure).concat() + "wait"))?;
    figure(&format!("hook rpm with endless input, exit code, s and MiB: {}", said.replace('\n', ", ")));
    assert_eq!(said.lines().count(), inputs.len(), "{said}");
    for line in said.lines() {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(numbers[0] == 0 && numbers[1] < 30 && numbers[2] < 300, "{said}");
    }
    let words = machine.bed.shell("cat /run/said.*")?;
    ensure!(words.lines().filter(|line| line.contains("the input ")).count() == inputs.len(), "{words}");
    Ok(())
}

/// How much faster the plugin has to be than `rpm -qf`, for a thousand paths.
const FASTER: f64 = 20.0;

#[test]
fn a_thousand_owners_are_found_many_times_faster_than_by_rpm_itself() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("rpm-owners", "  []\n")?;
    // Like a distribution: many packages, and one with very many files.
    let mut big = Package::new("big", "1-1");
    for number in 0..15_000 {
        big = big.file(&format!("/usr/share/big/{}/{number}", number % 97), b"");
    }
    big.build(machine.dist())?;
    for package in 0..25 {
        let mut small = Package::new(&format!("small{package}"), "1-1");
        for number in 0..40 {
            small = small.file(&format!("/usr/share/small{package}/{number}"), b"");
        }
        small.build(machine.dist())?;
    }
    machine.bed.shell("rpm -i --justdb --nodeps /srv/dist/big-*.rpm /srv/dist/small*.rpm 2>/dev/null")?;
    let mut paths: Vec<String> = (0..500).map(|number| format!("/usr/share/big/{}/{number}", number % 97)).collect();
    paths.extend((0..500).map(|number| format!("/usr/share/small{}/{}", number % 25, number % 40)));
    compare(&machine.bed, &paths)
}

/// A folder of root's alone, as plugins must lie in.
struct Trusted(PathBuf);

impl Trusted {
    fn new() -> Result<Trusted> {
        let path = Path::new("/var/lib").join(unique("reexec-test-plugins"));
        fs::create_dir(&path)?;
        Ok(Trusted(path))
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asks rpm and the plugin for the same owners, and compares answers and times.
fn compare(bed: &Bed, paths: &[String]) -> Result<()> {
    let release = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let release = fs::canonicalize(release.join("release"))?;
    let folder = Trusted::new()?;
    fs::copy(release.join("libreexec_rpm.so"), folder.0.join("libreexec_rpm.so"))?;
    // A plugin's process may not look through another process's root: the database is brought here.
    let database = folder.0.join("root/var/lib/rpm");
    fs::create_dir_all(&database)?;
    for name in bed.shell("ls /var/lib/rpm")?.lines() {
        fs::write(database.join(name), bed.read_file(&format!("/var/lib/rpm/{name}"))?)?;
    }
    let root = folder.0.join("root");
    let plugin = Plugins::new(vec![folder.0.clone()]).started_by(release.join("reexec")).find("rpm")?;
    let asked: Vec<&Path> = paths.iter().map(Path::new).collect();
    let mut ours = Duration::MAX;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        answers = plugin.owners(&root, &asked, SOON)?;
        ours = ours.min(begun.elapsed());
    }
    let found: Vec<String> =
        answers.into_iter().map(|owner| owner.map(|owner| owner.package).unwrap_or_default()).collect();
    bed.write_file("/run/paths", paths.join("\n").as_bytes())?;
    let begun = Instant::now();
    let said = bed.shell("xargs -a /run/paths -d '\\n' rpm -qf --qf '%{NAME}\\n' 2>/dev/null")?;
    let theirs = begun.elapsed();
    assert_eq!(found, said.lines().collect::<Vec<_>>(), "rpm says otherwise");
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    figure(&format!("owners of {} paths: {ours:?}, rpm -qf {theirs:?}, {ratio:.0} times", paths.len()));
    ensure!(ratio >= FASTER, "only {ratio:.1} times faster than rpm -qf");
    Ok(())
}
