//! What we print is read by other projects' own readers: needrestart's and Nagios' grammar, Prometheus'
//! metrics and rules, the JSON Schema. Where no packaged reader exists (`needs-restarting`), the grammar
//! is that of the tool's source.

use anyhow::{ensure, Context, Result};
use reexec::model::claim::Package;
use reexec::model::file::FileId;
use reexec::model::history::PastRun;
use reexec::model::judge::VerdictOf;
use reexec::model::old::Way;
use reexec::model::owner::Owner;
use reexec::model::plan::{Action, Decision};
use reexec::model::process::{ProcessKey, ProcessSnapshot};
use reexec::model::reboot::{Facts, Image, KernelStatus, Place, Reboot, Revisions, Running};
use reexec::model::report::{GapRow, OwnerRow, Proof, Report, Summary, TransactionRow};
use reexec::model::verdict::{Cause, CauseKind, Certainty, Content, Method, PathRoot, Verdict};
use reexec::render::needrestart::Parts;
use reexec::render::text::{self, Asked, Style};
use reexec::render::{explain, journal, json, needrestart, openmetrics, restarting};
use reexec::sys::boot;
use reexec::sys::state::Store;
use reexec_tests::place::built;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::run;
use reexec_tests::skip;
use reexec_tests::tools::{apt_dater, feed, kernels, promtool, python, report_faults, script};
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A process in this cgroup that runs an old library, and whose user has this name.
fn stale(pid: i32, cgroup: &str, comm: &[u8], user: (u32, &str)) -> VerdictOf {
    let process = ProcessSnapshot {
        key: ProcessKey { pid, start_ticks: 100 },
        comm: comm.to_vec(),
        parent: 1,
        terminal: None,
        exe: Some(if pid == 1 { "/usr/lib/systemd/systemd".into() } else { "/usr/sbin/x".into() }),
        uid: Some(user.0),
        user: Some(user.1.to_owned()),
        owner: Owner::of(pid, format!("0::{cgroup}\n").as_bytes()),
        cgroup: cgroup.as_bytes().to_vec(),
    };
    let cause = Cause {
        path: "/usr/lib/x86_64-linux-gnu/libssl.so.3".into(),
        kind: CauseKind::Library,
        method: Method::Renamed,
        content: Content::Differs,
        package: Some("libssl3".into()),
        mapped: Some(FileId { dev: 0x8_0000_0001, ino: 10 }),
        current: Some(FileId { dev: 0x8_0000_0001, ino: 11 }),
        evidence: "the new file was born before the old one died".into(),
        certainty: Certainty::Proven,
        root: PathRoot::Host,
        damage: None,
    };
    VerdictOf { process, verdict: Verdict::Stale, causes: vec![cause], gap: None, identical: 0 }
}

fn running() -> Running {
    Running { release: "6.1.0-18-amd64".into(), version: "#1 SMP Debian 6.1.76-1".into() }
}

fn image(release: &str, build: &str) -> Image {
    Image { release: release.into(), banner: Some(format!("{release} (x@y) {build}")) }
}

/// A machine with all that needrestart tells of.
fn report() -> Report {
    let processes = vec![
        stale(1, "/init.scope", b"systemd", (0, "root")),
        stale(20, "/system.slice/nginx.service", b"nginx", (0, "root")),
        stale(21, "/system.slice/Apache.service", b"apache2", (33, "www-data")),
        stale(30, "/user.slice/user-1000.slice/session-16.scope", b"bash", (1000, "anna")),
        stale(31, "/user.slice/user-1000.slice/user@1000.service/init.scope", b"systemd", (1000, "anna")),
        stale(40, "/machine.slice/machine-web1.scope", b"init", (0, "root")),
        stale(50, "/", b"sn\xffeak=y", (0, "root")),
    ];
    let owners = processes.iter().map(|row| OwnerRow {
        owner: row.process.owner.clone(),
        pids: vec![row.process.key.pid],
        verdict: row.verdict,
        causes: row.causes.clone(),
        decision: Decision { rule: "default".into(), ladder: vec![Action::Report], ..Decision::default() },
        ..OwnerRow::of_unit("")
    });
    let facts = Facts {
        running: running(),
        images: vec![image("6.1.0-18-amd64", "#1 SMP Debian 6.1.76-1"), image("6.1.0-20-amd64", "#1 SMP x")],
        revisions: Revisions::Known { current: 0x21, available: Some(0x24), digits: 4 },
        ..Facts::default()
    };
    let owners: Vec<OwnerRow> = owners.collect();
    Report {
        time: 1_700_000_000_000_000_000,
        kernel: "6.1.0-18-amd64".into(),
        boot_id: "b".into(),
        transaction: None,
        replacements: Vec::new(),
        reboot: Reboot::of(facts, &owners, &[]),
        processes,
        owners,
        gaps: Vec::new(),
        summary: Summary { scanned: 100, stale: 7, ..Summary::default() },
        way: Way::default(),
    }
}

