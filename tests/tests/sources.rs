//! Real interpreters whose script and module are replaced under them: each that is on this machine.

use anyhow::{ensure, Context, Result};
use reexec_tests::machine::figure;
use reexec_tests::place::{built, Scratch};
use reexec_tests::run::{run, wait_until};
use reexec_tests::skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// One that reads a script, which reads a module beside it and goes on.
struct Interpreter {
    program: &'static str,
    script: &'static str,
    /// `FOLDER` stands for the folder of both, `READY` for a file that says that all is read.
    text: &'static str,
    module: &'static str,
    content: &'static str,
}

const ALL: [Interpreter; 5] = [
    Interpreter {
        program: "/usr/bin/perl",
        script: "daemon.pl",
        text: "use lib 'FOLDER';\nuse Probe;\nopen(my $ready, '>', 'READY'); close $ready;\nsleep 1 while 1;\n",
        module: "Probe.pm",
        content: "package Probe;\n1;\n",
    },
    Interpreter {
        program: "/usr/bin/python3",
        script: "daemon.py",
        text: "import sys, time\nsys.path.insert(0, 'FOLDER')\nimport probe\nopen('READY', 'w').close()\n\
               while True:\n    time.sleep(1)\n",
        module: "probe.py",
        content: "WORD = 1\n",
    },
    Interpreter {
        program: "/usr/bin/node",
        script: "daemon.js",
        text: "require('./probe.js');\nrequire('fs').writeFileSync('READY', '');\nsetInterval(() => {}, 1000);\n",
        module: "probe.js",
        content: "exports.word = 1;\n",
    },
    Interpreter {
        program: "/usr/bin/ruby",
        script: "daemon.rb",
        text: "require_relative 'probe'\nFile.write('READY', '')\nloop { sleep 1 }\n",
        module: "probe.rb",
        content: "WORD = 1\n",
    },
    Interpreter {
        program: "/usr/bin/php",
        script: "daemon.php",
        text: "<?php\nrequire 'FOLDER/probe.inc.php';\ntouch('READY');\nwhile (true) { sleep(1); }\n",
        module: "probe.inc.php",
        content: "<?php\n$word = 1;\n",
    },
];

/// A daemon, ended with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a package manager does it: beside its place, and renamed.
fn replace(path: &Path, content: &str) -> Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, content)?;
    Ok(fs::rename(beside, path)?)
}

impl Interpreter {
    fn start(&self, folder: &Path) -> Result<Daemon> {
        let ready = folder.join("ready");
        let named =
            |text: &str| text.replace("FOLDER", &folder.to_string_lossy()).replace("READY", &ready.to_string_lossy());
        fs::write(folder.join(self.script), named(self.text))?;
        fs::write(folder.join(self.module), self.content)?;
        // The kernel tells start times in hundredths of a second.
        sleep(Duration::from_millis(50));
        let mut command = Command::new(self.program);
        command.arg(folder.join(self.script)).current_dir("/").env("PYTHONDONTWRITEBYTECODE", "1");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context(self.program)?;
        let daemon = Daemon(child);
        wait_until(self.program, SOON, || Ok(ready.exists().then_some(())))?;
        Ok(daemon)
    }
}

/// What is told of a process where these paths are claimed: its verdict, and the paths of its causes.
fn told(pid: u32, claims: &[PathBuf], place: &Scratch) -> Result<(String, BTreeSet<PathBuf>)> {
    let list = place.join("claims");
    let lines: Vec<String> = claims.iter().map(|path| format!("{}\n", path.display())).collect();
    fs::write(&list, lines.concat())?;
    let none = place.join("none");
    fs::create_dir_all(&none)?;
    let mut command = Command::new(built()?.join("reexec"));
    command.args(["report", "--format", "json", "--claims"]).arg(&list).arg("--plugins").arg(&none);
    let said = run(&mut command, b"", SOON)?;
    let report: Value = serde_json::from_slice(&said.stdout).with_context(|| said.errors())?;
    let rows = report["processes"].as_array().context("processes")?;
    let Some(row) = rows.iter().find(|row| row["pid"] == pid) else {
        return Ok(("fresh".to_owned(), BTreeSet::new()));
    };
    let causes = row["causes"].as_array().context("causes")?;
    let path = |cause: &Value| cause["path"].as_str().map(PathBuf::from);
    Ok((row["verdict"].as_str().unwrap_or_default().to_owned(), causes.iter().filter_map(path).collect()))
}

#[test]
fn a_script_and_a_module_that_are_replaced_under_a_real_interpreter_are_told() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let (here, missing): (Vec<_>, Vec<_>) = ALL.iter().partition(|one| Path::new(one.program).exists());
    let names = |all: &[&Interpreter]| all.iter().map(|one| one.program).collect::<Vec<_>>().join(", ");
    figure(&format!("interpreters: {}; not on this machine: {}", names(&here), names(&missing)));
    ensure!(here.len() > 1, "perl and python3 are to be there (make deps)");
    for one in here {
        // A folder that others may write to is nobody's for good, and not told.
        let place = Scratch::below(Path::new("/usr/lib"), "sources")?;
        let daemon = one.start(place.path())?;
        let (script, module) = (place.join(one.script), place.join(one.module));
        let claims = [script.clone(), module.clone()];
        let pid = daemon.0.id();
        assert_eq!(told(pid, &claims, &place)?.0, "fresh", "{}: nothing was replaced", one.program);
        replace(&module, &format!("{}\n", one.content))?;
        let expected = ("stale".to_owned(), BTreeSet::from([module.clone()]));
        assert_eq!(told(pid, &claims, &place)?, expected, "{}: the module was", one.program);
        replace(&script, "another\n")?;
        let (verdict, causes) = told(pid, &claims, &place)?;
        assert_eq!(verdict, "stale", "{}", one.program);
        ensure!(causes.contains(&script), "{}: {causes:?}", one.program);
    }
    Ok(())
}
