//! Loads plugins and asks them, each time in a short-lived process of its own.
//!
//! The host never maps a plugin: a copy of its process, or its own program started with the hidden
//! argument [`child::WORD`], gives its rights away, checks and loads the library, asks it, and hands
//! back what it said. Whatever a plugin does there, the host has a [`PluginError`] and goes on.

mod ask;
pub mod child;
mod error;
mod library;
mod rights;
mod trust;
mod wire;

pub use crate::model::claim::Ownership;
use crate::model::claim::{Claim, Package};
use crate::model::text::escape;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::{PluginError, Stage};

/// Where plugins are installed.
pub const FOLDER: &str = "/usr/lib/reexec/plugins";

/// The folders with plugins.
#[derive(Debug, Clone)]
pub struct Plugins {
    folders: Vec<PathBuf>,
    host: Host,
}

/// What becomes a plugin's process.
#[derive(Debug, Clone)]
enum Host {
    /// A copy of this process while it has one thread, its program otherwise.
    Own,
    Copy,
    Program(PathBuf),
}

impl Default for Plugins {
    fn default() -> Self {
        Plugins::new(vec![PathBuf::from(FOLDER)])
    }
}

impl Plugins {
    /// Plugins in these folders; of two with one name the first is taken.
    pub fn new(folders: Vec<PathBuf>) -> Plugins {
        Plugins { folders, host: Host::Own }
    }

    /// Starts this program for a plugin's process, not the running one: for tests, whose own
    /// program knows no [`child::WORD`].
    pub fn started_by(mut self, program: PathBuf) -> Plugins {
        self.host = Host::Program(program);
        self
    }

    /// Copies this process, whatever threads it has: for tests, of which the others wait.
    pub fn copied(mut self) -> Plugins {
        self.host = Host::Copy;
        self
    }

    /// The plugin of a package manager.
    pub fn find(&self, manager: &str) -> Result<Plugin, PluginError> {
        trust::check_name(manager)?;
        for folder in &self.folders {
            match trust::open(folder, manager) {
                Ok(_) => return Ok(self.plugin(folder, manager)),
                Err(PluginError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(PluginError::NotFound { name: manager.to_owned(), folders: self.folders.clone() })
    }

    /// All plugins that are installed, by name.
    pub fn all(&self) -> Vec<Result<Plugin, PluginError>> {
        let mut names = Vec::new();
        let mut errors = Vec::new();
        for folder in &self.folders {
            match names_in(folder) {
                Ok(found) => names.extend(found),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => errors.push(Err(PluginError::Untrusted {
                    file: folder.clone(),
                    why: format!("cannot be listed: {error}"),
                })),
            }
        }
        names.sort();
        names.dedup();
        errors.extend(names.iter().map(|name| self.find(name)));
        errors
    }

    fn plugin(&self, folder: &Path, name: &str) -> Plugin {
        Plugin {
            name: name.to_owned(),
            folder: folder.to_owned(),
            file: trust::file_of(folder, name),
            host: self.host.clone(),
        }
    }
}

fn names_in(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.file_name();
        let name = file.as_bytes().strip_prefix(trust::PREFIX.as_bytes());
        if let Some(name) = name.and_then(|name| name.strip_suffix(trust::SUFFIX.as_bytes())) {
            names.push(escape(name));
        }
    }
    Ok(names)
}

/// A plugin whose file was found and may be loaded.
#[derive(Debug, Clone)]
pub struct Plugin {
    name: String,
    folder: PathBuf,
    file: PathBuf,
    host: Host,
}

/// When the hook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the files are replaced.
    Pre,
    /// After the files were replaced.
    Post,
}

/// What the package manager said when it called the hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerInput {
    /// Before or after.
    pub phase: Phase,
    /// The folder that holds the system; `/` for the running one.
    pub root: PathBuf,
    /// The trigger's arguments.
    pub arguments: Vec<OsString>,
    /// The trigger's standard input; at most 32 MiB.
    pub input: Vec<u8>,
    /// Seconds since 1970: what changed before is no news.
    pub since: Option<i64>,
}

/// One thing that a plugin can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// What does this trigger say?
    Read(TriggerInput),
    /// Which files do these packages have?
    Expand {
        /// The folder that holds the system.
        root: PathBuf,
        /// Names as [`Package::name`] has them.
        packages: Vec<String>,
    },
    /// Whose are these paths?
    Owners {
        /// The folder that holds the system.
        root: PathBuf,
        /// Absolute paths below the root.
        paths: Vec<PathBuf>,
    },
    /// On which packages do these depend?
    Dependencies {
        /// The folder that holds the system.
        root: PathBuf,
        /// Names as [`Package::name`] has them.
        packages: Vec<String>,
    },
    /// Are packages being changed now?
    Busy {
        /// The folder that holds the system.
        root: PathBuf,
    },
}

impl Question {
    /// The plugin's function that answers it.
    pub fn function(&self) -> Function {
        match self {
            Question::Read(_) => Function::Read,
            Question::Expand { .. } => Function::Expand,
            Question::Owners { .. } => Function::Owners,
            Question::Busy { .. } => Function::Busy,
            Question::Dependencies { .. } => Function::Dependencies,
        }
    }
}

