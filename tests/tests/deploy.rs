//! Deploying without a package manager, on a machine that runs: the new is started and seen to live before the
//! old is given up.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::Options;
use reexec_tests::debian::{daemon, library, library_bytes, LIBRARY};
use reexec_tests::echo::version_of;
use reexec_tests::machine::{figure, Machine, BASE};
use reexec_tests::packages::index;
use reexec_tests::place::Scratch;
use reexec_tests::run::{run, wait_until};
use reexec_tests::states::Shop;
use reexec_tests::tools::report_faults;
use reexec_tests::{needs_bed, skip};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const NGINX: &str = "/usr/sbin/nginx";

/// A build of nginx that serves, and dies after two seconds.
const SHORT_LIVED: &str = "#!/bin/sh
case \"$*\" in *-t*|*-s*) exec /usr/sbin/nginx.real \"$@\";; esac
/usr/sbin/nginx.real \"$@\" || exit 1
(sleep 2; kill -9 $(cat /run/nginx.pid) $(pgrep -P $(cat /run/nginx.pid))) </dev/null >/dev/null 2>&1 &
exit 0
";

/// Asks the server all the time, and counts what it does not answer.
const ASKING: &str = "rm -f /tmp/stop /tmp/asked; touch /tmp/asked
systemd-run -q --unit asking bash -c 'until [ -e /tmp/stop ]; do
  if exec 3<>/dev/tcp/127.0.0.1/80 && printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3 && read -r -t 2 line <&3; then echo ok; else echo failed; fi >>/tmp/asked
  exec 3>&-; sleep 0.02; done'";

#[test]
fn what_does_not_live_with_the_new_file_gets_the_old_one_back_and_serves_again() -> Result<()> {
    needs_bed!(BASE);
    let rules = "  - { name: web, match: { unit: nginx.service }, action: restart, settle: 4s }
  - { name: probes, match: { path: '**/libprobe.so.1' }, action: restart }\n";
    let machine = Machine::boot("deploy", rules)?;
    let bed = &machine.bed;
    bed.shell("systemctl start nginx; cp -p /usr/sbin/nginx /usr/sbin/nginx.real")?;
    bed.write_program("/root/nginx.new", SHORT_LIVED.as_bytes())?;
    let old = bed.shell(&format!("stat -c '%d:%i' {NGINX}"))?;
    bed.shell(ASKING)?;
    let said = machine.reexec(&["replace", "--undo-if-unproven", "--format", "json", "/root/nginx.new", NGINX])?;
    bed.shell("touch /tmp/stop")?;
    let report: Value = serde_json::from_slice(&said.stdout).with_context(|| format!("{said:?}"))?;
    ensure!(said.code() == Some(1), "{report:#}");
    assert_eq!(report_faults(&said.text())?.unwrap_or_default(), "");
    assert_eq!(bed.shell(&format!("stat -c '%d:%i' {NGINX}"))?, old, "the very inode");
    ensure!(
        bed.shell("ls -A /usr/sbin /var/lib/reexec | grep -E '^.reexec|replacing.json' || true")?.is_empty(),
        "left over"
    );
    let story = report["replaced"]["undone"].as_str().with_context(|| format!("{report:#}"))?;
    ensure!(story.contains("nginx.service was down with the new file"), "{story}");
    let owners = report["owners"].as_array().context("owners")?;
    let row = owners.iter().find(|row| row["name"] == "nginx.service").with_context(|| format!("{report:#}"))?;
    ensure!(row["proof"] == "fresh" && row["steps"].as_array().is_some_and(|steps| steps.len() >= 2), "{row:#}");
    assert_eq!(machine.unit("nginx.service")?.state, "active");
    ensure!(!machine.maps_deleted("nginx.service", "nginx")?, "it runs the new file");
    let asked = bed.shell("tail -n 1 /tmp/asked; grep -c ok /tmp/asked; grep -c failed /tmp/asked || true")?;
    let lines: Vec<&str> = asked.lines().collect();
    figure(&format!("requests while a build that dies was tried: {} answered, {} failed", lines[1], lines[2]));
    ensure!(lines[0] == "ok" && lines[1].parse::<u32>()? > 20, "{asked}");

    // A build that lives stays, and is proven.
    bed.write_program("/root/nginx.good", &version_of(&bed.read_file("/usr/sbin/nginx.real")?, 2)?)?;
    let said = machine.reexec(&["replace", "--undo-if-unproven", "/root/nginx.good", NGINX])?.success()?;
    ensure!(said.text().contains("proven fresh") && !said.text().contains("Undone"), "{}", said.text());
    bed.shell(&format!("cmp /root/nginx.good {NGINX}"))?;

    // A daemon's library, by the site's own installer: the same set and the same method as of its package.
    library(1)?.build(machine.dist())?;
    library(2)?.build(machine.dist())?;
    daemon()?.build(machine.dist())?;
    bed.apt_install(&["/srv/dist/libprobe1_1.0_amd64.deb", "/srv/dist/probed_1.0_amd64.deb"])?.success()?;
    machine.applied()?;
    bed.shell("systemctl start probed")?;
    bed.write_file("/root/libprobe.so.1", &library_bytes(2)?)?;
    let before = machine.unit("probed.service")?;
    let said = machine.reexec(&[
        "run",
        "--format",
        "json",
        "--output",
        "/tmp/said",
        "--",
        "cp",
        "--remove-destination",
        "/root/libprobe.so.1",
        LIBRARY,
    ])?;
    let report: Value = serde_json::from_slice(&bed.read_file("/tmp/said")?).with_context(|| format!("{said:?}"))?;
    ensure!(said.code() == Some(0), "{said:?} {report:#}");
    assert_eq!(report_faults(&report.to_string())?.unwrap_or_default(), "");
    let owners = report["owners"].as_array().context("owners")?;
    let names: Vec<&str> = owners.iter().filter_map(|row| row["name"].as_str()).collect();
    ensure!(names == ["probed.service"] && owners[0]["proof"] == "fresh", "{report:#}");
    ensure!(machine.unit("probed.service")?.invocation != before.invocation, "it was not restarted");
    Ok(())
}

