//! People at work: what carries their logins and desktops is left alone, and they are told once, on their
//! desktop, through their own bus.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::library_bytes;
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::run::wait_until;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A unit whose main process leads a login, as a getty's does; one that has started somebody's desktop, as a
/// display manager does; and a program on it, which is a scope of the user's manager.
const LOGINS: &str = r#"
useradd -m alice; loginctl enable-linger alice; uid=$(id -u alice)
for i in $(seq 100); do [ -e /run/user/$uid/bus ] && break; sleep 0.1; done
unit() { printf '[Service]\nType=exec\n%b\n' "$2" >/etc/systemd/system/$1.service; }
preload=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libprobe.so.1
unit console 'Environment=XDG_SESSION_TYPE=tty\nExecStart=/bin/sh -c "/usr/sbin/probed & exec su alice -c \\"exec sleep 900\\""'
unit greeter "Environment=$preload XDG_SESSION_TYPE=wayland\nExecStart=/bin/sh -c \"su alice -c \\\\\"exec sleep 900\\\\\"; true\""
systemctl daemon-reload; systemctl start console probed
runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$uid systemd-run -q --user --scope -u app-term.scope /usr/sbin/probed >/dev/null 2>&1 &
for i in $(seq 100); do [ $(pidof probed | wc -w) = 3 ] && [ $(loginctl list-sessions --no-legend | wc -l) = 1 ] && break; sleep 0.1; done
"#;

/// The desktop: whoever shows notes there, and somebody who hears all that is said to them.
const DESKTOP: &str = r#"
uid=$(id -u alice)
systemd-run -q --unit=desktop --uid=alice -p StandardOutput=file:/run/told /usr/local/bin/desktop /tmp/ready
systemd-run -q --unit=monitor --uid=alice -E XDG_RUNTIME_DIR=/run/user/$uid -p StandardOutput=file:/run/heard \
    busctl --user monitor --json=short --match="interface='org.freedesktop.Notifications'"
for i in $(seq 100); do [ -e /tmp/ready ] && [ "$(runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$uid \
    busctl --user list --no-legend | grep -c ' busctl ')" -ge 2 ] && break; sleep 0.1; done
"#;

#[test]
fn whoever_has_a_desktop_is_told_once_on_it_and_what_carries_a_login_is_left_alone() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::with_probes("desk", "  - { name: all, match: { owner: service }, action: restart }\n")?;
    let bed = &machine.bed;
    bed.write_program("/usr/local/bin/desktop", include_bytes!("../fixtures/desktop.py"))?;
    bed.shell(LOGINS)?;
    let console = session_of(&machine, "console.service")?;
    machine.swap_library(2)?;
    let nobody = machine.apply(&[])?;
    assert_eq!(nobody.skipped("app-term.scope")?, "user 1000 has no desktop to be told on");
    assert_eq!(nobody.skipped("console.service")?, format!("session {console} of alice runs on it"));
    assert_eq!(nobody.owner("probed.service")?["proof"], "fresh", "{:#}", nobody.0["owners"]);

    bed.shell("systemctl start greeter")?;
    let desktop = wait_until("the desktop's session is there", SOON, || desktop(&machine))?;
    bed.shell(DESKTOP)?;
    std::fs::write(machine.dist().join("3.so"), library_bytes(3)?)?;
    machine.swap_library(3)?;
    let kept = ["console.service", "greeter.service"].map(|name| machine.unit(name));
    let told = machine.apply(&[])?;
    assert_eq!(told.exit_code(), 0, "{:#}", told.0["owners"]);
    let session = format!("session-{desktop}.scope");
    for owner in [session.as_str(), "app-term.scope"] {
        let (action, outcome, words) = told.step(owner, 0)?;
        assert_eq!((action, outcome, words), ("notify", "done", "told user 1000 on its desktop"));
        ensure!(told.owner(owner)?["proof"].is_null(), "a note renews nobody: {:#}", told.owner(owner)?);
    }
    assert_eq!(told.owner(&session)?["decision"]["rule"], "sessions");
    let why = format!("the desktop of alice (session {desktop}) ends with it");
    assert_eq!(told.skipped("greeter.service")?, why);

    let again = machine.apply(&[])?;
    for owner in [session.as_str(), "app-term.scope"] {
        assert_eq!(again.skipped(owner)?, "its user has been told");
    }
    for (name, kept) in ["console.service", "greeter.service"].iter().zip(kept) {
        assert_eq!(machine.unit(name)?, kept?, "{name}");
    }
    let shown = bed.shell("cat /run/told")?;
    ensure!(shown.lines().count() == 1 && shown.contains("probed, sleep, su still run old files"), "{shown}");
    let heard = bed.shell("systemctl stop monitor; cat /run/heard")?;
    let notes = heard.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str);
    let notes: Vec<Value> = notes.collect::<Result<_, _>>().context(heard)?;
    let members: Vec<_> = notes.iter().filter_map(|note| note["member"].as_str()).collect();
    assert_eq!(members, ["Notify"], "{notes:#?}");
    assert_eq!(notes[0]["payload"]["data"][3], "Programs run replaced files");
    Ok(())
}

/// The session that a unit's main process leads.
fn session_of(machine: &Machine, unit: &str) -> Result<String> {
    let pid = machine.unit(unit)?.main_pid;
    machine.bed.shell(&format!("sed -n 's/.*session-\\(.*\\)[.]scope/\\1/p' /proc/{pid}/cgroup"))
}

/// The session that is a desktop.
fn desktop(machine: &Machine) -> Result<Option<String>> {
    let sessions = machine.bed.shell("loginctl list-sessions --no-legend")?;
    for id in sessions.lines().filter_map(|line| line.split_whitespace().next()) {
        if machine.bed.shell(&format!("loginctl show-session {id} -p Type --value || true"))? == "wayland" {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}
