//! The pacman package, with a recorder in the program's place: when it is called, with what, and that
//! nothing it does or fails to do harms pacman.

use anyhow::{ensure, Result};
use reexec_tests::bed::{Bed, Options};
use reexec_tests::needs_bed;
use reexec_tests::pacman::{boot, install, packed, pacman, Package, BASE};
use reexec_tests::place::{released, workspace, Scratch};
use reexec_tests::run::run;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Writes down how it was called, then does what the test has put into `/etc/misbehave`.
const RECORDER: &str = r#"#!/bin/sh
{ echo "$*"; pwd; cat; } >"/var/log/calls/$(date +%s%N)"
[ ! -e /etc/misbehave ] || . /etc/misbehave
"#;

struct Machine {
    bed: Bed,
    _dist: Scratch,
}

fn machine(name: &str) -> Result<Machine> {
    let (bed, dist) = boot(name, Options::default())?;
    let recorder = dist.join("recorder");
    fs::write(&recorder, RECORDER)?;
    fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755))?;
    for version in ["0.1.0-1", "0.1.0-2"] {
        packed(version, dist.path(), &[format!("BINARY={}", recorder.display()), "PLUGINS=".to_owned()])?;
    }
    for version in 1..=2 {
        let package = Package::new("probe", &format!("{version}-1")).file("/usr/lib/probe", b"1");
        package.file("/usr/share/doc/probe", b"1").build(dist.path())?;
    }
    bed.shell("mkdir /var/log/calls")?;
    Ok(Machine { bed, _dist: dist })
}

impl Machine {
    /// Installs, and returns what the recorder was told meanwhile: arguments, folder, input.
    fn install(&self, packages: &[&str]) -> Result<Vec<String>> {
        self.bed.shell("rm -f /var/log/calls/*")?;
        let said = install(&self.bed, packages)?.success()?;
        let text = format!("{}{}", said.text(), said.errors());
        // A hook that pacman's own parser does not take would say so, and block every transaction.
        ensure!(!text.contains("hook /") && !text.contains("invalid"), "{text}");
        self.calls()
    }

    fn calls(&self) -> Result<Vec<String>> {
        let all = self
            .bed
            .shell("find /var/log/calls -type f | sort | while read -r call; do cat $call; echo; echo ====; done")?;
        Ok(all.split("====").map(|call| call.trim().to_owned()).filter(|call| call.starts_with("hook")).collect())
    }
}

#[test]
fn the_package_calls_the_hook_harms_nobody_and_leaves_nothing() -> Result<()> {
    needs_bed!(BASE);
    let machine = machine("pacman-package")?;
    let bed = &machine.bed;
    let [first, second] =
        ["0.1.0-1", "0.1.0-2"].map(|version| format!("/srv/dist/reexec-{version}-x86_64.pkg.tar.zst"));
    machine.install(&[&first])?;
    let state =
        "systemctl is-enabled reexec-apply.path; systemctl is-active reexec-apply.path; stat -c %a /run/reexec/pending";
    assert_eq!(bed.shell(state)?, "enabled\nactive\n700");
    assert_eq!(bed.shell("pacman -Qkk reexec 2>&1 | grep -v ' 0 altered' || true")?, "", "its mtree is not its files");
    assert_eq!(bed.shell("pacman -Qii reexec | grep -c policy.yaml")?, "1", "the policy is no backup file");

    // Before and after, with the same names; documents are left out.
    machine.install(&["/srv/dist/probe-1-1-any.pkg.tar.zst"])?;
    let calls = machine.install(&["/srv/dist/probe-2-1-any.pkg.tar.zst"])?;
    let input = "/\nusr/\nusr/lib/\nusr/lib/probe\nusr/share/";
    assert_eq!(calls, [format!("hook pacman --phase pre\n{input}"), format!("hook pacman --phase post\n{input}")]);

    for how in ["exit 1", "kill -9 $$", "kill -SEGV $$", "exec 0<&- 1>&- 2>&-; exit 9"] {
        bed.write_file("/etc/misbehave", how.as_bytes())?;
        let calls = machine.install(&["/srv/dist/probe-2-1-any.pkg.tar.zst"])?;
        assert_eq!(calls.len(), 2, "{how}: {calls:?}");
    }
    bed.shell("rm /etc/misbehave; mv /usr/bin/reexec /usr/bin/reexec.away")?;
    machine.install(&["/srv/dist/probe-1-1-any.pkg.tar.zst"])?;
    bed.shell("mv /usr/bin/reexec.away /usr/bin/reexec")?;

    // Its own upgrade leaves a changed policy and the admin's choice alone.
    bed.shell("systemctl disable --now reexec-apply.path >&2; echo '# own' >>/etc/reexec/policy.yaml")?;
    machine.install(&[&second])?;
    assert_eq!(bed.exec(&["systemctl", "is-enabled", "reexec-apply.path"])?.text(), "disabled");
    assert_eq!(bed.shell("tail -1 /etc/reexec/policy.yaml")?, "# own");

    bed.shell("systemctl enable --now reexec-apply.path >&2; touch /run/reexec/held/x /var/lib/reexec/last.json")?;
    pacman(bed, &["-Rn", "reexec"])?.success()?;
    let left = "find / -xdev -iname '*reexec*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/run/systemd/*' \
        -not -path '/var/log/*'; ls -d /run/reexec 2>/dev/null || true; systemctl list-units --all --no-legend 'reexec*'";
    assert_eq!(bed.shell(left)?, "");
    machine.install(&["/srv/dist/probe-2-1-any.pkg.tar.zst"])?;
    Ok(())
}

