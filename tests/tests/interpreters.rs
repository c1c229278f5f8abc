//! Real upgrades of what is read and not mapped: daemons of shells and interpreters whose scripts or modules
//! apt replaces, one that is started in the middle, and how it is found out that nobody uses the old files.

use anyhow::{ensure, Result};
use reexec_tests::bed::Options;
use reexec_tests::debian::{library, Package};
use reexec_tests::machine::{Machine, Report, BASE};
use reexec_tests::needs_bed;
use serde_json::{json, Value};

/// Python's folder for modules of packages, and the program.
const MODULES: &str = "/usr/lib/python3/dist-packages";
const PYTHON: &str = "/usr/bin/python3";

/// A daemon of this package: a script that is started by its path.
fn daemon(name: &str, version: &str, script: &str) -> Package {
    let unit = format!("[Service]\nType=exec\nExecStart=/usr/sbin/{name}\n");
    Package::new(name, version)
        .program(&format!("/usr/sbin/{name}"), script.as_bytes())
        .file(&format!("/usr/lib/systemd/system/{name}.service"), unit.as_bytes())
}

fn python(imports: &str) -> String {
    format!("#!{PYTHON}\nimport time\n{imports}\nwhile True:\n    time.sleep(1)\n")
}

fn shell(word: &str) -> String {
    format!("#!/bin/sh\n# {word}\nwhile sleep 1; do :; done\n")
}

fn module(version: &str) -> Package {
    let text = format!("VERSION = \"{version}\"\n");
    Package::new("python3-foo", version).file(&format!("{MODULES}/foo/__init__.py"), text.as_bytes())
}

/// The library's package in two halves, as a distribution parts one: `probe-data` comes behind the library, and
/// something is started in between.
fn data(version: &str) -> Package {
    let between = "[ \"$1\" != upgrade ] || { sleep 0.2; systemctl start amid.service; sleep 0.3; }";
    Package::new("probe-data", version)
        .field(&format!("Pre-Depends: libprobe1 (= {version})"))
        .file("/usr/share/probe/table", version.as_bytes())
        .script("preinst", between)
}

/// For each process of a unit's that is told of: its verdict, its gap, and path, kind, certainty and package of its
/// causes.
fn told(report: &Report, unit: &str) -> Value {
    let row = |row: &&Value| {
        let causes = row["causes"].as_array().into_iter().flatten();
        let words = |cause: &Value| json!([cause["path"], cause["kind"], cause["certainty"], cause["package"]]);
        json!([row["verdict"], row["gap"], causes.map(words).collect::<Vec<_>>()])
    };
    report.processes_of(unit).iter().map(row).collect()
}

fn likely(path: &str, package: &str) -> Value {
    json!([["stale", null, [[path, "script", "likely", package]]]])
}

fn install(machine: &Machine, packages: &[(&str, &str)]) -> Result<()> {
    let files: Vec<String> =
        packages.iter().map(|(name, version)| format!("/srv/dist/{name}_{version}_amd64.deb")).collect();
    machine.bed.apt_install(&files.iter().map(String::as_str).collect::<Vec<_>>())?.success()?;
    machine.applied()
}

