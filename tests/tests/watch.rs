//! The update service: whoever may ask, whatever a source does, nothing is left over and nothing grows.

use anyhow::{ensure, Context, Result};
use reexec_client::poke::look_now_at;
use reexec_tests::echo::{self, Linking};
use reexec_tests::place::{built, released, unique, workspace, Scratch};
use reexec_tests::run::{run, wait_until, Output};
use reexec_tests::skip;
use rustix::process::{geteuid, kill_process, Pid, Signal};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// Least time between two looks of the services that are asked here.
const GAP: Duration = Duration::from_secs(5);

/// A root with sources, and services of it. What they leave behind is known by their source's name.
struct Site {
    root: Scratch,
    name: String,
    program: PathBuf,
}

impl Site {
    /// `None` where we may not do this.
    fn new() -> Result<Option<Site>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let (root, program) = (Scratch::new("watch")?, built()?.join("reexec"));
        Ok(Some(Site { root, name: unique("source"), program }))
    }

    fn part(&self, part: &str) -> PathBuf {
        self.root.join("etc/reexec/update.d").join(&self.name).join(part)
    }

    fn source(&self, check: &str) -> Result<()> {
        let folder = self.part("check").parent().context("a folder")?.to_owned();
        fs::create_dir_all(folder)?;
        for (part, text) in [("check", check), ("install", "exit 1")] {
            fs::write(self.part(part), format!("#!/bin/sh\n{text}\n"))?;
            fs::set_permissions(self.part(part), Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.arg("watch").arg("--root").arg(self.root.path()).args(arguments).env("SECRET", "1");
        Ok(command)
    }

    fn once(&self, deadline: &str) -> Result<Output> {
        run(&mut self.command(&["--once", "--check", deadline])?, b"", SOON)
    }

    fn socket(&self) -> PathBuf {
        self.root.join("socket")
    }

    /// A service that looks every hour, and is ready.
    fn serve(&self) -> Result<Service> {
        let socket = self.socket().to_string_lossy().into_owned();
        let gap = format!("{}s", GAP.as_secs());
        let mut command = self.command(&["--jitter", "0s", "--gap", &gap, "--check", "50s", "--socket", &socket])?;
        let ready = UnixDatagram::bind(self.root.join("ready"))?;
        ready.set_read_timeout(Some(SOON))?;
        command.env("NOTIFY_SOCKET", self.root.join("ready"));
        let log = fs::File::create(self.root.join("log"))?;
        let service = Service(command.stdin(Stdio::null()).stderr(log).spawn()?);
        let mut word = [0; 16];
        let length = ready.recv(&mut word).context("READY=1")?;
        ensure!(&word[..length] == b"READY=1", "{word:?}");
        Ok(service)
    }

    fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.root.join("log"))?)
    }

    /// How often `check` has run, which writes a line each time.
    fn looks(&self) -> usize {
        fs::read_to_string(self.root.join("looks")).map_or(0, |text| text.lines().count())
    }

    fn counting(&self, more: &str) -> Result<()> {
        self.source(&format!("echo look >>{}/looks\n{more}", self.root.path().display()))
    }

    /// Processes that a source of ours started and that are still there.
    fn left(&self) -> Vec<String> {
        let mark = format!("REEXEC_SOURCE={}\0", self.name);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let of_ours = entries.filter(|entry| {
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
        });
        of_ours.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// A service that is killed with the test.
struct Service(Child);

impl Service {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    /// A field of its status, as a number.
    fn status(&self, field: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)).context(field.to_owned())?;
        Ok(line.trim_start_matches(':').trim().split(' ').next().context("a number")?.parse()?)
    }

    fn ends_with(&mut self, code: i32) -> Result<()> {
        let status = wait_until("the service ends", Duration::from_secs(10), || Ok(self.0.try_wait()?))?;
        ensure!(status.code() == Some(code), "{status:?}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_check_that_hangs_forks_or_prints_gigabytes_is_ended_with_all_its_children() -> Result<()> {
    let Some(site) = Site::new()? else { skip!("needs root") };
    for (does, check, said) in [
        ("hangs", "sleep 900 & setsid sleep 900 & exec sleep 900", "not done after 2 s"),
        (
            "forks",
            "for i in $(seq 100); do (setsid sh -c 'sleep 900 & sleep 900' &) ; done; sleep 900",
            "not done after 2 s",
        ),
        (
            "breeds",
            "breed() { sleep 0.01; [ $1 = 1000 ] || (breed $(($1 + 1)) &); (exec sleep 90); }; breed 1; sleep 900",
            "not done after 2 s",
        ),
        ("ignores", "trap '' TERM HUP INT; while :; do sleep 1; done", "not done after 2 s"),
        ("prints", "exec yes", "it printed more than 16 MiB"),
        ("leaves", "setsid sleep 900 & echo nothing; exit 1", "processes that it left were ended"),
    ] {
        site.source(check)?;
        let started = Instant::now();
        let deadline = if does == "prints" || does == "leaves" { "50s" } else { "2s" };
        let output = site.once(deadline)?;
        ensure!(output.errors().contains(said) && output.errors().contains(&site.name), "{does}: {}", output.errors());
        ensure!(started.elapsed() < SOON, "{does}: {:?}", started.elapsed());
        assert_eq!(site.left(), [""; 0], "{does}");
        assert_eq!(output.code(), Some(if does == "leaves" { 0 } else { 1 }), "{does}");
    }
    Ok(())
}

#[test]
fn a_source_that_others_may_write_is_refused_by_name_and_the_others_are_asked() -> Result<()> {
    let Some(mut site) = Site::new()? else { skip!("needs root") };
    let good = site.name.clone();
    site.counting("exit 1")?;
    for harm in ["check", "install", "folder", "owner", "link", "missing"] {
        site.name = format!("bad-{harm}");
        site.source(&format!("touch {}/ran", site.root.path().display()))?;
        let (check, install) = (site.part("check"), site.part("install"));
        let open = Permissions::from_mode(0o777);
        match harm {
            "check" => fs::set_permissions(check, open)?,
            "install" => fs::set_permissions(install, open)?,
            "folder" => fs::set_permissions(check.parent().context("a folder")?, open)?,
            "owner" => std::os::unix::fs::chown(check, Some(65534), None)?,
            "link" => {
                fs::remove_file(&install)?;
                std::os::unix::fs::symlink("/bin/true", install)?;
            }
            _ => fs::remove_file(install)?,
        }
    }
    let output = site.once("20s")?;
    for (harm, why) in [
        ("check", "can be written by others than root"),
        ("install", "can be written by others than root"),
        ("folder", "can be written by others than root"),
        ("owner", "does not belong to root"),
        ("link", "is not a regular file"),
        ("missing", "No such file"),
    ] {
        let line =
            output.errors().lines().find(|line| line.contains(&format!("source bad-{harm}:"))).map(str::to_owned);
        ensure!(line.as_deref().is_some_and(|line| line.contains(why)), "{harm}: {}", output.errors());
    }
    ensure!(!site.root.join("ran").exists(), "one of them was run");
    assert_eq!((site.looks(), output.code()), (1, Some(1)), "{good} was not asked");
    Ok(())
}

#[test]
fn a_check_runs_with_a_cleared_environment_and_its_exit_code_counts() -> Result<()> {
    let Some(site) = Site::new()? else { skip!("needs root") };
    let environment = site.root.join("environment");
    site.source(&format!("/usr/bin/env | sort >{}; echo try later; exit 75", environment.display()))?;
    let output = site.once("20s")?;
    let expected = format!(
        "LANG=C.UTF-8\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\nREEXEC_SOURCE={}\n",
        site.name
    );
    let found: String = fs::read_to_string(environment)?
        .lines()
        .filter(|line| !line.starts_with("OLDPWD=") && !line.starts_with("_="))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(found, expected);
    ensure!(output.code() == Some(0) && output.errors().contains("check: try later"), "{output:?}");
    site.source("echo broken; exit 3")?;
    let output = site.once("20s")?;
    ensure!(output.code() == Some(1) && output.errors().contains("check failed"), "{output:?}");
    Ok(())
}

#[test]
fn a_million_wishes_are_one_look_and_cost_no_memory() -> Result<()> {
    let Some(mut site) = Site::new()? else { skip!("needs root") };
    // What packages have, where it was built: the other program's pages are some 13 MiB, and 3 MiB more of the same
    // are mapped where more of the file happens to be cached.
    site.program =
        released().map(|folder| folder.join("reexec")).ok().filter(|at| at.is_file()).unwrap_or(site.program);
    site.counting("exit 1")?;
    let service = site.serve()?;
    wait_until("the first look", SOON, || Ok((site.looks() == 1).then_some(())))?;
    // From the first look on; the service's clock has run a little longer.
    let (began, memory) = (Instant::now(), service.status("VmRSS")?);
    for _ in 0..1_000_000 {
        look_now_at(&site.socket())?;
    }
    let sent = began.elapsed();
    wait_until("the look that was asked for", SOON, || Ok((site.looks() > 1).then_some(())))?;
    std::thread::sleep(Duration::from_millis(500));
    let most = 1 + (began.elapsed().as_secs_f64() / GAP.as_secs_f64()).ceil() as usize;
    ensure!(site.looks() <= most, "{} looks in {:?}, sent in {sent:?}", site.looks(), began.elapsed());
    let grown = service.status("VmRSS")?.saturating_sub(memory);
    ensure!(grown < 1024, "{grown} KiB more than before");
    ensure!(service.status("VmRSS")? < 16 << 10, "{} KiB", service.status("VmRSS")?);
    let asker = format!("asked to look by pid {} of user 0", std::process::id());
    ensure!(site.log()?.contains(&asker), "{}", site.log()?);
    Ok(())
}

/// A daemon's author asks in C, at the socket's own path: in a mount namespace in which `/run` is ours.
#[test]
fn a_program_in_c_asks_for_a_look() -> Result<()> {
    let Some(site) = Site::new()? else { skip!("needs root") };
    site.counting("exit 1")?;
    let (source, program) = (site.root.join("ask.c"), site.root.join("ask"));
    let text = "#include <reexec-client.h>\nint main(void) { return reexec_client_look_now(); }\n";
    fs::write(&source, text)?;
    echo::compile("gcc", &source, &program, Linking::Static)?;
    fs::set_permissions(site.root.path(), Permissions::from_mode(0o755))?;
    let script = "mount -t tmpfs -o mode=755 tmpfs /run
        looks() { for i in $(seq 200); do [ \"$(grep -c look \"$LOOKS\" 2>/dev/null)\" = $1 ] && return; sleep 0.1; done; exit 9; }
        \"$REEXEC\" watch --root \"$ROOT\" --jitter 0s --gap 1s & service=$!
        looks 1; setpriv --reuid 61236 --regid 61236 --clear-groups \"$ASK\"; looks 2; kill $service; wait $service";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL", "--propagation", "private"]);
    command.args(["--", "sh", "-euc", script]).env("LOOKS", site.root.join("looks")).env("ROOT", site.root.path());
    command.env("REEXEC", built()?.join("reexec")).env("ASK", &program);
    let said = run(&mut command, b"", SOON)?.success()?;
    ensure!(said.errors().contains("of user 61236"), "{said:?}");
    Ok(())
}

#[test]
fn idle_it_does_not_wake_and_signals_are_heard() -> Result<()> {
    let Some(site) = Site::new()? else { skip!("needs root") };
    site.counting("exit 1")?;
    let mut service = site.serve()?;
    wait_until("the first look", SOON, || Ok((site.looks() == 1).then_some(())))?;
    std::thread::sleep(Duration::from_secs(1));
    let before = service.status("voluntary_ctxt_switches")?;
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(service.status("voluntary_ctxt_switches")?, before, "it woke without a reason");

    service.signal(Signal::HUP)?;
    wait_until("the look after SIGHUP", SOON, || Ok((site.looks() == 2).then_some(())))?;
    site.counting("setsid sleep 900 & sleep 900")?;
    service.signal(Signal::HUP)?;
    wait_until("a check that hangs", SOON, || Ok((site.looks() == 3 && site.left().len() > 1).then_some(())))?;
    service.signal(Signal::TERM)?;
    service.ends_with(0)?;
    assert_eq!(site.left(), [""; 0]);
    ensure!(site.log()?.contains("told to end"), "{}", site.log()?);
    Ok(())
}

#[test]
fn an_install_is_bracketed_and_its_end_is_told() -> Result<()> {
    let Some(site) = Site::new()? else { skip!("needs root") };
    site.source("echo something new")?;
    for (install, said, code) in [
        ("echo done", "installed, and nothing of what was acted on runs the old", 0),
        ("echo later; exit 75", ": installing", 0),
        ("echo broken; exit 9", "ended with 9", 1),
    ] {
        fs::write(site.part("install"), format!("#!/bin/sh\n[ -z \"${{SECRET:-}}\" ] || exit 8\n{install}\n"))?;
        let output = site.once("20s")?;
        ensure!(output.errors().contains(said) && output.code() == Some(code), "{install}: {output:?}");
        ensure!(output.errors().contains("check: something new"), "{output:?}");
    }
    assert_eq!(site.left(), [""; 0]);
    Ok(())
}

/// A drop folder, a key to sign with, and two files that are delivered.
struct Delivery {
    folder: Scratch,
}

impl Delivery {
    fn new() -> Result<Delivery> {
        let delivery = Delivery { folder: Scratch::new("drop")? };
        let make = "mkdir -m 700 home; mkdir -p drop/files etc; \
            gpg -q --batch --passphrase '' --quick-generate-key deployer default default never 2>/dev/null; \
            gpg -q --export >etc/keyring.gpg; echo old >a; echo old >b";
        delivery.shell(make)?;
        Ok(delivery)
    }

    fn shell(&self, script: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(self.folder.path()).env("GNUPGHOME", self.folder.join("home"));
        run(&mut command, b"", SOON)?.success()?;
        Ok(())
    }

    /// Delivers these contents for `a` and `b`, signed.
    fn deliver(&self, contents: [&str; 2]) -> Result<()> {
        let top = self.folder.path().display();
        let one = |name: &str, content: &str| {
            format!(
                "echo {content} >new; sum=$(sha256sum <new | cut -d' ' -f1); mv new drop/files/$sum; \
                 echo $sum 755 {top}/{name} >>drop/manifest; "
            )
        };
        let sign = "rm -f drop/manifest.sig; gpg -q --batch -b -o drop/manifest.sig drop/manifest";
        self.shell(&format!("rm -f drop/manifest; {}{}{sign}", one("a", contents[0]), one("b", contents[1])))
    }

    /// Runs a part of the source, with reexec's own state in a mount namespace that goes away with it.
    fn run(&self, part: &str) -> Result<Output> {
        let script = "mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs -o mode=755 tmpfs /var/lib; exec \"$0\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-euc", script]);
        command.arg(workspace().join("hook/share/update.d/drop").join(part));
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", built()?.display()));
        command.env("DROP", self.folder.join("drop")).env("KEPT", self.folder.join("kept"));
        command.env("KEYRING", self.folder.join("etc/keyring.gpg"));
        run(&mut command, b"", SOON)
    }

    fn contents(&self) -> Result<(String, String)> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name));
        Ok((read("a")?.trim().to_owned(), read("b")?.trim().to_owned()))
    }

    fn strays(&self) -> Result<usize> {
        let names = fs::read_dir(self.folder.path())?.flatten().map(|entry| entry.file_name());
        Ok(names.filter(|name| name.to_string_lossy().starts_with(".reexec")).count())
    }
}

