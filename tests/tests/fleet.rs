//! One machine, as everybody sees it who looks at it from outside or from above: monitoring, the
//! journal, past runs, the doctor, and configuration management.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{tool, Options};
use reexec_tests::debian::{daemon, library, DAEMON};
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::{run, Output};
use reexec_tests::skip;
use reexec_tests::tools::{feed, promtool, python, report_faults};
use serde_json::{json, Value};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const PLAY: Duration = Duration::from_secs(300);
const RULES: &str = "  - { name: probes, match: { unit: 'probe*' }, action: [restart] }\n";
/// The base has Python without its library, which is the host's, of the same release.
const PYTHON: &str = "/usr/lib/python3.11";

/// A machine with the probe's daemon and two more units of it, one that no rule names.
fn machine(name: &str, rules: &str) -> Result<Machine> {
    let options = match Path::new(PYTHON).exists() {
        true => Options::default().bind_ro(Path::new(PYTHON), PYTHON),
        false => Options::default(),
    };
    let machine = Machine::with_options(name, rules, options, None)?;
    for version in 1..=3 {
        library(version)?.build(machine.dist())?;
    }
    daemon()?.build(machine.dist())?;
    machine.bed.apt_install(&["/srv/dist/libprobe1_1.0_amd64.deb", "/srv/dist/probed_1.0_amd64.deb"])?.success()?;
    machine.applied()?;
    for unit in ["probed2", "other"] {
        let text = format!("[Service]\nType=exec\nExecStart={DAEMON}\n");
        machine.bed.write_file(&format!("/etc/systemd/system/{unit}.service"), text.as_bytes())?;
    }
    machine.bed.shell("systemctl daemon-reload; systemctl start probed probed2 other")?;
    Ok(machine)
}

fn upgrade(machine: &Machine, version: u32) -> Result<()> {
    machine.bed.apt_install(&[&format!("/srv/dist/libprobe1_{version}.0_amd64.deb")])?.success()?;
    machine.applied()
}

/// The entries of a unit's journal with this field, as their own objects.
fn entries(machine: &Machine, unit: &str, field: &str) -> Result<Vec<Value>> {
    let said = machine.bed.shell(&format!("journalctl --sync; journalctl -q -o json -u {unit}"))?;
    let all = said.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok(all.into_iter().filter(|entry| !entry[field].is_null()).collect())
}

#[test]
fn monitoring_the_journal_and_past_runs_tell_of_an_upgrade() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("told", RULES)?;
    let fresh = machine.reexec(&["report"])?;
    ensure!(fresh.code() == Some(0) && fresh.text().lines().count() == 1, "{}", fresh.text());
    ensure!(!machine.reexec(&["history"])?.text().contains("probed"), "a run before the upgrade");
    let published = b"version: 1\ndefaults: { metrics: /run/node.prom, reboot_flag: true }\n";
    machine.bed.write_file("/etc/reexec/policy.d/30-published.yaml", published)?;
    upgrade(&machine, 2)?;
    let metrics = String::from_utf8(machine.bed.read_file("/run/node.prom")?)?;
    ensure!(metrics.contains("reexec_last_run_proofs{proof=\"fresh\"} 2\n"), "{metrics}");
    assert_eq!(machine.bed.shell("ls -a /run | grep node; stat -c %a /run/node.prom")?, "node.prom\n644");

    // The journal: the run under our own unit, and what was done to a unit under that.
    let told = entries(&machine, "probed.service", "REEXEC_PROOF")?;
    let [proven] = &told[..] else { anyhow::bail!("{told:#?}") };
    assert_eq!((&proven["REEXEC_PROOF"], &proven["REEXEC_RULE"]), (&json!("fresh"), &json!("probes")));
    ensure!(proven["REEXEC_STEP"].as_str().is_some_and(|step| step.starts_with("restart done ")), "{proven:#}");
    assert_eq!(proven["REEXEC_PACKAGE"], "libprobe1");
    let summary = entries(&machine, "reexec-apply.service", "REEXEC_PROVEN")?;
    let last = summary.last().context("no summary")?;
    assert_eq!((&last["REEXEC_ACTED"], &last["REEXEC_PROVEN"]), (&json!("2"), &json!("2")), "{last:#}");
    let explained = machine.bed.shell("journalctl -q -x -u probed.service")?;
    ensure!(explained.contains("Subject: service probed.service runs the new files now"), "{explained}");
    let log = machine.journal()?;
    assert_eq!(log.matches("probed.service  proven fresh").count(), 1, "told twice: {log}");

    // Past runs.
    let list = machine.reexec(&["history"])?.success()?.text();
    ensure!(list.contains("all 2 proven fresh") && list.contains("probed2.service restart: fresh"), "{list}");
    let one = machine.reexec(&["history", "--last"])?.success()?.text();
    ensure!(one.contains("libprobe1") && one.contains("    restart done after "), "{one}");
    let whole = machine.reexec(&["history", "--last", "--format", "json"])?.success()?;
    assert_eq!(serde_json::from_slice::<Value>(&whole.stdout)?, machine.last()?.0);

    forms(&machine)?;
    stand_ins(&machine)?;
    widths(&machine)?;
    progress(&machine)
}

