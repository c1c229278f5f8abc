//! Upgrades on machines without systemd: the hook acts by itself, through the tools of the init that runs
//! there, and proves it.

use anyhow::{ensure, Context, Result};
use reexec_tests::bed::{tool, Bed, Options};
use reexec_tests::debian::{daemon, library};
use reexec_tests::machine::{figure, package};
use reexec_tests::needs_bed;
use reexec_tests::place::Scratch;
use reexec_tests::run::{run, wait_until, Output};
use serde_json::Value;
use std::fs;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const COMMAND: Duration = Duration::from_secs(120);

/// A script of the bed's init for the probe daemon, and the policy.
const SERVICE: &str = r#"
cat >/etc/init.d/probed <<'END'
#!/bin/sh
### BEGIN INIT INFO
# Provides:          probed
# Required-Start:    $local_fs
# Required-Stop:     $local_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: a probe
### END INIT INFO
PIDFILE=/run/probed.pid
DAEMON=/usr/sbin/probed
echo "$1" >>${PIDFILE%.pid}.verbs
case $1 in
    start) start-stop-daemon --start --background --make-pidfile --pidfile $PIDFILE --exec $DAEMON;;
    stop) start-stop-daemon --stop --pidfile $PIDFILE --retry 5;;
    restart) $0 stop; $0 start;;
    reload) start-stop-daemon --stop --signal HUP --pidfile $PIDFILE;;
    status) start-stop-daemon --status --pidfile $PIDFILE;;
    *) exit 3;;
esac
END
chmod 755 /etc/init.d/probed
update-rc.d probed defaults >&2
mkdir -p /etc/reexec/policy.d
cat >/etc/reexec/policy.d/10-test.yaml <<'END'
version: 1
defaults: { settle: 1s }
rules:
  - { name: probes, match: { unit: [probed.service, supervised.service] }, action: restart }
  - { name: reloads, match: { unit: reloads.service }, action: reload }
END
reexec policy check >&2
"#;

/// A machine without systemd and with the package, its policy, and the probe in its first version.
struct Other {
    bed: Bed,
    _dist: Scratch,
}

impl Other {
    fn boot(base: &str) -> Result<Other> {
        let dist = Scratch::new("dist")?;
        fs::copy(package()?, dist.join("reexec.deb"))?;
        for version in 1..=2 {
            library(version)?.build(dist.path())?;
        }
        daemon()?.build(dist.path())?;
        let options = Options::default().bind_ro(dist.path(), "/srv/dist").init("/sbin/init");
        let machine = Other { bed: Bed::boot(base, base, &options)?, _dist: dist };
        wait_until("its services are up", SOON, || Ok(machine.shell("pidof nginx").ok()))?;
        machine.shell("dpkg -i --force-depends /srv/dist/reexec.deb /srv/dist/libprobe1_1.0_amd64.deb /srv/dist/probed_1.0_amd64.deb >&2")?;
        machine.shell(SERVICE)?;
        Ok(machine)
    }

    fn raw(&self, script: &str) -> Result<Output> {
        run(tool().args(["raw", self.bed.name(), "bash", "-euc", script]), b"", COMMAND)
    }

    fn shell(&self, script: &str) -> Result<String> {
        Ok(self.raw(script)?.success().with_context(|| script.to_owned())?.text())
    }

    /// The row of an owner in the report of the run that the upgrade made.
    fn row(&self, owner: &str) -> Result<Value> {
        let last: Value = serde_json::from_str(&self.shell("cat /var/lib/reexec/last.json")?)?;
        let rows = last["owners"].as_array().context("owners")?;
        rows.iter().find(|row| row["name"] == owner).cloned().with_context(|| format!("{last:#}"))
    }

    /// Upgrades the library; the services that run the old one, with their pids before and after.
    fn upgrade(&self, owner: &str, tool: &str) -> Result<()> {
        let pids = "pidof probed | tr ' ' '\\n' | sort -n | xargs";
        let before = self.shell(pids)?;
        ensure!(!before.is_empty(), "no probe runs");
        let said = self.raw("dpkg -i /srv/dist/libprobe1_2.0_amd64.deb")?.success()?;
        let row = self.row(owner).with_context(|| format!("{}{}", said.text(), said.errors()))?;
        assert_eq!(row["proof"], "fresh", "{row:#}");
        let words = row["steps"][0]["message"].as_str().unwrap_or_default();
        ensure!(words.contains(tool), "{words}");
        ensure!(said.text().contains("proven fresh"), "{}", said.text());
        ensure!(self.shell(pids)? != before, "nothing was restarted");
        ensure!(self.raw("grep -l 'libprobe.*(deleted)' /proc/[0-9]*/maps")?.text().is_empty(), "the old is mapped");
        let left = self.raw("reexec report --verbose")?;
        assert_eq!(left.code(), Some(0), "{}", left.text());
        Ok(())
    }
}

impl Other {
    /// An init script like the one before, of a daemon that executes itself anew when it is told to reload.
    fn add_reloading_script(&self) -> Result<()> {
        self.shell(
            "sed 's/probed[.]pid/reloads.pid/; s/^\\(# Provides: *\\)probed/\\1reloads/; s/--exec $DAEMON/& -- new/' \
                 /etc/init.d/probed >/etc/init.d/reloads
             chmod 755 /etc/init.d/reloads; update-rc.d reloads defaults >&2
             /usr/sbin/service reloads start >&2; for i in $(seq 50); do [ -s /run/reloads.pid ] && break; sleep 0.1; done",
        )
        .map(drop)
    }

