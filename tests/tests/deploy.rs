//! Deploying without a package manager, on a machine that runs: the new is started and seen to live before the
//! old is given up.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::{daemon, library, library_bytes, LIBRARY};
use reexec_tests::machine::{figure, Machine, BASE};
use reexec_tests::needs_bed;
use reexec_tests::tools::report_faults;
use serde_json::Value;

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

/// The same program as another build of it: with another build-id.
fn rebuilt(mut program: Vec<u8>) -> Result<Vec<u8>> {
    // Sizes of name and description, the type NT_GNU_BUILD_ID, and the name (elf(5)).
    const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let at = program.windows(NOTE.len()).position(|bytes| bytes == NOTE).context("no build-id")?;
    program[at + NOTE.len()] ^= 1;
    Ok(program)
}

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
    bed.write_program("/root/nginx.good", &rebuilt(bed.read_file("/usr/sbin/nginx.real")?)?)?;
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
