//! The policy at work on real services: each test compares what is said with what systemd, the kernel and
//! the clients of those services see.

use anyhow::{ensure, Context, Result};
use reexec_tests::echo::{program, version_of, Language};
use reexec_tests::machine::{figure, Machine, BASE, POLICY};
use reexec_tests::packages::repacked;
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::{one_line, wait_until};
use reexec_tests::suite::{self, libraries};
use reexec_tests::tools::{python, script};
use reexec_tests::{needs_bed, skip};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn nginx_is_asked_by_signals_and_no_request_fails_while_its_workers_move_to_the_new_files() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let rules = "  - name: web
    match: { unit: nginx.service }
    action:
      - signal:
          - { send: USR2, until: successor, deadline: 10s }
          - { send: QUIT, until: ended, deadline: 20s }
      - restart
";
    let machine = Machine::with_repository("asked", rules, Some(&repository))?;
    let load = include_bytes!("../fixtures/load.py");
    machine.bed.write_program("/usr/local/bin/load", load)?;
    let before = machine.unit("nginx.service")?;
    let _load = machine.start(&["/usr/local/bin/load", "/run/stop", "/run/result"])?;
    machine.bed.apt_install(&["zlib1g"])?.success()?;
    machine.applied()?;
    machine.bed.shell("sleep 1; touch /run/stop")?;
    let result = machine.outside("/run/result");
    let said = wait_until("the load has ended", SOON, || Ok(std::fs::read_to_string(&result).ok()))?;
    let last = machine.last()?;
    figure(&format!("nginx by USR2 and QUIT, requests good and failed: {}", said.trim()));
    let numbers: Vec<&str> = said.split_whitespace().collect();
    ensure!(numbers[0].parse::<u64>()? > 100 && numbers[1] == "0", "{said}\n{:#}", last.owner("nginx.service")?);

    let (action, outcome, words) = last.step("nginx.service", 0)?;
    assert_eq!((action, outcome), ("signal", "done"), "{words}");
    ensure!(words.contains("USR2 sent to pid") && words.contains("QUIT sent to pid"), "{words}");
    assert_eq!(last.owner("nginx.service")?["proof"], "fresh", "{words}");
    ensure!(last.owner("nginx.service")?["steps"].as_array().is_some_and(|steps| steps.len() == 1), "restarted, too");
    let after = machine.unit("nginx.service")?;
    ensure!(after.main_pid != before.main_pid && after.invocation == before.invocation, "{after:?}");
    ensure!(!machine.maps_deleted("nginx.service", "libz")?, "the old is mapped");
    Ok(())
}

/// Runs a script in the bed that prepares what a test wants.
const UNITS: &str = r#"
unit() { printf '[Unit]\n%b\n[Service]\nType=exec\nExecStart=/usr/sbin/probed\n%b\n' "${2:-}" "${3:-}" >/etc/systemd/system/$1; }
unit w@.service
unit hub.service
unit spoke.service 'Requires=hub.service\nAfter=hub.service' 'ExecStartPre=/bin/sh -c "! [ -e /run/spoke-fails ] || { rm /run/spoke-fails; false; }"'
unit timed.service
unit asked-only.service
unit ran.service
unit limited.service 'StartLimitIntervalSec=1h\nStartLimitBurst=2'
unit soon.service 'StartLimitIntervalSec=20s\nStartLimitBurst=2'
unit marked.service
printf '#!/bin/sh\nenv >/run/ran-env; echo drained\n' >/usr/local/sbin/drain
chmod 755 /usr/local/sbin/drain
systemctl daemon-reload
systemctl start w@1 w@2 w@3 hub spoke timed asked-only ran limited marked soon
systemctl restart limited soon
# systemd has markers since version 248.
systemctl set-property --runtime marked.service Markers=+needs-restart || [ "$(systemctl --version | sed -n 's/^systemd \([0-9]*\).*/\1/p')" -lt 248 ]
useradd -m alice
loginctl enable-linger alice
mkdir -p /home/alice/.config/systemd/user
printf '[Service]\nType=exec\nExecStart=/usr/sbin/probed\n' >'/home/alice/.config/systemd/user/app-x\x2dterm.service'
chown -R alice: /home/alice
uid=$(id -u alice)
for i in $(seq 100); do [ -e /run/user/$uid/bus ] && break; sleep 0.1; done
runuser -u alice -- env XDG_RUNTIME_DIR=/run/user/$uid systemctl --user start 'app-x\x2dterm.service'
"#;

