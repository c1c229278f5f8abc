//! What rpm, libdnf5 and zypp really say to the hook, beside what the fixtures of the parsers hold:
//! these were captured, or they are nothing. `REEXEC_CAPTURE=1` writes them anew.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::debian;
use reexec_tests::machine::{Machine, POLICY};
use reexec_tests::place::workspace;
use reexec_tests::rpm::{self, publish, rpm, Package, BASE};
use reexec_tests::suite;
use reexec_tests::{needs_bed, skip};
use std::fs;
use std::time::Duration;

/// The base system with zypper. (On bookworm it and the plugins of dnf do not go together.)
const ZYPP: &str = "zypp";
const TRANSACTION: Duration = Duration::from_secs(120);

/// Writes down how it was called and what it was given, byte by byte, and hands it on to the program.
const RECORDER: &str = r#"#!/bin/bash
case $1 in
    hook)
        call=/var/log/calls/$(date +%s%N); echo "$*" >$call.arguments; cat >$call.input
        [ ! -e /run/only ] || [[ " $* " == *" $(cat /run/only) "* ]] || exit 0
        exec /usr/bin/reexec.real "$@" <$call.input;;
esac
exec /usr/bin/reexec.real "$@"
"#;

/// Puts the recorder in the program's place.
fn record(bed: &Bed) -> Result<()> {
    bed.shell("mkdir -p /var/log/calls; mv /usr/bin/reexec /usr/bin/reexec.real")?;
    bed.write_program("/usr/bin/reexec", RECORDER.as_bytes())
}

/// The inputs of all calls since the last time that had these arguments.
fn calls(bed: &Bed, arguments: &str) -> Result<Vec<Vec<u8>>> {
    let list = "cd /var/log/calls; for call in *.arguments; do echo \"${call%.arguments} $(cat $call)\"; done";
    let mut inputs = Vec::new();
    let all = bed.shell(list)?;
    for line in all.lines() {
        let (call, said) = line.split_once(' ').context("a call")?;
        if said == arguments {
            inputs.push(bed.read_file(&format!("/var/log/calls/{call}.input"))?);
        }
    }
    ensure!(!inputs.is_empty(), "no call with {arguments} among\n{all}");
    bed.shell("rm -f /var/log/calls/*")?;
    Ok(inputs)
}

/// Sees that the fixture is what was said, or writes it. Of a version that has none, nothing is compared.
fn is_fixture(folder: &str, name: &str, said: &[u8]) -> Result<()> {
    let fixture = workspace().join(folder).join(name);
    if std::env::var_os("REEXEC_CAPTURE").is_some() {
        fs::write(&fixture, said)?;
    }
    let Ok(known) = fs::read(&fixture) else { skip!("no fixture {name} of this release: nothing to compare") };
    let (known, said) = (String::from_utf8_lossy(&known), String::from_utf8_lossy(said));
    ensure!(known == said, "{}:\n{known}\nbut said was\n{said}", fixture.display());
    Ok(())
}

