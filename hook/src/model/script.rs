//! Which script an interpreter reads, from its arguments and the kernel's own script rules.
//!
//! Only the position of the first argument that is no option counts (execve(2), "Interpreter
//! scripts", and each interpreter's manual); nothing is opened, run or believed. Who names a script
//! that it does not read can only make itself look stale.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How one family of interpreters is called.
struct Family {
    /// Beginnings of the program's name; behind them only a version follows.
    names: &'static [&'static str],
    /// Options behind which no script follows (program text, a module).
    without_script: &'static [&'static str],
    /// Options that take the next argument.
    with_value: &'static [&'static str],
    /// The option whose value is the script, if only that is one.
    script_option: Option<&'static str>,
}

const FAMILIES: &[Family] = &[
    Family {
        names: &["python", "pypy"],
        without_script: &["-c", "-m"],
        with_value: &["-W", "-X", "-Q"],
        script_option: None,
    },
    Family { names: &["perl"], without_script: &["-e", "-E"], with_value: &["-I", "-M", "-m"], script_option: None },
    Family { names: &["ruby"], without_script: &["-e"], with_value: &["-I", "-r", "-C"], script_option: None },
    Family {
        names: &["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"],
        without_script: &["-c", "-s"],
        with_value: &["-o", "+o", "-O", "+O", "--rcfile", "--init-file"],
        script_option: None,
    },
    Family {
        names: &["node", "nodejs"],
        without_script: &["-e", "--eval", "-p", "--print"],
        with_value: &["-r", "--require", "--import"],
        script_option: None,
    },
    Family {
        names: &["php", "php-cli"],
        without_script: &["-r", "-S"],
        with_value: &["-c", "-d", "-z"],
        script_option: Some("-f"),
    },
    Family { names: &["lua", "luajit"], without_script: &["-e"], with_value: &["-l"], script_option: None },
    Family { names: &["tclsh", "wish"], without_script: &[], with_value: &["-encoding"], script_option: None },
    Family {
        names: &["java"],
        without_script: &[],
        with_value: &["-cp", "-classpath", "--class-path", "-p", "--module-path"],
        script_option: Some("-jar"),
    },
];

/// The script that a program reads, as an absolute path; `None` where it reads none.
pub fn script_of(program: &Path, arguments: &[Vec<u8>], working_folder: Option<&Path>) -> Option<PathBuf> {
    let family = family_of(program)?;
    let script = script_argument(family, arguments.get(1..)?)?;
    let path = Path::new(OsStr::from_bytes(script));
    match path.is_absolute() {
        true => Some(path.to_owned()),
        false => working_folder.map(|folder| folder.join(path)),
    }
}

/// Whether a program is one that reads scripts.
pub fn is_interpreter(program: &Path) -> bool {
    family_of(program).is_some()
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
