//! The Debian package, with a recorder in the program's place: when it is called, with what, and
//! that nothing it does or fails to do harms apt.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::machine::make;
use reexec_tests::needs_bed;
use reexec_tests::packages::repacked;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::{run, wait_until, Output};
use reexec_tests::suite::libraries;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const BASE: &str = "daemons";
const SOON: Duration = Duration::from_secs(20);

/// Writes down how it was called, then does what the test has put into `/etc/misbehave`.
const RECORDER: &str = r#"#!/bin/sh
{ flock 9; echo "$(ls /var/log/calls | wc -l)" >&9; number=$(ls /var/log/calls | wc -l)
  { echo "$*"; pwd; cat; } >"/var/log/calls/$(printf %03d "$number")"; } 9>/run/calls.lock
[ ! -e /etc/misbehave ] || . /etc/misbehave
"#;

/// The machine, the two versions of the package in `/srv/dist`, and upgrades in `/srv/repo`.
struct Machine {
    bed: Bed,
    _dist: Scratch,
}

impl Machine {
    fn boot(name: &str) -> Result<Machine> {
        let dist = Scratch::new("dist")?;
        for version in ["0.1.0-1", "0.1.0-2"] {
            build(&dist, version)?;
        }
        let repository = repacked(BASE, "+reexec1", &libraries()[1..])?;
        let options = Options::default().bind_ro(&repository, "/srv/repo").bind_ro(dist.path(), "/srv/dist");
        let bed = Bed::boot(name, BASE, &options)?;
        bed.use_repositories(&["/srv/repo"])?;
        bed.shell("mkdir /var/log/calls")?;
        let machine = Machine { bed, _dist: dist };
        machine.install("0.1.0-1")?;
        Ok(machine)
    }

    fn install(&self, version: &str) -> Result<Output> {
        let file = format!("/srv/dist/reexec_{version}_amd64.deb");
        self.bed.apt_install(&[&file])?.success()
    }

    /// What the recorder was told since the last time: arguments, folder, input.
    fn calls(&self) -> Result<Vec<Call>> {
        let names = self.bed.shell("ls /var/log/calls")?;
        let mut calls = Vec::new();
        for name in names.lines() {
            let text = self.bed.read_file(&format!("/var/log/calls/{name}"))?;
            let text = String::from_utf8(text)?;
            let mut parts = text.splitn(3, '\n');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            calls.push(Call { arguments: part(), folder: part(), input: part() });
        }
        self.bed.shell("rm -f /var/log/calls/*")?;
        Ok(calls)
    }

    fn status(&self) -> Result<String> {
        self.bed.shell("dpkg-query -W -f '${db:Status-Status}' reexec; dpkg --audit")
    }
}

#[derive(Debug)]
struct Call {
    arguments: String,
    folder: String,
    input: String,
}

/// Builds the package as `make deb` does, with the recorder in it.
fn build(dist: &Scratch, version: &str) -> Result<()> {
    let recorder = dist.join("recorder");
    fs::write(&recorder, RECORDER)?;
    fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755))?;
    let mut make = make();
    make.arg("-C")
        .arg(workspace())
        .arg("deb")
        .args([format!("BINARY={}", recorder.display()), "PLUGINS=".to_owned()])
        .args([format!("DEB_VERSION={version}"), format!("DIST={}", dist.path().display())]);
    run(&mut make, b"", Duration::from_secs(60))?.success()?;
    Ok(())
}

#[test]
fn the_package_brings_what_the_design_says_and_apt_can_read_it() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("content")?;
    let listed = machine.bed.shell("dpkg -L reexec")?;
    for path in [
        "/usr/bin/reexec",
        "/usr/lib/reexec/plugins",
        "/usr/lib/reexec/policy.d/50-default.yaml",
        "/usr/lib/systemd/system/reexec-apply.service",
        "/usr/lib/systemd/system/reexec-apply.path",
        "/usr/lib/tmpfiles.d/reexec.conf",
        "/usr/share/man/man1/reexec.1.gz",
        "/usr/share/man/man1/reexec-report.1.gz",
        "/usr/share/man/man5/reexec-policy.5.gz",
        "/usr/share/bash-completion/completions/reexec",
        "/usr/share/zsh/vendor-completions/_reexec",
        "/usr/share/fish/vendor_completions.d/reexec.fish",
        "/usr/share/reexec/report.schema.json",
        "/usr/share/reexec/monitoring/reexec.rules.yml",
        "/usr/share/doc/reexec/copyright",
        "/usr/share/doc/reexec/changelog.Debian.gz",
        "/etc/reexec/policy.d",
    ] {
        ensure!(listed.lines().any(|line| line == path), "no {path}");
    }
    let conffiles = machine.bed.shell("dpkg-query -W -f '${Conffiles}' reexec")?;
    for path in ["/etc/apt/apt.conf.d/80reexec", "/etc/reexec/policy.yaml"] {
        ensure!(conffiles.contains(path), "{path} is no conffile");
    }
    let verify = "systemd-analyze verify --man=no reexec-apply.service reexec-apply.path 2>&1";
    assert_eq!(machine.bed.shell(verify)?, "");
    let modes = machine.bed.shell("stat -c '%a %n' /run/reexec /run/reexec/*")?;
    assert_eq!(modes, "700 /run/reexec\n700 /run/reexec/held\n700 /run/reexec/pending");
    Ok(())
}