/// The same machine with nothing to tell.
fn quiet() -> Report {
    let facts = Facts {
        running: running(),
        images: vec![image("6.1.0-18-amd64", "#1 SMP Debian 6.1.76-1")],
        revisions: Revisions::Known { current: 0x24, available: Some(0x24), digits: 4 },
        ..Facts::default()
    };
    Report {
        processes: Vec::new(),
        owners: Vec::new(),
        reboot: Reboot::of(facts, &[], &[]),
        summary: Summary { scanned: 100, ..Summary::default() },
        way: Way::default(),
        ..report()
    }
}

fn last_run() -> Result<PastRun> {
    let run = json!({
        "time": "2023-11-14T22:13:20Z", "exit_code": 1, "transaction": null,
        "owners": [
            { "kind": "service", "name": "nginx.service", "uid": null, "proof": "fresh",
              "decision": { "rule": "web", "skip": null },
              "steps": [{ "action": "restart", "outcome": "done", "message": "job done", "millis": 73 }] },
            { "kind": "service", "name": "a\"b\\c.service", "uid": null, "proof": "down",
              "decision": { "rule": "web", "skip": null },
              "steps": [{ "action": "restart", "outcome": "failed", "message": "", "millis": 1500 }] },
            { "kind": "service", "name": "ssh.service", "uid": null, "proof": null,
              "decision": { "rule": "default", "skip": null }, "steps": [] }
        ]
    });
    Ok(serde_json::from_value(run)?)
}

#[test]
fn the_batch_lines_are_needrestarts_own() {
    let expected = "\
NEEDRESTART-VER: 3.6
NEEDRESTART-KCUR: 6.1.0-18-amd64
NEEDRESTART-KEXP: 6.1.0-20-amd64
NEEDRESTART-KSTA: 3
NEEDRESTART-UCSTA: 2
NEEDRESTART-UCCUR: 0x0021
NEEDRESTART-UCEXP: 0x0024
NEEDRESTART-SVC: Apache.service
NEEDRESTART-SVC: nginx.service
NEEDRESTART-SVC: systemd-manager
NEEDRESTART-CONT: web1
NEEDRESTART-SESS: anna @ session #16
NEEDRESTART-SESS: anna @ user manager service
NEEDRESTART-PID: sn?eak=y=50
";
    assert_eq!(needrestart::batch(&report(), Parts::ALL), expected);
    // In a container neither kernel nor microcode is ours to tell; needrestart leaves the lines out.
    let facts = Facts { place: Place::Container("lxc".into()), running: running(), ..Facts::default() };
    let inside = Report { reboot: Reboot::of(facts, &[], &[]), ..quiet() };
    assert_eq!(needrestart::batch(&inside, Parts::ALL), "NEEDRESTART-VER: 3.6\n");
}

#[test]
fn jc_reads_the_batch_lines() -> Result<()> {
    let Some(jc) = python("jc") else { skip!("needs jc (make deps)") };
    let said = feed(&jc, &["--needrestart"], &needrestart::batch(&report(), Parts::ALL))?.success()?;
    let read: Value = serde_json::from_str(&said.text())?;
    let expected = json!({
        "version": "3.6",
        "running_kernel_version": "6.1.0-18-amd64",
        "expected_kernel_version": "6.1.0-20-amd64",
        "kernel_status": 3,
        "container": "web1",
        "service": ["Apache.service", "nginx.service", "systemd-manager"],
        "session": ["anna @ session #16", "anna @ user manager service"],
        "pid": ["sn?eak=y=50"],
    });
    assert_eq!(read, expected);
    Ok(())
}

