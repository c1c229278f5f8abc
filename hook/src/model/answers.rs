//! What package databases answered: it holds as long as nothing that they were read from has changed.
//!
//! The same few files are asked about at every look, by a monitoring check every minute; and a database
//! without an index (dpkg's, pacman's) is read to its end for a file that no package owns. With them stand the
//! digests of files that were held against such an answer: a C library has two megabytes.

use super::claim::Ownership;
use super::file::{FileFacts, Stamp};
use super::text;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Paths whose answers are kept for one database: more than are ever in question at one time.
const MOST_PATHS: usize = 4096;
/// A change within this time before a question may bear the same time as what was read: file systems keep
/// times to a few milliseconds, or to a whole second.
const SETTLED: Stamp = 2_000_000_000;

/// Who writes through a mapping changes a file's times once for each page, until the page is written back: that is
/// after half a minute, and 5 seconds (`dirty_expire_centisecs` and `dirty_writeback_centisecs` of
/// Documentation/admin-guide/sysctl/vm.rst).
const WRITTEN_BACK: Stamp = 60_000_000_000;
/// Files whose digests are kept.
const MOST_DIGESTS: usize = 256;

/// A file or folder that answers were read from; no facts where nothing was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path.
    #[serde(with = "text::printed")]
    pub path: PathBuf,
    /// What it was.
    pub facts: Option<FileFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    #[serde(with = "text::printed")]
    path: PathBuf,
    owner: Option<Ownership>,
}

/// The answers of one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Database {
    /// The plugin itself first, then what it read.
    sources: Vec<Source>,
    rows: Vec<Row>,
}

/// The digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Digest {
    facts: FileFacts,
    algorithm: String,
    digest: String,
}

/// The answers of all plugins, and the digests of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    databases: Vec<Database>,
    digests: Vec<Digest>,
}

impl Database {
    fn is_of(&self, plugin: &Path) -> bool {
        self.sources.first().is_some_and(|source| source.path == plugin)
    }
}

impl Answers {
    /// The answers of a plugin about these paths, if all of them are kept and hold still; `look` says what
    /// a path is now.
    pub fn of(
        &self,
        plugin: &Path,
        paths: &[&Path],
        look: impl Fn(&Path) -> Option<FileFacts>,
    ) -> Option<Vec<Option<Ownership>>> {
        let database = self.databases.iter().find(|database| database.is_of(plugin))?;
        let rows: HashMap<&Path, &Row> = database.rows.iter().map(|row| (row.path.as_path(), row)).collect();
        let owner = |path: &&Path| rows.get(path).map(|row| row.owner.clone());
        let answers = paths.iter().map(owner).collect::<Option<Vec<_>>>()?;
        database.sources.iter().all(|source| look(&source.path) == source.facts).then_some(answers)
    }

    /// Keeps the answers to a question that was asked at that moment; `sources` are the plugin and what it
    /// read, as they were after it. Whether there is something new to keep.
    pub fn keep(
        &mut self,
        sources: Vec<Source>,
        answers: impl Iterator<Item = (PathBuf, Option<Ownership>)>,
        asked: Stamp,
    ) -> bool {
        let Some(plugin) = sources.first().map(|source| source.path.clone()) else { return false };
        let is_settled = |source: &Source| {
            source.facts.is_none_or(|facts| facts.modified.max(facts.changed).saturating_add(SETTLED) < asked)
        };
        // With the plugin alone nothing would tell that the database has changed.
        if sources.len() < 2 || !sources.iter().all(is_settled) {
            return false;
        }
        let old = self.databases.iter().position(|database| database.is_of(&plugin));
        let old = old.map(|at| self.databases.swap_remove(at)).filter(|old| old.sources == sources);
        let mut rows = old.map(|old| old.rows).unwrap_or_default();
        let new: Vec<Row> = answers.map(|(path, owner)| Row { path, owner }).collect();
        let renewed: HashSet<&Path> = new.iter().map(|row| row.path.as_path()).collect();
        rows.retain(|row| !renewed.contains(row.path.as_path()));
        rows.extend(new);
        let room = rows.len().saturating_sub(MOST_PATHS);
        rows.drain(..room);
        self.databases.push(Database { sources, rows });
        true
    }

    /// The digest of a file that is what it was when it was read.
    pub fn digest(&self, facts: &FileFacts, algorithm: &str) -> Option<&str> {
        let kept = self.digests.iter().find(|kept| kept.facts == *facts && kept.algorithm == algorithm);
        kept.map(|kept| kept.digest.as_str())
    }

