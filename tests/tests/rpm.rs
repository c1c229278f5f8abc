//! Real transactions of rpm and dnf on a real machine: what the hook is told, what the unit that acts
//! does, and what the report says of it. Each test compares that with what systemd and the kernel say.

use anyhow::{ensure, Context, Result};
use reexec::sys::plugin::Plugins;
use reexec_tests::acceptance::{self, SLOW};
use reexec_tests::bed::Bed;
use reexec_tests::debian::{library_bytes, LIBRARY};
use reexec_tests::hostile;
use reexec_tests::machine::{figure, Machine, Report};
use reexec_tests::needs_bed;
use reexec_tests::place::{released, unique, workspace};
use reexec_tests::probes::{Manager, Probes, RESTART_PROBES};
use reexec_tests::rpm::{dnf, dnf_program, library, machine, packed, rpm, Package, BASE};
use reexec_tests::run::wait_until;
use reexec_tests::services;
use reexec_tests::suite::libraries;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const REPLACED: &str = "who still runs the old is looked at";

/// A machine with the probe's library and daemon, and these units of it running.
fn with_probes(name: &str, rules: &str, units: &[&str]) -> Result<Machine> {
    let probes = Probes::boot(Manager::Rpm, name, rules)?;
    probes.start(units, rules)?;
    Ok(probes.machine)
}

/// The one cause of an owner: path, package, method.
fn cause(report: &Report, owner: &str) -> Result<(String, String, String)> {
    let row = report.owner(owner)?;
    let [cause] = &row["causes"].as_array().context("causes")?[..] else { anyhow::bail!("{row:#}") };
    let word = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    Ok((word("path"), word("package"), word("method")))
}

/// Old and new version of a package in a report.
fn versions(report: &Report, name: &str) -> Result<(Option<String>, Option<String>)> {
    let rows = report.0["transaction"]["packages"].as_array().context("packages")?;
    let row = rows.iter().find(|row| row["name"] == name).with_context(|| format!("{rows:#?}"))?;
    let word = |key: &str| row[key].as_str().map(str::to_owned);
    Ok((word("old"), word("new")))
}

/// Waits for the unit that acts, and sees that it has proven the restart of `probed.service`.
fn probed_is_proven(machine: &Machine, starts: usize) -> Result<Report> {
    machine.applied()?;
    machine.restarted_once("probed.service", starts)?;
    let last = machine.last()?;
    ensure!(last.owner("probed.service")?["proof"] == "fresh", "{:#}", last.0["owners"]);
    ensure!(!machine.maps_deleted("probed.service", "libprobe")?, "the old is mapped");
    Ok(last)
}

fn all_libraries(version: &str) -> Vec<String> {
    libraries().iter().map(|name| format!("/srv/dist/{name}-{version}.x86_64.rpm")).collect()
}