#[test]
fn apt_dater_learns_from_the_batch_lines_that_the_kernel_is_old() -> Result<()> {
    for (report, reboot) in [(report(), true), (quiet(), false)] {
        let lines = needrestart::batch(&report, Parts::ALL);
        let Some(said) = apt_dater(&lines)? else { skip!("needs apt-dater (make deps)") };
        ensure!(said.contains("Debian"), "it has not read of the host: {said}");
        assert_eq!(said.contains("<kernel reboot=\"1\"/>"), reboot, "{said}");
    }
    Ok(())
}

#[test]
fn only_the_parts_that_are_asked_for_are_told() {
    let none = Parts { kernel: false, microcode: false, processes: false };
    let kernel = Parts { kernel: true, ..none };
    let lines = "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-18-amd64\nNEEDRESTART-KEXP: 6.1.0-20-amd64\n\
        NEEDRESTART-KSTA: 3\n";
    assert_eq!(needrestart::batch(&report(), kernel), lines);
    let first = "CRIT - Kernel: 6.1.0-18-amd64!=6.1.0-20-amd64 (!!)|Kernel=2;0;;0;2\n".to_owned();
    assert_eq!(needrestart::nagios(&report(), kernel), (first, 2));
    let microcode = needrestart::nagios(&report(), Parts { microcode: true, ..none });
    assert_eq!(microcode, ("CRIT - Microcode: OBSOLETE (!!)|Microcode=1;0;;0;1\n".to_owned(), 2));
    let (text, code) = needrestart::nagios(&report(), Parts { processes: true, ..none });
    let first = "CRIT - Services: 3 (!), Containers: 1 (!), Sessions: 2 (!!), Processes: 1 (!)|Services=3;;0;0 \
        Containers=1;;0;0 Sessions=2;0;;0 Processes=1;;0;0\nServices:\n- Apache.service\n";
    assert!(text.starts_with(first) && code == 2, "{text}");
    let services = needrestart::batch(&report(), Parts { processes: true, ..none });
    assert!(services.starts_with("NEEDRESTART-VER: 3.6\nNEEDRESTART-SVC: Apache.service\n"), "{services}");
}

/// An owner's part of the report in so many columns.
fn told_in(columns: usize) -> String {
    let mut report = report();
    let row = &mut report.owners[1];
    let first = row.causes[0].clone();
    let library = |path: &str, package: Option<&str>| Cause {
        path: path.into(),
        package: package.map(str::to_owned),
        ..first.clone()
    };
    row.causes = vec![
        library("/usr/lib/x86_64-linux-gnu/libcrypto.so.3", Some("libssl3")),
        library("/opt/lib/libown.so", None),
        library("/usr/lib/x86_64-linux-gnu/libpcre2-8.so.0", Some("libpcre2-8-0")),
        library("/usr/lib/x86_64-linux-gnu/libssl.so.3", Some("libssl3")),
    ];
    row.causes.push(Cause { method: Method::Overwritten, ..library("/usr/lib/libz.so.1", Some("zlib1g")) });
    let version = |version: &str| Some(format!("{version}-1~deb12u2"));
    let packages = vec![Package { name: "libssl3".into(), old: version("3.0.22"), new: version("3.0.23") }];
    let root = "/".into();
    report.transaction = Some(TransactionRow { manager: "dpkg".into(), root, packages, files: 1 });
    let style = Style { columns, color: false, verbose: false };
    text::owner(&report, &report.owners[1], Asked::Report, &style)
}