    /// Keeps the digest of a file that was read from that moment on, and had these facts before and after it;
    /// whether that may be.
    pub fn keep_digest(&mut self, facts: FileFacts, algorithm: &str, digest: &str, read: Stamp) -> bool {
        if facts.modified.max(facts.changed).saturating_add(WRITTEN_BACK) >= read {
            return false;
        }
        self.digests.retain(|kept| kept.facts.id != facts.id || kept.algorithm != algorithm);
        let room = (self.digests.len() + 1).saturating_sub(MOST_DIGESTS);
        self.digests.drain(..room);
        self.digests.push(Digest { facts, algorithm: algorithm.to_owned(), digest: digest.to_owned() });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::file::{FileId, FileKind};

    const PLUGIN: &str = "/usr/lib/reexec/plugins/libreexec_a.so";
    const DATABASE: &str = "/var/lib/a";

    fn facts(changed: Stamp) -> FileFacts {
        FileFacts {
            id: FileId { dev: 1, ino: 2 },
            kind: FileKind::Regular,
            born: None,
            changed,
            modified: 0,
            size: 1,
            links: 1,
            uid: 0,
            mode: 0o644,
        }
    }

    fn sources(changed: Stamp) -> Vec<Source> {
        let source = |path: &str, facts| Source { path: path.into(), facts };
        vec![source(PLUGIN, Some(facts(1))), source(DATABASE, Some(facts(changed))), source("/var/lib/b", None)]
    }

    fn owner(package: &str) -> Option<Ownership> {
        Some(Ownership { package: package.into(), version: "1".into(), digest: None })
    }

    fn kept(answers: &[(&str, Option<Ownership>)]) -> Answers {
        let mut kept = Answers::default();
        let rows = answers.iter().map(|(path, owner)| (PathBuf::from(path), owner.clone()));
        assert!(kept.keep(sources(5), rows, 10 * SETTLED));
        kept
    }

    /// What is there now: the plugin, and the database with this time of change.
    fn now(changed: Stamp) -> impl Fn(&Path) -> Option<FileFacts> {
        move |path| sources(changed).into_iter().find(|source| source.path == path).and_then(|source| source.facts)
    }

    fn ask(answers: &Answers, paths: &[&str], changed: Stamp) -> Option<Vec<Option<Ownership>>> {
        let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
        answers.of(Path::new(PLUGIN), &paths, now(changed))
    }

    #[test]
    fn answers_hold_until_something_that_they_were_read_from_changes() {
        let answers = kept(&[("/x", owner("a")), ("/y", None)]);
        assert_eq!(ask(&answers, &["/y", "/x"], 5), Some(vec![None, owner("a")]));
        assert_eq!(ask(&answers, &["/x"], 6), None, "the database was written to");
        assert_eq!(ask(&answers, &["/x", "/z"], 5), None, "one of them was not asked for");
        let appeared = |path: &Path| if path == Path::new("/var/lib/b") { Some(facts(1)) } else { now(5)(path) };
        assert_eq!(answers.of(Path::new(PLUGIN), &[Path::new("/x")], appeared), None);
        assert_eq!(answers.of(Path::new("/another"), &[Path::new("/x")], now(5)), None);
    }

    #[test]
    fn what_was_changed_a_moment_ago_or_names_nothing_that_it_was_read_from_is_not_kept() {
        let mut answers = Answers::default();
        let rows = || [(PathBuf::from("/x"), None)].into_iter();
        assert!(!answers.keep(sources(100 * SETTLED), rows(), 100 * SETTLED + SETTLED / 2));
        assert!(!answers.keep(sources(5)[..1].to_vec(), rows(), 100 * SETTLED));
        assert!(!answers.keep(Vec::new(), rows(), 100 * SETTLED));
        assert_eq!(answers, Answers::default());
    }

    #[test]
    fn a_digest_holds_until_the_file_has_another_time_and_not_where_it_was_just_written() {
        let mut answers = Answers::default();
        assert!(!answers.keep_digest(facts(5), "md5", "a", 5 + WRITTEN_BACK));
        assert!(answers.keep_digest(facts(5), "md5", "a", 6 + WRITTEN_BACK));
        assert_eq!(answers.digest(&facts(5), "md5"), Some("a"));
        assert_eq!((answers.digest(&facts(6), "md5"), answers.digest(&facts(5), "sha256")), (None, None));
        assert!(answers.keep_digest(facts(6), "md5", "b", 10 * WRITTEN_BACK));
        assert_eq!((answers.digest(&facts(5), "md5"), answers.digest(&facts(6), "md5")), (None, Some("b")));
        for ino in 0..2 * MOST_DIGESTS as u64 {
            let other = FileFacts { id: FileId { dev: 1, ino: 10 + ino }, ..facts(5) };
            assert!(answers.keep_digest(other, "md5", "c", 10 * WRITTEN_BACK));
        }
        assert_eq!(answers.digests.len(), MOST_DIGESTS);
    }

    #[test]
    fn later_answers_are_added_and_replace_those_of_a_database_that_has_changed() {
        let mut answers = kept(&[("/x", None)]);
        let row = |path: &str, package: &str| [(PathBuf::from(path), owner(package))].into_iter();
        assert!(answers.keep(sources(5), row("/y", "b"), 10 * SETTLED));
        assert_eq!(ask(&answers, &["/x", "/y"], 5), Some(vec![None, owner("b")]));
        assert!(answers.keep(sources(6), row("/y", "c"), 10 * SETTLED));
        assert_eq!(ask(&answers, &["/y"], 6), Some(vec![owner("c")]));
        assert_eq!(ask(&answers, &["/x"], 6), None);
        let many = (0..2 * MOST_PATHS).map(|number| (PathBuf::from(format!("/{number}")), None));
        assert!(answers.keep(sources(6), many, 10 * SETTLED));
        assert_eq!(answers.databases[0].rows.len(), MOST_PATHS);
    }
}