fn rules_of_units(machine: &Machine) -> Result<String> {
    let tomorrow = machine.bed.shell("date -d tomorrow +%a")?.to_lowercase();
    Ok(format!(
        "  - {{ name: workers, match: {{ unit: 'w@*.service' }}, action: restart, canary: true }}
  - {{ name: hub, match: {{ unit: hub.service }}, action: restart, dependents: start }}
  - {{ name: spoke, match: {{ unit: spoke.service }}, action: report }}
  - {{ name: timed, match: {{ unit: timed.service }}, action: restart, window: tomorrow }}
  - {{ name: asked, match: {{ unit: asked-only.service }}, action: restart, when: manual }}
  - name: ran
    match: {{ unit: ran.service }}
    action: [{{ command: {{ run: [/usr/local/sbin/drain, x] }} }}, {{ signal: HUP }}, ask, restart]
  - {{ name: rest, match: {{ owner: [service, user-service] }}, action: restart }}
windows:
  tomorrow: {{ days: {tomorrow}, from: '03:00', to: '04:00', timezone: UTC }}
"
    ))
}

#[test]
fn each_rule_acts_on_its_terms_and_whoever_waits_or_is_left_alone_says_why() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::with_probes("terms", "  []\n")?;
    machine.bed.shell(UNITS)?;
    machine.policy(&rules_of_units(&machine)?)?;
    let names = ["hub", "timed", "limited", "asked-only"].map(|name| format!("{name}.service"));
    let before = names.each_ref().map(|name| machine.unit(name));
    machine.bed.shell("touch /run/spoke-fails")?;

    // As an upgrade does it: what is only done when asked, and what waits for its window, stays.
    machine.bed.apt_install(&["/srv/dist/libprobe1_2.0_amd64.deb"])?.success()?;
    wait_until("the unit that acts is done", 3 * SOON, || Ok((machine.idle() && machine.runs()? > 0).then_some(())))?;
    let last = machine.last()?;
    let why = last.skipped("timed.service")?;
    ensure!(why.starts_with("its window tomorrow opens ") && why.ends_with(" 03:00 UTC"), "{why}");
    ensure!(last.skipped("asked-only.service")?.contains("only when asked"), "{:#}", last.0["owners"]);
    let why = last.skipped("limited.service")?;
    ensure!(why.contains("started 2 times") && why.contains("2 in 3600 s"), "{why}");
    for (name, before) in names.iter().zip(before).skip(1) {
        assert_eq!(machine.unit(name)?, before?, "{name}");
    }
    ensure!(!machine.waiting().is_empty(), "what waits for its window is forgotten");
    let timer = machine.bed.shell("systemctl show -p ActiveState,NextElapseUSecRealtime reexec-apply.timer")?;
    ensure!(timer.contains("ActiveState=active") && timer.contains("03:00:00"), "{timer}");

    let words = last.step("hub.service", 0)?.2;
    ensure!(words.contains("spoke.service fell with it and was started again"), "{words}");
    assert_eq!(machine.unit("spoke.service")?.state, "active");
    assert_eq!(last.owner("hub.service")?["fallen"], Value::Array(Vec::new()));
    for name in
        ["w@1.service", "w@2.service", "w@3.service", "marked.service", "soon.service", "app-x\\\\x2dterm.service"]
    {
        assert_eq!(last.owner(name)?["proof"], "fresh", "{name}");
    }
    assert_eq!(machine.bed.systemctl_show("marked.service", "Markers")?, "");
    let taken = ["command", "signal", "ask", "restart"];
    for (index, (action, outcome)) in taken.iter().zip(["done", "refused", "refused", "done"]).enumerate() {
        let (said, how, words) = last.step("ran.service", index)?;
        assert_eq!((said, how), (*action, outcome), "{words}");
    }
    ensure!(last.step("ran.service", 0)?.2.contains("drained"), "its word is lost");
    ensure!(last.step("ran.service", 1)?.2.contains("no handler"), "{}", last.step("ran.service", 1)?.2);
    let environment = machine.bed.shell("sort /run/ran-env | cut -d= -f1 | xargs")?;
    assert_eq!(environment, "LANG PATH PWD REEXEC_OWNER REEXEC_PIDS REEXEC_RULE REEXEC_UID REEXEC_UNIT");

    // Somebody asks, and does not want to wait: the limit still holds.
    let report = machine.apply(&["--now"])?;
    for name in ["timed.service", "asked-only.service"] {
        assert_eq!(report.owner(name)?["proof"], "fresh", "{:#}", report.0["owners"]);
    }
    assert_eq!(machine.report()?.owners(), ["limited.service"]);
    a_canary_that_does_not_come_up_keeps_the_others_alive(&machine)
}

