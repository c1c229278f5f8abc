//! Real upgrades on real machines: apt replaces files, and the hook, the unit that acts and the
//! report do what they promise. Each test compares what is said with what systemd and the kernel say.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::{daemon, library, library_bytes, Package, DAEMON, LIBRARY};
use reexec_tests::machine::{figure, packed, Machine, Report, APPLY, BASE, POLICY};
use reexec_tests::needs_bed;
use reexec_tests::packages::repacked;
use reexec_tests::run::wait_until;
use reexec_tests::suite::libraries;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// A unit that failed is started again by its path unit only after this and some more.
const AFTER_A_FAILURE: Duration = Duration::from_secs(60);
/// What apt may be slower with the hook than without, on a machine that does other things too.
const DELAY: Duration = Duration::from_millis(900);

const RESTART_PROBES: &str = "  - { name: probes, match: { path: '**/libprobe.so.1' }, action: restart }\n";

/// A machine with the probe's library and daemon, and these units of it running.
fn with_probes(name: &str, rules: &str, units: &[&str]) -> Result<Machine> {
    let machine = Machine::boot(name, rules)?;
    for version in 1..=2 {
        library(version)?.build(machine.dist())?;
    }
    daemon()?.build(machine.dist())?;
    machine.bed.apt_install(&["/srv/dist/libprobe1_1.0_amd64.deb", "/srv/dist/probed_1.0_amd64.deb"])?.success()?;
    machine.applied()?;
    for unit in units {
        if *unit != "probed" {
            write_unit(&machine, unit, "")?;
        }
    }
    machine.bed.shell(&format!("systemctl daemon-reload; systemctl start {}", units.join(" ")))?;
    Ok(machine)
}

/// A unit that runs the daemon, with more lines for its service section.
fn write_unit(machine: &Machine, name: &str, lines: &str) -> Result<()> {
    let text = format!("[Service]\nType=exec\nExecStart={DAEMON}\n{lines}\n");
    machine.bed.write_file(&format!("/etc/systemd/system/{name}.service"), text.as_bytes())
}

fn upgrade(machine: &Machine, version: u32) -> Result<()> {
    let apt = machine.bed.apt_install(&[&format!("/srv/dist/libprobe1_{version}.0_amd64.deb")])?.success()?;
    ensure!(!apt.text().contains("nothing will be restarted"), "{}", apt.text());
    Ok(())
}

/// The first step that was taken for an owner: action, outcome and message.
fn step<'a>(report: &'a Report, owner: &str, index: usize) -> Result<(&'a str, &'a str, &'a str)> {
    let row = report.owner(owner)?;
    let step = row["steps"].get(index).with_context(|| format!("{row:#}"))?;
    let word = |key: &str| step[key].as_str().context("a word");
    Ok((word("action")?, word("outcome")?, word("message")?))
}

/// Why nothing was done about an owner; it has neither a step nor a proof then.
fn skipped<'a>(report: &'a Report, owner: &str) -> Result<&'a str> {
    let row = report.owner(owner)?;
    ensure!(row["steps"] == Value::Array(Vec::new()) && row["proof"].is_null(), "{row:#}");
    row["decision"]["skip"].as_str().with_context(|| format!("{row:#}"))
}

fn is_restarted_once(machine: &Machine, unit: &str, starts_before: usize) -> Result<()> {
    let starts = machine.starts(unit)? - starts_before;
    ensure!(starts == 1, "{unit} was started {starts} times\n{}", machine.journal()?);
    Ok(())
}

