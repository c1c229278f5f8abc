//! What `doctor` looks at, and what it says.

use super::verdict::words;
use serde::Deserialize;
use std::path::PathBuf;

words! {
    /// How one check ended.
    Health {
        /// As it should be.
        Good = "good",
        /// Not there, and things work without it, only less well.
        Less = "less",
        /// Broken or missing.
        Bad = "bad",
    }
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// The command that mends it; empty where there is nothing to mend.
    pub mend: String,
}

impl Check {
    /// A check that ended well.
    pub fn good(what: &str, found: impl Into<String>) -> Check {
        Check { what: what.to_owned(), health: Health::Good, found: found.into(), mend: String::new() }
    }

    /// Something that works less well.
    pub fn less(what: &str, found: impl Into<String>) -> Check {
        Check { health: Health::Less, ..Check::good(what, found) }
    }

    /// Something that is broken, and the command that mends it.
    pub fn bad(what: &str, found: impl Into<String>, mend: impl Into<String>) -> Check {
        Check { health: Health::Bad, mend: mend.into(), ..Check::good(what, found) }
    }
}

/// A place where a package manager is told to call us, as its integration describes it in
/// `/usr/lib/reexec/wiring.d/NAME.json`: the host knows no package manager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// What it is for.
    pub what: String,
    /// The file.
    pub file: PathBuf,
    /// What must stand in it.
    #[serde(default)]
    pub contains: String,
    /// Files that count in its place where they are there.
    #[serde(default)]
    pub overridden_by: Vec<PathBuf>,
    /// Whether it must belong to a package of the manager, by the database: what calls us came with it.
    #[serde(default)]
    pub owned: bool,
    /// Programs of which one must be there for the place to matter; none: it always does.
    #[serde(default)]
    pub only_with: Vec<PathBuf>,
    /// The command that puts it there.
    pub mend: String,
}
