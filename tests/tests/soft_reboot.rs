//! The step that restarts all of user space: where systemd can do it, it is done as the last thing and
//! proven by the run behind it; where it cannot, the report says why not.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::{DAEMON, LIBRARY};
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::run::wait_until;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const RULES: &str = "  - { name: probes, match: { unit: [probed.service, stays.service] }, action: soft-reboot }\n";

/// The first version whose systemd has soft reboots (NEWS of 254).
const SINCE: u32 = 254;

fn systemd(machine: &Machine) -> Result<u32> {
    Ok(machine.bed.shell("systemctl --version | sed -n 's/^systemd \\([0-9]*\\).*/\\1/p'")?.parse()?)
}

#[test]
fn user_space_is_restarted_as_the_last_thing_and_the_next_run_proves_it() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::with_probes("soft", RULES)?;
    let bed = &machine.bed;
    bed.shell("systemctl add-wants multi-user.target probed.service; systemctl start probed")?;
    let version = systemd(&machine)?;
    let before = machine.unit("probed.service")?;
    // What is bound from outside is gone behind a soft reboot.
    bed.shell("cp /srv/dist/1.so /var/tmp/1.so")?;
    machine.swap_library(2)?;
    let dry = machine.reexec(&["apply", "--dry-run"])?;
    ensure!(dry.text().contains("will soft-reboot (rule \"probes\")"), "{}", dry.text());

    if version < SINCE {
        let report = machine.apply(&[])?;
        let (action, outcome, words) = report.step("probed.service", 0)?;
        assert_eq!((action, outcome, report.exit_code()), ("soft-reboot", "refused", 1));
        assert_eq!(words, format!("this systemd ({version}) has no soft reboot; it came with {SINCE}"));
        assert_eq!(report.owner("probed.service")?["proof"], "still-stale");
        assert_eq!(machine.unit("probed.service")?, before);
        ensure!(machine.waiting().is_empty() && !machine.outside("/run/reexec/running.json").exists());
        return Ok(());
    }
    an_inhibitor_is_respected(&machine)?;
    let _applying = machine.start(&["reexec", "apply"])?;
    wait_until("user space is up again and the next run is over", SOON, || {
        let again = machine.unit("probed.service").is_ok_and(|unit| unit.state == "active" && unit != before);
        let over = again && machine.waiting().is_empty() && machine.idle();
        Ok(over.then_some(()))
    })
    .with_context(|| machine.journal().unwrap_or_default())?;
    let last = machine.last()?;
    assert_eq!(last.owner("probed.service")?["proof"], "fresh", "{:#}", last.0);
    let (action, outcome, words) = last.step("probed.service", 0)?;
    assert_eq!((action, outcome, words), ("soft-reboot", "done", "user space was restarted"));
    let why = last.owner("probed.service")?["decision"]["skip"].as_str().unwrap_or_default().to_owned();
    assert_eq!(why, "user space was restarted for it; nothing of it runs an old file");
    ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");
    assert_eq!(machine.report()?.exit_code(), 0);
    what_outlives_it_is_not_tried_again(&machine)
}

/// Somebody blocks a shutdown, as a package manager does while it works.
fn an_inhibitor_is_respected(machine: &Machine) -> Result<()> {
    let before = machine.unit("probed.service")?;
    let _lock = machine.start(&["systemd-inhibit", "--what=shutdown", "--why=works", "sleep", "60"])?;
    wait_until("it is inhibited", SOON, || {
        Ok(machine.bed.shell("systemd-inhibit --list --no-legend")?.contains("works").then_some(()))
    })?;
    let report = machine.apply(&[])?;
    let (_, outcome, words) = report.step("probed.service", 0)?;
    ensure!(outcome == "refused" && words.contains("inhibit"), "{words}");
    assert_eq!(machine.unit("probed.service")?, before);
    Ok(())
}

/// A service that is let live by soft reboots would have them come one after the other, for ever.
fn what_outlives_it_is_not_tried_again(machine: &Machine) -> Result<()> {
    let bed = &machine.bed;
    bed.write_file(
        "/etc/systemd/system/stays.service",
        format!(
            "[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\nSurviveFinalKillSignal=yes\nConflicts=reboot.target kexec.target poweroff.target\n\
            [Service]\nType=exec\nExecStart={DAEMON}\n"
        )
        .as_bytes(),
    )?;
    bed.shell("systemctl daemon-reload; systemctl start stays; systemctl stop probed")?;
    let before = machine.unit("stays.service")?;
    bed.shell(&format!("mv /var/tmp/1.so {LIBRARY}"))?;
    let _applying = machine.start(&["reexec", "apply"])?;
    let told = || -> Result<Option<String>> {
        let Ok(last) = machine.last() else { return Ok(None) };
        let Ok(row) = last.owner("stays.service") else { return Ok(None) };
        Ok(row["decision"]["skip"].as_str().map(str::to_owned))
    };
    let why = wait_until("the run behind it has looked", SOON, || {
        Ok(told()?.filter(|_| machine.waiting().is_empty() && machine.idle()))
    })
    .with_context(|| machine.journal().unwrap_or_default())?;
    assert_eq!(why, "it outlived a soft reboot with these old files; only a reboot helps");
    assert_eq!(machine.unit("stays.service")?.main_pid, before.main_pid);
    Ok(())
}
