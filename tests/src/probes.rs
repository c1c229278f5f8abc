//! The probe's library and daemon on a machine of each package manager: one way to upgrade them.

use crate::bed::Options;
use crate::machine::{Machine, POLICY};
use crate::run::Output;
use crate::{debian, pacman, rpm};
use anyhow::{ensure, Result};
use std::cell::Cell;
use std::time::Duration;

/// Restarts what runs the old library of the probe.
pub const RESTART_PROBES: &str = "  - { name: probes, match: { path: '**/libprobe.so.1' }, action: restart }\n";
/// So much is written between the moment at which pacman removes a package's files and the one at which it
/// creates the last of them, that both are not in one tick of the clock, which would leave open how the
/// file was replaced.
const PADDING: usize = 24 << 20;
const TRANSACTION: Duration = Duration::from_secs(300);

/// What replaces the probe's library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// `apt-get install`
    Apt,
    /// `dnf upgrade`, from a repository
    Dnf,
    /// `rpm -U`
    Rpm,
    /// `pacman -U`
    Pacman,
}

impl Manager {
    /// The base system that it works on.
    pub fn base(self) -> &'static str {
        match self {
            Manager::Apt => crate::machine::BASE,
            Manager::Dnf | Manager::Rpm => rpm::BASE,
            Manager::Pacman => pacman::BASE,
        }
    }

    /// Where the library is.
    pub fn library(self) -> &'static str {
        match self {
            Manager::Apt | Manager::Dnf | Manager::Rpm => debian::LIBRARY,
            Manager::Pacman => pacman::LIBRARY,
        }
    }

    /// Where the daemon is.
    pub fn daemon(self) -> &'static str {
        match self {
            Manager::Apt | Manager::Dnf | Manager::Rpm => debian::DAEMON,
            Manager::Pacman => pacman::DAEMON,
        }
    }

    /// The package of the library.
    pub fn package(self) -> &'static str {
        match self {
            Manager::Apt | Manager::Dnf | Manager::Rpm => "libprobe1",
            Manager::Pacman => "libprobe",
        }
    }

    /// How it replaces a file, as a report says it.
    pub fn method(self) -> &'static str {
        match self {
            Manager::Apt | Manager::Dnf | Manager::Rpm => "renamed",
            Manager::Pacman => "recreated",
        }
    }

    /// How it writes the library's versions.
    pub fn version(self, number: u32) -> String {
        match self {
            Manager::Apt => format!("{number}.0"),
            Manager::Dnf | Manager::Rpm => format!("{number}-1"),
            Manager::Pacman => format!("{number}.0-1"),
        }
    }
}

/// A machine on which the probe's library and daemon are installed.
#[derive(Debug)]
pub struct Probes {
    /// The machine.
    pub machine: Machine,
    /// What upgrades them.
    pub manager: Manager,
    version: Cell<u32>,
}

impl Probes {
    /// Boots, installs version 1 of the library and the daemon, and writes these rules as the policy.
    pub fn boot(manager: Manager, name: &str, rules: &str) -> Result<Probes> {
        Probes::with(manager, name, rules, Options::default())
    }

    /// The same, with more to see for the bed.
    pub fn with(manager: Manager, name: &str, rules: &str, options: Options) -> Result<Probes> {
        let machine = match manager {
            Manager::Apt => Machine::with_options(name, rules, options, None)?,
            Manager::Dnf | Manager::Rpm => rpm::machine_on(rpm::BASE, name, rules, options)?,
            Manager::Pacman => pacman::machine(name, rules, options)?,
        };
        let probes = Probes { machine, manager, version: Cell::new(0) };
        let version = probes.build()?;
        let (bed, dist) = (&probes.machine.bed, probes.machine.dist());
        let library = probes.file(version);
        match manager {
            Manager::Apt => {
                debian::daemon()?.build(dist)?;
                bed.apt_install(&[&library, "/srv/dist/probed_1.0_amd64.deb"])?.success()?
            }
            Manager::Dnf | Manager::Rpm => {
                rpm::daemon()?.build(dist)?;
                rpm::rpm(bed, &["-i", &library, "/srv/dist/probed-1-1.x86_64.rpm"])?.success()?
            }
            Manager::Pacman => {
                pacman::daemon()?.build(dist)?;
                pacman::install(bed, &[&library, "/srv/dist/probed-1.0-1-any.pkg.tar.zst"])?.success()?
            }
        };
        probes.machine.applied()?;
        Ok(probes)
    }

    /// Builds the next version of the library; its number.
    pub fn build(&self) -> Result<u32> {
        let (version, dist) = (self.version.get() + 1, self.machine.dist());
        match self.manager {
            Manager::Apt => debian::library(version)?.build(dist)?,
            Manager::Dnf | Manager::Rpm => rpm::library(version)?.build(dist)?,
            Manager::Pacman => padded(version)?.build(dist)?,
        };
        self.version.set(version);
        Ok(version)
    }

    /// The next version, built by the test itself.
    pub fn built(&self, build: impl FnOnce(u32) -> Result<()>) -> Result<u32> {
        let version = self.version.get() + 1;
        build(version)?;
        self.version.set(version);
        Ok(version)
    }