const MINUTE: Duration = Duration::from_secs(60);

/// What a package is made of, as makepkg's own command shows it: a line for each member, and what is said of it
/// that does not tell when, by whom and by which version of makepkg it was packed.
fn content(package: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let list = run(Command::new("bsdtar").arg("-tf").arg(package), b"", MINUTE)?.success()?.text();
    let about = run(Command::new("bsdtar").arg("-xOf").arg(package).arg(".PKGINFO"), b"", MINUTE)?.success()?.text();
    let sorted = |text: &str, leave: &[&str]| {
        let mut lines: Vec<String> =
            text.lines().filter(|line| !leave.iter().any(|start| line.starts_with(start))).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let files = sorted(&list, &[".BUILDINFO"]);
    Ok((files, sorted(&about, &["#", "builddate", "packager", "size", "makedepend", "xdata"])))
}

#[test]
fn makepkg_makes_of_the_pkgbuild_what_make_pacman_makes() -> Result<()> {
    needs_bed!(BASE);
    // What the PKGBUILD needs of the tree. What cargo builds is built already, on this machine.
    let tree = Scratch::new("tree")?;
    let copy = "cp -a --parents Makefile Cargo.toml LICENSE-* hook/share plugins/*/integration \"$1\"
        for name in reexec libreexec_dpkg.so libreexec_rpm.so libreexec_pacman.so; do
            install -D \"$2/$name\" \"$1/target/release/$name\"; done; chmod -R a+rwX \"$1\"";
    let mut shell = Command::new("bash");
    shell.args(["-euc", copy, "-"]).args([tree.path(), &released()?]).current_dir(workspace());
    run(&mut shell, b"", MINUTE)?.success()?;
    let options =
        Options::default().bind(tree.path(), "/srv/tree").bind_ro(Path::new("/usr/bin/make"), "/usr/bin/make");
    let (bed, dist) = boot("makepkg", options)?;
    let conf = "PKGEXT=.pkg.tar.zst; OPTIONS+=(!strip)";
    bed.shell(&format!("useradd -m builder; echo '{conf}' >>/etc/makepkg.conf"))?;
    // makepkg is never root, and knows of no package that Debian brought. CARGO: see above.
    let build = "cd /srv/tree/plugins/pacman/integration; runuser -u builder -- env CARGO=true makepkg --nodeps --noconfirm 2>&1";
    let said = bed.shell(build)?;
    ensure!(said.contains("Finished making: reexec 0.1.0-1"), "{said}");
    let made = tree.join("plugins/pacman/integration/reexec-0.1.0-1-x86_64.pkg.tar.zst");

    let ours = packed("0.1.0-1", dist.path(), &[])?;
    let (theirs, ours) = (content(&made)?, content(&ours)?);
    assert_eq!(theirs, ours, "makepkg's, and make's\n{said}");

    install(&bed, &["/srv/tree/plugins/pacman/integration/reexec-0.1.0-1-x86_64.pkg.tar.zst"])?.success()?;
    assert_eq!(bed.shell("pacman -Qkk reexec 2>&1 | grep -v ' 0 altered' || true")?, "", "its mtree is not its files");
    let doctor = bed.exec(&["reexec", "doctor"])?.text();
    let hooks = doctor.lines().filter(|line| line.starts_with("ok") && line.contains("pacman")).count();
    ensure!(hooks >= 2, "{doctor}");
    Ok(())
}
