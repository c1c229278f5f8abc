//! Why a plugin gave no answer.

use super::{library, trust, wire, Function};
use crate::model::text::{escape, escape_path};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a plugin gave no answer. Each says in one line which file, and what was expected.
#[derive(Debug)]
#[allow(missing_docs, reason = "`file` is the library, `function` what was asked, `said` its words")]
pub enum PluginError {
    /// Not a name that a plugin can have.
    BadName(String),
    /// No folder has a plugin of that name.
    NotFound { name: String, folders: Vec<PathBuf> },
    /// The library or a folder above it is not root's alone.
    Untrusted { file: PathBuf, why: String },
    /// The dynamic loader refuses it.
    NotLoadable { file: PathBuf, why: String },
    /// The library does not export the one function.
    NoSymbol { file: PathBuf },
    /// The one function returned null.
    NullTable { file: PathBuf },
    /// The struct ends before its first function.
    Short { file: PathBuf, size: usize },
    /// The plugin calls itself by another name than its file.
    WrongName { file: PathBuf, said: String },
    /// The plugin does not have that function.
    NoFunction { file: PathBuf, function: Function },
    /// The plugin said that it could not look.
    Failed { file: PathBuf, function: Function, code: i32, said: Vec<String> },
    /// The plugin panicked.
    Panicked { file: PathBuf, function: Function, said: Vec<String> },
    /// The plugin said what cannot be.
    Garbage { file: PathBuf, function: Function, why: String },
    /// The plugin said more than fits.
    TooMuch { file: PathBuf, function: Function },
    /// A signal ended the plugin's process.
    Crashed { file: PathBuf, signal: i32, stage: Stage, printed: String },
    /// The plugin ended its process.
    Exited { file: PathBuf, code: i32, stage: Stage, printed: String },
    /// The deadline passed.
    TimedOut { file: PathBuf, deadline: Duration, stage: Stage, printed: String },
    /// The question is too big to be asked.
    Question { file: PathBuf, why: String },
    /// The plugin's process could not be started or listened to.
    Process { file: PathBuf, error: std::io::Error },
}

/// What a plugin's process was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing of the plugin yet.
    Starting,
    /// The dynamic loader or the one function.
    Loading,
    /// A function of the plugin.
    Asking(Function),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Starting => f.write_str("before it was loaded"),
            Stage::Loading => f.write_str("while being loaded"),
            Stage::Asking(function) => write!(f, "in `{function}`"),
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use PluginError::*;
        if let Some(file) = self.file() {
            write!(f, "plugin {}: ", escape_path(file))?;
        }
        match self {
            BadName(name) => {
                write!(f, "\"{}\" is not the name of a plugin: [a-z0-9-]+", escape(name.as_bytes()))
            }
            NotFound { name, folders } => {
                let folders: Vec<_> = folders.iter().map(|folder| escape_path(folder)).collect();
                let (prefix, suffix) = (trust::PREFIX, trust::SUFFIX);
                write!(f, "no {prefix}{name}{suffix} in {}", folders.join(", "))
            }
            Untrusted { why, .. } => write!(f, "not loaded, {why}"),
            NotLoadable { why, .. } => write!(f, "cannot be loaded: {why}"),
            NoSymbol { .. } => write!(f, "does not export `{}`", reexec_plugin_abi::SYMBOL),
            NullTable { .. } => write!(f, "`{}` returned null", reexec_plugin_abi::SYMBOL),
            Short { size, .. } => {
                write!(f, "its struct has {size} bytes, at least {} are needed", library::LEAST)
            }
            WrongName { said, .. } => {
                write!(f, "calls itself \"{said}\", not as its file is named")
            }
            NoFunction { function, .. } => write!(f, "has no function `{function}`"),
            Failed { function, code, said, .. } if said.is_empty() => {
                write!(f, "`{function}` failed with {code} and said nothing")
            }
            Failed { function, said, .. } => write!(f, "`{function}` failed: {}", said.join("; ")),
            Panicked { function, said, .. } => {
                write!(f, "`{function}` panicked: {}", said.join("; "))
            }
            Garbage { function, why, .. } => write!(f, "`{function}` gave a bad answer: {why}"),
            TooMuch { function, .. } => {
                write!(f, "`{function}` said more than {} MiB or {} records", wire::MAX_ANSWER >> 20, wire::MAX_RECORDS)
            }
            Crashed { signal, stage, printed, .. } => {
                write!(f, "crashed with {} {stage}{}", signal_name(*signal), Printed(printed))
            }
            Exited { code, stage, printed, .. } => {
                write!(f, "ended its process with code {code} {stage}{}", Printed(printed))
            }
            TimedOut { deadline, stage, printed, .. } => {
                write!(f, "gave no answer within {deadline:?} {stage}{}", Printed(printed))
            }
            Question { why, .. } => write!(f, "cannot be asked: {why}"),
            Process { error, .. } => write!(f, "its process failed: {error}"),
        }
    }
}

impl std::error::Error for PluginError {}

impl PluginError {
    /// The file that the error is about.
    pub fn file(&self) -> Option<&Path> {
        use PluginError::*;
        match self {
            BadName(_) | NotFound { .. } => None,
            Untrusted { file, .. }
            | NotLoadable { file, .. }
            | NoSymbol { file }
            | NullTable { file }
            | Short { file, .. }
            | WrongName { file, .. }
            | NoFunction { file, .. }
            | Failed { file, .. }
            | Panicked { file, .. }
            | Garbage { file, .. }
            | TooMuch { file, .. }
            | Crashed { file, .. }
            | Exited { file, .. }
            | TimedOut { file, .. }
            | Question { file, .. }
            | Process { file, .. } => Some(file),
        }
    }
}

/// What a plugin printed, as the end of an error line.
struct Printed<'a>(&'a str);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            text => write!(f, "; it printed \"{text}\""),
        }
    }
}

fn signal_name(signal: i32) -> String {
    // The numbers that a crash has on Linux, whatever the architecture except MIPS and SPARC.
    let name = match signal {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