#[test]
fn files_of_one_package_stand_together_and_what_is_so_of_all_is_said_once() {
    let narrow = "\
nginx.service  reported only (rule \"default\")
    20 nginx
    library    /usr/lib/libz.so.1
               zlib1g, overwritten in place: restart it before it crashes
    library    /usr/lib/x86_64-linux-gnu/libpcre2-8.so.0
               libpcre2-8-0, renamed
    library    /usr/lib/x86_64-linux-gnu/libcrypto.so.3
    library    /usr/lib/x86_64-linux-gnu/libssl.so.3
               libssl3 3.0.22-1~deb12u2 \u{2192} 3.0.23-1~deb12u2, renamed
    library    /opt/lib/libown.so
               renamed
";
    assert_eq!(told_in(80), narrow);
    let wide = "\
nginx.service  reported only (rule \"default\")
    20 nginx
    library    /usr/lib/libz.so.1                         zlib1g, overwritten in place: restart it before it crashes
    library    /usr/lib/x86_64-linux-gnu/libpcre2-8.so.0  libpcre2-8-0, renamed
    library    /usr/lib/x86_64-linux-gnu/libcrypto.so.3   libssl3 3.0.22-1~deb12u2 \u{2192} 3.0.23-1~deb12u2, renamed
    library    /usr/lib/x86_64-linux-gnu/libssl.so.3      libssl3 3.0.22-1~deb12u2 \u{2192} 3.0.23-1~deb12u2, renamed
    library    /opt/lib/libown.so                         renamed
";
    assert_eq!(told_in(160), wide);
}

#[test]
fn processes_that_differ_only_in_their_pid_are_explained_together() {
    let style = Style { columns: 80, color: false, verbose: false };
    let nginx = |pid| stale(pid, "/system.slice/nginx.service", b"nginx", (0, "root"));
    let mut fresh = VerdictOf { verdict: Verdict::Fresh, causes: Vec::new(), ..nginx(22) };
    fresh.identical = 2;
    let expected = "\
pids 20, 21 nginx: stale
    program    /usr/sbin/x
    owner      nginx.service (cgroup /system.slice/nginx.service)
    library    /usr/lib/x86_64-linux-gnu/libssl.so.3
               libssl3, renamed, content differs
               mapped inode 10 on 8:1; the path names inode 11 on 8:1
               the new file was born before the old one died

pid 22 nginx: fresh
    program    /usr/sbin/x
    owner      nginx.service (cgroup /system.slice/nginx.service)
    2 of its files were replaced by the same content
";
    assert_eq!(explain::processes(&[nginx(20), fresh, nginx(21)], &[], &style), expected);
}

#[test]
fn nagios_output_is_needrestarts_and_unknown_hides_nothing() {
    let (text, code) = needrestart::nagios(&report(), Parts::ALL);
    let expected = "\
CRIT - Kernel: 6.1.0-18-amd64!=6.1.0-20-amd64 (!!), Microcode: OBSOLETE (!!), Services: 3 (!), Containers: 1 (!), Sessions: 2 (!!), Processes: 1 (!)|Kernel=2;0;;0;2 Microcode=1;0;;0;1 Services=3;;0;0 Containers=1;;0;0 Sessions=2;0;;0 Processes=1;;0;0
Services:
- Apache.service
- nginx.service
- systemd-manager
Containers:
- web1
Sessions:
- anna @ session #16
- anna @ user manager service
Processes:
- sn?eak=y[50]
";
    assert_eq!((text.as_str(), code), (expected, 2));
    let (text, code) = needrestart::nagios(&quiet(), Parts::ALL);
    let expected = "OK - Kernel: 6.1.0-18-amd64, Microcode: CURRENT, Services: none, Containers: none, Sessions: none\
        |Kernel=0;0;;0;2 Microcode=0;0;;0;1 Services=0;;0;0 Containers=0;;0;0 Sessions=0;0;;0\n";
    assert_eq!((text.as_str(), code), (expected, 0));

    let gap = || vec![GapRow { what: "a|b".into(), why: "closed".into() }];
    let web = |verdict| {
        let mut report = quiet();
        report.processes = vec![stale(20, "/system.slice/nginx.service", b"nginx", (0, "root"))];
        report.processes[0].verdict = verdict;
        let owner = report.processes[0].process.owner.clone();
        report.owners = vec![OwnerRow { owner, verdict, pids: vec![20], ..OwnerRow::of_unit("") }];
        report.summary.tainted = usize::from(verdict == Verdict::Tainted);
        report
    };
    for (name, report, word, code) in [
        ("gap", Report { gaps: gap(), ..quiet() }, "UNKN", 3),
        ("stale", web(Verdict::Stale), "WARN", 1),
        ("stale and gap", Report { gaps: gap(), ..web(Verdict::Stale) }, "WARN", 1),
        ("tainted and gap", Report { gaps: gap(), ..web(Verdict::Tainted) }, "CRIT", 2),
    ] {
        let (text, said) = needrestart::nagios(&report, Parts::ALL);
        assert!(text.starts_with(&format!("{word} - ")) && said == code, "{name}: {text} {said}");
        // Behind the second bar Nagios would read figures.
        assert_eq!(text.matches('|').count(), 1, "{name}: {text}");
    }
}

