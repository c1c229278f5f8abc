//! Which script an interpreter reads, from its arguments and the kernel's own script rules, and which
//! other files it is likely to have read.
//!
//! Only the position of the first argument that is no option counts (execve(2), "Interpreter
//! scripts", and each interpreter's manual); nothing is opened, run or believed. Who names a script
//! that it does not read can only make itself look stale.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How one family of interpreters is called.
#[derive(Debug)]
struct Family {
    /// Beginnings of the program's name; behind them only a version follows.
    names: &'static [&'static str],
    /// Options behind which no script follows (program text, a module).
    without_script: &'static [&'static str],
    /// Options that take the next argument.
    with_value: &'static [&'static str],
    /// The option whose value is the script, if only that is one.
    script_option: Option<&'static str>,
    /// What the names of its sources end in.
    sources: &'static [&'static str],
    /// Archives of code, which it holds open as long as it runs.
    archives: &'static [&'static str],
}

const PLAIN: Family =
    Family { names: &[], without_script: &[], with_value: &[], script_option: None, sources: &[], archives: &[] };

const FAMILIES: &[Family] = &[
    Family {
        names: &["python", "pypy"],
        without_script: &["-c", "-m"],
        with_value: &["-W", "-X", "-Q", "--check-hash-based-pycs"],
        sources: &["py"],
        archives: &["pyz", "zip", "egg", "whl"],
        ..PLAIN
    },
    Family {
        names: &["perl"],
        without_script: &["-e", "-E"],
        with_value: &["-I", "-M", "-m"],
        sources: &["pl", "pm"],
        ..PLAIN
    },
    Family { names: &["ruby"], without_script: &["-e"], with_value: &["-I", "-r", "-C"], sources: &["rb"], ..PLAIN },
    Family {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"],
        without_script: &["-c", "-s"],
        with_value: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
        sources: &["sh", "bash", "zsh", "ksh", ""],
        ..PLAIN
    },
    Family {
        names: &["node", "nodejs"],
        without_script: &["-e", "--eval", "-p", "--print"],
        with_value: &["-r", "--require", "--import"],
        sources: &["js", "mjs", "cjs"],
        ..PLAIN
    },
    Family {
        names: &["php", "php-cli"],
        without_script: &["-r", "-S"],
        with_value: &["-c", "-d", "-z"],
        script_option: Some("-f"),
        sources: &["php", "inc"],
        archives: &["phar"],
    },
    Family { names: &["lua", "luajit"], without_script: &["-e"], with_value: &["-l"], sources: &["lua"], ..PLAIN },
    Family { names: &["tclsh", "wish"], with_value: &["-encoding"], sources: &["tcl"], ..PLAIN },
    Family { names: &["awk", "gawk", "mawk"], script_option: Some("-f"), sources: &["awk"], ..PLAIN },
    Family {
        names: &["java"],
        with_value: &["-cp", "-classpath", "--class-path", "-p", "--module-path"],
        script_option: Some("-jar"),
        archives: &["jar", "war", "ear", "jmod", "zip"],
        ..PLAIN
    },
];

/// A program that reads programs.
#[derive(Debug, Clone, Copy)]
pub struct Interpreter(&'static Family);

impl Interpreter {
    /// The interpreter that a program file is; `None` for any other program. The program may have been
    /// replaced since, and is then printed with the kernel's suffix.
    pub fn of(program: &Path) -> Option<Interpreter> {
        family_of(&undeleted(program)).map(Interpreter)
    }

    /// Whether a file's name is that of a source of it.
    pub fn is_source(self, path: &Path) -> bool {
        let suffix = path.extension().map_or("", |suffix| suffix.to_str().unwrap_or("?"));
        self.0.sources.contains(&suffix)
    }

    /// Whether any name can be a source of it, and only what it says of it tells: of shells.
    pub fn takes_any_name(self) -> bool {
        self.0.sources.contains(&"")
    }

    /// Whether a file's name is that of an archive of its code.
    pub fn is_archive(self, path: &Path) -> bool {
        path.extension().and_then(OsStr::to_str).is_some_and(|suffix| self.0.archives.contains(&suffix))
    }

    /// The module that it was told to run (`python3 -m pkg.module`), as a relative path without suffix.
    pub fn module(self, arguments: &[Vec<u8>]) -> Option<PathBuf> {
        if !self.0.without_script.contains(&"-m") {
            return None;
        }
        let at = arguments.iter().position(|argument| argument == b"-m")?;
        let name = arguments.get(at + 1)?;
        let parts = name.split(|&byte| byte == b'.').map(OsStr::from_bytes);
        Some(parts.collect())
    }
}

/// Whether a text is one that an interpreter may read: it may be executed, or is named like a source.
pub fn may_be_script(path: &Path, mode: u16) -> bool {
    let named = |family: &'static Family| path.extension().is_some() && Interpreter(family).is_source(path);
    mode & 0o111 != 0 || FAMILIES.iter().any(named)
}

/// A printed path without the suffix that the kernel gives it when its name is gone.
pub fn undeleted(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)))
}