#[test]
fn an_upgrade_restarts_what_the_policy_allows_once_and_names_exactly_the_rest() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let allowed = ["nginx.service", "redis-server.service"];
    let rules = "  - { name: allowed, match: { unit: [nginx.service, redis-server.service] }, action: restart }\n";
    let machine = Machine::with_repository("upgrade", rules, Some(&repository))?;
    let _login = machine.log_in()?;
    let before = allowed.map(|unit| machine.unit(unit));
    let starts = allowed.map(|unit| machine.starts(unit));
    let ssh = machine.unit("ssh.service")?;
    let init = machine.bed.shell("readlink /proc/1/exe; cat /proc/1/comm")?;

    let apt = machine.bed.apt_install(&libraries())?.success()?;
    ensure!(apt.text().contains("reexec: 3 packages with"), "{}", apt.text());
    let ended = Instant::now();
    machine.applied_within(Duration::from_secs(20))?;
    figure(&format!("apply: {:?} after apt's end", ended.elapsed()));

    let last = machine.last()?;
    for ((unit, before), starts) in allowed.iter().zip(before).zip(starts) {
        let (before, after) = (before?, machine.unit(unit)?);
        assert_eq!(after.state, "active");
        ensure!(after.invocation != before.invocation && after.main_pid != before.main_pid, "{unit} {after:?}");
        assert_eq!(after.restarts, 0, "systemd had to help {unit}");
        is_restarted_once(&machine, unit, starts?)?;
        ensure!(!machine.maps_deleted(unit, "/lib")?, "{unit} maps the old");
        assert_eq!(last.owner(unit)?["proof"], "fresh");
        assert_eq!(step(&last, unit, 0)?.0, "restart");
    }
    assert_eq!(machine.unit("ssh.service")?, ssh, "it was to be reported only");
    assert_eq!(last.owner("init")?["proof"], "fresh");
    assert_eq!(step(&last, "init", 0)?.0, "reexec-manager");
    ensure!(!machine.maps_deleted("init.scope", "/lib")?, "PID 1 maps the old");
    assert_eq!(machine.bed.shell("readlink /proc/1/exe; cat /proc/1/comm")?, init);
    // The one process of a user's manager that executes nothing anew, (sd-pam), is still an old one
    // where it maps one of the libraries (the comparison below tells).
    let manager = last.owner("user@0.service");
    ensure!(manager.as_ref().is_ok_and(|row| row["proof"] == "draining") || manager.is_err(), "{manager:?}");
    assert_eq!((last.exit_code(), machine.runs()?), (i64::from(manager.is_ok()), 1));

    let mut report = machine.report()?;
    // The host's end of the login has no cgroup in the bed.
    report.forget("loose");
    let session = last.owner_of_kind("session")?;
    let left = units_with_deleted_libraries(&machine)?;
    ensure!(left.iter().any(|unit| unit == session), "{left:?}");
    for unit in ["rsyslog.service", "ssh.service"] {
        ensure!(left.iter().any(|left| left == unit), "nothing of {unit} was replaced: {left:?}");
    }
    let owners = report.owners();
    assert_eq!(owners, left);
    assert_eq!(report.exit_code(), 1);
    for owner in &left {
        ensure!(!report.causes_of(owner).is_empty(), "{owner}");
        for cause in report.causes_of(owner) {
            assert_eq!((&cause["method"], &cause["content"]), (&"renamed".into(), &"differs".into()), "{cause:#}");
        }
    }
    let causes: Vec<_> = report.causes_of("rsyslog.service");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    let path = causes[0]["path"].as_str().context("a path")?;
    ensure!(path.contains("/lib/x86_64-linux-gnu/libz.so.1."), "{path}");
    assert_eq!(causes[0]["package"], "zlib1g");
    for package in report.0["transaction"]["packages"].as_array().context("packages")? {
        let version = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(version("new"), format!("{}+reexec1", version("old")), "{package:#}");
    }
    Ok(())
}

/// What the kernel says by itself: the units in which a process maps a deleted library.
fn units_with_deleted_libraries(machine: &Machine) -> Result<Vec<String>> {
    let grep = "grep -lE '/lib/.*[(]deleted[)]$' /proc/[0-9]*/maps 2>/dev/null || true";
    let mut units = Vec::new();
    for maps in machine.bed.shell(grep)?.lines() {
        let cgroup = machine.bed.shell(&format!("sed -n 's/^0:://p' {}", maps.replace("maps", "cgroup")))?;
        let is_unit = |name: &&str| name.ends_with(".service") || name.starts_with("session-");
        units.extend(cgroup.split('/').find(is_unit).map(str::to_owned));
    }
    units.sort_unstable();
    units.dedup();
    Ok(units)
}

#[test]
fn the_same_versions_again_restart_nothing_and_apt_is_hardly_slower_with_the_hook() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let rules = "  - { name: all, match: { owner: service }, action: restart }\n";
    let machine = Machine::with_repository("again", rules, Some(&repository))?;
    machine.bed.apt_install(&libraries())?.success()?;
    machine.applied()?;
    let units = ["nginx.service", "redis-server.service", "ssh.service", "rsyslog.service", "cron.service"];
    let before = units.map(|unit| machine.unit(unit).map(|unit| unit.invocation));
    let (runs, applies) = (machine.runs()?, machine.applies()?);

    let mut command = vec!["--reinstall"];
    command.extend(libraries());
    let with = fastest(&machine, &command)?;
    machine.applied()?;

    for (unit, before) in units.iter().zip(before) {
        assert_eq!(machine.unit(unit)?.invocation, before?, "{unit}");
    }
    ensure!(machine.applies()? > applies, "nobody looked");
    assert_eq!(machine.runs()?, runs, "a run acted");
    let report = machine.report()?;
    ensure!(report.0["summary"]["identical"].as_u64() >= Some(3), "{:#}", report.0["summary"]);
    ensure!(!report.owners().contains(&"nginx.service"), "{:#}", report.0["owners"]);

    machine.bed.shell("chmod -x /usr/bin/reexec")?;
    let without = fastest(&machine, &command)?;
    figure(&format!("apt: {with:?} with the hook, {without:?} without"));
    ensure!(with.saturating_sub(without) < DELAY, "{with:?} with the hook, {without:?} without");
    Ok(())
}