#[test]
fn a_signed_manifest_is_installed_whole_and_a_bad_one_changes_nothing() -> Result<()> {
    if !geteuid().is_root() {
        skip!("needs root");
    }
    if !Path::new("/usr/bin/gpg").exists() || !Path::new("/usr/bin/gpgv").exists() {
        skip!("needs gpg and gpgv (make deps)");
    }
    let delivery = Delivery::new()?;
    assert_eq!(delivery.run("check")?.code(), Some(1), "nothing is there");
    delivery.deliver(["one", "two"])?;
    assert_eq!(delivery.run("check")?.code(), Some(0));
    let before = fs::metadata(delivery.folder.join("a"))?.ino();
    let said = delivery.run("install")?;
    ensure!(said.code() == Some(0), "{said:?}");
    assert_eq!(delivery.contents()?, ("one".into(), "two".into()));
    let now = fs::metadata(delivery.folder.join("a"))?;
    ensure!(now.ino() != before && now.mode() & 0o7777 == 0o755, "written in place, or with other rights");
    assert_eq!(delivery.run("check")?.code(), Some(1), "the same manifest again");

    for (harm, script) in [
        ("a bit of the signature", "printf '\\001' | dd of=drop/manifest.sig bs=1 seek=40 conv=notrunc 2>/dev/null"),
        ("a line of the manifest", "sed -i 's/ 755 / 4755 /' drop/manifest"),
        ("no signature", "rm drop/manifest.sig"),
        ("another content", "for file in drop/files/*; do echo evil >$file; done"),
        ("one file is missing", "rm drop/files/$(sed -n '2s/ .*//p' drop/manifest)"),
    ] {
        delivery.deliver(["three", "four"])?;
        delivery.shell(script)?;
        let said = delivery.run("install")?;
        ensure!(said.code() == Some(2) && !said.text().is_empty(), "{harm}: {said:?}");
        assert_eq!((delivery.contents()?, delivery.strays()?), (("one".into(), "two".into()), 0), "{harm}");
    }
    Ok(())
}