const SOON: Duration = Duration::from_secs(60);
const WATCH: &str = "reexec-watch.service";

/// What the update service wrote to the journal.
fn log(machine: &Machine) -> Result<String> {
    machine.bed.shell(&format!("journalctl --sync; journalctl -o cat -u {WATCH}"))
}

/// Waits until it has written this, and returns the line.
fn logged(machine: &Machine, words: &str) -> Result<String> {
    let waited = wait_until(&format!("the log has {words:?}"), SOON, || {
        Ok(log(machine)?.lines().find(|line| line.contains(words)).map(str::to_owned))
    });
    waited.with_context(|| log(machine).unwrap_or_default())
}

/// Signs a manifest of one file, which is to become `/opt/tool`, in a folder that the machine sees as `/srv/dist`.
fn deliver(dist: &Path, content: &str) -> Result<()> {
    let make = format!(
        "mkdir -p -m 700 home; mkdir -p drop/files; export GNUPGHOME=$PWD/home
        [ -e keyring.gpg ] || {{ gpg -q --batch --passphrase '' --quick-generate-key deployer default default never
        gpg -q --export >keyring.gpg; }}
        echo '{content}' >new; sum=$(sha256sum <new | cut -d' ' -f1); mv new drop/files/$sum
        echo $sum 755 /opt/tool >drop/manifest; rm -f drop/manifest.sig; gpg -q --batch -b -o drop/manifest.sig drop/manifest
        gpgconf --kill all"
    );
    run(Command::new("sh").args(["-euc", &make]).current_dir(dist), b"", SOON)?.success()?;
    Ok(())
}