/// What a plugin answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Read`] and [`Question::Expand`].
    Reading(Reading),
    /// To [`Question::Owners`].
    Owners(Owners),
    /// To [`Question::Busy`].
    Busy(Busy),
    /// To [`Question::Dependencies`]: those of each package, in order.
    Dependencies(Vec<Vec<String>>),
}

/// Packages and claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Packages with their versions.
    pub packages: Vec<Package>,
    /// Files and trees.
    pub claims: Vec<Claim>,
    /// Lines for the admin: what the plugin could not look at, and what it printed.
    pub messages: Vec<String>,
}

/// Who owns the paths that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// One for each path, in order; `None` where nobody owns it.
    pub each: Vec<Option<Ownership>>,
    /// Files and folders of the database, below its root: as long as they are what they were, so are the
    /// answers. Empty where the plugin did not say, or could not look at all of its database.
    pub basis: Vec<PathBuf>,
}

/// Whether packages are being changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// Nobody is at work.
    Idle,
    /// A transaction is in progress, and how that is known.
    Busy(Vec<String>),
    /// Nobody is at work, but a transaction was left half-way: by which packages that is known.
    Interrupted(Vec<String>),
    /// A lock is there that is only a file: it counts as long as a process has it open for writing.
    Locked {
        /// The lock, below the root.
        lock: PathBuf,
        /// How it is known that a transaction was left half-way, if nobody has the lock open.
        words: Vec<String>,
    },
}

/// A function of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `read`.
    Read = 1,
    /// `expand`.
    Expand = 2,
    /// `owners`.
    Owners = 3,
    /// `busy`.
    Busy = 4,
    /// `dependencies`.
    Dependencies = 5,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 5] =
        [Function::Read, Function::Expand, Function::Owners, Function::Busy, Function::Dependencies];
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Function::Read => "read",
            Function::Expand => "expand",
            Function::Owners => "owners",
            Function::Busy => "busy",
            Function::Dependencies => "dependencies",
        })
    }
}

impl Plugin {
    /// The package manager's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The library.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What a trigger says: packages and claims.
    pub fn read(&self, trigger: &TriggerInput, deadline: Duration) -> Result<Reading, PluginError> {
        self.reading(Question::Read(trigger.clone()), deadline)
    }

    /// The exact files of these packages, as the database lists them now.
    pub fn expand(&self, root: &Path, packages: &[String], deadline: Duration) -> Result<Reading, PluginError> {
        let (root, packages) = (root.to_owned(), packages.to_vec());
        self.reading(Question::Expand { root, packages }, deadline)
    }

    /// Who owns each of the paths.
    pub fn owners(&self, root: &Path, paths: &[&Path], deadline: Duration) -> Result<Owners, PluginError> {
        let (root, paths) = (root.to_owned(), paths.iter().map(|path| path.into()).collect());
        match self.one(Question::Owners { root, paths }, deadline)? {
            Answer::Owners(owners) => Ok(owners),
            Answer::Reading(_) | Answer::Busy(_) | Answer::Dependencies(_) => Err(self.unparsed(Function::Owners)),
        }
    }

    /// The installed packages on which each of these depends, by itself or through others.
    pub fn dependencies(
        &self,
        root: &Path,
        packages: &[String],
        deadline: Duration,
    ) -> Result<Vec<Vec<String>>, PluginError> {
        let (root, packages) = (root.to_owned(), packages.to_vec());
        match self.one(Question::Dependencies { root, packages }, deadline)? {
            Answer::Dependencies(all) => Ok(all),
            Answer::Reading(_) | Answer::Busy(_) | Answer::Owners(_) => Err(self.unparsed(Function::Dependencies)),
        }
    }

    /// Whether packages are being changed now.
    pub fn busy(&self, root: &Path, deadline: Duration) -> Result<Busy, PluginError> {
        match self.one(Question::Busy { root: root.to_owned() }, deadline)? {
            Answer::Busy(busy) => Ok(busy),
            Answer::Reading(_) | Answer::Owners(_) | Answer::Dependencies(_) => Err(self.unparsed(Function::Busy)),
        }
    }

    /// Asks several questions in one process: an answer or an error for each, in order. The outer
    /// error means that the plugin could not be asked to the end, and nothing it said counts.
    pub fn ask(
        &self,
        questions: Vec<Question>,
        deadline: Duration,
    ) -> Result<Vec<Result<Answer, PluginError>>, PluginError> {
        ask::ask(self, questions, deadline)
    }

    fn reading(&self, question: Question, deadline: Duration) -> Result<Reading, PluginError> {
        let function = question.function();
        match self.one(question, deadline)? {
            Answer::Reading(reading) => Ok(reading),
            Answer::Owners(_) | Answer::Busy(_) | Answer::Dependencies(_) => Err(self.unparsed(function)),
        }
    }

    fn one(&self, question: Question, deadline: Duration) -> Result<Answer, PluginError> {
        let function = question.function();
        let answers = self.ask(vec![question], deadline)?;
        answers.into_iter().next().unwrap_or_else(|| Err(self.unparsed(function)))
    }

    fn unparsed(&self, function: Function) -> PluginError {
        let why = "its answer cannot be parsed".to_owned();
        PluginError::Garbage { file: self.file.clone(), function, why }
    }
}