    /// The package of this version, as the machine sees it.
    pub fn file(&self, version: u32) -> String {
        let (name, version) = (self.manager.package(), self.manager.version(version));
        match self.manager {
            Manager::Apt => format!("/srv/dist/{name}_{version}_amd64.deb"),
            Manager::Dnf | Manager::Rpm => format!("/srv/dist/{name}-{version}.x86_64.rpm"),
            Manager::Pacman => format!("/srv/dist/{name}-{version}-any.pkg.tar.zst"),
        }
    }

    /// The command that goes to this version, which is built.
    pub fn command(&self, version: u32) -> Result<Vec<String>> {
        let file = self.file(version);
        let words: &[&str] = match self.manager {
            Manager::Apt => {
                &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qy", "-o", "Dpkg::Use-Pty=0", "install"]
            }
            Manager::Dnf => &[rpm::dnf_program(), "-y", "upgrade"],
            Manager::Rpm => &["rpm", "-U"],
            Manager::Pacman => &["pacman", "--noconfirm", "--noprogressbar", "-U"],
        };
        let what = match self.manager {
            Manager::Dnf => {
                rpm::publish(&self.machine.bed)?;
                format!("{}-{}", self.manager.package(), self.manager.version(version))
            }
            Manager::Apt | Manager::Rpm | Manager::Pacman => file,
        };
        Ok(words.iter().map(|word| (*word).to_owned()).chain([what]).collect())
    }

    /// Goes to this version, which has to succeed; everything that was said. The manager's input is not
    /// empty, so that a hook that reads what is not meant for it is found out.
    pub fn go_to(&self, version: u32) -> Result<String> {
        let said = self.machine.bed.exec_within(TRANSACTION, b"the caller's input\n", &self.command(version)?)?;
        said.success().map(|said| words(&said))
    }

    /// Builds the next version and upgrades to it; everything that was said.
    pub fn upgrade(&self) -> Result<String> {
        let said = self.go_to(self.build()?)?;
        ensure!(!said.contains("nothing will be restarted"), "{said}");
        Ok(said)
    }

    /// The number of the newest version.
    pub fn newest(&self) -> u32 {
        self.version.get()
    }

    /// The newest version once more; everything that was said.
    pub fn again(&self) -> Result<String> {
        let mut command = self.command(self.newest())?;
        match self.manager {
            Manager::Apt => command.insert(command.len() - 1, "--reinstall".to_owned()),
            Manager::Dnf => "reinstall".clone_into(&mut command[2]),
            Manager::Rpm => command.insert(2, "--force".to_owned()),
            Manager::Pacman => {}
        }
        self.machine.bed.exec_within(TRANSACTION, b"", &command)?.success().map(|said| words(&said))
    }

    /// A unit that runs the daemon, with more lines for its service section.
    pub fn write_unit(&self, name: &str, lines: &str) -> Result<()> {
        let text = format!("[Service]\nType=exec\nExecStart={}\n{lines}\n", self.manager.daemon());
        self.machine.bed.write_file(&format!("/etc/systemd/system/{name}.service"), text.as_bytes())
    }

    /// More lines for a unit that there is.
    pub fn add_to_unit(&self, name: &str, section: &str, lines: &str) -> Result<()> {
        let path = format!("/etc/systemd/system/{name}.service.d/x.conf");
        self.machine.bed.write_file(&path, format!("[{section}]\n{lines}\n").as_bytes())
    }

    /// Has exactly these units of the daemon running, as they were written, and these rules as the policy,
    /// whatever came before.
    pub fn start(&self, units: &[&str], rules: &str) -> Result<()> {
        self.machine.applied()?;
        let away = format!(
            "cd /etc/systemd/system; own=$(grep -lsF 'ExecStart={}' *.service || true)
             for unit in probed.service $own; do rm -rf $unit.d; done; systemctl daemon-reload
             systemctl stop probed.service $own; kill -9 $(pidof probed) 2>/dev/null || true
             rm -f $own; systemctl daemon-reload; systemctl reset-failed",
            self.manager.daemon()
        );
        self.machine.bed.shell(&away)?;
        for unit in units.iter().filter(|unit| **unit != "probed") {
            self.write_unit(unit, "")?;
        }
        self.machine.bed.shell(&format!(
            "systemctl daemon-reload; for unit in {}; do systemctl start $unit; done",
            units.join(" ")
        ))?;
        self.machine.policy(rules)
    }

    /// Changes a setting in the policy's head.
    pub fn set(&self, from: &str, to: &str) -> Result<()> {
        let text = String::from_utf8(self.machine.bed.read_file(POLICY)?)?;
        ensure!(text.contains(from), "no {from} in {text}");
        self.machine.bed.write_file(POLICY, text.replace(from, to).as_bytes())
    }
}

/// pacman's package of the library with a big file that is written before it.
pub fn padded(version: u32) -> Result<pacman::Package> {
    Ok(pacman::library(version)?.file("/usr/lib/libpadding", &vec![0; PADDING]))
}

/// All that a command said.
pub fn words(said: &Output) -> String {
    format!("{}\n{}", said.text(), said.errors())
}