/// The fastest of three runs of apt, which all have to succeed.
fn fastest(machine: &Machine, arguments: &[&str]) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        machine.bed.apt_install(arguments)?.success()?;
        fastest = fastest.min(started.elapsed());
    }
    Ok(fastest)
}

#[test]
fn a_library_that_is_copied_over_endangers_its_daemon_and_the_report_says_so() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("overwritten", "  []\n", &["probed", "other"])?;
    fs::write(machine.dist().join("new.so"), library_bytes(2)?)?;
    let bed = &machine.bed;
    bed.shell(&format!("chmod 600 {LIBRARY}; chmod 644 {LIBRARY}; touch {LIBRARY}"))?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (0, vec![]), "only its metadata changed: {:#}", report.0);

    // Nobody claims anything: what is known is what dpkg keeps of the file.
    bed.shell("rm /run/reexec/since-boot.json")?;
    let inode = bed.shell(&format!("stat -c %i {LIBRARY}"))?;
    bed.shell(&format!("cp {LIBRARY} /tmp/same.so; cp /tmp/same.so {LIBRARY}"))?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (0, vec![]), "the same bytes: {:#}", report.0);

    bed.shell(&format!("cp /srv/dist/new.so {LIBRARY}"))?;
    assert_eq!(bed.shell(&format!("stat -c %i {LIBRARY}"))?, inode);

    let report = machine.report()?;
    assert_eq!((report.exit_code(), &report.0["verdict"]), (3, &"tainted".into()));
    assert_eq!(report.owners(), ["other.service", "probed.service"]);
    let pid = machine.unit("probed.service")?.main_pid;
    let processes = report.processes_of("probed.service");
    assert_eq!((processes.len(), &processes[0]["pid"]), (1, &pid.into()));
    assert_eq!(processes[0]["verdict"], "tainted");
    let causes = report.causes_of("probed.service");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["path"], LIBRARY);
    assert_eq!(causes[0]["package"], "libprobe1");
    assert_eq!(causes[0]["method"], "overwritten");
    let text = machine.reexec(&["report"])?;
    assert_eq!(text.code(), Some(3));
    ensure!(text.text().contains("may crash") && text.text().contains(LIBRARY), "{}", text.text());

    machine.policy("  - { name: one, match: { unit: probed.service }, action: restart }\n")?;
    let apply = machine.reexec(&["apply", "--format", "json"])?;
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    assert_eq!((apply.code(), last.exit_code()), (Some(0), 0), "all that was planned is proven");
    assert_eq!(machine.report()?.owners(), ["other.service"]);
    Ok(())
}

