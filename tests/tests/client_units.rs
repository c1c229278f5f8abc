//! The example daemons of `client/` as services of a real systemd, upgraded by apt and asked.

use anyhow::{ensure, Context, Result};
use reexec_tests::debian::Package;
use reexec_tests::echo::{built_example, installed, program, version_of, Connection, Language};
use reexec_tests::machine::{Machine, BASE};
use reexec_tests::run::wait_until;
use reexec_tests::{needs_bed, skip, suite};
use std::fs;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A daemon as a package: what it is called, and what its unit says.
struct Service {
    name: &'static str,
    language: Language,
    settings: &'static str,
}

const SERVICES: [Service; 2] = [
    Service { name: "echo-rust", language: Language::Rust, settings: "Type=notify\n" },
    // As little as a service can have: no own user, nothing to write to but one folder, no network, no
    // namespaces, and few system calls.
    Service {
        name: "echo-c",
        language: Language::C,
        settings:
            "Type=TYPE\nDynamicUser=yes\nPrivateNetwork=yes\nProtectSystem=strict\nProtectHome=yes\nPrivateTmp=yes\n\
            NoNewPrivileges=yes\nRestrictNamespaces=yes\nRestrictAddressFamilies=AF_UNIX\n\
            SystemCallFilter=@system-service\nMemoryDenyWriteExecute=yes\nCapabilityBoundingSet=\nPrivateDevices=yes\n",
    },
];

impl Service {
    fn unit(&self) -> String {
        format!("{}.service", self.name)
    }

    /// In this version; each has a build-id of its own.
    fn package(&self, machine: &Machine, version: u8) -> Result<String> {
        let content = version_of(&fs::read(program(self.language)?)?, version)?;
        // `notify-reload` is of systemd 253.
        let systemd: u32 =
            machine.bed.shell("systemctl --version | sed -n 's/^systemd \\([0-9]*\\).*/\\1/p'")?.parse()?;
        let settings = self.settings.replace("TYPE", if systemd < 253 { "notify" } else { "notify-reload" });
        let unit =
            format!("[Service]\n{settings}ExecStart=/usr/sbin/{0} /run/{0}/socket\nRuntimeDirectory={0}\n", self.name);
        let mut package = Package::new(self.name, &version.to_string())
            .program(&format!("/usr/sbin/{}", self.name), &content)
            .file(&format!("/usr/lib/systemd/system/{}", self.unit()), unit.as_bytes());
        if self.language == Language::C {
            let library = fs::read(installed()?.join("usr/lib/libreexec-client.so.0"))?;
            package = package.file("/usr/lib/libreexec-client.so.0", &library);
        }
        let deb = package.build(machine.dist())?;
        let name = deb.file_name().and_then(|name| name.to_str()).context("a name")?;
        Ok(format!("/srv/dist/{name}"))
    }

    fn connect(&self, machine: &Machine) -> Result<Connection> {
        Connection::open(&machine.outside(&format!("/run/{}/socket", self.name)))
    }

    /// What must not change over an upgrade.
    fn state(&self, machine: &Machine) -> Result<(u32, String, u32, String)> {
        let unit = machine.unit(&self.unit())?;
        Ok((unit.main_pid, unit.invocation, unit.restarts, machine.bed.systemctl_show(&self.unit(), "SubState")?))
    }
}

/// What came of asking it, in the last run that acted: the outcome, and the words for it.
fn asked(machine: &Machine, service: &Service) -> Result<(String, String)> {
    let last = machine.last()?;
    let owner = last.owner(&service.unit())?;
    let steps = owner["steps"].as_array().context("steps")?;
    ensure!(steps.len() == 1 && steps[0]["action"] == "ask", "{owner:#}");
    let word = |key: &str| steps[0][key].as_str().map(str::to_owned).context("a word");
    Ok((word("outcome")?, word("message")?))
}

fn boot(name: &str, rules: &str) -> Result<Machine> {
    let machine = Machine::boot(name, rules)?;
    fs::copy(built_example("ask")?, machine.dist().join("ask"))?;
    for service in &SERVICES {
        machine.bed.apt_install(&[&service.package(&machine, 1)?])?.success()?;
        machine.bed.shell(&format!("systemctl daemon-reload; systemctl start {}", service.unit()))?;
    }
    machine.applied()?;
    Ok(machine)
}