/// The script that a program reads, as an absolute path; `None` where it reads none.
pub fn script_of(program: &Path, arguments: &[Vec<u8>], working_folder: Option<&Path>) -> Option<PathBuf> {
    let family = family_of(&undeleted(program))?;
    let script = script_argument(family, arguments.get(1..)?)?;
    let path = Path::new(OsStr::from_bytes(script));
    match path.is_absolute() {
        true => Some(path.to_owned()),
        false => working_folder.map(|folder| folder.join(path)),
    }
}

/// Where nobody reads code: texts for people.
const DOCUMENTS: &str = "/usr/share/doc";

/// Whether a file that is no program of its own may be code that some interpreter reads, by its name:
/// who reads a file need not keep it open, so its inode does not tell of him.
pub fn may_be_read(path: &Path) -> bool {
    match path.extension().map(OsStr::to_str) {
        None => !path.starts_with(DOCUMENTS),
        Some(None) => true,
        Some(Some(suffix)) => {
            FAMILIES.iter().any(|family| family.sources.contains(&suffix) || family.archives.contains(&suffix))
        }
    }
}

/// Whether a program is one that reads scripts.
pub fn is_interpreter(program: &Path) -> bool {
    Interpreter::of(program).is_some()
}

fn family_of(program: &Path) -> Option<&'static Family> {
    let name = program.file_name()?.to_str()?;
    let is_version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte));
    FAMILIES.iter().find(|family| family.names.iter().any(|start| name.strip_prefix(start).is_some_and(is_version)))
}

fn script_argument<'a>(family: &Family, arguments: &'a [Vec<u8>]) -> Option<&'a [u8]> {
    let mut rest = arguments.iter().map(Vec::as_slice);
    while let Some(argument) = rest.next() {
        let is = |option: &&str| option.as_bytes() == argument;
        if family.script_option.as_ref().is_some_and(is) {
            return rest.next();
        }
        if argument == b"--" {
            return rest.next().filter(|_| family.script_option != Some("-jar"));
        }
        if family.without_script.iter().any(is) || ends_with_short(family, argument) {
            return None;
        }
        if family.with_value.iter().any(is) {
            rest.next();
            continue;
        }
        // A lone dash is standard input.
        if argument == b"-" {
            return None;
        }
        if !argument.starts_with(b"-") && !argument.starts_with(b"+") {
            return Some(argument).filter(|_| family.script_option != Some("-jar"));
        }
    }
    None
}

/// Short options in one word, of which the last takes program text: `python3 -uc '…'`, `bash -ec '…'`.
fn ends_with_short(family: &Family, argument: &[u8]) -> bool {
    let [b'-', letters @ .., last] = argument else { return false };
    let all_letters = !letters.is_empty() && letters.iter().all(u8::is_ascii_alphabetic);
    all_letters && family.without_script.iter().any(|option| option.as_bytes() == [b'-', *last])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(program: &str, arguments: &[&str]) -> Option<String> {
        let arguments: Vec<Vec<u8>> = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        script_of(Path::new(program), &arguments, Some(Path::new("/work"))).map(|path| path.display().to_string())
    }

    #[test]
    fn the_first_argument_that_is_no_option_is_the_script() {
        for (program, arguments, expected) in [
            ("/usr/bin/python3.11", &["python3", "/x/service.py", "-c"][..], Some("/x/service.py")),
            ("/usr/bin/python3.11", &["python3", "-u", "-W", "ignore", "service.py"], Some("/work/service.py")),
            ("/usr/bin/python3.11", &["python3", "-c", "pass", "/x/service.py"], None),
            ("/usr/bin/python3.11", &["python3", "-uc", "pass", "/x/service.py"], None),
            ("/usr/bin/python3.11", &["python3", "-m", "http.server"], None),
            ("/usr/bin/bash", &["/bin/bash", "-e", "/x/run.sh"], Some("/x/run.sh")),
            ("/usr/bin/bash", &["bash", "-c", "sleep 1", "/x/run.sh"], None),
            ("/usr/bin/perl", &["perl", "-w", "--", "/x/y.pl"], Some("/x/y.pl")),
            ("/usr/bin/java", &["java", "-Xmx1g", "-jar", "/x/app.jar", "/y"], Some("/x/app.jar")),
            ("/usr/bin/java", &["java", "-cp", "/x/app.jar", "Main"], None),
            ("/usr/bin/vim", &["vim", "/x/service.py"], None),
            ("/usr/bin/shutdown", &["shutdown", "/x"], None),
            ("/usr/bin/python3.11", &["python3"], None),
            ("/usr/bin/python3.11", &[], None),
        ] {
            assert_eq!(script(program, arguments).as_deref(), expected, "{program} {arguments:?}");
        }
    }
}