#[test]
fn monitoring_plugin_reads_the_figures() -> Result<()> {
    let perl = Path::new("/usr/bin/perl");
    let module = "-MMonitoring::Plugin::Performance";
    if !feed(perl, &[module, "-e", "1"], "")?.status.success() {
        skip!("needs libmonitoring-plugin-perl (make deps)");
    }
    let read =
        "my ($figures) = <STDIN> =~ /\\|(.*)/; my @all = Monitoring::Plugin::Performance->parse_perfstring($figures); \
                print join(' ', map { $_->label . '=' . $_->value } @all)";
    let said = feed(perl, &[module, "-e", read], &needrestart::nagios(&report(), Parts::ALL).0)?.success()?;
    assert_eq!(said.text(), "Kernel=2 Microcode=1 Services=3 Containers=1 Sessions=2 Processes=1");
    Ok(())
}

#[test]
fn needs_restarting_users_get_its_lines_and_its_exit_code() {
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let commands = BTreeMap::from([(20, words(&["nginx:", "master process"])), (1, words(&["/sbin/init"]))]);
    let mut report = report();
    report.processes.retain(|row| [1, 20, 50].contains(&row.process.key.pid));
    let (text, code) = restarting::processes(&report, &commands);
    assert_eq!((text.as_str(), code), ("1 : /sbin/init\n20 : nginx: master process\n50 : [sn\\xffeak=y]\n", 1));
    assert_eq!(restarting::services(&report), ("Apache.service\nnginx.service\n".to_owned(), 1));
    let expected = "Core libraries or services have been updated since boot-up:\n  * kernel\n  * microcode\n\n\
        Reboot is required to fully utilize these updates.\n  kernel 6.1.0-20-amd64 is installed, 6.1.0-18-amd64 is running\n  \
        microcode 0x0024 is installed, 0x0021 is in the processor\n";
    assert_eq!(restarting::reboot_hint(&report), (expected.to_owned(), 1));

    let nothing = quiet();
    assert_eq!(restarting::processes(&nothing, &BTreeMap::new()), (String::new(), 0));
    assert_eq!(restarting::services(&nothing), (String::new(), 0));
    assert_eq!(restarting::reboot_hint(&nothing).1, 0);
    let blind = Report { gaps: vec![GapRow { what: "x".into(), why: "y".into() }], ..nothing };
    assert_eq!(restarting::processes(&blind, &BTreeMap::new()), (String::new(), 4));
}

#[test]
fn prometheus_reads_the_metrics_as_openmetrics_and_as_its_older_text() -> Result<()> {
    let text = openmetrics::render(&report(), Some(&last_run()?));
    let line = |expected: &str| {
        ensure!(text.lines().any(|line| line == expected), "no {expected} in\n{text}");
        Ok(())
    };
    line("reexec_stale_processes{kind=\"service\",name=\"nginx.service\",cause=\"library\",verdict=\"stale\"} 1")?;
    line("reexec_processes{verdict=\"fresh\"} 93")?;
    line("reexec_reboot_needed 1")?;
    line("reexec_last_run_timestamp_seconds 1700000000.0")?;
    line("reexec_last_run_proofs{proof=\"down\"} 1")?;
    let Some(python) = python("python") else { skip!("needs prometheus_client (make deps)") };
    let read = "import sys, prometheus_client.openmetrics.parser as om, prometheus_client.parser as old\n\
        text = open(sys.argv[1]).read()\n\
        new = sorted((s.name, sorted(s.labels.items()), s.value) for f in om.text_string_to_metric_families(text) for s in f.samples)\n\
        prior = sorted((s.name, sorted(s.labels.items()), s.value) for f in old.text_string_to_metric_families(text) for s in f.samples)\n\
        assert new == prior, (new, prior)\n\
        kinds = {f.type for f in om.text_string_to_metric_families(text)}\n\
        assert kinds == {'gauge'}, kinds\n\
        print(len(new), [l for n, l, v in new if ('name', 'a\"b\\\\c.service') in l] != [])";
    let said = script(&python, read, &[("metrics", &text)])?.success()?;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(said.text(), format!("{samples} True"));
    let Some(promtool) = promtool() else { skip!("needs promtool (make deps)") };
    let said = feed(&promtool, &["check", "metrics"], &text)?.success()?;
    assert_eq!((said.text(), said.errors()), (String::new(), String::new()));
    Ok(())
}