#[test]
fn dnf_and_rpm_leave_the_same_processes_stale_and_what_the_policy_allows_is_restarted_once() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("rpm-upgrade", services::RULES)?;
    let dist = machine.dist();
    services::each_library(BASE, |name, version, tree| {
        Package::new(name, &format!("{version}-1")).tree(tree)?.build(dist).map(drop)
    })?;
    let with_rpm = |arguments: &[&str], version: &str| {
        let files = all_libraries(version);
        rpm(&machine.bed, &arguments.iter().copied().chain(files.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    // Over what Debian's own packages brought: from now on the files are rpm's.
    with_rpm(&["-i", "--replacefiles"], "1-1")?.success()?;
    services::begin(&machine)?;
    let _login = machine.log_in()?;

    let renamed = |cause: &Value| cause["method"] == "renamed";
    let with_dnf = |command: &str| {
        let words = [&[dnf_program(), "-y", command], &libraries()[..]].concat();
        machine.bed.exec_within(Duration::from_secs(120), b"input\n", &words)
    };
    machine.bed.shell("mkdir -p /srv/repo; cp /srv/dist/*-2-1.x86_64.rpm /srv/repo; createrepo_c -q /srv/repo")?;
    let by_dnf = services::upgraded(&machine, "2-1", &renamed, || with_dnf("upgrade"))?;
    services::again(&machine, "chmod -x /usr/bin/reexec", || with_dnf("reinstall"))?;
    machine.bed.shell("chmod +x /usr/bin/reexec")?;
    let by_rpm = services::upgraded(&machine, "3-1", &renamed, || with_rpm(&["-U"], "3-1"))?;
    assert_eq!(by_dnf, by_rpm, "dnf and rpm left other processes stale");
    services::again(&machine, "chmod -x /usr/bin/reexec", || with_rpm(&["-U", "--force"], "3-1"))
}

/// Everything else that apt's scenarios show.
fn holds(manager: Manager, name: &str) -> Result<()> {
    acceptance::holds(&Probes::boot(manager, name, RESTART_PROBES)?)
}

#[test]
fn what_is_promised_of_an_upgrade_holds_with_rpm() -> Result<()> {
    needs_bed!(BASE);
    holds(Manager::Rpm, "rpm-accepted")
}

#[test]
fn what_is_promised_of_an_upgrade_holds_with_dnf() -> Result<()> {
    needs_bed!(BASE);
    holds(Manager::Dnf, "dnf-accepted")
}

#[test]
fn a_transaction_of_dnf_that_fails_or_is_killed_half_way_leaves_nothing_unseen() -> Result<()> {
    needs_bed!(BASE);
    let probes = Probes::boot(Manager::Dnf, "dnf-broken", RESTART_PROBES)?;
    probes.start(&["probed"], RESTART_PROBES)?;
    one_fails(&probes)?;
    killed_half_way(&probes)
}

/// The library in this version with what changes in the course of its life: configuration that the
/// admin changes, a ghost, a file that stays the same, and one that is a link in every second version.
fn changing(version: u32) -> Result<Package> {
    let package = library(version)?
        .config("/usr/lib/probe/probe.conf", format!("version {version}\n").as_bytes())
        .file("/usr/lib/probe/same", b"the same in all versions\n")
        .ghost("/usr/lib/probe/ghost");
    Ok(match version % 2 {
        0 => package.link("/usr/lib/probe/link", "same"),
        _ => package.file("/usr/lib/probe/link", b"not a link\n"),
    })
}

#[test]
fn upgrade_downgrade_reinstallation_and_removal_are_each_told_as_what_they_are() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("rpm-life", RESTART_PROBES, &["probed", "mapper"])?;
    let bed = &machine.bed;
    for version in 2..=4 {
        changing(version)?.build(machine.dist())?;
    }
    let starts = machine.starts("probed.service")?;
    let said = dnf(bed, &["install", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    let renamed = |package: &str| (LIBRARY.to_owned(), package.to_owned(), "renamed".to_owned());
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe1"), "{}", said.text());
    assert_eq!(versions(&last, "libprobe1")?, (Some("1-1".into()), Some("2-1".into())));
    assert_eq!(last.exit_code(), 0);

    // A process that maps what rpm keeps: the admin's configuration, and the file that stays the same.
    bed.shell("echo admin >>/usr/lib/probe/probe.conf")?;
    bed.write_file("/usr/local/bin/mapper", MAPPER.as_bytes())?;
    let mapper = b"[Service]\nType=exec\nExecStart=/usr/bin/python3 /usr/local/bin/mapper\n";
    bed.write_file("/etc/systemd/system/mapper.service", mapper)?;
    bed.shell("systemctl daemon-reload; systemctl restart mapper")?;
    let conf = bed.shell("stat -c %i /usr/lib/probe/probe.conf /usr/lib/probe/same")?;
    let starts = machine.starts("probed.service")?;
    rpm(bed, &["-U", "--define", "_minimize_writes 1", "/srv/dist/libprobe1-3-1.x86_64.rpm"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("3-1"));
    assert_eq!(bed.shell("stat -c %i /usr/lib/probe/probe.conf /usr/lib/probe/same")?, conf, "rpm wrote them anew");
    assert_eq!(
        bed.shell(
            "cat /usr/lib/probe/probe.conf.rpmnew; test ! -h /usr/lib/probe/link; test ! -e /usr/lib/probe/ghost"
        )?,
        "version 3"
    );
    let all = machine.reexec(&["report", "--all", "--format", "json"])?;
    ensure!(!all.text().contains("probe.conf") && !all.text().contains("probe/same"), "{}", all.text());
    assert_eq!(machine.report()?.exit_code(), 0, "kept files make nobody stale");
    bed.shell("touch /usr/lib/probe/same; chmod 600 /usr/lib/probe/probe.conf; chmod 644 /usr/lib/probe/probe.conf")?;
    assert_eq!(machine.report()?.exit_code(), 0, "a relabel makes nobody stale");

    let starts = machine.starts("probed.service")?;
    dnf(bed, &["downgrade", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe1"));
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("2-1"));
    bed.shell("test -h /usr/lib/probe/link")?;

    let (starts, runs) = (machine.starts("probed.service")?, machine.runs()?);
    dnf(bed, &["reinstall", "libprobe1"])?.success()?;
    machine.applied()?;
    assert_eq!((machine.starts("probed.service")?, machine.runs()?), (starts, runs), "for the same content");
    assert_eq!(machine.report()?.owners(), [""; 0]);

    // The library moves into another package, which takes it over in the same transaction.
    Package::new("libprobe-next", "1-1")
        .file(LIBRARY, &library_bytes(4)?)
        .line("Provides: libprobe1 = 5")
        .line("Obsoletes: libprobe1 < 5")
        .build(machine.dist())?;
    dnf(bed, &["install", "libprobe-next"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, renamed("libprobe-next"));
    assert_eq!(versions(&last, "libprobe1")?, (Some("1-1".into()), None), "since boot");
    assert_eq!(versions(&last, "libprobe-next")?, (None, Some("1-1".into())));

    machine.policy("  []\n")?;
    rpm(bed, &["-e", "--nodeps", "libprobe-next"])?.success()?;
    machine.applied()?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), report.owners()), (1, vec!["probed.service"]));
    assert_eq!(cause(&report, "probed.service")?.2, "removed");
    Ok(())
}

/// Maps two files and waits.
const MAPPER: &str = "import mmap, time
files = [open(name) for name in ('/usr/lib/probe/probe.conf', '/usr/lib/probe/same')]
maps = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in files]
time.sleep(900)
";

/// One package fails before its files come, the other one is replaced all the same.
fn one_fails(probes: &Probes) -> Result<()> {
    let (machine, dist) = (&probes.machine, probes.machine.dist());
    let old = probes.manager.version(probes.newest());
    let version = probes.built(|version| library(version)?.section("%post", "exit 1").build(dist).map(drop))?;
    Package::new("fails", "1-1").file("/usr/lib/fails", b"").section("%pre", "exit 1").build(dist)?;
    let starts = machine.starts("probed.service")?;
    let new = probes.manager.version(version);
    let said = match probes.manager {
        Manager::Dnf => dnf(&machine.bed, &["install", &format!("libprobe1-{new}"), "fails"])?,
        _ => rpm(&machine.bed, &["-U", &probes.file(version), "/srv/dist/fails-1-1.x86_64.rpm"])?,
    };
    let words = format!("{}{}", said.text(), said.errors());
    ensure!(said.code() != Some(0), "{words}");
    let installed = machine.bed.shell("rpm -q libprobe1 fails 2>/dev/null || true")?;
    assert_eq!(installed, format!("libprobe1-{new}.x86_64\npackage fails is not installed"), "{words}");
    let last = probed_is_proven(machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?, (Some(old), Some(new)));
    assert_eq!(machine.report()?.owners(), [""; 0]);
    Ok(())
}

/// Killed when the new files are in place and the old package is still there; and the next transaction.
fn killed_half_way(probes: &Probes) -> Result<()> {
    let (machine, bed, dist) = (&probes.machine, &probes.machine.bed, probes.machine.dist());
    let old = probes.manager.version(probes.newest());
    let version = probes.built(|version| library(version)?.section("%post", SLOW).build(dist).map(drop))?;
    let new = probes.manager.version(version);
    let starts = machine.starts("probed.service")?;
    bed.shell("rm -f /run/reached; touch /run/slow")?;
    let command = probes.command(version)?;
    let _manager = machine.start(&command.iter().map(String::as_str).collect::<Vec<_>>())?;
    wait_until("the new files are in place", SOON, || Ok(machine.outside("/run/reached").exists().then_some(())))?;
    ensure!(!machine.waiting().is_empty(), "nothing was written down before");
    let doctor = machine.reexec(&["doctor"])?.text();
    ensure!(doctor.contains("answers: a transaction is in progress"), "{doctor}");
    assert_eq!(machine.starts("probed.service")?, starts, "it was restarted within the transaction");
    let now = machine.reexec(&["apply"])?;
    ensure!(now.code() == Some(2) && now.errors().contains("packages are being changed"), "{now:?}");
    bed.shell("kill -9 $(pidof -x rpm dnf dnf5); rm /run/slow")?;
    let last = probed_is_proven(machine, starts)?;
    assert_eq!(cause(&last, "probed.service")?, (LIBRARY.into(), "libprobe1".into(), "renamed".into()));
    let both = bed.shell("rpm -q libprobe1 2>/dev/null")?;
    assert_eq!(both, format!("libprobe1-{old}.x86_64\nlibprobe1-{new}.x86_64"));
    let doctor = machine.reexec(&["doctor"])?.text();
    let half = ["left half-way:", &format!("libprobe1.x86_64: {old} and {new} are both in the database")];
    ensure!(half.iter().all(|part| doctor.contains(part)), "{doctor}");

    // The next transaction finds both versions, and says what it does.
    let starts = machine.starts("probed.service")?;
    let said = probes.upgrade()?;
    let last = probed_is_proven(machine, starts).with_context(|| said)?;
    assert_eq!(versions(&last, "libprobe1")?.1, Some(probes.manager.version(probes.newest())));
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

#[test]
fn a_transaction_that_fails_or_is_killed_half_way_leaves_nothing_unseen() -> Result<()> {
    needs_bed!(BASE);
    let probes = Probes::boot(Manager::Rpm, "rpm-broken", RESTART_PROBES)?;
    probes.start(&["probed"], RESTART_PROBES)?;
    one_fails(&probes)?;
    killed_half_way(&probes)?;

    // The hook itself is killed, before and behind the transaction.
    let (machine, bed) = (&probes.machine, &probes.machine.bed);
    bed.shell("mv /usr/bin/reexec /usr/bin/reexec.real")?;
    bed.write_program("/usr/bin/reexec", KILLED.as_bytes())?;
    let starts = machine.starts("probed.service")?;
    let said = probes.upgrade()?;
    ensure!(bed.shell("cat /run/killed")?.lines().count() >= 2, "{said:?}");
    bed.shell("mv /usr/bin/reexec.real /usr/bin/reexec")?;
    let apply = machine.reexec(&["apply"])?;
    ensure!(apply.code() == Some(0), "{apply:?}");
    machine.restarted_once("probed.service", starts)?;
    Ok(())
}

/// Is killed before it can do anything.
const KILLED: &str = "#!/bin/bash
case $1 in hook) echo killed >>/run/killed; kill -9 $$;; esac
exec /usr/bin/reexec.real \"$@\"
";

#[test]
fn without_file_triggers_dnfs_action_speaks_and_its_own_upgrade_and_removal_disturb_nothing() -> Result<()> {
    needs_bed!(BASE);
    let machine = with_probes("rpm-itself", RESTART_PROBES, &["probed"])?;
    let bed = &machine.bed;
    for version in 2..=4 {
        library(version)?.build(machine.dist())?;
    }
    fs::copy(packed("0.1.0-2")?, machine.dist().join("reexec-0.1.0-2.x86_64.rpm"))?;
    // Debian's plugin of dnf 4 asks its libdnf for a name that the library has under another one.
    let plugin = "/usr/lib/python3/dist-packages/dnf-plugins/post-transaction-actions.py";
    bed.shell(&format!("test ! -e {plugin} || sed -i 's/ConfigParser_substitute/ConfigParser.substitute/' {plugin}"))?;
    let starts = machine.starts("probed.service")?;
    let said = dnf(bed, &["--setopt=tsflags=notriggers", "upgrade", "libprobe1-2-1"])?.success()?;
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("2-1"), "{}{}", said.text(), said.errors());

    // With them, the action behind them adds nothing, and there is one apply.
    let (starts, applies) = (machine.starts("probed.service")?, machine.applies()?);
    dnf(bed, &["upgrade", "libprobe1-3-1"])?.success()?;
    probed_is_proven(&machine, starts)?;
    assert_eq!(machine.applies()?, applies + 1, "{}", machine.journal()?);
    let doctor = machine.reexec(&["doctor"])?;
    ensure!(doctor.code() == Some(0), "{}", doctor.text());
    for line in ["rpm file triggers", "dnf 4 action", "dnf 5 action", "zypp plugin", "plugin rpm"] {
        ensure!(doctor.text().lines().any(|row| row.starts_with("ok") && row.contains(line)), "{}", doctor.text());
    }

    // systemd's own triggers (900900 and above) come before ours.
    let priorities = bed.shell("rpm -q --qf '[%{TRANSFILETRIGGERPRIORITIES}\n]' reexec")?;
    assert_eq!(priorities, "1000\n1000\n1000");

    let starts = machine.starts("probed.service")?;
    let both = ["-U", "/srv/dist/reexec-0.1.0-2.x86_64.rpm", "/srv/dist/libprobe1-4-1.x86_64.rpm"];
    let said = rpm(bed, &both)?.success()?;
    let all = format!("{}{}", said.text(), said.errors());
    // From rpm 6 on, the trigger behind the removal of the old reexec runs before the one of the new.
    ensure!((1..=2).contains(&all.matches(REPLACED).count()) && !all.contains("scriptlet failed"), "{all}");
    let last = probed_is_proven(&machine, starts)?;
    assert_eq!(versions(&last, "libprobe1")?.1.as_deref(), Some("4-1"));
    let rows = last.0["transaction"]["packages"].as_array().context("packages")?.len();
    ensure!(rows <= 5, "all that is installed was taken for replaced: {rows}");
    assert_eq!(bed.systemctl_show("reexec-apply.path", "ActiveState")?, "active");
    assert_eq!(machine.report()?.exit_code(), 0, "an old reexec runs");

    bed.shell("systemctl disable --now reexec-apply.path >&2")?;
    rpm(bed, &["-U", "--force", "/srv/dist/reexec-0.1.0-2.x86_64.rpm"])?.success()?;
    assert_eq!(
        bed.exec(&["systemctl", "is-enabled", "reexec-apply.path"])?.text(),
        "disabled",
        "the admin was overruled"
    );

    bed.shell("rm /etc/reexec/policy.d/10-test.yaml")?;
    let said = rpm(bed, &["-e", "reexec"])?.success()?;
    let left = "find / -xdev -iname '*reexec*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/tmp/*' \
        -not -path '/var/log/*' -not -path '/run/systemd/*'; ls -d /run/reexec /usr/lib/zypp 2>/dev/null || true; \
        systemctl list-units --all --no-legend 'reexec*'";
    assert_eq!(bed.shell(left)?, "", "{}{}", said.text(), said.errors());
    let said = rpm(bed, &["-U", "--force", "/srv/dist/libprobe1-4-1.x86_64.rpm"])?.success()?;
    ensure!(!format!("{}{}", said.text(), said.errors()).contains("reexec"), "{said:?}");
    assert_eq!(machine.unit("probed.service")?.state, "active");
    Ok(())
}

#[test]
fn what_the_doctor_looks_for_in_zypps_plugin_is_in_the_program_as_it_is_shipped() -> Result<()> {
    let wiring: Value = serde_json::from_slice(&fs::read(workspace().join("plugins/rpm/integration/wiring.json"))?)?;
    let wires = wiring.as_array().context("wires")?;
    let zypp = wires.iter().find(|wire| wire["what"] == "zypp plugin").context("zypp's")?;
    let text = zypp["contains"].as_str().context("what it contains")?.as_bytes();
    let program = fs::read(released()?.join("reexec-rpm-dialogue"))?;
    ensure!(!text.is_empty() && program.windows(text.len()).any(|part| part == text), "doctor would call it bent");
    Ok(())
}

#[test]
fn hostile_input_to_the_hook_ends_in_time_with_a_clear_word() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("rpm-hostile", "  []\n")?;
    let bed = &machine.bed;
    let many: Vec<u8> = (0..600_000).flat_map(|number| format!("/a/{number}\n").into_bytes()).collect();
    let noise = hostile::noise(200_000);
    for (input, arguments, words) in [
        (&b"/usr/lib/x"[..], &[][..], REPLACED),
        (b"/usr/\0/x\n", &[], "not understood: \"/usr/\\x00/x\""),
        (b"relative\n", &["transfiletriggerin"], "not understood: \"relative\""),
        (&noise, &[], "not understood: "),
        (&noise, &["zypp"], "not understood: "),
        (&many, &[], "too many paths: the first 500000 are looked at, 100000 are not"),
        (b"{\"TransactionStepList\": [{", &["zypp"], "not understood: "),
        (b"{\"status\": \"ERROR\", \"message\": \"no\"}", &["libdnf5"], "libdnf5: no"),
        (b"", &["frobnicate"], "\"frobnicate\" is no trigger of rpm: one of transfiletriggerin, "),
    ] {
        let said = hostile::said(bed, "rpm", input, arguments)?.text();
        // A busy machine may not be through with that many in time; then that is said.
        let late = input.len() == many.len() && said.contains("gave no answer within");
        ensure!(said.contains(words) || late, "{words}: {said}");
    }
    let said = hostile::said(bed, "rpm", b"/usr/lib/x\n", &["--quiet", "libdnf5"])?;
    assert_eq!((said.text(), said.errors()), (String::new(), String::new()), "libdnf5 reads what is printed");
    let inputs = ["/dev/zero", "<(yes /usr/lib/x)", "<(exec sleep 300)", "<(seq -f /usr/lib/%.0f 10000000)"];
    hostile::fed(bed, "rpm", &inputs.map(|input| (input, "the input ")))
}

