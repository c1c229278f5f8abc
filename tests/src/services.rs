//! Libraries that Debian's own services map, as packages of another manager, and what their upgrade has to
//! become.

use crate::machine::{figure, Machine};
use crate::packages::repacked;
use crate::place::Scratch;
use crate::run::{run, Output};
use crate::suite::libraries;
use anyhow::{ensure, Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The services that [`RULES`] allow to be restarted.
pub const ALLOWED: [&str; 2] = ["nginx.service", "redis-server.service"];
/// The policy of these tests.
pub const RULES: &str =
    "  - { name: allowed, match: { unit: [nginx.service, redis-server.service] }, action: restart }\n";
/// Services that [`begin`] restarts, and that no policy restarts afterwards.
const REPORTED: [&str; 4] = ["ssh.service", "rsyslog.service", "cron.service", "systemd-logind.service"];
/// What a transaction may take longer with the hook than without, as a factor: a hook is a fork, a look at
/// the files and a line on disk, whatever the transaction does. Wide: these machines do other things too.
const FACTOR: f64 = 4.0;
/// In time: what is less is nothing, also for a transaction that takes next to none.
const DELAY: Duration = Duration::from_millis(900);
const UNPACK: Duration = Duration::from_secs(30);

/// Hands the files of the libraries to `build`, by package, in the versions that the base has and in two
/// newer ones: 1, 2 and 3.
pub fn each_library(base: &str, mut build: impl FnMut(&str, u32, &Path) -> Result<()>) -> Result<()> {
    for (version, suffix) in [(1, "+reexec0"), (2, "+reexec1"), (3, "+reexec2")] {
        for entry in fs::read_dir(repacked(base, suffix, &libraries())?)? {
            let deb = entry?.path();
            let file = deb.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".deb"));
            let Some(file) = file else { continue };
            let name = file.split('_').next().context("a name")?;
            let tree = Scratch::new("tree")?;
            run(Command::new("dpkg-deb").arg("-x").args([&deb, tree.path()]), b"", UNPACK)?.success()?;
            fs::remove_dir_all(tree.join("usr/share"))?;
            build(name, version, tree.path())?;
        }
    }
    Ok(())
}

/// Has PID 1 and the services run what has just been installed over Debian's own files.
pub fn begin(machine: &Machine) -> Result<()> {
    machine.applied()?;
    machine
        .bed
        .shell("systemctl daemon-reexec; systemctl restart nginx redis-server ssh rsyslog cron systemd-logind")?;
    Ok(())
}

/// How often the unit that acts has come to its end. While pacman has taken a library away that systemd's
/// own executor maps (from 254 on), systemd cannot start anything, and tries again: that is no apply.
fn finished(machine: &Machine) -> Result<usize> {
    Ok(machine.journal()?.lines().filter(|line| line.starts_with("Finished ")).count())
}

/// How a file was replaced, and whether that word of a cause is the right one.
type Method<'a> = &'a dyn Fn(&serde_json::Value) -> bool;

/// Upgrades the libraries, and sees that what is allowed was restarted once and is proven, in one apply,
/// and that each of the others is named with its files, packages and method. Who is left.
pub fn upgraded(
    machine: &Machine,
    version: &str,
    method: Method<'_>,
    upgrade: impl FnOnce() -> Result<Output>,
) -> Result<Vec<String>> {
    let before = ALLOWED.map(|unit| machine.unit(unit));
    let starts = ALLOWED.map(|unit| machine.starts(unit));
    let (applies, ssh) = (finished(machine)?, machine.unit("ssh.service")?);
    let said = upgrade()?.success()?;
    let words = format!("{}{}", said.text(), said.errors());
    ensure!(words.contains("3 packages with"), "{words}");
    machine.applied()?;
    let last = machine.last()?;
    for ((unit, before), starts) in ALLOWED.iter().zip(before).zip(starts) {
        let (before, after) = (before?, machine.unit(unit)?);
        ensure!(after.state == "active" && after.invocation != before.invocation, "{unit} {after:?}");
        machine.restarted_once(unit, starts?)?;
        ensure!(!machine.maps_deleted(unit, "/lib")?, "{unit} maps the old");
        assert_eq!(last.owner(unit)?["proof"], "fresh");
    }
    assert_eq!(last.owner("init")?["proof"], "fresh");
    assert_eq!(machine.unit("ssh.service")?, ssh, "it was to be reported only");
    assert_eq!(finished(machine)?, applies + 1, "more than one apply\n{}", machine.journal()?);
    let mut report = machine.report()?;
    report.forget("loose");
    assert_eq!(report.exit_code(), 1);
    let owners: Vec<String> = report.owners().into_iter().map(str::to_owned).collect();
    for unit in REPORTED {
        ensure!(owners.iter().any(|owner| owner == unit), "{unit} is not among {owners:?}");
    }
    for owner in &owners {
        ensure!(!report.causes_of(owner).is_empty(), "{owner}");
        for cause in report.causes_of(owner) {
            ensure!(libraries().iter().any(|name| cause["package"] == *name), "{cause:#}");
            // The others run what the base system brought: overlayfs does not date its replacement.
            ensure!(method(cause) || !REPORTED.contains(&owner.as_str()), "{owner} {cause:#}");
        }
    }
    let packages = report.0["transaction"]["packages"].as_array().context("packages")?;
    for name in libraries() {
        let row = packages.iter().find(|row| row["name"] == name).with_context(|| format!("{packages:#?}"))?;
        assert_eq!(row["new"], version, "{row:#}");
    }
    Ok(owners)
}

/// The same versions again: nothing is restarted, the files are counted as identical, and the manager takes
/// little longer than without a hook, which `without_hook` takes away.
pub fn again(machine: &Machine, without_hook: &str, mut install: impl FnMut() -> Result<Output>) -> Result<()> {
    let starts = ALLOWED.map(|unit| machine.starts(unit));
    let with = fastest(&mut install)?;
    machine.applied()?;
    for (unit, starts) in ALLOWED.iter().zip(starts) {
        assert_eq!(machine.starts(unit)?, starts?, "{unit} was restarted for the same content");
    }
    let report = machine.report()?;
    ensure!(report.0["summary"]["identical"].as_u64() >= Some(3), "{:#}", report.0["summary"]);

    machine.bed.shell(without_hook)?;
    let without = fastest(&mut install)?;
    let factor = with.as_secs_f64() / without.as_secs_f64();
    let words = format!("{with:?} with the hook, {without:?} without: {factor:.2} times");
    figure(&words);
    ensure!(factor < FACTOR || with.saturating_sub(without) < DELAY, "{words}");
    Ok(())
}

/// The fastest of three transactions, which all have to succeed.
fn fastest(mut install: impl FnMut() -> Result<Output>) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        install()?.success()?;
        fastest = fastest.min(started.elapsed());
    }
    Ok(fastest)
}