/// Every form of the same report names the same service.
fn forms(machine: &Machine) -> Result<()> {
    for (form, line, code) in [
        ("needrestart", "NEEDRESTART-SVC: other.service", 1),
        ("nagios", "- other.service", 1),
        ("openmetrics", "reexec_last_run_proofs{proof=\"fresh\"} 2", 1),
        ("dnf-services", "other.service", 1),
    ] {
        let said = machine.reexec(&["report", "--format", form])?;
        ensure!(said.text().lines().any(|one| one == line) && said.code() == Some(code), "{form}: {said:?}");
    }
    let pid = machine.unit("other.service")?.main_pid;
    let said = machine.reexec(&["report", "--format", "dnf"])?;
    assert_eq!((said.text(), said.code()), (format!("{pid} : {DAEMON}"), Some(1)));
    let quiet = machine.reexec(&["report", "--format", "nagios", "--quiet"])?;
    assert_eq!((quiet.text(), quiet.code()), (String::new(), Some(1)));
    if let Some(promtool) = promtool() {
        let metrics = machine.reexec(&["report", "--format", "openmetrics"])?.text() + "\n";
        let said = feed(&promtool, &["check", "metrics"], &metrics)?.success()?;
        assert_eq!((said.text(), said.errors()), (String::new(), String::new()));
    }
    for command in [
        &["report"][..],
        &["report", "--all"],
        &["plan"],
        &["apply", "--dry-run"],
        &["explain", "other"],
        &["explain", "1"],
        &["history", "--last"],
    ] {
        let mut words = command.to_vec();
        words.extend(["--format", "json"]);
        let said = machine.reexec(&words)?;
        let Some(faults) = report_faults(&said.text())? else { skip!("needs jsonschema (make deps)") };
        assert_eq!(faults, "", "{command:?}");
    }
    let wrong = machine.reexec(&["explain", "other", "--format", "nagios"])?;
    ensure!(wrong.code() == Some(2) && wrong.errors().contains("text or json"), "{wrong:?}");
    Ok(())
}

/// What calls needrestart or needs-restarting by name, as public projects do, reads what it expects.
fn stand_ins(machine: &Machine) -> Result<()> {
    let link = "for name in needrestart needs-restarting; do \
                ln -s /usr/share/reexec/compat/$name /usr/local/sbin/$name; done";
    machine.bed.shell(link)?;
    let pid = machine.unit("other.service")?.main_pid;
    for (typed, said, code) in [
        ("needrestart -b | head -1", "NEEDRESTART-VER: 3.6", 0),
        // A Zabbix agent's parameter for the number of services.
        ("needrestart -b -r l -l | grep NEEDRESTART-SVC | wc -l", "1", 0),
        // A login message's question; in a container the kernel is not the machine's own.
        ("needrestart -b -k | grep -x 'NEEDRESTART-KSTA: [0-9]'", "", 1),
        ("needrestart -b -k", "NEEDRESTART-VER: 3.6", 0),
        ("needrestart -b -l | grep SVC:", "NEEDRESTART-SVC: other.service", 0),
        ("needrestart -p -l | head -1 | cut -d'|' -f1", "WARN - Services: 1 (!), Containers: none, Sessions: none", 0),
        ("needrestart -p >/dev/null", "", 1),
        ("needrestart -b -r a 2>&1", "needrestart: this one only lists (reexec apply restarts)", 1),
        ("needrestart 2>&1", "needrestart: this is reexec; it stands in for -b and -p only", 1),
        ("needs-restarting -s", "other.service", 1),
        ("needs-restarting", &format!("{pid} : {DAEMON}"), 1),
        ("needs-restarting -r | tail -1", "Reboot should not be necessary.", 0),
        ("needs-restarting -x 2>&1", "needs-restarting: this is reexec; it stands in for -r, -s and -u only", 2),
    ] {
        let script = typed.replace("| head -1", "| sed -n 1p");
        let answer = machine.bed.exec(&["bash", "-c", &script])?;
        assert_eq!((answer.text().as_str(), answer.code()), (said, Some(code)), "{typed}: {}", answer.errors());
    }
    let Some(jc) = python("jc") else { skip!("needs jc (make deps)") };
    let read = feed(&jc, &["--needrestart"], &machine.bed.shell("needrestart -b")?)?.success()?;
    assert_eq!(serde_json::from_str::<Value>(&read.text())?["service"], json!(["other.service"]));
    Ok(())
}