/// How much faster the plugin has to be than `rpm -qf`, for a thousand paths.
const FASTER: f64 = 20.0;

#[test]
fn a_thousand_owners_are_found_many_times_faster_than_by_rpm_itself() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("rpm-owners", "  []\n")?;
    // Like a distribution: many packages, and one with very many files.
    let mut big = Package::new("big", "1-1");
    for number in 0..15_000 {
        big = big.file(&format!("/usr/share/big/{}/{number}", number % 97), b"");
    }
    big.build(machine.dist())?;
    for package in 0..25 {
        let mut small = Package::new(&format!("small{package}"), "1-1");
        for number in 0..40 {
            small = small.file(&format!("/usr/share/small{package}/{number}"), b"");
        }
        small.build(machine.dist())?;
    }
    machine.bed.shell("rpm -i --justdb --nodeps /srv/dist/big-*.rpm /srv/dist/small*.rpm 2>/dev/null")?;
    let mut paths: Vec<String> = (0..500).map(|number| format!("/usr/share/big/{}/{number}", number % 97)).collect();
    paths.extend((0..500).map(|number| format!("/usr/share/small{}/{}", number % 25, number % 40)));
    compare(&machine.bed, &paths)
}

/// A folder of root's alone, as plugins must lie in.
struct Trusted(PathBuf);

