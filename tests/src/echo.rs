//! The example daemons of `client/`, built as their authors would build them, and a hand on one.

use crate::place::{built, workspace, Scratch};
use crate::run::{run, wait_until};
use anyhow::{ensure, Context, Result};
use rustix::fs::{flock, FlockOperation};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const BUILD: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(20);

/// The language that a daemon is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `client/examples/echo.rs`.
    Rust,
    /// `client/examples/echo.c`, against what `make install` installs.
    C,
}

/// How a C program gets the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// From the loader.
    Shared,
    /// Into itself.
    Static,
}

/// Both.
pub const LANGUAGES: [Language; 2] = [Language::Rust, Language::C];

/// Where the library for C is installed: the `DESTDIR` of `make install-client`, with `/usr` in it.
pub fn installed() -> Result<&'static Path> {
    static TREE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let tree = TREE.get_or_init(|| install().map_err(|error| format!("{error:#}")));
    tree.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn install() -> Result<PathBuf> {
    let tree = built()?.join("client-installed");
    fs::create_dir_all(&tree)?;
    let lock = File::create(built()?.join(".client-installed.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--locked", "--lib", "--examples", "--features", "reexec-client/ask"]);
    cargo.args(["-p", "reexec-client", "-p", "reexec-client-c"]).current_dir(workspace());
    if built()?.ends_with("release") {
        cargo.arg("--release");
    }
    run(&mut cargo, b"", BUILD)?.success()?;
    let mut make = Command::new("make");
    for inherited in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PREFIX", "LIBDIR"] {
        make.env_remove(inherited);
    }
    make.args(["--no-print-directory", "-s", "-C"]).arg(workspace()).arg("install-client");
    make.arg(format!("DESTDIR={}", tree.display())).arg(format!("CLIENT={}", built()?.display()));
    run(&mut make, b"", BUILD)?.success()?;
    Ok(tree)
}

/// What `pkg-config` says of the installed library.
pub fn pkg_config(arguments: &[&str]) -> Result<String> {
    let tree = installed()?;
    let mut pkg_config = Command::new("pkg-config");
    pkg_config.args(arguments).arg("reexec-client");
    pkg_config.env("PKG_CONFIG_LIBDIR", tree.join("usr/lib/pkgconfig")).env("PKG_CONFIG_SYSROOT_DIR", tree);
    Ok(run(&mut pkg_config, b"", BUILD)?.success()?.text())
}

/// Compiles a C or C++ source with the flags that `pkg-config` gives for the installed library.
pub fn compile(compiler: &str, source: &Path, program: &Path, linking: Linking) -> Result<()> {
    let flags = match linking {
        Linking::Shared => pkg_config(&["--cflags", "--libs"])?,
        Linking::Static => {
            pkg_config(&["--static", "--cflags", "--libs"])?.replace("-lreexec-client", "-l:libreexec-client.a")
        }
    };
    let mut compiler = Command::new(compiler);
    compiler.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wl,--build-id", "-o"]).args([program, source]);
    compiler.args(flags.split_whitespace());
    run(&mut compiler, b"", BUILD)?.success()?;
    Ok(())
}

/// The example daemon in this language, ready to run.
pub fn program(language: Language) -> Result<PathBuf> {
    let tree = installed()?;
    if language == Language::Rust {
        return built_example("echo");
    }
    let program = built()?.join(crate::place::unique("echo-c"));
    compile("gcc", &workspace().join("client/examples/echo.c"), &program, Linking::Shared)?;
    // Linked anew by each process, never the program of another.
    let last = tree.join("echo");
    fs::rename(&program, &last)?;
    Ok(last)
}

/// An example of `client/` in Rust.
pub fn built_example(name: &str) -> Result<PathBuf> {
    installed()?;
    Ok(built()?.join("examples").join(name))
}

/// The same program with another build-id, as the build of another version has it.
pub fn version_of(program: &[u8], version: u8) -> Result<Vec<u8>> {
    let folder = Scratch::new("newer")?;
    let (old, note) = (folder.join("old"), folder.join("note"));
    fs::write(&old, program)?;
    let id = [&b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0"[..], &[version; 20]].concat();
    fs::write(&note, id)?;
    let mut objcopy = Command::new("objcopy");
    objcopy.arg(format!("--update-section=.note.gnu.build-id={}", note.display()));
    run(objcopy.arg(&old).arg(folder.join("new")), b"", BUILD)?.success()?;
    let newer = fs::read(folder.join("new"))?;
    ensure!(newer != program, "objcopy changed nothing");
    Ok(newer)
}

/// Writes an executable file by another process: a descriptor of ours that another thread's child
/// inherits would make it "busy" for whoever executes it.
fn write_program(path: &Path, content: &[u8]) -> Result<()> {
    let script = "cat >\"$0\"; chmod 755 \"$0\"";
    run(Command::new("sh").args(["-ec", script]).arg(path), content, SOON)?.success()?;
    Ok(())
}

/// A daemon that was started from a copy of its own, and ends with this.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: Scratch,
}