#[test]
fn the_update_service_looks_when_a_user_asks_installs_and_tells_what_nobody_claimed() -> Result<()> {
    needs_bed!(BASE);
    if !Path::new("/usr/bin/gpg").exists() {
        skip!("needs gpg (make deps)");
    }
    let (repository, shop) = (Scratch::new("repository")?, Shop::open()?);
    library(1)?.build(repository.path())?;
    daemon()?.build(repository.path())?;
    index(repository.path())?;
    let rules = "  - { name: probes, match: { unit: probed.service }, action: restart }\n";
    // Where an overlay is the root, the old inode cannot be asked.
    let options =
        Options::default().store("copy").bind_ro(repository.path(), "/srv/repo").bind_ro(shop.path(), "/usr/lib/shop");
    let machine = Machine::with_options("watch", rules, options, Some(repository.path()))?;
    let bed = &machine.bed;
    bed.apt_install(&["libprobe1", "probed"])?.success()?;
    machine.applied()?;
    bed.shell("systemctl start probed; mkdir -p /etc/reexec/update.d /usr/lib/own
        cp /usr/lib/shop/plain1 /usr/lib/own/plug.so
        systemd-run -q --unit own -p StandardInput=file:/dev/zero /usr/lib/shop/static map-code /usr/lib/own/plug.so
        mkdir -p /run/systemd/system/reexec-watch.service.d
        printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/reexec watch --gap 500ms\\n' >/run/systemd/system/reexec-watch.service.d/gap.conf
        ln -s /usr/share/reexec/update.d/apt /etc/reexec/update.d/apt
        systemctl daemon-reload; systemctl enable --now reexec-watch.socket")?;
    assert_eq!(machine.unit(WATCH)?.state, "inactive");

    // A user's byte starts it, and it has found what apt has.
    library(2)?.build(repository.path())?;
    index(repository.path())?;
    let before = machine.unit("probed.service")?;
    bed.shell(
        "setpriv --reuid 65534 --regid 65534 --clear-groups python3 -c \
        'import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"x\", \"/run/reexec-watch.socket\")'",
    )?;
    logged(&machine, "of user 65534")?;
    logged(&machine, "source apt: installed, and nothing of what was acted on runs the old")?;
    machine.applied()?;
    let after = machine.unit("probed.service")?;
    ensure!(after.invocation != before.invocation && !machine.maps_deleted("probed.service", "libprobe")?, "{after:?}");
    assert_eq!(machine.report()?.exit_code(), 0);

    // A signed drop, at a SIGHUP; and one that nobody signed.
    deliver(machine.dist(), "one")?;
    bed.shell("mkdir -p /etc/reexec/drop; cp /srv/dist/keyring.gpg /etc/reexec/drop; ln -s /srv/dist/drop /var/lib/reexec-drop
        ln -s /usr/share/reexec/update.d/drop /etc/reexec/update.d/drop; systemctl reload reexec-watch")?;
    logged(&machine, "source drop: installed")?;
    assert_eq!(bed.shell("cat /opt/tool; stat -c %a:%u /opt/tool; ls -A /opt")?, "one\n755:0\ntool");
    deliver(machine.dist(), "two")?;
    std::fs::write(machine.dist().join("drop/manifest"), "0 755 /opt/other\n")?;
    bed.shell("systemctl reload reexec-watch")?;
    logged(&machine, "source drop: check failed")?;
    assert_eq!(bed.shell("cat /opt/tool; ls -A /opt")?, "one\ntool");
    bed.shell("rm /etc/reexec/update.d/drop")?;

    // A file that was moved aside under a process that does not say how it came to it: only a record of the
    // time before tells, and there is one.
    bed.shell("cd /usr/lib/own; mv plug.so plug.bak; cp -p /usr/lib/shop/plain2 plug.so")?;
    let told = |words: &str| -> Result<()> {
        let report = machine.report()?;
        let cause = report
            .causes_of("own.service")
            .first()
            .copied()
            .cloned()
            .with_context(|| format!("{words}: {:#}", report.0))?;
        assert_eq!((&cause["path"], report.exit_code()), (&"/usr/lib/own/plug.so".into(), 1), "{words}: {cause:#}");
        Ok(())
    };
    told("by the marks")?;
    bed.shell("systemctl reload reexec-watch")?;
    let line = logged(&machine, "/usr/lib/own/plug.so was replaced")?;
    // How is `unknown` here: systemd-nspawn keeps file handles from what it runs, and an overlay gives none.
    ensure!(line.contains(" (unknown: ") && line.contains("nobody said so"), "{line}");
    logged(&machine, "reexec report")?;
    told("remembered")?;
    bed.shell("rm -r /run/reexec")?;
    assert_eq!(machine.report()?.exit_code(), 0, "it can be told without a record");

    let main = machine.unit(WATCH)?.main_pid;
    let resident: u32 = bed.shell(&format!("awk '/^VmRSS/ {{ print $2 }}' /proc/{main}/status"))?.parse()?;
    figure(&format!("the update service between looks: {resident} KiB"));
    ensure!(resident < 16 << 10, "{resident} KiB");
    bed.shell("systemctl stop reexec-watch.socket reexec-watch")?;
    assert_eq!(machine.unit(WATCH)?.state, "inactive");
    ensure!(log(&machine)?.contains("told to end"), "{}", log(&machine)?);
    Ok(())
}