#[test]
fn an_upgrade_calls_the_hook_before_with_version_3_by_trigger_and_after() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("protocol")?;
    machine.calls()?;
    machine.bed.apt_install(&libraries()[1..])?.success()?;

    let calls = machine.calls()?;
    let arguments: Vec<&str> = calls.iter().map(|call| call.arguments.as_str()).collect();
    let [pre, triggered, post] = arguments[..] else {
        anyhow::bail!("not three calls: {arguments:?}");
    };
    assert_eq!(pre, "hook dpkg --phase pre");
    assert_eq!(post, "hook dpkg --phase post");
    let trees = triggered.strip_prefix("hook dpkg --phase post triggered ").context("no trigger")?;
    // Where the packages put their files: on releases that are merged, below /usr.
    ensure!(trees.split(' ').any(|tree| tree == "/lib" || tree == "/usr/lib"), "{trees}");

    let (head, packages) = calls[0].input.split_once("\n\n").context("no empty line")?;
    ensure!(head.starts_with("VERSION 3\n"), "{head}");
    let zlib = packages.lines().find(|line| line.starts_with("zlib1g "));
    let fields: Vec<&str> = zlib.context("zlib1g")?.split(' ').collect();
    assert_eq!((fields.len(), fields[4]), (9, "<"), "{fields:?}");
    ensure!(fields[8].ends_with(".deb"), "{fields:?}");
    assert_eq!([&calls[1].input, &calls[2].input], ["", ""]);
    assert_eq!(calls[2].folder, "/tmp");
    Ok(())
}

#[test]
fn a_plain_dpkg_run_reaches_the_hook_by_its_trigger_in_both_spellings() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("trigger")?;
    let bed = &machine.bed;
    for (tree, folder) in [("/usr/lib", "usr/lib/x"), ("/bin", "bin"), ("/opt", "opt/x")] {
        machine.calls()?;
        bed.shell(&format!(
            "rm -rf /tmp/p; mkdir -p /tmp/p/DEBIAN /tmp/p/{folder}; echo > /tmp/p/{folder}/reexec-probe
             printf 'Package: probe\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@t>\\nDescription: t\\n' \
                 >/tmp/p/DEBIAN/control
             dpkg-deb -b /tmp/p /tmp/p.deb >&2; dpkg -i /tmp/p.deb >&2; dpkg -P probe >&2"
        ))?;
        let calls = machine.calls()?;
        let expected = format!("hook dpkg --phase post triggered {tree}");
        let arguments: Vec<&str> = calls.iter().map(|call| call.arguments.as_str()).collect();
        // Once for the installation, once for the removal.
        assert_eq!(arguments, [&expected, &expected]);
    }
    Ok(())
}

#[test]
fn apt_succeeds_whatever_the_hook_does() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("misbehaving")?;
    for how in ["exit 1", "kill -9 $$", "kill -SEGV $$", "exec 0<&- 1>&- 2>&-; exit 9"] {
        machine.bed.write_file("/etc/misbehave", how.as_bytes())?;
        let apt = machine.bed.apt_install(&["--reinstall", "zlib1g"])?.success().with_context(|| how.to_owned())?;
        ensure!(machine.calls()?.len() == 3, "{how}: the hook was not called");
        assert_eq!(machine.status()?, "installed", "{how}: {}", apt.text());
    }
    machine.bed.shell("rm /usr/bin/reexec /etc/misbehave")?;
    let apt = machine.bed.apt_install(&["--reinstall", "zlib1g"])?.success()?;
    assert_eq!(machine.status()?, "installed", "{}", apt.text());
    Ok(())
}

