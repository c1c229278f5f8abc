//! What was really done is seen, whatever doing it said: daemons that take a reload at its word, that
//! execute their old file once more, or die of the new one; what a restart keeps; windows in made-up time
//! zones; and what is said of units that do not run.

use anyhow::{ensure, Result};
use reexec_tests::debian::DAEMON;
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::run::one_line;

/// Units of the probe daemon that can be reloaded, each by another way to deal with it.
const UNITS: &str = r#"
unit() { printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecReload=/bin/kill -HUP $MAINPID\n%b\n' "$2" >/etc/systemd/system/$1.service; }
for name in again crashes; do cp /usr/sbin/probed /usr/local/sbin/$name; done
unit takes-over 'ExecStart=/usr/sbin/probed new'
unit again 'ExecStart=/usr/local/sbin/again old'
unit unmoved 'ExecStart=/usr/sbin/probed none'
unit crashes 'ExecStart=/usr/local/sbin/crashes new\nRestart=on-failure\nRestartSec=1h'
unit keeps 'ExecStart=/usr/local/sbin/keeps\nEnvironment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libprobe.so.1\nType=notify\nNotifyAccess=all\nFileDescriptorStoreMax=4'
unit hangs-on 'ExecStart=/bin/sleep infinity'
printf '[Unit]\nPartOf=keeps.service\n' >>/etc/systemd/system/hangs-on.service
unit now 'ExecStart=/usr/sbin/probed'
unit skipped 'ExecStart=/usr/sbin/probed'
unit stopped 'ExecStart=/usr/sbin/probed'
printf '[Service]\nType=oneshot\nExecStart=/bin/true\n' >/etc/systemd/system/once.service
systemctl daemon-reload
systemctl start takes-over again unmoved crashes keeps hangs-on now skipped once
"#;

/// Stores a descriptor with its manager, once (sd_pid_notify_with_fds(3)), and says how many it was given.
const KEEPS: &str = "#!/usr/bin/python3
import os, signal, socket
given = int(os.environ.get('LISTEN_FDS', 0))
path = os.environ['NOTIFY_SOCKET'].replace('@', '\\0', 1)
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.connect(path)
if not given:
    socket.send_fds(manager, [b'FDSTORE=1'], [os.open('/dev/null', 0)])
manager.send(b'READY=1\\nSTATUS=given %d' % given)
signal.pause()
";

/// A zone in which it is half past two now, and one whose clocks jump from two to three in some minutes, so
/// that a window which opens at two begins at three, half an hour before it would have ended.
const ZONES: &str = r#"
now=$(date -u +%s); day=$((now / 86400 * 86400))
offset=$((day + 9000 - now)); sign=; [ $offset -ge 0 ] || { sign=-; offset=$((-offset)); }
hms() { printf '%02d:%02d:%02d' $(($1 / 3600)) $(($1 / 60 % 60)) $(($1 % 60)); }
printf 'Zone Test/Now %s - NOW\n' "$sign$(hms $offset)" >/tmp/zones
jump=$((now + 600)); off=$((jump / 86400 * 86400 + 7200 - jump)); sign=; abs=$off; [ $off -ge 0 ] || { sign=-; abs=$((-off)); }
later=$((off + 3600)); lsign=; labs=$later; [ $later -ge 0 ] || { lsign=-; labs=$((-later)); }
printf 'Zone Test/Jump %s - BEF %s\n %s - AFT\n' "$sign$(hms $abs)" "$(date -u -d @$((jump + off)) '+%Y %b %d %H:%M:%S')" "$lsign$(hms $labs)" >>/tmp/zones
zic -d /usr/share/zoneinfo /tmp/zones
"#;

const RULES: &str = "  - { name: reloads, match: { unit: [takes-over.service, unmoved.service] }, action: reload }
  - { name: again, match: { unit: again.service }, action: [reload, restart] }
  - { name: crashes, match: { unit: crashes.service }, action: [reload, restart], on_failure: stop }
  - { name: keeps, match: { unit: keeps.service }, action: restart }
  - { name: now, match: { unit: now.service }, action: restart, window: now }
  - { name: jump, match: { unit: skipped.service }, action: restart, window: jump }
  - { name: stopped, match: { unit: [stopped.service, once.service] }, action: restart }
windows:
  now: { from: '02:00', to: '03:00', timezone: Test/Now }
  jump: { from: '02:00', to: '02:30', timezone: Test/Jump }
";

#[test]
fn what_a_step_said_is_told_from_what_it_did() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::with_probes("proof", "  []\n")?;
    let bed = &machine.bed;
    bed.write_program("/usr/local/sbin/keeps", KEEPS.as_bytes())?;
    bed.shell(UNITS)?;
    bed.shell(ZONES)?;
    machine.policy(RULES)?;
    what_does_not_run_is_explained(&machine)?;
    let names = ["takes-over", "again", "unmoved", "crashes", "keeps", "now", "skipped"];
    let before = names.map(|name| machine.unit(&format!("{name}.service")));

    machine.swap_library(2)?;
    machine.swap_program("/usr/local/sbin/again")?;
    bed.write_program("/usr/local/sbin/crashes.new", b"#!/bin/sh\nsleep 1\nexit 3\n")?;
    bed.shell("mv /usr/local/sbin/crashes.new /usr/local/sbin/crashes")?;
    let plan = one_line(&machine.reexec(&["plan"])?.text());
    for words in [
        "keeps.service will restart (rule \"keeps\") a restart takes hangs-on.service along keeps 1 open descriptor over a \
         restart (FileDescriptorStoreMax=)",
        "skipped.service left alone: its window jump opens ",
        " 03:00 AFT ",
    ] {
        ensure!(plan.contains(words), "no {words} in {plan}");
    }
    let explained = one_line(&machine.reexec(&["explain", "keeps"])?.text());
    ensure!(explained.contains("keeps 1 open descriptor over a restart"), "{explained}");

    let report = machine.apply(&[])?;
    let [takes_over, again, unmoved, crashes, keeps, now, skipped] = before;
    let unit = |name: &str| machine.unit(&format!("{name}.service"));
    // The same process, and the new program in it.
    assert_eq!(report.owner("takes-over.service")?["proof"], "fresh", "{:#}", report.owner("takes-over.service")?);
    assert_eq!((report.step("takes-over.service", 0)?.1, unit("takes-over")?), ("done", takes_over?));
    // A reload that changed nothing, and said that it was done.
    let (_, outcome, words) = report.step("unmoved.service", 0)?;
    ensure!(outcome == "done" && words.contains("1 of its processes run an old file"), "{words}");
    assert_eq!((&report.owner("unmoved.service")?["proof"], unit("unmoved")?), (&"still-stale".into(), unmoved?));
    // One that executed the old file once more; the ladder goes on.
    let (_, outcome, words) = report.step("again.service", 0)?;
    ensure!(outcome == "done" && words.contains("has executed the old file again"), "{words}");
    assert_eq!(
        (report.step("again.service", 1)?.0, &report.owner("again.service")?["proof"]),
        ("restart", &"fresh".into())
    );
    ensure!(unit("again")? != again?, "it was not restarted");
    // One that died of the new file behind a reload that was done; the ladder stops.
    let (_, outcome, words) = report.step("crashes.service", 0)?;
    ensure!(outcome == "done" && words.contains("does not stay up") && words.contains("exit-code"), "{words}");
    assert_eq!(report.owner("crashes.service")?["proof"], "down");
    ensure!(report.step("crashes.service", 1).is_err() && unit("crashes")? != crashes?, "{:#}", report.0["owners"]);
    assert_eq!(bed.systemctl_show("crashes.service", "SubState")?, "auto-restart");
    // Its manager kept its descriptor, and what hangs on it came up with it.
    ensure!(unit("keeps")? != keeps? && report.owner("keeps.service")?["proof"] == "fresh", "{:#}", report.0["owners"]);
    assert_eq!(bed.systemctl_show("keeps.service", "StatusText")?, "given 1");
    assert_eq!(machine.unit("hangs-on.service")?.state, "active");
    // It is half past two in one zone; in the other one two o'clock never comes.
    assert_eq!(report.owner("now.service")?["proof"], "fresh");
    ensure!(unit("now")? != now? && unit("skipped")? == skipped?, "a window was not kept");
    Ok(())
}

