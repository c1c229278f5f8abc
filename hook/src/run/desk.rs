//! What every command that looks needs at hand: policy, plugins, state, and what is claimed.

use crate::cli::Common;
use crate::model::claim::{Claim, Package};
use crate::model::judge::Window;
use crate::model::pending::{merge_packages, settle_packages, Memory, Pending, Snapshot};
use crate::run::{claims, marks, packages};
use crate::sys::config::{self, Sources};
use crate::sys::host;
use crate::sys::plugin::{Plugin, Plugins};
use crate::sys::state::Store;
use anyhow::{anyhow, Result};
use std::path::{Path, PathBuf};

/// The things on the desk.
#[derive(Debug)]
pub struct Desk<'a> {
    /// What was typed.
    pub common: &'a Common,
    /// Usable plugins.
    pub plugins: Vec<Plugin>,
    /// What is wrong with the others.
    pub plugin_faults: Vec<String>,
    /// State on disk.
    pub store: Store,
    /// This boot.
    pub boot_id: String,
}

/// What somebody says was replaced, as far as it is known.
#[derive(Debug, Default)]
pub struct Known {
    /// Said by whoever is not acted on yet.
    pub now: Vec<Claim>,
    /// Acted on before, since boot.
    pub earlier: Vec<Claim>,
    /// Files as they were before each transaction, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// When transactions were replacing files: those that are not acted on yet, and earlier ones in which
    /// processes were started that are left.
    pub windows: Vec<Window>,
    /// Packages with their versions.
    pub packages: Vec<Package>,
    /// Who said it.
    pub managers: Vec<String>,
    /// What could not be read of it.
    pub gaps: Vec<String>,
    /// Processes that run old files were left by the last run.
    pub leftovers: bool,
}

impl<'a> Desk<'a> {
    /// Finds the plugins and the state of the system that is asked about.
    pub fn open(common: &'a Common) -> Desk<'a> {
        let folders = common.plugins.clone().map(|folder| vec![folder]);
        let (plugins, plugin_faults) = packages::usable(&folders.map(Plugins::new).unwrap_or_default());
        Desk { common, plugins, plugin_faults, store: Store::below(&common.root), boot_id: host::boot_id() }
    }

    /// The policy: of the system, or the file that was named.
    pub fn policy(&self) -> Result<config::Loaded> {
        let sources = Sources::below(&self.common.root);
        let loaded = match &self.common.policy {
            Some(file) => config::load_file_over(&sources, file),
            None => config::load(&sources),
        };
        loaded.map_err(|errors| anyhow!("{errors}"))
    }

    /// What is claimed: on the command line, by triggers that wait, and since boot.
    pub fn known(&self) -> Result<Known> {
        let mut known = Known::default();
        if let Some(path) = &self.common.claims {
            known.now = claims::from_file(path)?;
        }
        known.add_memory(self.store.memory(&self.boot_id));
        let (pending, gaps) = self.store.pending();
        known.gaps = gaps;
        let pending: Vec<Pending> =
            pending.into_iter().map(|(_, pending)| pending).filter(|one| one.boot_id == self.boot_id).collect();
        known.add_pending(&pending);
        if let Some(unclaimed) = self.unclaimed(&pending)? {
            known.add_pending(&[unclaimed]);
        }
        Ok(known)
    }

    /// What was replaced on the running system although nobody said so, where the update service takes note.
    pub fn unclaimed(&self, pending: &[Pending]) -> Result<Option<Pending>> {
        if self.common.is_of_running_system() {
            marks::unclaimed(self, pending)
        } else {
            Ok(None)
        }
    }

    /// All pending of this boot with the paths of their files; what is left of another boot is only
    /// named, to be forgotten.
    pub fn pending(&self) -> (Vec<PathBuf>, Vec<Pending>, Vec<String>) {
        let (all, gaps) = self.store.pending();
        let (paths, pending): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        (paths, pending.into_iter().filter(|one: &Pending| one.boot_id == self.boot_id).collect(), gaps)
    }
}

impl Known {
    /// Adds what was acted on since boot.
    pub fn add_memory(&mut self, memory: Memory) {
        self.earlier = memory.claims;
        self.snapshots = memory.snapshots;
        self.leftovers = memory.leftovers;
        self.windows = memory.windows;
        merge_packages(&mut self.packages, &memory.packages);
    }

    /// The package that somebody said a path is of.
    pub fn package_of(&self, path: &Path) -> Option<String> {
        let of = |claim: &Claim| match claim {
            Claim::File { path: claimed, package } if claimed == path => package.clone(),
            Claim::File { .. } | Claim::Tree { .. } => None,
        };
        self.now.iter().chain(&self.earlier).find_map(of)
    }

    /// Adds what triggers said.
    pub fn add_pending(&mut self, pending: &[Pending]) {
        let mut now = Vec::new();
        merge_packages(&mut now, pending.iter().flat_map(|one| &one.packages));
        merge_packages(&mut self.packages, &now);
        settle_packages(&mut self.packages, &now);
        self.windows.extend(Window::of(pending));
        for one in pending {
            self.now.extend(one.claims.iter().cloned());
            self.snapshots.extend(one.snapshots.iter().cloned());
            self.gaps.extend(one.gaps.iter().cloned());
            if !one.manager.is_empty() && !self.managers.contains(&one.manager) {
                self.managers.push(one.manager.clone());
            }
        }
    }
}