/// Two parts of a version: `4.18.0` is `4.18`.
fn short(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Packages without anything that a test would look at: an upgrade of two, and one that obsoletes another.
fn changes(machine: &Machine) -> Result<()> {
    for version in ["1-1", "2-1"] {
        Package::new("libx", version).file("/usr/lib/libx.so.1", version.as_bytes()).build(machine.dist())?;
        let daemon = Package::new("xd", version).line("Requires: libx");
        daemon.file("/usr/lib/xd", version.as_bytes()).build(machine.dist())?;
    }
    Package::new("oldn", "1-1").line("BuildArch: noarch").file("/usr/lib/on", b"").build(machine.dist())?;
    Package::new("newn", "1-1")
        .line("BuildArch: noarch")
        .line("Obsoletes: oldn")
        .file("/usr/lib/nn", b"")
        .build(machine.dist())?;
    let first = ["libx", "xd", "oldn"].map(|name| format!("/srv/dist/{name}-1-1.x86_64.rpm"));
    rpm(&machine.bed, &["-i", &first[0], &first[1], &first[2]])?.success()?;
    machine.applied()
}

#[test]
fn file_triggers_of_rpm_say_what_the_fixtures_hold() -> Result<()> {
    needs_bed!(BASE);
    const FOLDER: &str = "plugins/rpm/tests/captured";
    let machine = rpm::machine("rpm-captured", "  []\n")?;
    let bed = &machine.bed;
    let package = |version: &str| Package::new("p", version).file("/usr/lib/p/same", b"same\n");
    package("1-1").file(debian::LIBRARY, b"1").file("/usr/lib/p/gone", b"").build(machine.dist())?;
    package("2-1").file(debian::LIBRARY, b"2").build(machine.dist())?;
    rpm(bed, &["-i", "/srv/dist/p-1-1.x86_64.rpm"])?.success()?;
    machine.applied()?;
    record(bed)?;
    rpm(bed, &["-U", "/srv/dist/p-2-1.x86_64.rpm"])?.success()?;
    let version = format!("rpm-{}", short(&bed.shell("rpm --version | grep -o '[0-9.]*$'")?));
    let before = "hook rpm --phase pre transfiletriggerun";
    let saved = bed.shell("cp -a /var/log/calls /var/log/saved; ls /var/log/saved | wc -l")?;
    ensure!(saved != "0", "nobody was called");
    is_fixture(FOLDER, &format!("{version}-upgrade-transfiletriggerun"), &calls(bed, before)?[0])?;
    bed.shell("cp /var/log/saved/* /var/log/calls/")?;
    // Once with the paths, and once behind the removal of the old version, with nothing.
    let behind = calls(bed, "hook rpm --phase post")?;
    let said: Vec<&Vec<u8>> = behind.iter().filter(|input| !input.is_empty()).collect();
    ensure!(said.len() == 1 && behind.len() <= 2, "{behind:?}");
    is_fixture(FOLDER, &format!("{version}-upgrade-transfiletriggerin"), said[0])?;

    // What the package consists of changes with the tree: whether it is all there is, and nothing else.
    rpm(bed, &["-U", "--force", "/srv/dist/reexec.rpm"])?.success()?;
    let said = String::from_utf8(calls(bed, before)?.remove(0))?;
    if std::env::var_os("REEXEC_CAPTURE").is_some() {
        fs::write(workspace().join(FOLDER).join(format!("{version}-itself-transfiletriggerun")), &said)?;
    }
    for path in ["/usr/bin/reexec", "/usr/lib/reexec/plugins/libreexec_rpm.so", "/usr/lib/p/same"] {
        ensure!(said.lines().any(|line| line == path), "no {path} in {said}");
    }
    Ok(())
}

/// The line of docs/rpm.md for who wants the json mode.
fn json_action() -> Result<String> {
    let page = fs::read_to_string(workspace().join("docs/rpm.md"))?;
    let line = page.lines().find(|line| line.contains("mode=json")).context("no line for the json mode")?;
    Ok(format!("{line}\n"))
}

#[test]
fn libdnf5_takes_the_shipped_action_in_both_modes_and_reads_nothing_that_it_does_not_understand() -> Result<()> {
    needs_bed!(BASE);
    if suite::name() != "forky" {
        skip!("dnf 5 is in forky, and the beds run {}", suite::name());
    }
    let machine = rpm::machine("dnf5", "  []\n")?;
    let bed = &machine.bed;
    changes(&machine)?;
    publish(bed)?;
    record(bed)?;
    let dnf5 = |arguments: &[&str]| bed.exec_within(TRANSACTION, b"", &[&["dnf5", "-y"], arguments].concat());
    let shipped = "/etc/dnf/libdnf5-plugins/actions.d/reexec.actions";
    let errors = "grep -a 'Actions plugin' /var/log/dnf5.log || true";

    // The plain mode: nothing comes in, and what is printed would be an error in the log.
    dnf5(&["upgrade", "libx"])?.success()?;
    assert_eq!(calls(bed, "hook rpm --phase post --quiet libdnf5")?, [b""]);
    assert_eq!(bed.shell(errors)?, "");

    // The json mode: the packages come in.
    bed.shell(&format!("sed -i /^post_transaction/d {shipped}"))?;
    let both = [bed.read_file(shipped)?, json_action()?.into_bytes()].concat();
    bed.write_file(shipped, &both)?;
    dnf5(&["downgrade", "libx"])?.success()?;
    bed.shell("rm -f /var/log/calls/*")?;
    dnf5(&["upgrade", "libx"])?.success()?;
    let said = calls(bed, "hook rpm --phase post --quiet libdnf5")?;
    let version = short(&bed.shell("dnf5 --version | grep -om1 '[0-9.]*$'")?);
    is_fixture("plugins/rpm/tests/captured", &format!("libdnf5-{version}-reply"), &said[0])?;
    assert_eq!(bed.shell(errors)?, "");

    // A bad line ends every command, with its place; that is why the shipped file has no more than it needs.
    for (line, why) in [("post_transaction\n", "format expected"), ("post_transaction:::mode=xx:/bin/true\n", "mode")] {
        bed.write_file("/etc/dnf/libdnf5-plugins/actions.d/zz.actions", line.as_bytes())?;
        let said = dnf5(&["repolist"])?;
        ensure!(said.code() == Some(1), "{said:?}");
        ensure!(said.errors().contains("zz.actions") && said.errors().contains(why), "{said:?}");
    }
    bed.shell("rm /etc/dnf/libdnf5-plugins/actions.d/zz.actions")?;
    dnf5(&["repolist"])?.success()?;
    Ok(())
}

#[test]
fn zypper_talks_with_the_plugin_which_is_enough_where_no_trigger_speaks() -> Result<()> {
    needs_bed!(ZYPP);
    const FOLDER: &str = "plugins/rpm/tests/captured";
    let rules = "  - { name: probes, match: { path: '**/libprobe.so.1' }, action: restart }\n";
    let machine = rpm::machine_on(ZYPP, "zypper", rules, Options::default())?;
    let bed = &machine.bed;
    changes(&machine)?;
    rpm::library(1)?.build(machine.dist())?;
    rpm::daemon()?.build(machine.dist())?;
    rpm(bed, &["-i", "/srv/dist/libprobe1-1-1.x86_64.rpm", "/srv/dist/probed-1-1.x86_64.rpm"])?.success()?;
    machine.applied()?;
    bed.shell("systemctl daemon-reload; systemctl start probed")?;
    rpm::library(2)?.build(machine.dist())?;
    publish(bed)?;
    // What a distribution of zypp has and Debian has not.
    bed.shell(
        "[ ! -e /etc/zypp/systemCheck ] || sed -i /requires:glibc/d /etc/zypp/systemCheck
        zypper -q ar -G -f dir:///srv/repo test",
    )?;
    record(bed)?;
    let zypper = |words: &[&str]| {
        let all = [&["zypper", "--non-interactive", "--no-gpg-checks"], words].concat();
        bed.exec_within(TRANSACTION, b"the caller's input\n", &all)
    };

    let said = zypper(&["install", "newn", "libx", "xd"])?.success()?;
    let version = format!("zypp-{}", short(&bed.shell("dpkg-query -W -f '${Version}' 'libzypp[0-9]*'")?));
    bed.shell("cp -a /var/log/calls /var/log/saved")?;
    let before = calls(bed, "hook rpm --phase pre --quiet zypp").with_context(|| said.text())?;
    is_fixture(FOLDER, &format!("{version}-commitbegin"), &before[0])?;
    bed.shell("cp /var/log/saved/* /var/log/calls/")?;
    let behind = calls(bed, "hook rpm --phase post --quiet zypp")?;
    is_fixture(FOLDER, &format!("{version}-commitend"), &behind[0])?;
    machine.applied()?;

    // Only the plugin is heard: as where triggers are switched off.
    bed.write_file("/run/only", b"zypp")?;
    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    zypper(&["update", "libprobe1"])?.success()?;
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    let last = machine.last()?;
    let row = last.owner("probed.service")?;
    assert_eq!(row["proof"], "fresh");
    assert_eq!([&row["causes"][0]["package"], &row["causes"][0]["method"]], ["libprobe1", "renamed"], "{row:#}");
    ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");

    // All of it together is one apply too, and a plugin that is not there stops nobody.
    bed.shell(&format!("rm /run/only; test -e {POLICY}; rm /usr/lib/reexec/rpm-dialogue"))?;
    rpm::library(3)?.build(machine.dist())?;
    publish(bed)?;
    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    zypper(&["refresh"])?.success()?;
    zypper(&["update", "libprobe1"])?.success()?;
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    Ok(())
}