    /// Goes back to the first version of the library. The daemon that is reloaded keeps its process.
    fn downgrade(&self, tool: &str) -> Result<()> {
        let running =
            "for pid in $(pidof probed); do tr '\\0' ' ' </proc/$pid/cmdline | grep -q ' new' && echo $pid || true; done";
        let before = self.shell(running)?;
        ensure!(before.parse::<u32>().is_ok(), "not one daemon that can be reloaded: {before}");
        let said = self.raw("dpkg -i /srv/dist/libprobe1_1.0_amd64.deb")?.success()?;
        let row = self.row("reloads").with_context(|| format!("{}{}", said.text(), said.errors()))?;
        assert_eq!((&row["proof"], &row["steps"][0]["action"]), (&"fresh".into(), &"reload".into()), "{row:#}");
        let words = row["steps"][0]["message"].as_str().unwrap_or_default();
        ensure!(words.contains(tool), "{words}");
        assert_eq!(self.shell(running)?, before, "it is another process");
        ensure!(self.raw("grep -l 'libprobe.*(deleted)' /proc/[0-9]*/maps")?.text().is_empty(), "the old is mapped");
        Ok(())
    }
}

#[test]
fn an_upgrade_restarts_a_daemon_of_an_init_script_and_proves_it() -> Result<()> {
    for (base, tool) in [("sysvinit", "invoke-rc.d"), ("openrc", "rc-service")] {
        needs_bed!(base);
        let machine = Other::boot(base)?;
        machine.shell("/usr/sbin/service probed start >&2; sleep 0.5")?;
        machine.upgrade("probed", &format!("{tool} probed restart")).with_context(|| base.to_owned())?;
        let verbs = machine.shell("xargs </run/probed.verbs")?;
        figure(&format!("{base}: the script was called with {verbs}"));
        // Whether the tool says `restart` to the script, or `stop` and `start`, is its own business.
        ensure!(["start restart stop start", "start stop start"].contains(&verbs.as_str()), "{verbs}");
        machine.add_reloading_script()?;
        machine.downgrade(&format!("{tool} reloads reload")).with_context(|| base.to_owned())?;

        // The same program, run by a person, is not the service.
        machine.shell("useradd -m alice; runuser -u alice -- /usr/sbin/probed >/dev/null & sleep 0.5")?;
        machine.shell("dpkg -i /srv/dist/libprobe1_2.0_amd64.deb >&2")?;
        let said: Value = serde_json::from_str(&machine.raw("reexec report --format json")?.text())?;
        let kinds: Vec<&Value> = said["owners"].as_array().context("owners")?.iter().map(|row| &row["kind"]).collect();
        assert_eq!(kinds, ["loose"], "{said:#}");
    }
    Ok(())
}

#[test]
fn an_upgrade_restarts_a_daemon_that_runit_supervises_and_proves_it() -> Result<()> {
    needs_bed!("runit");
    let machine = Other::boot("runit")?;
    machine.shell(
        "mkdir -p /etc/sv/supervised; printf '#!/bin/sh\\nexec /usr/sbin/probed\\n' >/etc/sv/supervised/run
         chmod 755 /etc/sv/supervised/run; ln -s /etc/sv/supervised /etc/service/supervised",
    )?;
    wait_until("it is supervised", SOON, || Ok(machine.shell("pidof probed").ok()))?;
    machine.upgrade("supervised", "sv -w")?;
    machine.shell(
        "mkdir -p /etc/sv/reloads; printf '#!/bin/sh\\nexec /usr/sbin/probed new\\n' >/etc/sv/reloads/run
         chmod 755 /etc/sv/reloads/run; ln -s /etc/sv/reloads /etc/service/reloads",
    )?;
    wait_until("it is supervised", SOON, || Ok(machine.shell("pidof probed | grep ' '").ok()))?;
    machine.downgrade("sv -w")
}

/// s6 beside SysV init, as Debian's package is used: it has no init of its own.
#[test]
fn an_upgrade_restarts_and_reloads_daemons_that_s6_supervises_and_proves_it() -> Result<()> {
    needs_bed!("sysvinit");
    let machine = Other::boot("sysvinit")?;
    machine.shell(
        "mkdir -p /etc/s6/supervised /etc/s6/reloads
         printf '#!/bin/sh\\nexec /usr/sbin/probed\\n' >/etc/s6/supervised/run
         printf '#!/bin/sh\\nexec /usr/sbin/probed new\\n' >/etc/s6/reloads/run
         chmod 755 /etc/s6/*/run; setsid s6-svscan /etc/s6 </dev/null >/dev/null 2>&1 &",
    )?;
    wait_until("they are supervised", SOON, || Ok(machine.shell("pidof probed | grep ' '").ok()))?;
    machine.upgrade("supervised", "s6-svc -wr")?;
    let row = machine.row("reloads")?;
    assert_eq!((&row["proof"], &row["steps"][0]["action"]), (&"fresh".into(), &"reload".into()), "{row:#}");
    machine.downgrade("s6-svc -h")
}
