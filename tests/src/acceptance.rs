//! What an upgrade has to become with every package manager: the same scenarios for all of them.

use crate::machine::{Machine, Unit, APPLY, POLICY};
use crate::probes::{Manager, Probes, RESTART_PROBES};
use crate::run::wait_until;
use anyhow::{ensure, Context, Result};
use std::fs;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
/// A unit that failed is started again by its path unit only after this and some more.
const AFTER_A_FAILURE: Duration = Duration::from_secs(60);
/// A script of a package that waits as long as `/run/slow` is there, and says so.
pub const SLOW: &str = "touch /run/reached; while [ -e /run/slow ]; do sleep 0.1; done";

/// A scenario and what it shows.
type Scenario = (&'static str, fn(&Probes) -> Result<()>);

/// All of them, for one machine after the other.
const SCENARIOS: [Scenario; 6] = [
    ("a library that is copied over endangers its daemon", overwritten),
    ("three upgrades in a row are one burst, and the same version again is nothing", burst),
    ("units that do not come up or may not go down are told apart", troubled),
    ("a bad policy is named with its place, and nothing is done until it is mended", bad_policy),
    ("nothing is lost when the hook is killed half-way", |probes| hook_killed(probes).map(drop)),
    ("a killed run is taken up again and repeats nothing", apply_killed),
];

/// Runs all scenarios on one machine.
pub fn holds(probes: &Probes) -> Result<()> {
    for (what, scenario) in SCENARIOS {
        scenario(probes).with_context(|| format!("{:?}: {what}", probes.manager))?;
    }
    Ok(())
}

/// Restarted once since then, proven, and nothing of it maps the old.
fn proven(machine: &Machine, unit: &str, starts: usize) -> Result<()> {
    machine.restarted_once(unit, starts)?;
    ensure!(machine.unit(unit)?.state == "active", "{unit} is not active");
    ensure!(!machine.maps_deleted(unit, "libprobe")?, "{unit} maps the old");
    let last = machine.last()?;
    ensure!(last.owner(unit)?["proof"] == "fresh", "{:#}", last.0["owners"]);
    Ok(())
}

/// `cp` over a library under its daemon: the file, the daemon and the danger are named, with exit code 3.
pub fn overwritten(probes: &Probes) -> Result<()> {
    let (machine, library) = (&probes.machine, probes.manager.library());
    let bed = &machine.bed;
    probes.start(&["probed", "other"], "  []\n")?;
    fs::write(machine.dist().join("new.so"), crate::debian::library_bytes(900)?)?;
    bed.shell(&format!("chmod 600 {library}; chmod 644 {library}; touch {library}"))?;
    let report = machine.report()?;
    ensure!((report.exit_code(), report.owners().len()) == (0, 0), "only its metadata changed: {:#}", report.0);

    // Nobody claims anything: what is known is what the package database keeps of the file.
    bed.shell("rm -f /run/reexec/since-boot.json")?;
    let inode = bed.shell(&format!("stat -c %i {library}; cp {library} /tmp/same.so; cp /tmp/same.so {library}"))?;
    let report = machine.report()?;
    ensure!((report.exit_code(), report.owners().len()) == (0, 0), "the same bytes: {:#}", report.0);

    bed.shell(&format!("cp /srv/dist/new.so {library}"))?;
    assert_eq!(bed.shell(&format!("stat -c %i {library}"))?, inode);
    let report = machine.report()?;
    assert_eq!((report.exit_code(), &report.0["verdict"]), (3, &"tainted".into()));
    assert_eq!(report.owners(), ["other.service", "probed.service"]);
    let pid = machine.unit("probed.service")?.main_pid;
    let processes = report.processes_of("probed.service");
    assert_eq!((processes.len(), &processes[0]["pid"]), (1, &pid.into()));
    assert_eq!(processes[0]["verdict"], "tainted");
    let causes = report.causes_of("probed.service");
    assert_eq!(causes.len(), 1, "{causes:#?}");
    assert_eq!(
        [&causes[0]["path"], &causes[0]["package"], &causes[0]["method"]],
        [library, probes.manager.package(), "overwritten"]
    );
    let text = machine.reexec(&["report"])?;
    assert_eq!(text.code(), Some(3));
    ensure!(text.text().contains("may crash") && text.text().contains(library), "{}", text.text());

    machine.policy("  - { name: one, match: { unit: probed.service }, action: restart }\n")?;
    let apply = machine.reexec(&["apply", "--format", "json"])?;
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh");
    assert_eq!((apply.code(), last.exit_code()), (Some(0), 0), "all that was planned is proven");
    assert_eq!(machine.report()?.owners(), ["other.service"]);
    Ok(())
}

/// Three upgrades in a row are one apply, and the same version again restarts nothing.
pub fn burst(probes: &Probes) -> Result<()> {
    let (machine, manager) = (&probes.machine, probes.manager);
    probes.start(&["probed"], RESTART_PROBES)?;
    // Long enough for a busy machine to come from one transaction to the next; dnf reads its repositories there.
    probes.set("800ms", if manager == Manager::Dnf { "12s" } else { "4s" })?;
    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    let commands = (0..3).map(|_| probes.build().and_then(|version| probes.command(version)));
    let commands: Vec<String> = commands.map(|command| command.map(|words| words.join(" "))).collect::<Result<_>>()?;
    machine.bed.shell(&format!("({}) >&2", commands.join("; ")))?;
    machine.applied()?;
    proven(machine, "probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    let last = machine.last()?;
    let rows = last.0["transaction"]["packages"].as_array().context("packages")?;
    let library = rows.iter().find(|row| row["name"] == manager.package()).context("the library")?;
    assert_eq!(library["new"], manager.version(probes.newest()), "{library:#}");
    let causes = &last.owner("probed.service")?["causes"];
    assert_eq!(
        [&causes[0]["path"], &causes[0]["method"], &causes[0]["package"]],
        [manager.library(), manager.method(), manager.package()],
        "{causes:#}"
    );
    assert_eq!(machine.report()?.owners(), [""; 0]);

    machine.policy(RESTART_PROBES)?;
    let (starts, runs, applies) = (machine.starts("probed.service")?, machine.runs()?, machine.applies()?);
    probes.again()?;
    machine.applied()?;
    ensure!(machine.applies()? > applies, "nobody looked");
    assert_eq!((machine.starts("probed.service")?, machine.runs()?), (starts, runs), "for the same content");
    let report = machine.report()?;
    ensure!(report.0["summary"]["identical"].as_u64() >= Some(1), "{:#}", report.0["summary"]);
    Ok(())
}

/// Units that do not come up, or may not go down, are told apart; one that was stopped stays stopped.
pub fn troubled(probes: &Probes) -> Result<()> {
    let machine = &probes.machine;
    probes.start(&["fine", "fails", "dies", "loops"], RESTART_PROBES)?;
    probes.set("1500ms", "4s")?;
    let (refuses, leftover) = trouble(probes)?;
    probes.upgrade()?;
    machine.applied()?;

    let last = machine.last()?;
    for (unit, outcome, proof) in [
        ("fine.service", "done", "fresh"),
        ("fails.service", "failed", "down"),
        // The job of one that dies later is done.
        ("dies.service", "done", "down"),
        ("loops.service", "", "down"),
    ] {
        let did = last.step(unit, 0)?.1;
        ensure!(outcome.is_empty() || did == outcome, "{unit}: {did}");
        assert_eq!(last.owner(unit)?["proof"], proof, "{unit}");
    }
    let words = last.step("loops.service", 0)?.2;
    ensure!(words.contains("does not stay up"), "{words}");
    assert_ne!(last.step("dies.service", 0)?.2, last.step("fails.service", 0)?.2);
    ensure!(last.skipped("refuses.service")?.contains("RefuseManualStop"), "{:#}", last.0["owners"]);
    assert_eq!(machine.unit("refuses.service")?, refuses);
    ensure!(last.skipped("leftover.service")?.contains("inactive"), "{:#}", last.0["owners"]);
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

/// Brings units into trouble that shows at their next start or stop; the state of the one that may not be
/// stopped, and the processes of the one that was stopped and left some.
fn trouble(probes: &Probes) -> Result<(Unit, Vec<crate::bed::BedPid>)> {
    let bed = &probes.machine.bed;
    probes.write_unit("stopped", "")?;
    probes.write_unit("refuses", "")?;
    probes.write_unit("leftover", "KillMode=none")?;
    probes.add_to_unit("refuses", "Unit", "RefuseManualStop=yes")?;
    bed.shell("systemctl daemon-reload; systemctl start stopped refuses leftover; systemctl stop stopped leftover")?;
    let dies = format!("ExecStart=\nExecStart={} 1", probes.manager.daemon());
    probes.add_to_unit("fails", "Service", "ExecStartPre=/bin/false")?;
    probes.add_to_unit("dies", "Service", &dies)?;
    probes.add_to_unit("loops", "Service", &format!("{dies}\nRestart=always\nRestartSec=200ms"))?;
    bed.shell("systemctl daemon-reload")?;
    let leftover = bed.pids_of("leftover.service")?;
    ensure!(leftover.len() == 1, "no process was left over");
    Ok((probes.machine.unit("refuses.service")?, leftover))
}

/// Policies with a fault: the text, its place, and a word of what is said of it.
const BROKEN: [(&str, &str, &str); 4] = [
    ("version: 1\nrules:\n  - name: a\n    mach: { unit: x }\n    action: report\n", ":4:5: ", "mach"),
    ("version: 1\nrules:\n  - name: a\n\taction: report\n", ":4:1: ", "tab"),
    ("version: 1\ndefaults:\n  max_parallel: many\n", ":3:17: ", "many"),
    ("version: 1\nrules:\n  - { name: a, match: { unit: x }, action: reboot }\n", ":3:44: ", "reboot"),
];

/// A bad policy is named with its place, the transaction succeeds, and nothing is done until it is mended.
pub fn bad_policy(probes: &Probes) -> Result<()> {
    let machine = &probes.machine;
    let bed = &machine.bed;
    probes.start(&["probed"], RESTART_PROBES)?;
    let started = machine.unit("probed.service")?;
    let path = "/etc/reexec/policy.d/20-bad.yaml";
    for (text, place, word) in BROKEN {
        bed.write_file(path, text.as_bytes())?;
        refuses(machine, &[&format!("{path}{place}"), word])?;
    }
    bed.shell(&format!("echo 'version: 1' >{path}; chmod 666 {path}"))?;
    refuses(machine, &[path, "writable"])?;
    bed.write_file(path, BROKEN[0].0.as_bytes())?;
    bed.shell(&format!("chmod 644 {path}"))?;

    let mark = bed.shell("date +%s.%N")?;
    let said = probes.go_to(probes.build()?)?;
    ensure!(said.contains(&format!("{path}:4:5: ")), "{said}");
    ensure!(said.contains("nothing will be restarted"), "{said}");
    wait_until("the unit that acts gave up", SOON, || {
        let journal = format!("journalctl --sync; journalctl -o cat -u {APPLY} --since=@{mark}");
        Ok(bed.shell(&journal)?.contains("nothing was done").then_some(()))
    })?;
    refuses(machine, &[path])?;
    assert_eq!(machine.unit("probed.service")?, started);
    ensure!(!machine.waiting().is_empty(), "the transaction is forgotten");

    let starts = machine.starts("probed.service")?;
    bed.shell(&format!("rm {path}; test -e {POLICY}"))?;
    let apply = machine.reexec(&["apply", "--format", "json"])?.success()?;
    ensure!(!apply.stdout.is_empty());
    proven(machine, "probed.service", starts)?;
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
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

/// Lets the real program begin its work behind the transaction, and kills it there. Nothing that it leaves
/// holds the manager's pipes.
const KILLED_AFTERWARDS: &str = r#"#!/bin/bash
case "$*" in
    *"--phase post"*)
        /usr/bin/reexec.real "$@" < <(exec sleep 60 2>/dev/null) & hook=$!
        sleep 0.3; kill -9 $hook; echo killed >>/run/killed; wait $hook; exit;;
esac
exec /usr/bin/reexec.real "$@"
"#;

/// The hook behind a transaction is killed half-way: what the one before it wrote down is enough. How often
/// it was killed.
pub fn hook_killed(probes: &Probes) -> Result<usize> {
    let machine = &probes.machine;
    let bed = &machine.bed;
    probes.start(&["probed"], RESTART_PROBES)?;
    bed.shell("rm -f /run/killed; mv /usr/bin/reexec /usr/bin/reexec.real")?;
    bed.write_program("/usr/bin/reexec", KILLED_AFTERWARDS.as_bytes())?;
    let starts = machine.starts("probed.service")?;
    let said = probes.go_to(probes.build()?)?;
    let killed = bed.shell("cat /run/killed")?.lines().count();
    ensure!(killed > 0, "{said}");
    machine.applied()?;
    proven(machine, "probed.service", starts)?;
    bed.shell("mv /usr/bin/reexec.real /usr/bin/reexec")?;
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(killed)
}

/// What acts is killed while one unit is being restarted and another one waits: the next run takes it up.
pub fn apply_killed(probes: &Probes) -> Result<()> {
    let machine = &probes.machine;
    probes.start(&["a-slow", "b-waits"], RESTART_PROBES)?;
    probes.set("settle:", "max_parallel: 1, settle:")?;
    machine.bed.shell("rm -f /run/reached")?;
    probes.add_to_unit("a-slow", "Service", "ExecStartPre=/bin/sh -c 'touch /run/reached; sleep 4'")?;
    machine.bed.shell("systemctl daemon-reload")?;
    let units = ["a-slow.service", "b-waits.service"];
    let starts = units.map(|unit| machine.starts(unit));
    probes.upgrade()?;
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
        proven(machine, unit, starts?)?;
    }
    ensure!(!machine.outside("/run/reexec/running.json").exists(), "it still seems to run");
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}