#[test]
fn what_interpreters_read_and_who_was_started_amid_is_told_after_an_upgrade_by_apt() -> Result<()> {
    needs_bed!(BASE);
    let rules = "  - { name: shells, match: { unit: shelld.service }, action: restart }\n";
    let machine = Machine::boot("interpreters", rules)?;
    let dist = machine.dist();
    let hidden = "import importlib\nimportlib.import_module('f' + 'oo')";
    for (number, version) in [(1, "1.0"), (2, "1.1")] {
        daemon("shelld", version, &shell(version)).build(dist)?;
        daemon("scriptd", version, &python(&format!("WORD = '{version}'"))).build(dist)?;
        module(version).build(dist)?;
        library(number)?.build(dist)?;
        data(&format!("{number}.0")).build(dist)?;
    }
    daemon("namer", "1.0", &python("import foo")).field("Depends: python3-foo").build(dist)?;
    daemon("hider", "1.0", &python(hidden)).field("Depends: python3-foo").build(dist)?;
    daemon("bystander", "1.0", &python("")).build(dist)?;
    reexec_tests::debian::daemon()?.build(dist)?;
    let first =
        ["shelld", "scriptd", "python3-foo", "libprobe1", "probe-data", "namer", "hider", "bystander", "probed"];
    install(&machine, &first.map(|name| (name, "1.0")))?;
    machine
        .bed
        .write_file("/etc/systemd/system/amid.service", b"[Service]\nType=exec\nExecStart=/usr/sbin/probed\n")?;
    machine.bed.shell("systemctl start shelld scriptd namer hider bystander; sleep 1")?;
    ensure!(machine.report()?.exit_code() == 0, "{:#}", machine.report()?.0);

    let sources = ["shelld", "scriptd", "python3-foo"].map(|name| (name, "1.1"));
    install(&machine, &[&sources[..], &[("libprobe1", "2.0"), ("probe-data", "2.0")]].concat())?;
    let foo = format!("{MODULES}/foo/__init__.py");
    let seen = |report: &Report| -> Result<()> {
        for (unit, expected) in [
            ("shelld.service", json!([])),
            ("scriptd.service", likely("/usr/sbin/scriptd", "scriptd")),
            ("namer.service", likely(&foo, "python3-foo")),
            ("hider.service", likely(&foo, "python3-foo")),
            ("bystander.service", json!([])),
        ] {
            assert_eq!(told(report, unit), expected, "{unit}: {:#}", report.0["processes"]);
        }
        let amid = report.processes_of("amid.service");
        let gap = amid.first().and_then(|row| row["gap"].as_str()).unwrap_or_default();
        ensure!(amid.len() == 1 && amid[0]["verdict"] == "unknown", "{amid:#?}");
        let words = "it was started while packages were being replaced, and /usr/share/probe/table of probe-data came ";
        ensure!(gap.starts_with(words) && gap.ends_with(" later: it may hold a mix of versions"), "{gap}");
        Ok(())
    };
    // The run that acted, and who looks afterwards, twice: nothing but what was proven fresh is forgotten.
    let last = machine.last()?;
    let shell = last.owner("shelld.service")?;
    let cause = &shell["causes"][0];
    assert_eq!([&cause["path"], &cause["kind"], &cause["certainty"]], ["/usr/sbin/shelld", "script", "proven"]);
    assert_eq!((&shell["proof"], last.step("shelld.service", 0)?.0), (&json!("fresh"), "restart"));
    for report in [last, machine.report()?, machine.report()?] {
        seen(&report)?;
    }
    machine.bed.shell("systemctl restart scriptd namer hider amid; sleep 0.5")?;
    let after = machine.report()?;
    assert_eq!((after.exit_code(), after.owners()), (0, Vec::new()), "{:#}", after.0["processes"]);
    Ok(())
}

#[test]
fn nobody_is_looked_at_where_the_inodes_tell_that_nobody_uses_the_old_files() -> Result<()> {
    needs_bed!(BASE);
    // An overlay hands no handles of its files out.
    let machine = Machine::with_options("ways", "", Options::default().store("copy").opening_by_handle(), None)?;
    for version in ["1.0", "2.0", "3.0"] {
        let data = Package::new("held", version).file("/usr/share/held/table.bin", version.as_bytes());
        data.build(machine.dist())?;
    }
    install(&machine, &[("held", "1.0")])?;
    machine.bed.shell("systemd-run -q --unit=holder sh -c 'exec sleep 900 </usr/share/held/table.bin'; sleep 0.5")?;
    let verdicts = || -> Result<Vec<String>> {
        let journal = machine.journal()?;
        let words = |line: &str| line.split(" (").next().unwrap_or_default().to_owned();
        Ok(journal.lines().filter(|line| line.starts_with("Nothing ")).map(words).collect())
    };
    let (inodes, processes) = ("Nothing uses the files that were replaced", "Nothing runs an old file");
    assert_eq!(verdicts()?, [inodes]);
    // Held open and not mapped: the inode says that it is used, and the processes that nobody is stale.
    install(&machine, &[("held", "2.0")])?;
    assert_eq!(verdicts()?, [inodes, processes]);
    machine.bed.shell("systemctl stop holder")?;
    install(&machine, &[("held", "3.0")])?;
    assert_eq!(verdicts()?, [inodes, processes, inodes]);
    ensure!(machine.last().is_err(), "nothing was to be done, so no run is kept as one that acted");
    Ok(())
}