#[test]
fn several_dpkg_runs_and_three_upgrades_in_a_row_are_each_one_burst() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("burst", RESTART_PROBES, &["probed"])?;
    // Long enough for a busy machine to come from one apt to the next.
    let text = String::from_utf8(machine.bed.read_file(POLICY)?)?;
    machine.bed.write_file(POLICY, text.replace("800ms", "4s").as_bytes())?;
    for version in 3..=5 {
        library(version)?.build(machine.dist())?;
    }
    let first = Package::new("first", "1.0").field("Pre-Depends: libprobe1 (>= 2.0)");
    first.file("/usr/share/first", b"").build(machine.dist())?;

    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    let dpkg_runs = |machine: &Machine| machine.bed.shell("grep -c ' startup ' /var/log/dpkg.log");
    let runs_before: usize = dpkg_runs(&machine)?.parse()?;
    machine.bed.apt_install(&["/srv/dist/first_1.0_amd64.deb", "/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    ensure!(dpkg_runs(&machine)?.parse::<usize>()? >= runs_before + 3, "dpkg was not called several times");
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");

    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    let install = "DEBIAN_FRONTEND=noninteractive apt-get -qy install /srv/dist/libprobe1_$v.0_amd64.deb >&2";
    machine.bed.shell(&format!("for v in 3 4 5; do {install}; done"))?;
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    let packages = last.0["transaction"]["packages"].as_array().context("packages")?;
    let library = packages.iter().find(|package| package["name"] == "libprobe1").context("libprobe1")?;
    assert_eq!(library["new"], "5.0", "{library:#}");
    assert_eq!(machine.report()?.owners(), [""; 0]);
    Ok(())
}

#[test]
fn units_that_do_not_come_up_or_may_not_go_down_are_told_apart() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("troubled", RESTART_PROBES, &["fine", "fails", "dies", "loops"])?;
    let text = String::from_utf8(machine.bed.read_file(POLICY)?)?;
    machine.bed.write_file(POLICY, text.replace("1500ms", "4s").as_bytes())?;
    write_unit(&machine, "stopped", "")?;
    write_unit(&machine, "refuses", "")?;
    write_unit(&machine, "leftover", "KillMode=none")?;
    let refuse = "[Unit]\nRefuseManualStop=yes\n";
    machine.bed.write_file("/etc/systemd/system/refuses.service.d/x.conf", refuse.as_bytes())?;
    machine
        .bed
        .shell("systemctl daemon-reload; systemctl start stopped refuses leftover; systemctl stop stopped leftover")?;
    let dies = format!("ExecStart=\nExecStart={DAEMON} 1");
    for (unit, lines) in [
        ("fails", "ExecStartPre=/bin/false"),
        ("dies", dies.as_str()),
        ("loops", &format!("{dies}\nRestart=always\nRestartSec=200ms")),
    ] {
        let path = format!("/etc/systemd/system/{unit}.service.d/x.conf");
        machine.bed.write_file(&path, format!("[Service]\n{lines}\n").as_bytes())?;
    }
    machine.bed.shell("systemctl daemon-reload")?;
    let (refuses, leftover) = (machine.unit("refuses.service")?, machine.bed.pids_of("leftover.service")?);
    assert_eq!(leftover.len(), 1, "no process was left over");

    upgrade(&machine, 2)?;
    machine.applied()?;

    let last = machine.last()?;
    let proofs = ["fine", "fails", "dies", "loops"].map(|unit| {
        let name = format!("{unit}.service");
        Ok((step(&last, &name, 0)?.1.to_owned(), last.owner(&name)?["proof"].clone()))
    });
    for (proof, expected) in proofs.into_iter().zip(["fresh", "down", "down", "down"]) {
        let proof: Result<(String, Value)> = proof;
        let (outcome, proof) = proof?;
        assert_eq!(proof, expected);
        ensure!(outcome == "done" || expected == "down", "{outcome} and {proof}");
    }
    assert_eq!(step(&last, "fails.service", 0)?.1, "failed");
    assert_eq!(step(&last, "dies.service", 0)?.1, "done", "the job of one that dies later is done");
    let words = step(&last, "loops.service", 0)?.2;
    ensure!(words.contains("does not stay up"), "{words}");
    assert_ne!(step(&last, "dies.service", 0)?.2, step(&last, "fails.service", 0)?.2);
    ensure!(skipped(&last, "refuses.service")?.contains("RefuseManualStop"), "{:#}", last.0["owners"]);
    assert_eq!(machine.unit("refuses.service")?, refuses);
    ensure!(skipped(&last, "leftover.service")?.contains("inactive"), "{:#}", last.0["owners"]);
    assert_eq!(machine.bed.pids_of("leftover.service")?, leftover);
    assert_eq!(last.exit_code(), 1);

    for (unit, state) in
        [("fine", "active"), ("fails", "failed"), ("dies", "failed"), ("stopped", "inactive"), ("leftover", "inactive")]
    {
        assert_eq!(machine.unit(&format!("{unit}.service"))?.state, state, "{unit}");
    }
    ensure!(last.owner("stopped.service").is_err(), "nothing of it ran: {:#}", last.0["owners"]);
    assert_eq!(machine.report()?.owners(), ["leftover.service", "refuses.service"]);
    Ok(())
}

/// A script of a package that waits as long as `/run/slow` is there, and says so.
const SLOW: &str = "touch /run/reached; while [ -e /run/slow ]; do sleep 0.1; done";