/// All names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("reexec_")).map(str::to_owned).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let folder = workspace().join("hook/share/monitoring");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let there_are = metrics(&openmetrics::render(&report(), Some(&last_run()?)));
    let dashboard: Value = serde_json::from_str(&read("grafana.json")?)?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let asked: Vec<&str> = panels.iter().filter_map(|panel| panel["targets"][0]["expr"].as_str()).collect();
    ensure!(asked.len() == panels.len() && panels.len() > 5, "panels without a question: {asked:?}");
    for (what, text) in [("dashboard", asked.join("\n")), ("rules", read("reexec.rules.yml")?)] {
        let unknown: Vec<String> = metrics(&text).difference(&there_are).cloned().collect();
        ensure!(unknown.is_empty() && !metrics(&text).is_empty(), "the {what} asks for {unknown:?}");
    }
    let Some(promtool) = promtool() else { skip!("needs promtool (make deps)") };
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    feed(&promtool, &["check", "rules", &path("reexec.rules.yml")], "")?.success()?;
    feed(&promtool, &["test", "rules", &path("reexec.rules.test.yml")], "")?.success()?;
    Ok(())
}

#[test]
fn every_report_is_as_the_schema_says() -> Result<()> {
    for report in [report(), quiet()] {
        let Some(errors) = report_faults(&json::render(&report, 1))? else { skip!("needs jsonschema (make deps)") };
        assert_eq!(errors, "");
    }
    let mut wrong = json::value(&report(), 1);
    wrong["processes"][0]["verdict"] = json!("rotten");
    wrong["new"] = json!(1);
    let errors = report_faults(&wrong.to_string())?.context("jsonschema was there before")?;
    ensure!(errors.contains("'rotten' is not one of") && errors.contains("'new' was unexpected"), "{errors}");
    Ok(())
}

/// The explanations that `journalctl --catalog` shows: subject by id.
fn catalogue() -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(workspace().join("hook/share/catalog/reexec.catalog"))?;
    let mut entries = text.split("\n-- ").skip(1).map(|entry| {
        let mut lines = entry.lines();
        let id = lines.next().context("an id")?.to_owned();
        let subject = lines.find_map(|line| line.strip_prefix("Subject: ")).context("a subject")?;
        Ok((id, subject.to_owned()))
    });
    entries.try_fold(BTreeMap::new(), |mut all, entry: Result<_>| {
        all.extend([entry?]);
        Ok(all)
    })
}

#[test]
fn every_journal_entry_is_explained_and_its_fields_are_there() -> Result<()> {
    let mut report = report();
    for (owner, proof) in report.owners.iter_mut().zip([Some(Proof::Fresh), Some(Proof::Down), None]) {
        owner.proof = proof;
    }
    let mut entries = journal::entries(&report, 1);
    entries.push(journal::fault("the policy"));
    let catalogue = catalogue()?;
    let used: BTreeSet<&str> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(used, catalogue.keys().map(String::as_str).collect());
    assert_eq!(used.len(), 5);
    for entry in &entries {
        let subject = &catalogue[entry.id];
        for name in subject.split('@').skip(1).step_by(2) {
            ensure!(entry.fields.iter().any(|(field, _)| *field == name), "no {name} in {entry:?}");
        }
        for (name, _) in &entry.fields {
            let known = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            ensure!(name.chars().all(known) && !name.starts_with('_'), "{name}");
        }
    }
    let nginx = entries.iter().find(|entry| entry.message.starts_with("nginx.service")).context("nginx")?;
    ensure!(nginx.fields.contains(&("REEXEC_PROOF", "down".to_owned())), "{nginx:?}");
    Ok(())
}