/// What a command shows on a terminal of so many columns.
fn on_terminal(machine: &Machine, columns: usize, show: &str) -> Result<String> {
    let typed = format!("stty cols {columns}; {show}");
    Ok(machine.bed.exec(&["script", "-qec", &typed, "/dev/null"])?.text())
}

/// Text fits where it is shown, and has colours only where they are wanted.
fn widths(machine: &Machine) -> Result<()> {
    let show = "reexec report; reexec report -v; reexec plan; reexec doctor; reexec history; reexec history --last; \
        reexec explain other; reexec explain 1; reexec explain /usr/lib/x86_64-linux-gnu/libprobe.so.1";
    for columns in [80, 160] {
        let said = on_terminal(machine, columns, show)?;
        let plain = without_colours(&said);
        ensure!(said != plain, "no colours on a terminal");
        let widest = plain.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0);
        ensure!(widest <= columns && widest > columns / 2, "{widest} of {columns} columns:\n{plain}");
        let said = on_terminal(machine, columns, &format!("export NO_COLOR=1; {show}"))?;
        assert_eq!(said, without_colours(&said), "NO_COLOR");
    }
    let never = on_terminal(machine, 80, "reexec report --color never; reexec explain other --color never")?;
    assert_eq!(never, without_colours(&never), "--color never");
    let piped = machine.reexec(&["report", "--color", "always"])?.text();
    ensure!(piped != without_colours(&piped), "--color always");
    let piped = machine.reexec(&["report"])?.text();
    assert_eq!(piped, without_colours(&piped), "into a pipe");
    let loud = machine.reexec(&["report", "-v"])?.text();
    for word in ["rule \"default\" (/usr/lib/reexec/policy.d/50-default.yaml:", "old one lost its name"] {
        ensure!(loud.contains(word) && !piped.contains(word), "-v: {loud}");
    }
    let hushed = "for each in report plan 'explain other' history 'history --last' doctor 'apply --dry-run'; do \
        reexec $each -q; done";
    assert_eq!(on_terminal(machine, 80, hushed)?, "", "-q");
    Ok(())
}

/// On a terminal a wait is told in one line, which is gone afterwards; nowhere else.
fn progress(machine: &Machine) -> Result<()> {
    machine.bed.write_file("/etc/reexec/policy.d/40-manual.yaml", b"version: 1\ndefaults: { when: manual }\n")?;
    for (version, show, is_told) in [(3, "reexec apply", true), (2, "reexec apply -q", false)] {
        let package = format!("/srv/dist/libprobe1_{version}.0_amd64.deb");
        machine.bed.exec(&["apt-get", "-qqy", "--allow-downgrades", "install", &package])?.success()?;
        let said = on_terminal(machine, 80, &format!("{show} | cat"))?;
        let lines: Vec<&str> = said.split("\r\x1b[K").collect();
        let waits = lines.iter().filter(|line| line.starts_with("waiting whether probed.service and 1 more stay"));
        assert_eq!(waits.count() > 0, is_told, "{show}: {said:?}");
        let last = lines.last().copied().unwrap_or_default();
        assert_eq!(last.contains("probed.service  proven fresh"), is_told, "{show}: {said:?}");
        ensure!(!last.contains('\u{2026}'), "the line stands behind the report: {last:?}");
        ensure!(is_told || said.is_empty(), "{show}: {said:?}");
    }
    let piped = machine.bed.shell("reexec apply 2>&1 || :")?;
    ensure!(!piped.contains('\u{2026}') && !piped.contains('\r'), "{piped:?}");
    Ok(())
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[test]
fn the_doctor_names_what_is_broken_and_its_commands_mend_it() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::boot("doctor", "  []\n")?;
    let bed = &machine.bed;
    let healthy = machine.reexec(&["doctor"])?;
    ensure!(healthy.code() == Some(0) && !healthy.text().contains("BAD"), "{}", healthy.text());
    for (harm, what) in [
        ("systemctl disable reexec-apply.path 2>&1", "path unit"),
        ("systemctl stop reexec-apply.path", "path unit"),
        ("chmod 777 /run/reexec", "/run/reexec"),
        ("rm /etc/apt/apt.conf.d/80reexec", "apt, before"),
    ] {
        bed.shell(harm)?;
        let said = machine.reexec(&["doctor", "--format", "json"])?;
        let answer: Value = serde_json::from_slice(&said.stdout)?;
        let checks = answer["checks"].as_array().context("checks")?;
        let bad: Vec<&Value> = checks.iter().filter(|check| check["health"] == "bad").collect();
        ensure!(said.code() == Some(1) && bad.iter().any(|check| check["what"] == what), "{harm}: {bad:#?}");
        let mend = bad[0]["mend"].as_str().context("no command")?;
        bed.shell(
            &format!("cd /srv/dist; {} >&2", mend.replace("install --reinstall", "install -qy --reinstall"))
                .replace(" reexec ", " /srv/dist/reexec.deb "),
        )?;
        let mended = machine.reexec(&["doctor"])?;
        ensure!(mended.code() == Some(0), "{mend}: {}", mended.text());
    }
    Ok(())
}