#[test]
fn services_keep_pid_sockets_and_connections_over_an_upgrade_by_apt() -> Result<()> {
    needs_bed!(BASE);
    if suite::name() == "bullseye" {
        skip!("the example daemons are built for this machine's C library, which is newer");
    }
    let machine = boot("client", "  []\n")?;
    let mut connections = Vec::new();
    for service in &SERVICES {
        let mut connection = service.connect(&machine)?;
        assert_eq!(connection.say("a")?, "1 a");
        connections.push(connection);
    }
    for (service, connection) in SERVICES.iter().zip(&mut connections) {
        let before = service.state(&machine)?;
        assert_eq!(before.3, "running");
        machine.bed.apt_install(&[&service.package(&machine, 2)?])?.success()?;
        machine.applied()?;
        let report = machine.report()?;
        assert_eq!(report.processes_of(&service.unit()).len(), 1, "{}: {:#}", service.name, report.0);

        let said = machine.bed.shell(&format!("/srv/dist/ask {}", before.0))?;
        assert_eq!(said, format!("will\n{} runs \"/usr/sbin/{}\"", before.0, service.name));
        assert_eq!(connection.say("b")?, "2 b", "{}", service.name);
        assert_eq!(service.connect(&machine)?.say("c")?, "1 c", "{}", service.name);
        assert_eq!(service.state(&machine)?, before, "{}", service.name);
        ensure!(machine.report()?.processes_of(&service.unit()).is_empty(), "{}", service.name);
    }

    // A reload is an execution, too.
    let c = &SERVICES[1];
    let (before, how) = (c.state(&machine)?, machine.bed.systemctl_show(&c.unit(), "Type")?);
    let reload = if how == "notify-reload" { "systemctl reload" } else { "systemctl kill -s HUP" };
    machine.bed.shell(&format!("{reload} {}", c.unit()))?;
    wait_until("it serves again", SOON, || Ok(c.connect(&machine)?.say("r").ok()))?;
    assert_eq!(c.state(&machine)?, before);

    // A file that is none: the service goes on, and is not left in "reloading".
    for (service, connection) in SERVICES.iter().zip(&mut connections) {
        let before = service.state(&machine)?;
        let path = format!("/usr/sbin/{}", service.name);
        machine.bed.write_program(&format!("{path}.new"), b"\x7fELF, or so it says")?;
        machine.bed.shell(&format!("mv {path}.new {path}"))?;
        let said = machine.bed.exec(&["/srv/dist/ask", &before.0.to_string()])?;
        ensure!(said.code() == Some(1) && said.text().contains("failed: \"the new program did not pass"), "{said:?}");
        assert_eq!(connection.say("d")?, "3 d", "{}", service.name);
        assert_eq!(service.state(&machine)?, before, "{}", service.name);
    }
    Ok(())
}

#[test]
fn the_policy_asks_services_after_an_upgrade_and_proves_that_they_did() -> Result<()> {
    needs_bed!(BASE);
    if suite::name() == "bullseye" {
        skip!("the example daemons are built for this machine's C library, which is newer");
    }
    let machine = boot("client-ask", "  - { name: echo, match: { unit: \"echo-*\" }, action: ask }\n")?;
    let mut connections = Vec::new();
    let mut before = Vec::new();
    for service in &SERVICES {
        let mut connection = service.connect(&machine)?;
        assert_eq!(connection.say("a")?, "1 a");
        connections.push(connection);
        before.push(service.state(&machine)?);
    }
    let upgrade = |version: u8| -> Result<()> {
        let packages: Vec<String> =
            SERVICES.iter().map(|service| service.package(&machine, version)).collect::<Result<_>>()?;
        machine.bed.apt_install(&packages.iter().map(String::as_str).collect::<Vec<_>>())?.success()?;
        machine.applied()
    };
    upgrade(2)?;
    for ((service, connection), before) in SERVICES.iter().zip(&mut connections).zip(&before) {
        let (outcome, words) = asked(&machine, service)?;
        assert_eq!(outcome, "done", "{}: {words}", service.name);
        assert_eq!(machine.last()?.owner(&service.unit())?["proof"], "fresh", "{}", service.name);
        assert_eq!(connection.say("b")?, "2 b", "{}", service.name);
        assert_eq!(service.connect(&machine)?.say("c")?, "1 c", "{}", service.name);
        assert_eq!(&service.state(&machine)?, before, "{}", service.name);
        ensure!(machine.report()?.processes_of(&service.unit()).is_empty(), "{}", service.name);
    }

    // In the middle of a line it says so, is not restarted, and does it when the line is whole.
    connections[0].send("half a li")?;
    upgrade(3)?;
    let (outcome, words) = asked(&machine, &SERVICES[0])?;
    ensure!(outcome == "later" && words.contains("half read"), "{outcome}: {words}");
    assert_eq!(asked(&machine, &SERVICES[1])?.0, "done");
    assert_eq!(machine.report()?.processes_of(&SERVICES[0].unit()).len(), 1);
    assert_eq!(connections[0].say("ne")?, "3 half a line");
    wait_until("it has executed itself", SOON, || {
        Ok(machine.report()?.processes_of(&SERVICES[0].unit()).is_empty().then_some(()))
    })?;
    for ((service, connection), before) in SERVICES.iter().zip(&mut connections).zip(&before) {
        ensure!(connection.say("d")?.ends_with(" d"));
        assert_eq!(&service.state(&machine)?, before, "{}", service.name);
    }
    Ok(())
}