impl Trusted {
    fn new() -> Result<Trusted> {
        let path = Path::new("/var/lib").join(unique("reexec-test-plugins"));
        fs::create_dir(&path)?;
        Ok(Trusted(path))
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asks rpm and the plugin for the same owners, and compares answers and times.
fn compare(bed: &Bed, paths: &[String]) -> Result<()> {
    let release = released()?;
    let folder = Trusted::new()?;
    fs::copy(release.join("libreexec_rpm.so"), folder.0.join("libreexec_rpm.so"))?;
    // A plugin's process may not look through another process's root: the database is brought here.
    let database = folder.0.join("root/var/lib/rpm");
    fs::create_dir_all(&database)?;
    for name in bed.shell("ls /var/lib/rpm")?.lines() {
        fs::write(database.join(name), bed.read_file(&format!("/var/lib/rpm/{name}"))?)?;
    }
    let root = folder.0.join("root");
    let plugin = Plugins::new(vec![folder.0.clone()]).started_by(release.join("reexec")).find("rpm")?;
    let asked: Vec<&Path> = paths.iter().map(Path::new).collect();
    let mut ours = Duration::MAX;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        answers = plugin.owners(&root, &asked, SOON)?.each;
        ours = ours.min(begun.elapsed());
    }
    let found: Vec<String> =
        answers.into_iter().map(|owner| owner.map(|owner| owner.package).unwrap_or_default()).collect();
    bed.write_file("/run/paths", paths.join("\n").as_bytes())?;
    let begun = Instant::now();
    let said = bed.shell("xargs -a /run/paths -d '\\n' rpm -qf --qf '%{NAME}\\n' 2>/dev/null")?;
    let theirs = begun.elapsed();
    assert_eq!(found, said.lines().collect::<Vec<_>>(), "rpm says otherwise");
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    figure(&format!("owners of {} paths: {ours:?}, rpm -qf {theirs:?}, {ratio:.0} times", paths.len()));
    ensure!(ratio >= FASTER, "only {ratio:.1} times faster than rpm -qf");
    Ok(())
}