#[test]
fn nothing_is_lost_when_apt_is_killed_half_way() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("apt-killed", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    library(3)?.script("postinst", SLOW).build(machine.dist())?;
    let starts = machine.starts("probed.service")?;
    bed.shell("touch /run/slow")?;
    let _apt = machine.start(&["apt-get", "-qy", "install", "/srv/dist/libprobe1_3.0_amd64.deb"])?;
    wait_until("the new files are in place", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;

    // All of it, as when the terminal or the machine's memory is gone.
    bed.shell("for name in apt-get dpkg libprobe1.postinst; do kill -9 $(pidof -x $name) || true; done")?;
    wait_until("apt and dpkg are gone", SOON, || {
        Ok(bed.shell("pidof apt-get dpkg || true")?.is_empty().then_some(()))
    })?;
    let status = "dpkg-query -W -f '${db:Status-Status} ' libprobe1 reexec";
    ensure!(bed.shell(status)?.starts_with("half-configured "), "it was not killed half-way");

    bed.shell("rm /run/slow; DEBIAN_FRONTEND=noninteractive dpkg --configure -a >&2")?;
    assert_eq!(bed.shell(status)?, "installed installed");
    assert_eq!(machine.audit()?, "");
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

#[test]
fn nothing_is_lost_when_apt_is_killed_before_it_began() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("apt-killed-early", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    library(3)?.script("preinst", SLOW).build(machine.dist())?;
    let (starts, runs) = (machine.starts("probed.service")?, machine.runs()?);
    bed.shell("touch /run/slow")?;
    let _apt = machine.start(&["apt-get", "-qy", "install", "/srv/dist/libprobe1_3.0_amd64.deb"])?;
    wait_until("apt has begun", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;
    ensure!(!machine.waiting().is_empty(), "nothing was written down before");
    bed.shell("for name in apt-get dpkg preinst; do kill -9 $(pidof -x $name) || true; done; rm /run/slow")?;

    // Nothing was replaced, so a run finds nothing and acts on nothing.
    assert_eq!(machine.report()?.exit_code(), 0);
    let install = "DEBIAN_FRONTEND=noninteractive apt-get -qy -f install /srv/dist/libprobe1_3.0_amd64.deb >&2";
    bed.shell(&format!("dpkg --configure -a >&2; {install}"))?;
    assert_eq!(machine.audit()?, "");
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.runs()?, runs + 1, "more than one run acted");
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    Ok(())
}

/// Lets the real program begin its work behind the transaction, and kills it there.
const KILLED_AFTERWARDS: &str = r#"#!/bin/bash
case "$*" in
    *"--phase post"*)
        /usr/bin/reexec.real "$@" < <(exec sleep 60) & hook=$!
        sleep 0.3; kill -9 $hook; echo killed >>/run/killed; wait $hook; exit;;
esac
exec /usr/bin/reexec.real "$@"
"#;

#[test]
fn nothing_is_lost_when_the_hook_is_killed_half_way() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("hook-killed", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    bed.shell("dpkg-divert --local --rename --divert /usr/bin/reexec.real /usr/bin/reexec")?;
    bed.write_program("/usr/bin/reexec", KILLED_AFTERWARDS.as_bytes())?;
    let starts = machine.starts("probed.service")?;
    machine.bed.apt_install(&["/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    // Once by dpkg's trigger, once by apt.
    assert_eq!(bed.shell("cat /run/killed")?, "killed\nkilled");
    assert_eq!(
        (machine.audit()?, bed.shell("dpkg-query -W -f '${Status}' reexec")?.as_str()),
        (String::new(), "install ok installed")
    );
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    Ok(())
}

#[test]
fn a_killed_run_is_taken_up_again_and_repeats_nothing() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("apply-killed", RESTART_PROBES, &["a-slow", "b-waits"])?;
    let text = String::from_utf8(machine.bed.read_file(POLICY)?)?;
    machine.bed.write_file(POLICY, text.replace("settle:", "max_parallel: 1, settle:").as_bytes())?;
    let slow = b"[Service]\nExecStartPre=/bin/sh -c 'touch /run/reached; sleep 4'\n";
    machine.bed.write_file("/etc/systemd/system/a-slow.service.d/x.conf", slow)?;
    machine.bed.shell("systemctl daemon-reload")?;
    let units = ["a-slow.service", "b-waits.service"];
    let starts = units.map(|unit| machine.starts(unit));
    upgrade(&machine, 2)?;
    wait_until("the slow unit is being restarted", SOON, || {
        Ok(machine.outside("/run/reached").exists().then_some(()))
    })?;
    let main = machine.unit(APPLY)?.main_pid;
    ensure!(main != 0);
    machine.bed.shell(&format!("kill -9 {main}"))?;
    ensure!(!machine.waiting().is_empty(), "what it was told is gone");
    ensure!(machine.outside("/run/reexec/running.json").exists(), "what it was doing is gone");

    machine.applied_within(AFTER_A_FAILURE)?;
    for (unit, starts) in units.iter().zip(starts) {
        is_restarted_once(&machine, unit, starts?)?;
        assert_eq!(machine.unit(unit)?.state, "active");
        ensure!(!machine.maps_deleted(unit, "libprobe")?, "{unit} maps the old");
    }
    let last = machine.last()?;
    for unit in units {
        assert_eq!(last.owner(unit)?["proof"], "fresh", "{:#}", last.0["owners"]);
    }
    ensure!(!machine.outside("/run/reexec/running.json").exists(), "it still seems to run");
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

#[test]
fn a_job_that_is_in_flight_when_its_run_is_killed_is_waited_for_and_not_queued_again() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("in-flight", RESTART_PROBES, &["probed"])?;
    let slow = b"[Service]\nExecStartPre=/bin/sh -c 'touch /run/reached; sleep 6'\n";
    machine.bed.write_file("/etc/systemd/system/probed.service.d/x.conf", slow)?;
    machine.bed.shell("systemctl daemon-reload")?;
    let starts = machine.starts("probed.service")?;
    upgrade(&machine, 2)?;
    wait_until("it is being restarted", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;
    let main = machine.unit(APPLY)?.main_pid;
    machine.bed.shell(&format!("kill -9 {main}"))?;

    let apply = machine.reexec(&["apply", "--format", "json"])?;
    ensure!(apply.code() == Some(0), "{}{}", apply.text(), apply.errors());
    assert_eq!(machine.unit("probed.service")?.state, "active", "it did not wait for the job");
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    assert_eq!(machine.report()?.exit_code(), 0);
    ensure!(machine.waiting().is_empty(), "it is pending still");
    Ok(())
}

#[test]
fn a_bad_policy_is_named_with_its_place_and_nothing_is_done_until_it_is_mended() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("bad-policy", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    let started = machine.unit("probed.service")?;
    let path = "/etc/reexec/policy.d/20-bad.yaml";
    let broken = [
        ("version: 1\nrules:\n  - name: a\n    mach: { unit: x }\n    action: report\n", ":4:5: ", "mach"),
        ("version: 1\nrules:\n  - name: a\n\taction: report\n", ":4:1: ", "tab"),
        ("version: 1\ndefaults:\n  max_parallel: many\n", ":3:17: ", "many"),
        ("version: 1\nrules:\n  - { name: a, match: { unit: x }, action: reboot }\n", ":3:44: ", "reboot"),
    ];
    for (text, place, word) in broken {
        bed.write_file(path, text.as_bytes())?;
        refuses(&machine, &[&format!("{path}{place}"), word])?;
    }
    bed.shell(&format!("echo 'version: 1' >{path}; chmod 666 {path}"))?;
    refuses(&machine, &[path, "writable"])?;
    bed.write_file(path, broken[0].0.as_bytes())?;
    bed.shell(&format!("chmod 644 {path}"))?;

    let apt = bed.apt_install(&["/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    ensure!(apt.text().contains(&format!("{path}:4:5: ")), "{}", apt.text());
    ensure!(apt.text().contains("nothing will be restarted"), "{}", apt.text());
    wait_until("the unit that acts gave up", SOON, || {
        Ok(machine.journal()?.contains("nothing was done").then_some(()))
    })?;
    refuses(&machine, &[path])?;
    assert_eq!(machine.unit("probed.service")?, started);
    ensure!(!machine.waiting().is_empty(), "the transaction is forgotten");

    let starts = machine.starts("probed.service")?;
    bed.shell(&format!("rm {path}"))?;
    let apply = machine.reexec(&["apply", "--format", "json"])?.success()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh", "{}", apt.text());
    ensure!(!apply.stdout.is_empty());
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

/// `policy check` and `apply` end with 2 and say these words.
fn refuses(machine: &Machine, words: &[&str]) -> Result<()> {
    for command in [&["policy", "check"][..], &["apply"]] {
        let said = machine.reexec(command)?;
        assert_eq!(said.code(), Some(2), "{said:?}");
        for word in words {
            ensure!(said.errors().contains(word), "no {word} in {}", said.errors());
        }
    }
    Ok(())
}

#[test]
fn plain_dpkg_is_heard_through_its_trigger() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("dpkg", RESTART_PROBES, &["probed"])?;
    let starts = machine.starts("probed.service")?;
    machine.bed.shell("dpkg -i /srv/dist/libprobe1_2.0_amd64.deb >&2")?;
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    let causes = &last.owner("probed.service")?["causes"];
    assert_eq!((&causes[0]["path"], &causes[0]["method"]), (&LIBRARY.into(), &"renamed".into()), "{causes:#}");
    assert_eq!(causes[0]["package"], "libprobe1");
    Ok(())
}

#[test]
fn a_library_that_is_purged_under_its_daemon_is_told_as_removed() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("purged", "  []\n", &["other"])?;
    let before = machine.unit("other.service")?;
    machine.bed.shell("DEBIAN_FRONTEND=noninteractive apt-get -qy purge libprobe1 >&2")?;
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (1, vec!["other.service"]));
    let causes = report.causes_of("other.service");
    let mut paths: Vec<&str> = causes.iter().filter_map(|cause| cause["path"].as_str()).collect();
    paths.sort_unstable();
    // apt takes the daemon away with its library.
    assert_eq!(paths, [LIBRARY, DAEMON], "{causes:#?}");
    ensure!(causes.iter().all(|cause| cause["method"] == "removed" && cause["current"].is_null()), "{causes:#?}");
    assert_eq!(machine.unit("other.service")?, before);
    Ok(())
}

#[test]
fn its_own_upgrade_among_others_disturbs_nothing_and_purge_leaves_nothing() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("itself", RESTART_PROBES, &["probed"])?;
    fs::copy(packed("0.1.0-2")?, machine.dist().join("reexec_2.deb"))?;
    let starts = machine.starts("probed.service")?;
    let both = ["/srv/dist/reexec_2.deb", "/srv/dist/libprobe1_2.0_amd64.deb"];
    let apt = machine.bed.apt_install(&both)?.success()?;
    let said = format!("{}{}", apt.text(), apt.errors());
    ensure!(!said.contains("error") && !said.contains("could not"), "{said}");
    assert_eq!(machine.bed.shell("dpkg-query -W -f '${Version}' reexec")?, "0.1.0-2");
    assert_eq!(machine.audit()?, "");
    machine.applied()?;
    is_restarted_once(&machine, "probed.service", starts)?;
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    assert_eq!(machine.bed.systemctl_show("reexec-apply.path", "ActiveState")?, "active");
    assert_eq!(machine.report()?.exit_code(), 0, "an old reexec runs");

    machine.bed.shell("rm /etc/reexec/policy.d/10-test.yaml; apt-get -qy purge reexec >&2")?;
    let left = "find / -xdev -iname '*reexec*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/tmp/*' \
        -not -path '/var/cache/apt/*' -not -path '/run/systemd/*'; ls -d /run/reexec 2>/dev/null || true; \
        systemctl list-units --all --no-legend 'reexec*'";
    assert_eq!(machine.bed.shell(left)?, "");
    assert_eq!(machine.unit("probed.service")?.state, "active");
    Ok(())
}

#[test]
fn the_unit_that_runs_the_upgrade_is_left_alone() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("upgrader", RESTART_PROBES, &["probed"])?;
    let starts = machine.starts("probed.service")?;
    let work = "apt-get -qy install /srv/dist/libprobe1_2.0_amd64.deb; echo $? >/run/apt-exit; sleep 900; true";
    let run = [
        "systemd-run",
        "--unit=upgrader",
        "-E",
        "DEBIAN_FRONTEND=noninteractive",
        "-E",
        &format!("LD_PRELOAD={LIBRARY}"),
    ];
    let work = work.replace('$', "$$");
    machine.bed.exec(&[&run[..], &["bash", "-c", &work]].concat())?.success()?;
    let before = machine.unit("upgrader.service")?;
    wait_until("the upgrade is over", SOON, || Ok(machine.outside("/run/apt-exit").exists().then_some(())))?;
    machine.applied()?;

    assert_eq!(machine.bed.shell("cat /run/apt-exit")?, "0");
    let last = machine.last()?;
    ensure!(skipped(&last, "upgrader.service")?.contains("the upgrade runs inside it"), "{:#}", last.0["owners"]);
    assert_eq!(machine.unit("upgrader.service")?, before);
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    is_restarted_once(&machine, "probed.service", starts)
}

#[test]
fn the_hand_over_survives_a_libc_upgrade_that_re_executes_pid_1() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &["libc6", "libc-bin"])?;
    let rules = "  - { name: allowed, match: { unit: [nginx.service, redis-server.service] }, action: restart }\n";
    let machine = Machine::with_repository("libc", rules, Some(&repository))?;
    let units = ["nginx.service", "redis-server.service"];
    let starts = units.map(|unit| machine.starts(unit));
    let apt = machine.bed.apt_install(&["libc6", "libc-bin"])?.success()?;
    machine.applied()?;
    let last = machine.last()?;
    for (unit, starts) in units.iter().zip(starts) {
        is_restarted_once(&machine, unit, starts?)?;
        assert_eq!(last.owner(unit)?["proof"], "fresh", "{}", apt.text());
        ensure!(!machine.maps_deleted(unit, "libc.so")?, "{unit} maps the old");
    }
    ensure!(!machine.maps_deleted("init.scope", "libc.so")?, "PID 1 maps the old");
    ensure!(machine.report()?.owner("ssh.service").is_ok(), "it is to be reported");
    Ok(())
}