#[test]
fn removal_and_purge_leave_nothing_and_an_installation_afterwards_works() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("removal")?;
    let bed = &machine.bed;
    let enabled = "systemctl is-enabled reexec-apply.path; systemctl is-active reexec-apply.path";
    assert_eq!(bed.shell(enabled)?, "enabled\nactive");
    bed.shell("touch /run/reexec/held/x /var/lib/reexec/last.json")?;

    bed.shell("apt-get -qy remove reexec >&2")?;
    let left = "ls -d /run/reexec /usr/lib/reexec /etc/systemd/system/*/reexec* 2>/dev/null || true
        systemctl list-units --all --no-legend 'reexec*'";
    assert_eq!(bed.shell(left)?, "");
    // The conffile of apt is still there, and must be silent and harmless.
    let apt = bed.apt_install(&["zlib1g"])?.success()?;
    let said = format!("{}{}", apt.text(), apt.errors());
    ensure!(!said.contains("reexec:") && !said.contains("not found"), "{said}");

    machine.install("0.1.0-1")?;
    assert_eq!(bed.shell(enabled)?, "enabled\nactive", "after remove and install");
    bed.shell("apt-get -qy purge reexec >&2")?;
    let everything = "find / -xdev -iname '*reexec*' -not -path '/proc/*' -not -path '/srv/*' \
        -not -path '/var/cache/apt/*' -not -path '/run/systemd/*'; ls -d /run/reexec 2>/dev/null || true";
    assert_eq!(bed.shell(everything)?, "");
    Ok(())
}

#[test]
fn an_upgrade_of_the_package_leaves_a_running_apply_and_the_admins_choice_alone() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("itself")?;
    let bed = &machine.bed;
    // An apply that takes what is pending and then takes its time.
    bed.write_file("/etc/misbehave", b"case $1 in apply) rm -f /run/reexec/pending/*; exec sleep 600;; esac\n")?;
    bed.shell("touch /run/reexec/pending/one")?;
    let pid = wait_until("the path unit starts an apply", SOON, || {
        let pid = bed.systemctl_show("reexec-apply.service", "MainPID")?;
        let comm = bed.read_file(&format!("/proc/{pid}/comm")).unwrap_or_default();
        Ok((comm == b"sleep\n").then_some(pid))
    })?;
    let calls = machine.calls()?;
    ensure!(calls.iter().any(|call| call.arguments == "apply --after-transaction"), "{calls:?}");
    bed.shell("touch /run/reexec/pending/two")?;

    machine.install("0.1.0-2")?;

    assert_eq!(bed.systemctl_show("reexec-apply.service", "MainPID")?, pid);
    assert_eq!(bed.systemctl_show("reexec-apply.service", "ActiveState")?, "activating");
    bed.shell("test -e /run/reexec/pending/two")?;
    // What came meanwhile is taken when the running one ends.
    bed.shell("rm /etc/misbehave; systemctl kill --signal=TERM reexec-apply.service")?;
    wait_until("another apply has run", SOON, || {
        let calls = machine.calls()?;
        Ok(calls.iter().any(|call| call.arguments.starts_with("apply")).then_some(()))
    })?;
    bed.shell("rm -f /run/reexec/pending/*; systemctl disable --now reexec-apply.path >&2")?;
    bed.shell("apt-get -qy --allow-downgrades install /srv/dist/reexec_0.1.0-1_amd64.deb >&2")?;
    let state = bed.exec(&["systemctl", "is-enabled", "reexec-apply.path"])?.text();
    assert_eq!(state, "disabled", "the admin was overruled");
    Ok(())
}

#[test]
fn a_failing_apply_does_not_spin() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("spin")?;
    let bed = &machine.bed;
    machine.calls()?;
    bed.write_file("/etc/misbehave", b"exit 2\n")?;
    bed.shell("touch /run/reexec/pending/one; sleep 3")?;
    let runs = machine.calls()?.len();
    assert_eq!(runs, 1, "runs in 3 s");
    let state = bed.systemctl_show("reexec-apply.path", "ActiveState")?;
    assert_eq!(state, "active", "nobody would look at the next transaction");
    Ok(())
}

#[test]
fn a_missing_policy_stops_the_build_with_a_clear_word() -> Result<()> {
    let share = Scratch::new("share")?;
    let recorder = share.join("recorder");
    fs::write(&recorder, RECORDER)?;
    let mut make = make();
    make.arg("-C")
        .arg(workspace())
        .args(["install".to_owned(), format!("BINARY={}", recorder.display())])
        .args([format!("SHARE={}", share.path().display()), "PLUGINS=".to_owned()])
        .arg(format!("DESTDIR={}", share.join("tree").display()));
    let output = run(&mut make, b"", Duration::from_secs(30))?;
    ensure!(output.code() == Some(2), "{output:?}");
    ensure!(output.errors().contains("policy.d/*.yaml"), "{}", output.errors());
    ensure!(!Path::new(&share.join("tree")).exists(), "half an installation");
    Ok(())
}