/// The first instance of a template fails; the others are not touched.
fn a_canary_that_does_not_come_up_keeps_the_others_alive(machine: &Machine) -> Result<()> {
    let fails = b"[Service]\nExecStartPre=/bin/false\n";
    machine.bed.write_file("/etc/systemd/system/w@.service.d/x.conf", fails)?;
    machine.bed.shell("systemctl daemon-reload")?;
    let before = machine.unit("w@2.service")?;
    machine.swap_library(1)?;
    let report = machine.apply(&[])?;
    assert_eq!(report.owner("w@1.service")?["proof"], "down");
    for name in ["w@2.service", "w@3.service"] {
        assert_eq!(report.skipped(name)?, "its canary w@1.service is down");
    }
    assert_eq!(machine.unit("w@2.service")?, before);
    Ok(())
}

#[test]
fn thirty_units_go_out_as_one_batch_and_take_as_long_as_the_slowest() -> Result<()> {
    needs_bed!(BASE);
    let rules = "  - { name: all, match: { unit: 'batch@*.service' }, action: restart }\n";
    let machine = Machine::with_probes("batch", rules)?;
    let unit = "[Service]\nType=exec\nExecStartPre=/bin/sleep 3\nExecStart=/usr/sbin/probed\n";
    machine.bed.write_file("/etc/systemd/system/batch@.service", unit.as_bytes())?;
    machine.bed.shell("systemctl daemon-reload; systemctl start $(seq -f 'batch@%g.service' 30)")?;
    machine.swap_library(2)?;
    let report = machine.apply(&[])?;
    let rows: Vec<&Value> = report.rows("owners").filter(|row| row["decision"]["rule"] == "all").collect();
    assert_eq!(rows.len(), 30);
    ensure!(rows.iter().all(|row| row["proof"] == "fresh"), "{rows:#?}");
    let slowest = rows.iter().filter_map(|row| row["steps"][0]["millis"].as_u64()).max().context("a time")?;
    figure(&format!("30 units of 3 s each were restarted in {slowest} ms"));
    // Two at a time would take 45 s, eight at a time 12 s.
    ensure!((3000..9000).contains(&slowest), "{slowest} ms");
    assert_eq!(machine.report()?.exit_code(), 0);
    somebody_picks_on_a_terminal(&machine)
}

