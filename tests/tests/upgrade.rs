//! Real upgrades on real machines: apt replaces files, and the hook, the unit that acts and the
//! report do what they promise. Each test compares what is said with what systemd and the kernel say.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::{daemon, library, library_bytes, Package, DAEMON, LIBRARY};
use reexec_tests::machine::{packed, Machine, Report, APPLY, BASE, POLICY};
use reexec_tests::needs_bed;
use reexec_tests::packages::repacked;
use reexec_tests::run::wait_until;
use serde_json::Value;
use std::fs;
use std::time::{Duration, Instant};

const LIBRARIES: [&str; 3] = ["libssl3", "zlib1g", "libpcre2-8-0"];
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
    let repository = repacked(BASE, "+reexec1", &LIBRARIES)?;
    let allowed = ["nginx.service", "redis-server.service"];
    let rules = "  - { name: allowed, match: { unit: [nginx.service, redis-server.service] }, action: restart }\n";
    let machine = Machine::with_repository("upgrade", rules, Some(&repository))?;
    let _login = machine.log_in()?;
    let before = allowed.map(|unit| machine.unit(unit));
    let starts = allowed.map(|unit| machine.starts(unit));
    let ssh = machine.unit("ssh.service")?;
    let init = machine.bed.shell("readlink /proc/1/exe; cat /proc/1/comm")?;

    let apt = machine.bed.apt_install(&LIBRARIES)?.success()?;
    ensure!(apt.text().contains("reexec: 3 packages with"), "{}", apt.text());
    let ended = Instant::now();
    machine.applied_within(Duration::from_secs(20))?;
    eprintln!("apply: {:?} after apt's end", ended.elapsed());

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
    // The one process of a user's manager that executes nothing anew, (sd-pam), is still an old one.
    assert_eq!(last.owner("user@0.service")?["proof"], "draining");
    assert_eq!((last.exit_code(), machine.runs()?), (1, 1));

    let mut report = machine.report()?;
    // The host's end of the login has no cgroup in the bed.
    report.forget("loose");
    let session = last.owner_of_kind("session")?;
    let mut left = vec!["cron.service", "dbus.service", "rsyslog.service", session, "ssh.service"];
    left.extend(["systemd-journald.service", "systemd-logind.service", "user@0.service"]);
    let mut owners = report.owners();
    owners.sort_unstable();
    left.sort_unstable();
    assert_eq!(owners, left);
    assert_eq!(report.exit_code(), 1);
    for owner in left {
        ensure!(!report.causes_of(owner).is_empty(), "{owner}");
        for cause in report.causes_of(owner) {
            assert_eq!((&cause["method"], &cause["content"]), (&"renamed".into(), &"differs".into()), "{cause:#}");
        }
    }
    let causes: Vec<_> = report.causes_of("rsyslog.service");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(causes[0]["path"], "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13");
    assert_eq!(causes[0]["package"], "zlib1g");
    for package in report.0["transaction"]["packages"].as_array().context("packages")? {
        let version = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(version("new"), format!("{}+reexec1", version("old")), "{package:#}");
    }
    Ok(())
}

#[test]
fn the_same_versions_again_restart_nothing_and_apt_is_hardly_slower_with_the_hook() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &LIBRARIES)?;
    let rules = "  - { name: all, match: { owner: service }, action: restart }\n";
    let machine = Machine::with_repository("again", rules, Some(&repository))?;
    machine.bed.apt_install(&LIBRARIES)?.success()?;
    machine.applied()?;
    let units = ["nginx.service", "redis-server.service", "ssh.service", "rsyslog.service", "cron.service"];
    let before = units.map(|unit| machine.unit(unit).map(|unit| unit.invocation));
    let (runs, applies) = (machine.runs()?, machine.applies()?);

    let mut command = vec!["--reinstall"];
    command.extend(LIBRARIES);
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
    eprintln!("apt: {with:?} with the hook, {without:?} without");
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

    let inode = bed.shell(&format!("stat -c %i {LIBRARY}"))?;
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
