//! What a package manager says it replaced: not yet a fact.

use super::text;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One package of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Name, as the package manager prints it (`libssl3`, `libssl3:i386`).
    pub name: String,
    /// Version before; `None` for a new package, or when nobody said.
    pub old: Option<String>,
    /// Version now; `None` for a removed package, or when nobody said.
    pub new: Option<String>,
}

/// What a package database says of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The package that owns it, as [`Package::name`] has it.
    pub package: String,
    /// Its version now.
    pub version: String,
    /// Algorithm (`md5`, `sha256`) and hexadecimal digest that the database keeps for the file.
    pub digest: Option<(String, String)>,
}

/// What the package manager says was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// This file.
    File {
        /// Absolute path below the transaction's root.
        #[serde(with = "text::printed")]
        path: PathBuf,
        /// The package that it belongs to, where somebody said.
        package: Option<String>,
    },
    /// Something at or below this folder; which files, nobody said.
    Tree {
        /// Absolute path below the transaction's root.
        #[serde(with = "text::printed")]
        prefix: PathBuf,
    },
}

impl Claim {
    /// Whether the claim covers this path.
    pub fn covers(&self, path: &Path) -> bool {
        match self {
            Claim::File { path: claimed, .. } => claimed == path,
            Claim::Tree { prefix } => path.starts_with(prefix),
        }
    }
}

/// One run of a package manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The plugin that read the trigger: `dpkg`, `rpm`, `pacman`; `none` for a list of paths.
    pub manager: String,
    /// The folder that holds the system; `/` for the running one.
    #[serde(with = "text::printed")]
    pub root: PathBuf,
    /// Packages with their versions.
    pub packages: Vec<Package>,
    /// Files and trees.
    pub claims: Vec<Claim>,
}