/// Runs a play of the role against the bed, which has two names in the inventory.
fn play(machine: &Machine, arguments: &[&str]) -> Result<Output> {
    let ansible = python("ansible-playbook").context("ansible-playbook")?;
    let folder = Scratch::new("ansible")?;
    let name = machine.bed.name();
    let tool = tool().get_program().to_string_lossy().into_owned();
    let host = |alias: &str| {
        format!("{alias} ansible_host={name} ansible_connection=bed bed_tool={tool} ansible_python_interpreter=/usr/bin/python3\n")
    };
    std::fs::write(folder.join("hosts"), host("first") + &host("second"))?;
    let policy = json!({ "reexec_policy": {
        "defaults": { "when": "manual", "settle": "1s" },
        "rules": [{ "name": "fleet", "match": { "unit": "probe*" }, "action": ["restart"] }]
    } });
    let share = workspace().join("hook/share/ansible");
    let mut command = Command::new(ansible);
    command
        .args(["-i", "hosts", "-e", &policy.to_string()])
        .args(arguments)
        .arg(share.join("rolling.yml"))
        .current_dir(folder.path())
        .env("ANSIBLE_ROLES_PATH", &share)
        .env("ANSIBLE_CONNECTION_PLUGINS", workspace().join("tests/ansible/connection_plugins"))
        .env("ANSIBLE_HOME", folder.path())
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCALHOST_WARNING", "0");
    run(&mut command, b"", PLAY)
}

/// What a play's recap says of a host.
fn recap(said: &Output, host: &str) -> Result<(u32, u32)> {
    let text = said.text();
    let line =
        text.lines().rev().find(|line| line.starts_with(host)).with_context(|| format!("{text}{}", said.errors()))?;
    let number = |key: &str| -> Result<u32> {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(key)).context("a figure")?;
        Ok(value.parse()?)
    };
    Ok((number("changed=")?, number("failed=")?))
}

#[test]
fn the_ansible_role_looks_in_check_mode_and_restarts_one_host_after_the_other() -> Result<()> {
    needs_bed!(BASE);
    if python("ansible-playbook").is_none() || !Path::new(PYTHON).exists() {
        skip!("needs ansible-core and {PYTHON} (make deps)");
    }
    let machine = machine("ansible", "  []\n")?;
    let wired = play(&machine, &[])?.success()?;
    assert_eq!((recap(&wired, "first")?, recap(&wired, "second")?), ((1, 0), (0, 0)), "{}", wired.text());
    upgrade_by_hand(&machine)?;
    let before = machine.unit("probed.service")?;

    let checked = play(&machine, &["--check"])?.success()?;
    assert_eq!((recap(&checked, "first")?, recap(&checked, "second")?), ((1, 0), (1, 0)), "{}", checked.text());
    ensure!(checked.text().contains("would restart: service probed.service"), "{}", checked.text());
    assert_eq!(machine.unit("probed.service")?, before, "check mode acted");

    let acted = play(&machine, &[])?.success()?;
    assert_eq!((recap(&acted, "first")?, recap(&acted, "second")?), ((1, 0), (0, 0)), "{}", acted.text());
    assert_eq!(acted.text().matches("PLAY [").count(), 2, "not one after the other: {}", acted.text());
    ensure!(machine.unit("probed.service")?.invocation != before.invocation, "nothing was restarted");
    let again = play(&machine, &[])?.success()?;
    assert_eq!(recap(&again, "first")?, (0, 0), "{}", again.text());

    // A host that is not proven stops the play before the next one.
    machine.bed.shell(
        "mkdir -p /etc/systemd/system/probed.service.d; printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' \
        >/etc/systemd/system/probed.service.d/broken.conf; systemctl daemon-reload",
    )?;
    machine.bed.apt_install(&["/srv/dist/libprobe1_3.0_amd64.deb"])?.success()?;
    let failed = play(&machine, &[])?;
    ensure!(failed.code() != Some(0), "{}", failed.text());
    assert_eq!(recap(&failed, "first")?.1, 1);
    ensure!(!failed.text().contains("\nsecond "), "the second host was touched: {}", failed.text());
    Ok(())
}

/// With `when: manual` what triggers said waits for somebody.
fn upgrade_by_hand(machine: &Machine) -> Result<()> {
    machine.bed.apt_install(&["/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    Ok(())
}