impl Daemon {
    /// Starts it, and waits until it can be asked.
    pub fn start(language: Language) -> Result<Daemon> {
        Daemon::start_by(language, &[])
    }

    /// Starts it by a command that ends up executing it (`unshare --net`, …).
    pub fn start_by(language: Language, wrapper: &[&str]) -> Result<Daemon> {
        let folder = Scratch::new("echo")?;
        let program = folder.join("echo");
        write_program(&program, &fs::read(self::program(language)?)?)?;
        let mut words = wrapper.iter().map(|word| (*word).into()).chain([program.into_os_string()]);
        let mut command = Command::new(words.next().context("a program")?);
        command.args(words).arg(folder.join("socket")).env("LD_LIBRARY_PATH", installed()?.join("usr/lib"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let daemon = Daemon { child, folder };
        wait_until("it serves", SOON, || Ok(daemon.connect().ok().map(drop)))?;
        // Whoever looks at its descriptors means those that it has at rest: where it is connected to, and
        // where it is asked. An answer says that what connected before is accepted.
        daemon.connect()?.say("at rest")?;
        let sockets = || Ok(daemon.descriptors()?.iter().filter(|(_, link)| link.starts_with("socket:")).count());
        wait_until("it is at rest", SOON, || sockets().map(|count: usize| (count == 2).then_some(())))?;
        Ok(daemon)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its program stands.
    pub fn program(&self) -> PathBuf {
        self.folder.join("echo")
    }

    /// Field 22 of its `/proc/PID/stat`.
    pub fn start_ticks(&self) -> Result<u64> {
        let stat = self.proc("stat")?;
        let (_, fields) = stat.rsplit_once(')').context("a name")?;
        Ok(fields.split_ascii_whitespace().nth(19).context("field 22")?.parse()?)
    }

    /// One of its files in `/proc`.
    pub fn proc(&self, name: &str) -> Result<String> {
        Ok(fs::read_to_string(format!("/proc/{}/{name}", self.pid()))?)
    }

    /// What its descriptors are, as `/proc/PID/fd` has them, with their numbers.
    pub fn descriptors(&self) -> Result<Vec<(u32, String)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(format!("/proc/{}/fd", self.pid()))? {
            let entry = entry?;
            // Closed since it was listed.
            let Ok(link) = fs::read_link(entry.path()) else { continue };
            all.push((entry.file_name().to_string_lossy().parse()?, link.to_string_lossy().into_owned()));
        }
        all.sort();
        Ok(all)
    }

    /// A new connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(&self.folder.join("socket"))
    }

    /// Puts a newer program under its name, as a package manager does: written beside it, then renamed.
    pub fn replace(&self) -> Result<()> {
        self.replace_with(&[&fs::read(self.program())?[..], b"newer"].concat())
    }

    /// Puts this content under its name.
    pub fn replace_with(&self, content: &[u8]) -> Result<()> {
        let new = self.folder.join("new");
        write_program(&new, content)?;
        Ok(fs::rename(new, self.program())?)
    }

    /// Whether it runs the very file that stands at its path now.
    pub fn is_fresh(&self) -> Result<bool> {
        // Where a thread executes a program, its leader ends first: for a moment the process runs nothing.
        let Ok(running) = fs::metadata(format!("/proc/{}/exe", self.pid())) else { return Ok(false) };
        let standing = fs::metadata(self.program())?;
        Ok((running.dev(), running.ino()) == (standing.dev(), standing.ino()))
    }

    /// Waits until it does.
    pub fn becomes_fresh(&self) -> Result<()> {
        wait_until("it runs the new file", SOON, || Ok(self.is_fresh()?.then_some(())))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client's connection to a daemon.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    /// Connects to a daemon's socket.
    pub fn open(socket: &Path) -> Result<Connection> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(SOON))?;
        Ok(Connection(BufReader::new(stream)))
    }

    /// Sends a part of a line.
    pub fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.0.get_mut().write_all(text.as_bytes())?)
    }

    /// Sends a line and returns its answer.
    pub fn say(&mut self, line: &str) -> Result<String> {
        self.send(&format!("{line}\n"))?;
        let mut answer = String::new();
        ensure!(self.0.read_line(&mut answer)? > 0, "the connection was closed");
        Ok(answer.trim_end().to_owned())
    }
}
