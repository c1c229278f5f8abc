//! Real upgrades on real machines: apt replaces files, and the hook, the unit that acts and the
//! report do what they promise. Each test compares what is said with what systemd and the kernel say.

use anyhow::{ensure, Context, Result};
use reexec_tests::acceptance::{self, SLOW};
use reexec_tests::debian::{library, Package, DAEMON, LIBRARY};
use reexec_tests::hostile;
use reexec_tests::machine::{figure, packed, Machine, APPLY, BASE};
use reexec_tests::needs_bed;
use reexec_tests::packages::repacked;
use reexec_tests::probes::{Manager, Probes, RESTART_PROBES};
use reexec_tests::run::wait_until;
use reexec_tests::suite::libraries;
use std::fs;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
/// What apt may be slower with the hook than without, on a machine that does other things too.
const DELAY: Duration = Duration::from_millis(900);

/// A machine with version 1 of the probe's library and its daemon.
fn probes(name: &str) -> Result<Probes> {
    Probes::boot(Manager::Apt, name, RESTART_PROBES)
}

/// The same with these units of it running, and version 2 at hand.
fn with_probes(name: &str, rules: &str, units: &[&str]) -> Result<Machine> {
    let probes = probes(name)?;
    probes.build()?;
    probes.start(units, rules)?;
    Ok(probes.machine)
}

fn upgrade(machine: &Machine, version: u32) -> Result<()> {
    let apt = machine.bed.apt_install(&[&format!("/srv/dist/libprobe1_{version}.0_amd64.deb")])?.success()?;
    ensure!(!apt.text().contains("nothing will be restarted"), "{}", apt.text());
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
        machine.restarted_once(unit, starts?)?;
        ensure!(!machine.maps_deleted(unit, "/lib")?, "{unit} maps the old");
        assert_eq!(last.owner(unit)?["proof"], "fresh");
        assert_eq!(last.step(unit, 0)?.0, "restart");
    }
    assert_eq!(machine.unit("ssh.service")?, ssh, "it was to be reported only");
    assert_eq!(last.owner("init")?["proof"], "fresh");
    assert_eq!(last.step("init", 0)?.0, "reexec-manager");
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
    if manager.is_ok() {
        let why = report.skipped("user@0.service")?;
        ensure!(why.contains("(sd-pam) ends when the user logs out"), "{why}");
    }
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
    acceptance::overwritten(&probes("overwritten")?)
}

#[test]
fn several_dpkg_runs_and_three_upgrades_in_a_row_are_each_one_burst() -> Result<()> {
    needs_bed!(BASE);
    let probes = probes("burst")?;
    probes.build()?;
    probes.start(&["probed"], RESTART_PROBES)?;
    // Long enough for a busy machine to come from one dpkg to the next.
    probes.set("800ms", "4s")?;
    let machine = &probes.machine;
    let first = Package::new("first", "1.0").field("Pre-Depends: libprobe1 (>= 2.0)");
    first.file("/usr/share/first", b"").build(machine.dist())?;

    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    let dpkg_runs = |machine: &Machine| machine.bed.shell("grep -c ' startup ' /var/log/dpkg.log");
    let runs_before: usize = dpkg_runs(machine)?.parse()?;
    machine.bed.apt_install(&["/srv/dist/first_1.0_amd64.deb", "/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    ensure!(dpkg_runs(machine)?.parse::<usize>()? >= runs_before + 3, "dpkg was not called several times");
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");

    acceptance::burst(&probes)
}

#[test]
fn units_that_do_not_come_up_or_may_not_go_down_are_told_apart() -> Result<()> {
    needs_bed!(BASE);
    acceptance::troubled(&probes("troubled")?)
}

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
    machine.restarted_once("probed.service", starts)?;
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
    machine.restarted_once("probed.service", starts)?;
    assert_eq!(machine.runs()?, runs + 1, "more than one run acted");
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    Ok(())
}

#[test]
fn nothing_is_lost_when_the_hook_is_killed_half_way() -> Result<()> {
    needs_bed!(BASE);
    let probes = probes("hook-killed")?;
    // Once by dpkg's trigger, once by apt.
    assert_eq!(acceptance::hook_killed(&probes)?, 2);
    assert_eq!(probes.machine.audit()?, "");
    assert_eq!(probes.machine.bed.shell("dpkg-query -W -f '${Status}' reexec")?, "install ok installed");
    Ok(())
}

#[test]
fn a_killed_run_is_taken_up_again_and_repeats_nothing() -> Result<()> {
    needs_bed!(BASE);
    acceptance::apply_killed(&probes("apply-killed")?)
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
    machine.restarted_once("probed.service", starts)?;
    assert_eq!(machine.last()?.owner("probed.service")?["proof"], "fresh");
    assert_eq!(machine.report()?.exit_code(), 0);
    ensure!(machine.waiting().is_empty(), "it is pending still");
    Ok(())
}

#[test]
fn a_bad_policy_is_named_with_its_place_and_nothing_is_done_until_it_is_mended() -> Result<()> {
    needs_bed!(BASE);
    acceptance::bad_policy(&probes("bad-policy")?)
}

#[test]
fn plain_dpkg_is_heard_through_its_trigger() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("dpkg", RESTART_PROBES, &["probed"])?;
    let starts = machine.starts("probed.service")?;
    machine.bed.shell("dpkg -i /srv/dist/libprobe1_2.0_amd64.deb >&2")?;
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
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
    machine.restarted_once("probed.service", starts)?;
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
    ensure!(last.skipped("upgrader.service")?.contains("the upgrade runs inside it"), "{:#}", last.0["owners"]);
    assert_eq!(machine.unit("upgrader.service")?, before);
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    machine.restarted_once("probed.service", starts)
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
        machine.restarted_once(unit, starts?)?;
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
    let (action, outcome, words) = last.step("nginx.service", 0)?;
    assert_eq!((action, outcome), ("reload", "done"));
    ensure!(words.contains("run an old file") || words.contains("finishing their work"), "{words}");
    let (action, outcome, words) = last.step("nginx.service", 1)?;
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

    let inputs = ["/dev/zero", "<(yes /usr/lib/x)", "<(exec sleep 300)", "<(seq -f /usr/lib/%.0f 10000000)"];
    hostile::fed(&machine.bed, "dpkg", &inputs.map(|input| (input, "the input ")))
}