/// `apply --interactive` and `--dry-run` on the same machine: escape does nothing, and what is not picked
/// stays as it was.
fn somebody_picks_on_a_terminal(machine: &Machine) -> Result<()> {
    machine.bed.shell("systemctl stop 'batch@*'; systemctl start batch@1 batch@2 batch@3")?;
    machine.swap_library(1)?;
    let units = ["batch@1.service", "batch@2.service", "batch@3.service"];
    let before = units.map(|unit| machine.unit(unit));
    let typed = |keys: &str, arguments: &str| {
        let script = format!("(sleep 2; printf '{keys}'; sleep 1) | script -qec 'reexec apply {arguments}' /dev/null");
        machine.bed.shell(&format!("{script} || true"))
    };
    let said = typed("\\033", "--interactive")?;
    ensure!(said.contains("batch@1.service") && said.contains("rule \"all\""), "{said}");
    for (unit, before) in units.iter().zip(&before) {
        assert_eq!(&machine.unit(unit)?, before.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?, "{said}");
    }
    let dry = machine.reexec(&["apply", "--dry-run"])?;
    ensure!(dry.text().matches("will restart (rule \"all\")").count() == 3, "{}", dry.text());

    // Down to the second one, and off it goes.
    let said = typed("\\033[B \\r", "--interactive")?;
    ensure!(said.contains("not picked"), "{said}");
    let changed =
        |unit: &str, before: &Result<_>| Ok::<_, anyhow::Error>(before.as_ref().ok() != Some(&machine.unit(unit)?));
    let picked: Vec<bool> =
        units.iter().zip(&before).map(|(unit, before)| changed(unit, before)).collect::<Result<_>>()?;
    assert_eq!(picked, [true, false, true], "{said}");
    let refused = machine.reexec(&["apply", "--interactive"])?;
    assert_eq!(refused.code(), Some(2));
    ensure!(refused.errors().contains("needs a terminal"), "{}", refused.errors());
    Ok(())
}

/// Kills runs at random points, a hundred times, and lets the next one take up what they left.
const KILLS: &str = r#"
unit() { printf '[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStartPre=/bin/sh -c "echo x >>/run/starts.%%n"\nExecStart=/usr/sbin/probed\n' >/etc/systemd/system/$1; }
for unit in ka kb kc; do unit $unit.service; done
printf '[Service]\nType=exec\nExecStart=/usr/sbin/probed new\nStandardOutput=append:/run/says\n' >/etc/systemd/system/ks.service
printf '[Service]\nType=notify\nExecStart=/usr/local/sbin/asked /run/asked.socket\n' >/etc/systemd/system/kq.service
renew() { cp /srv/dist/asked.$1 /usr/local/sbin/asked.new; mv /usr/local/sbin/asked.new /usr/local/sbin/asked; }
renew 1
printf '#!/bin/sh\necho x >>/run/notes\n' >/usr/local/sbin/note; chmod 755 /usr/local/sbin/note
systemctl daemon-reload; systemctl start ka kb kc ks $ASKED
kept() { systemctl show -p MainPID -p InvocationID ks $ASKED | xargs; }; before=$(kept)
library=/usr/lib/x86_64-linux-gnu/libprobe.so.1
swap() { cp /srv/dist/$1.so $library.new; mv $library.new $library; }
count() { [ -e $1 ] && wc -l <$1 || echo 0; }
swap 2; renew 2; started=$(date +%s%N); reexec apply -q; spent=$(( ($(date +%s%N) - started) / 1000000 ))
killed=0 taken=0 RANDOM=$SEED
for round in $(seq 100); do
    rm -f /run/starts.* /run/notes; touch /run/notes; : >/run/says
    swap $(( (round + 1) % 2 + 1 )); renew $(( (round + 1) % 2 + 1 ))
    reexec apply -q & pid=$!
    after=$(( RANDOM % spent )); sleep $(printf '%d.%03d' $(( after / 1000 )) $(( after % 1000 )))
    ! kill -9 $pid 2>/dev/null || killed=$(( killed + 1 ))
    wait $pid 2>/dev/null || true
    [ ! -e /run/reexec/running.json ] || taken=$(( taken + 1 ))
    reexec apply --format json >/run/said || { echo "round $round: $(cat /run/said)"; exit 1; }
    for unit in ka kb kc; do
        systemctl -q is-active $unit || { echo "round $round: $unit is down"; exit 1; }
        starts=$(count /run/starts.$unit.service)
        [ $starts = 1 ] || { echo "round $round: $unit was started $starts times: $(cat /run/said)"; exit 1; }
    done
    notes=$(count /run/notes)
    [ $notes -ge 1 ] && [ $notes -le 2 ] || { echo "round $round: the command ran $notes times"; exit 1; }
    says=$(count /run/says)
    [ $says -ge 1 ] && [ $says -le 2 ] || { echo "round $round: it was signalled $says times"; exit 1; }
    [ "$(kept)" = "$before" ] || { echo "round $round: $before, now $(kept)"; exit 1; }
    reexec report -q || { echo "round $round: something is stale"; exit 1; }
    [ ! -e /run/reexec/running.json ] || { echo "round $round: it still seems to run"; exit 1; }