#[test]
fn a_ladder_goes_on_where_a_reload_does_not_help() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let rules = "  - { name: web, match: { unit: nginx.service }, action: [reload, restart] }\n";
    let machine = Machine::with_repository("ladder", rules, Some(&repository))?;
    let before = machine.unit("nginx.service")?;
    machine.bed.apt_install(&["zlib1g"])?.success()?;
    machine.applied()?;
    let last = machine.last()?;
    let (action, outcome, words) = step(&last, "nginx.service", 0)?;
    assert_eq!((action, outcome), ("reload", "done"));
    ensure!(words.contains("run an old file") || words.contains("finishing their work"), "{words}");
    let (action, outcome, words) = step(&last, "nginx.service", 1)?;
    assert_eq!((action, outcome), ("restart", "done"), "{words}");
    assert_eq!(last.owner("nginx.service")?["proof"], "fresh");
    let after = machine.unit("nginx.service")?;
    ensure!(after.invocation != before.invocation && after.state == "active", "{after:?}");
    ensure!(!machine.maps_deleted("nginx.service", "libz")?, "the old is mapped");
    assert_eq!(last.exit_code(), 0);
    Ok(())
}

#[test]
fn wrong_arguments_closed_pipes_and_endless_input_end_as_they_should() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("arguments", "  []\n")?;
    for (arguments, code) in [
        (&["hook", "nosuch"][..], 2),
        (&["hook", "../dpkg"], 2),
        (&["hook"], 2),
        (&["hook", "dpkg", "--phase", "during"], 2),
        (&["nosuch"], 2),
        (&["report", "--format", "nosuch"], 2),
        (&["--version"], 0),
        (&["report"], 0),
        (&["apply"], 0),
    ] {
        let said = machine.reexec(arguments)?;
        assert_eq!(said.code(), Some(code), "{arguments:?}: {said:?}");
        ensure!(code == 0 || said.errors().contains("reexec") || said.errors().contains("error:"), "{said:?}");
    }
    // A pipe whose reader has gone.
    let closed = |command: &str| {
        let script = format!("exec 3> >(true); wait $!; {command} >&3");
        machine.bed.exec(&["bash", "-c", &script]).map(|said| said.code())
    };
    assert_eq!(closed("reexec report")?, Some(2));
    assert_eq!(closed("reexec hook dpkg --phase post triggered /usr/lib </dev/null")?, Some(0));
    let full = machine.bed.exec(&["sh", "-c", "reexec report >/dev/full"])?;
    assert_eq!(full.code(), Some(2));
    ensure!(full.errors().contains("could not be written"), "{}", full.errors());

    let inputs = ["/dev/zero", "<(yes /usr/lib/x)", "<(exec sleep 300)"];
    let measure = |input: &str| {
        format!(
            "( SECONDS=0; reexec hook dpkg --phase post < {input} >&2 & pid=$!; most=0
             while peak=$(awk '/VmHWM/ {{ print $2 }}' /proc/$pid/status) && [ -n \"$peak\" ]; do most=$peak; sleep 0.05; done
             status=0; wait $pid || status=$?; echo $status $SECONDS $((most / 1024)) ) &\n"
        )
    };
    let said = machine.bed.shell(&(inputs.map(measure).concat() + "wait"))?;
    figure(&format!("hook with endless input, exit code, s and MiB: {}", said.replace('\n', ", ")));
    assert_eq!(said.lines().count(), inputs.len(), "{said}");
    for line in said.lines() {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(numbers[0] == 0 && numbers[1] < 30 && numbers[2] < 300, "{said}");
    }
    Ok(())
}