/// A unit without a process: the rule is told, and that is no error; a name that nobody knows is one.
fn what_does_not_run_is_explained(machine: &Machine) -> Result<()> {
    for (name, state) in [("stopped", "inactive dead"), ("once", "inactive dead")] {
        let said = machine.reexec(&["explain", name])?;
        let text = one_line(&said.text());
        assert_eq!(said.code(), Some(0), "{said:?}");
        for words in [
            format!("{name}.service: no process of it runs ({state})"),
            format!("policy for {name}.service: restart"),
            "decided by \"stopped\" (/etc/reexec/policy.d/10-test.yaml:".to_owned(),
            "left alone all the same: it is inactive (dead), and what is stopped is not started".to_owned(),
            "not by \"keeps\": ".to_owned(),
        ] {
            ensure!(text.contains(&words), "no {words} in {text}");
        }
        let said = machine.reexec(&["explain", name, "--format", "json"])?;
        let report: serde_json::Value = serde_json::from_slice(&said.stdout)?;
        assert_eq!(report["owners"][0]["decision"]["rule"], "stopped", "{report:#}");
    }
    let said = machine.reexec(&["explain", "nosuch"])?;
    ensure!(said.code() == Some(2) && said.errors().contains("systemd knows no unit of that name"), "{said:?}");
    ensure!(machine.reexec(&["explain", DAEMON])?.code() == Some(0));
    Ok(())
}