done
echo "$killed $taken $spent"
"#;

#[test]
fn a_run_that_is_killed_at_a_hundred_random_points_is_taken_up_and_repeats_nothing() -> Result<()> {
    needs_bed!(BASE);
    let rules = "  - { name: plain, match: { unit: [ka.service, kb.service] }, action: restart }
  - { name: steps, match: { unit: kc.service }, action: [{ command: { run: [/usr/local/sbin/note] } }, restart] }
  - { name: signalled, match: { unit: ks.service }, action: [{ signal: HUP }] }
  - { name: asked, match: { unit: kq.service }, action: ask }
defaults: { settle: 100ms }
";
    let machine = Machine::with_probes("killed", "  []\n")?;
    machine.bed.write_file(POLICY, format!("version: 1\nrules:\n{rules}").as_bytes())?;
    let asked = std::fs::read(program(Language::Rust)?)?;
    for version in 1..=2 {
        let path = machine.dist().join(format!("asked.{version}"));
        std::fs::write(&path, version_of(&asked, version)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    let seed = std::process::id() % 30_000;
    // The example daemon is built for this machine's C library, which is newer than bullseye's.
    let asked = if suite::name() == "bullseye" { "" } else { "kq" };
    let script = format!("SEED={seed} ASKED={asked}\n{KILLS}");
    let said = machine.bed.exec_within(Duration::from_secs(600), b"", &["bash", "-euc", &script])?;
    let said = said.success().with_context(|| format!("seed {seed}"))?.text();
    let numbers: Vec<u32> = said.split(' ').map(str::parse).collect::<Result<_, _>>().with_context(|| said.clone())?;
    figure(&format!(
        "100 runs of {} ms: {} were killed, {} of them in the middle of acting",
        numbers[2], numbers[0], numbers[1]
    ));
    ensure!(numbers[0] >= 50 && numbers[1] >= 5, "too few were killed: {said}");
    Ok(())
}

#[test]
fn what_runs_sessions_and_what_an_admin_works_in_is_told_from_what_may_be_restarted() -> Result<()> {
    needs_bed!(BASE);
    let repository = repacked(BASE, "+reexec1", &libraries())?;
    let services = ["ssh.service", "redis-server.service", "cron.service", "rsyslog.service"];
    let rules = "  - { name: all, match: { owner: service }, action: restart }\n";
    let machine = Machine::with_repository("people", rules, Some(&repository))?;
    let bed = &machine.bed;
    bed.shell(
        "mkdir -p /root/.ssh; ssh-keygen -qt ed25519 -N '' -f /root/.ssh/id_ed25519; cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys",
    )?;
    let ssh = "ssh -o StrictHostKeyChecking=no -o BatchMode=yes root@127.0.0.1";
    let _open = machine.start(&["bash", "-c", &format!("exec {ssh} 'touch /run/open; exec sleep 900'")])?;
    let session = "loginctl --no-legend list-sessions | awk '{ print $1 }' | head -1";
    let session = wait_until("somebody is logged in by ssh", SOON, || {
        let id = bed.shell(session)?;
        let is_open = !id.is_empty() && machine.outside("/run/open").exists();
        Ok(is_open.then_some(format!("session-{id}.scope")))
    })?;
    let before = bed.pids_of(&session)?;
    ensure!(before.len() >= 2, "the session is not complete: {before:?}");
    // A service in which somebody works at a terminal.
    let preload = "LD_PRELOAD=/lib/x86_64-linux-gnu/libz.so.1";
    bed.shell(&format!("systemd-run -q --unit=inside -E {preload} -p Type=exec script -qec 'sleep 900' /dev/null"))?;
    let inside = machine.unit("inside.service")?;

    bed.apt_install(&libraries())?.success()?;
    machine.applied_within(Duration::from_secs(60))?;
    let last = machine.last()?;
    // cron of bullseye maps none of the libraries.
    for service in services.iter().filter(|service| suite::name() != "bullseye" || **service != "cron.service") {
        assert_eq!(last.owner(service)?["proof"], "fresh", "{:#}", last.owner(service)?);
    }
    assert_eq!(bed.pids_of(&session)?, before, "the open session was disturbed");
    assert_eq!(last.owner(&session)?["decision"]["rule"], "sessions");
    ensure!(last.owner("ssh.service")?["pids"] == Value::Array(Vec::new()), "{:#}", last.owner("ssh.service")?);
    assert_eq!(machine.unit("inside.service")?, inside);

    let why = last.skipped("inside.service")?;
    ensure!(why.contains("works at a terminal inside it"), "{why}");
    let explained = machine.reexec(&["explain", "ssh.service"])?;
    ensure!(explained.text().contains("decided by \"all\""), "{}", explained.text());
    let explained = one_line(&machine.reexec(&["explain", "dbus.service"])?.text());
    let why = "not by \"all\": \"message bus\" protects it; only a rule that names the unit goes before";
    ensure!(explained.contains("decided by \"message bus\"") && explained.contains(why), "{explained}");
    Ok(())
}

/// Validates YAML values, as JSON, against the schema that `policy schema` prints; a line for each.
fn faults(values: &[serde_json::Value]) -> Result<Option<Vec<String>>> {
    let Some(python) = python("python") else { return Ok(None) };
    let check = "import json, sys, jsonschema\n\
        schema, values = (json.load(open(path)) for path in sys.argv[1:])\n\
        jsonschema.Draft202012Validator.check_schema(schema)\n\
        for value in values: print(json.dumps([e.json_path for e in jsonschema.Draft202012Validator(schema).iter_errors(value)]))";
    let schema = reexec::model::policy::schema().to_string();
    let values = serde_json::to_string(values)?;
    let said = script(&python, check, &[("schema", &schema), ("values", &values)])?.success()?;
    Ok(Some(said.text().lines().map(str::to_owned).collect()))
}

#[test]
fn the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() -> Result<()> {
    let mut good: Vec<String> = vec![String::new()];
    good.push(std::fs::read_to_string(workspace().join("hook/share/policy.d/50-default.yaml"))?);
    for document in ["docs/policy.md", "docs/guide.md"] {
        let text = std::fs::read_to_string(workspace().join(document))?;
        let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
        good.extend(blocks.map(str::to_owned));
    }
    ensure!(good.len() >= 8, "the examples were not found");
    let bad = [
        "rules: [{ action: reboot }]",
        "rules: [{ name: a }]",
        "rules: [{ action: signal }]",
        "rules: [{ action: { command: { deadline: 5s } } }]",
        "rules: [{ action: { command: { run: [x] } } }]",
        "rules: [{ action: { restart: {} } }]",
        "rules: [{ action: { signal: { to: main } } }]",
        "rules: [{ action: report, match: { unti: a } }]",
        "rules: [{ action: report, match: { owner: Service } }]",
        "rules: [{ action: report, match: { unit: [] } }]",
        "rules: [{ action: report, match: { not: {} } }]",
        "rules: [{ action: report, when: inline }]",
        "defaults: { settle: 5 }",
        "defaults: { max_parallel: 0 }",
        "windows: { a: { from: '02:00' } }",
        "windows: { a: { from: '2:00', to: '03:00' } }",
        "windows: { a: { days: fry, from: '02:00', to: '03:00' } }",
        "version: 2",
        "rule: []",
    ];
    let folder = Scratch::new("policies")?;
    let mut values = Vec::new();
    for (index, text) in good.iter().map(String::as_str).chain(bad).enumerate() {
        let file = folder.join(format!("{index}.yaml"));
        std::fs::write(&file, text)?;
        let taken = reexec::sys::config::load_file(&file);
        assert_eq!(taken.is_ok(), index < good.len(), "{text}: {taken:?}");
        values.push(serde_yaml::from_str::<serde_json::Value>(text)?);
    }
    let Some(faults) = faults(&values)? else { skip!("needs jsonschema (make deps)") };
    assert_eq!(faults.len(), values.len());
    for (index, fault) in faults.iter().enumerate() {
        assert_eq!(fault == "[]", index < good.len(), "{}: {fault}", values[index]);
    }
    Ok(())
}