/// A system's root and `/proc` with this processor, kernel and images.
struct System(Scratch);

impl System {
    fn new() -> Result<System> {
        let system = System(Scratch::new("system")?);
        system.write("proc/sys/kernel/osrelease", b"6.1.0-18-amd64\n")?;
        system.write("proc/sys/kernel/version", b"#1 SMP Debian 6.1.76-1\n")?;
        system.processor("")?;
        system.write("boot/initrd.img-6.9.0-1-amd64", &[0; 600_000])?;
        system.write("boot/vmlinuz-9.0-small", b"no kernel")?;
        Ok(system)
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(std::fs::write(path, content)?)
    }

    fn processor(&self, flag: &str) -> Result<()> {
        let text = format!(
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 158\nstepping\t: 10\n\
             microcode\t: 0xf0\nflags\t\t: fpu {flag} vme\n\nprocessor\t: 1\n"
        );
        self.write("proc/cpuinfo", text.as_bytes())
    }

    /// An x86 image whose header says this.
    fn image(&self, path: &str, banner: &str) -> Result<()> {
        let mut image = vec![0; 600_000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x3000_u16.to_le_bytes());
        image[0x3200..0x3200 + banner.len()].copy_from_slice(banner.as_bytes());
        self.write(path, &image)
    }

    fn reboot(&self) -> Reboot {
        Reboot::of(boot::facts(self.0.path(), &self.0.join("proc")), &[], &[])
    }

    fn names(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.0.join("run/reboot-required.pkgs"))?)
    }
}

