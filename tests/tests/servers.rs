//! Servers of Debian whose new programs are taken up in their own ways: haproxy's master executes itself and
//! lets its old worker finish, postgresql does not by a reload, and what hangs on containerd comes up with it.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::Options;
use reexec_tests::echo::version_of;
use reexec_tests::machine::Machine;
use reexec_tests::needs_bed;
use reexec_tests::run::wait_until;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const BASE: &str = "servers";
const SOON: Duration = Duration::from_secs(60);

const RULES: &str = "  - { name: balancer, match: { unit: haproxy.service }, action: reload }
  - { name: databases, match: { unit: 'postgresql@*.service' }, action: [reload, restart] }
  - { name: containers, match: { unit: containerd.service }, action: restart, dependents: start }
";

/// haproxy before the database, a client of it that waits for `$1` seconds, and a daemon that is bound to
/// containerd as docker is.
const SETUP: &str = r#"
cat >>/etc/haproxy/haproxy.cfg <<'END'
listen database
    bind 127.0.0.1:8000
    mode tcp
    timeout client 10m
    timeout server 10m
    server local 127.0.0.1:5432
END
hba=$(echo /etc/postgresql/*/main/pg_hba.conf)
echo 'local all all trust' >$hba; echo 'host all all 127.0.0.1/32 trust' >>$hba
systemctl reload $(basename /etc/postgresql/*/ | sed 's/.*/postgresql@&-main/'); systemctl restart haproxy
cat >/usr/local/bin/client <<'END'
#!/bin/sh
runuser -u postgres -- psql -h 127.0.0.1 -p 8000 postgres -c "select 'slept', pg_sleep($1)" >$2 2>&1
echo "ended $?" >>$2
END
chmod 755 /usr/local/bin/client
printf '[Unit]\nBindsTo=containerd.service\nAfter=containerd.service\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n' >/etc/systemd/system/dockerd.service
systemctl daemon-reload; systemctl start dockerd
echo $(basename /etc/postgresql/*/)
"#;

fn runs_what_stands_there(machine: &Machine, pid: u32, path: &str) -> Result<bool> {
    let pid =
        machine.bed.pids_of("haproxy.service")?.into_iter().find(|one| one.inside == pid).context("its master")?;
    let running = std::fs::metadata(format!("/proc/{}/exe", pid.outside))?;
    Ok((running.dev(), running.ino())
        == std::fs::metadata(machine.outside(path)).map(|file| (file.dev(), file.ino()))?)
}

#[test]
fn haproxy_postgresql_and_containerd_run_their_new_programs_and_keep_what_they_can() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::on(BASE, "servers", RULES, Options::default(), None)?;
    let bed = &machine.bed;
    let version = bed.shell(SETUP)?;
    let database = format!("postgresql@{version}-main.service");
    let haproxy = machine.unit("haproxy.service")?;

    // A worker with a connection does not end; its master is the same process, and runs the new file.
    let busy = machine.start(&["client", "900", "/run/busy"])?;
    let served = "select count(*) from pg_stat_activity where query like '%slept%' and client_addr is not null";
    let query = format!("runuser -u postgres -- psql -Atc \"{served}\"");
    wait_until("a client is served", SOON, || Ok((bed.shell(&query)? == "1").then_some(())))?;
    machine.swap_program("/usr/sbin/haproxy")?;
    let report = machine.apply(&[])?;
    let (action, outcome, words) = report.step("haproxy.service", 0)?;
    assert_eq!((action, outcome), ("reload", "done"), "{words}");
    ensure!(words.contains("1 old process is finishing its work: "), "{words}");
    assert_eq!((&report.owner("haproxy.service")?["proof"], report.exit_code()), (&"draining".into(), 1));
    assert_eq!(machine.unit("haproxy.service")?, haproxy);
    ensure!(runs_what_stands_there(&machine, haproxy.main_pid, "/usr/sbin/haproxy")?, "the master is the old one");
    let left = machine.report()?;
    ensure!(left.owners() == ["haproxy.service"], "{:#}", left.0);
    assert_eq!(left.processes_of("haproxy.service").len(), 1);
    drop(busy);
    bed.shell("runuser -u postgres -- psql -c \"select pg_terminate_backend(pid) from pg_stat_activity where query like '%slept%' and pid <> pg_backend_pid()\" >&2")?;
    wait_until("the old worker has ended", SOON, || Ok((machine.report()?.exit_code() == 0).then_some(())))?;

    // A reload of the database is done and renews nothing; a restart does, and ends its clients' sessions.
    let before = machine.unit(&database)?;
    machine.swap_program(&format!("/usr/lib/postgresql/{version}/bin/postgres"))?;
    let stale = machine.report()?.processes_of(&database).len();
    ensure!(stale >= 5, "the postmaster and what it has started are {stale}");
    let report = machine.apply(&[])?;
    let (action, outcome, words) = report.step(&database, 0)?;
    ensure!((action, outcome) == ("reload", "done") && words.contains("of its processes run an old file"), "{words}");
    ensure!(!words.contains("finishing"), "what does not end by itself is not draining: {words}");
    assert_eq!((report.step(&database, 1)?.1, &report.owner(&database)?["proof"]), ("done", &"fresh".into()));
    let after = machine.unit(&database)?;
    ensure!(after.main_pid != before.main_pid && after.state == "active", "{after:?}");
    assert_eq!(bed.shell("runuser -u postgres -- psql -Atc 'select 6 * 7'")?, "42");

    // What is bound to containerd goes down with it, and is up again.
    let bound = machine.unit("dockerd.service")?;
    machine.swap_program("/usr/bin/containerd")?;
    let plan = machine.reexec(&["plan"])?.text();
    ensure!(plan.contains("a restart takes dockerd.service along"), "{plan}");
    let report = machine.apply(&[])?;
    let row = report.owner("containerd.service")?;
    assert_eq!((&row["proof"], &row["fallen"]), (&"fresh".into(), &serde_json::json!([])), "{row:#}");
    let again = machine.unit("dockerd.service")?;
    ensure!(again.state == "active" && again.invocation != bound.invocation, "{again:?}");
    assert_eq!(bed.shell("ctr version | grep -c Version")?, "2");
    assert_eq!(machine.report()?.exit_code(), 0);
    Ok(())
}

/// Queries that use an extension, each in a session of its own, until somebody says stop; and one that does not end.
const QUERIES: &str = r#"
rm -f /tmp/stop; : >/tmp/asked
psql() { runuser -u postgres -- psql -Atc "$1"; }
psql 'create extension if not exists pg_trgm' >&2
cat >/usr/local/bin/queries <<'END'
#!/bin/bash
until [ -e /tmp/stop ]; do
    said=$(runuser -u postgres -- psql -Atc "select similarity('word', 'two words') > 0.1" 2>&1)
    if [ "$said" = t ]; then echo ok; else echo "failed: $said"; fi >>/tmp/asked
done
END
chmod 755 /usr/local/bin/queries
systemctl stop long 2>/dev/null || true
systemd-run -q --unit long --collect runuser -u postgres -- psql -c "select similarity('word', 'two words'), pg_sleep(900)"
systemd-run -q --unit queries --collect queries
until [ "$(psql "select count(*) from pg_stat_activity where query like '%pg_sleep(900)%' and wait_event = 'PgSleep'")" = 1 ]; do sleep 0.1; done
"#;

#[test]
fn an_extension_is_replaced_under_a_database_and_no_query_fails() -> Result<()> {
    needs_bed!(BASE);
    let machine = Machine::on(BASE, "extension", RULES, Options::default(), None)?;
    let bed = &machine.bed;
    let version = bed.shell("basename /etc/postgresql/*/")?;
    let (database, path) =
        (format!("postgresql@{version}-main.service"), format!("/usr/lib/postgresql/{version}/lib/pg_trgm.so"));
    let asked = |least: u32| -> Result<()> {
        let count = "grep -c ok /tmp/asked || true";
        wait_until("queries are answered", SOON, || Ok((bed.shell(count)?.parse::<u32>()? >= least).then_some(())))
    };
    let original = bed.read_file(&path)?;
    for build in 2..=3 {
        bed.write_file(&format!("/root/pg_trgm.{build}"), &version_of(&original, build)?)?;
    }

    // Written over what runs: found, and named.
    bed.shell(QUERIES)?;
    asked(3)?;
    bed.shell(&format!("cp /root/pg_trgm.2 {path}"))?;
    let report = machine.report()?;
    assert_eq!((report.exit_code(), &report.owner(&database)?["verdict"]), (3, &"tainted".into()));
    let causes = report.causes_of(&database);
    ensure!(!causes.is_empty(), "{:#}", report.0);
    for cause in causes {
        assert_eq!((&cause["path"], &cause["method"]), (&path.as_str().into(), &"overwritten".into()), "{cause:#}");
    }
    let said = machine.reexec(&["report"])?.text();
    ensure!(said.contains("pg_trgm.so") && said.contains(&format!("postgresql@{version}-main")), "{said}");
    bed.shell("touch /tmp/stop; until ! systemctl -q is-active queries; do sleep 0.1; done")?;
    let report = machine.apply(&[])?;
    assert_eq!((&report.owner(&database)?["proof"], report.exit_code()), (&"fresh".into(), 0), "{:#}", report.0);

    // Put in place by a rename: nobody notices, and who maps the old is known.
    bed.shell(QUERIES)?;
    asked(3)?;
    machine.reexec(&["replace", "--later", "/root/pg_trgm.3", &path])?.success()?;
    asked(bed.shell("grep -c ok /tmp/asked")?.parse::<u32>()? + 10)?;
    bed.shell("touch /tmp/stop; until ! systemctl -q is-active queries; do sleep 0.1; done")?;
    assert_eq!(bed.shell("grep -v ok /tmp/asked || true")?, "");
    let report = machine.report()?;
    let methods: Vec<&str> = report.causes_of(&database).iter().filter_map(|cause| cause["method"].as_str()).collect();
    assert_eq!((report.exit_code(), methods), (1, vec!["renamed"]), "{:#}", report.0);
    let report = machine.apply(&[])?;
    assert_eq!((&report.owner(&database)?["proof"], report.exit_code()), (&"fresh".into(), 0), "{:#}", report.0);
    assert_eq!(bed.shell("runuser -u postgres -- psql -Atc \"select similarity('a b', 'a b')\"")?, "1");
    Ok(())
}