#[test]
fn kernel_and_microcode_are_read_from_what_a_boot_would_load() -> Result<()> {
    let system = System::new()?;
    assert_eq!(system.reboot().kernel.status, KernelStatus::Unknown);
    system.image("boot/vmlinuz-6.1.0-18-amd64", "6.1.0-18-amd64 (x@y) #1 SMP Debian 6.1.76-1")?;
    assert_eq!((system.reboot().kernel.status, system.reboot().reasons.len()), (KernelStatus::Current, 0));
    system.image("boot/vmlinuz-6.1.0-18-amd64", "6.1.0-18-amd64 (x@y) #1 SMP Debian 6.1.80-1")?;
    assert_eq!(system.reboot().kernel.status, KernelStatus::Rebuilt);
    // Where the header cannot be read the name says the release: below /usr/lib/modules that of the folder.
    system.write("usr/lib/modules/6.1.0-20-amd64/vmlinuz", &[0; 600_000])?;
    assert_eq!(system.reboot().reasons, ["kernel 6.1.0-20-amd64 is installed, 6.1.0-18-amd64 is running"]);

    let mut update: Vec<u8> =
        [1_u32, 0xf4, 0, 0x906ea, 0, 1, 0x02, 16, 64, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    update.resize(64, 0);
    system.write("lib/firmware/intel-ucode/06-9e-0a", &update)?;
    let reasons = system.reboot().reasons;
    assert_eq!(reasons[1], "microcode 0x00f4 is installed, 0x00f0 is in the processor");
    system.processor("hypervisor")?;
    assert_eq!(system.reboot().reasons.len(), 1, "the host's microcode is told to a guest");
    system.write("run/systemd/container", b"lxc\n")?;
    assert_eq!(system.reboot().reasons, [""; 0], "the host's kernel is told to a container");
    Ok(())
}

#[test]
fn real_kernel_packages_ask_for_a_reboot_where_the_newer_one_is_not_running() -> Result<()> {
    let Some([older, newer]) = kernels()? else { skip!("needs two kernels (make deps)") };
    let release = |path: &Path| -> Result<String> {
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        Ok(name.strip_prefix("vmlinuz-").context("vmlinuz-")?.to_owned())
    };
    let (old, new) = (release(&older)?, release(&newer)?);
    // The version stands in the image behind the release and the builder: `6.1.0-9-amd64 (a@b) #1 SMP …`.
    let built_as = |path: &Path, release: &str| -> Result<String> {
        let image = std::fs::read(path)?;
        let begins = format!("{release} (");
        let at = image.windows(begins.len()).position(|bytes| bytes == begins.as_bytes()).context("no banner")?;
        let banner: Vec<u8> = image[at..].iter().copied().take_while(|&byte| byte != 0).collect();
        let banner = String::from_utf8(banner)?;
        Ok(banner[banner.find(" #").context("a build")? + 1..].to_owned())
    };
    let (old_build, new_build) = (built_as(&older, &old)?, built_as(&newer, &new)?);
    let said = |running: &str, build: &str, images: &[&Path]| -> Result<Value> {
        let system = Scratch::new("kernels")?;
        std::fs::create_dir_all(system.join("boot"))?;
        std::fs::create_dir_all(system.join("proc/sys/kernel"))?;
        std::fs::write(system.join("proc/sys/kernel/osrelease"), format!("{running}\n"))?;
        std::fs::write(system.join("proc/sys/kernel/version"), format!("{build}\n"))?;
        for image in images {
            std::fs::copy(image, system.join("boot").join(image.file_name().context("a name")?))?;
        }
        let mut command = std::process::Command::new(built()?.join("reexec"));
        command.args(["report", "--format", "json", "--root"]).arg(system.path());
        command.arg("--proc").arg(system.join("proc"));
        let output = run(&mut command, b"", std::time::Duration::from_secs(30))?;
        let report: Value = serde_json::from_slice(&output.stdout).with_context(|| output.errors())?;
        Ok(report["reboot"]["kernel"].clone())
    };
    for (running, build, images, expected, status) in [
        (&old, &old_build, vec![older.as_path()], &old, "current"),
        (&old, &old_build, vec![older.as_path(), newer.as_path()], &new, "outdated"),
        (&new, &new_build, vec![older.as_path(), newer.as_path()], &new, "current"),
        // Booted newer than all that is installed: the package was removed again.
        (&new, &new_build, vec![older.as_path()], &old, "current"),
        (&new, &old_build, vec![newer.as_path()], &new, "rebuilt"),
        // None of the running flavour is installed any more: it was changed, and all count.
        (&old.replace("cloud-amd64", "amd64"), &old_build, vec![newer.as_path()], &new, "outdated"),
    ] {
        let kernel = said(running, build, &images)?;
        assert_eq!(
            (&kernel["expected"], &kernel["status"]),
            (&json!(expected), &json!(status)),
            "{running} {images:?}"
        );
    }
    Ok(())
}

#[test]
fn our_own_flag_is_no_reason_and_others_words_stay() -> Result<()> {
    let system = System::new()?;
    system.image("boot/vmlinuz-6.1.0-18-amd64", "6.1.0-18-amd64 (x@y) #1 SMP Debian 6.1.76-1")?;
    system.write("run/reexec/lock", b"")?;
    let (root, store) = (system.0.path(), Store::below(system.0.path()));
    boot::raise_flag(root, &["kernel".into(), "libc6".into()], &store)?;
    boot::raise_flag(root, &["kernel".into(), "dbus".into()], &store)?;
    assert_eq!((system.names()?.as_str(), system.reboot().reasons.len()), ("kernel\ndbus\n", 0));
    system.write("run/reboot-required.pkgs", b"kernel\ndbus\nlinux-image-amd64\n")?;
    assert_eq!(system.reboot().reasons, ["the distribution asks for it for linux-image-amd64 (/run/reboot-required)"]);
    boot::take_back_flag(root, &store)?;
    assert_eq!(system.names()?, "linux-image-amd64\n");
    assert_eq!(system.reboot().packages, ["linux-image-amd64"]);
    // Somebody else's flag is never taken over, and so never taken back.
    boot::raise_flag(root, &["kernel".into()], &store)?;
    boot::take_back_flag(root, &store)?;
    assert_eq!(system.names()?, "linux-image-amd64\n");
    std::fs::remove_file(system.0.join("run/reboot-required"))?;
    std::fs::remove_file(system.0.join("run/reboot-required.pkgs"))?;
    boot::raise_flag(root, &["kernel".into()], &store)?;
    boot::take_back_flag(root, &store)?;
    ensure!(!system.0.join("run/reboot-required").exists() && !system.0.join("run/reexec/reboot-required").exists());
    Ok(())
}
