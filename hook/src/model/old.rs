//! Whether the inodes that a transaction replaced still have users: asked of the files, by the handles
//! that were taken before it, and not of the processes.

use super::claim::Claim;
use super::file::FileFacts;
use super::pending::{Pending, Side};
use std::collections::HashSet;
use std::path::Path;

/// What has become of an inode that stood at a claimed path before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is gone: nobody maps it or has it open.
    Gone,
    /// It is kept under some name, and nobody uses it.
    Unused,
    /// It still stands at its path, as it was.
    Untouched,
    /// Somebody maps it or has it open.
    Used,
    /// It could not be asked.
    Unknown(String),
}

/// Whether an inode is just what it was when its snapshot was taken.
pub fn is_untouched(before: &FileFacts, now: &FileFacts) -> bool {
    let same = |facts: &FileFacts| (facts.id, facts.born, facts.size, facts.modified, facts.changed);
    same(before) == same(now)
}

/// How it was found out who uses the old files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The inodes were asked, so many of them, and none has a user: no process was looked at.
    Inodes(usize),
    /// The processes were looked at, and why the inodes alone were not enough; empty where nobody
    /// asked about a transaction.
    Processes(String),
}

impl Default for Way {
    fn default() -> Way {
        Way::Processes(String::new())
    }
}

impl Way {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Way::Inodes(_) => "inodes",
            Way::Processes(_) => "processes",
        }
    }
}

/// From what the inodes said.
pub fn way(fates: &[(&Path, Fate)]) -> Way {
    let used: Vec<&&Path> = fates.iter().filter(|(_, fate)| *fate == Fate::Used).map(|(path, _)| path).collect();
    let unknown = fates.iter().find_map(|(path, fate)| match fate {
        Fate::Unknown(why) => Some(format!("{}: {why}", path.display())),
        Fate::Gone | Fate::Unused | Fate::Untouched | Fate::Used => None,
    });
    match (used.as_slice(), unknown) {
        ([], None) => Way::Inodes(fates.len()),
        ([], Some(why)) => Way::Processes(why),
        ([one], _) => Way::Processes(format!("the old {} is still used", one.display())),
        (many, _) => Way::Processes(format!("{} old files are still used", many.len())),
    }
}

/// Whether what was replaced was announced: then the snapshots hold all that may be old. `Err` says
/// what was not. `newer` are claimed paths without a snapshot, where only what is new may stand.
pub fn announced<'a>(pending: &[Pending], claims: &'a [Claim]) -> Result<Vec<&'a Path>, String> {
    let sides = |side| pending.iter().filter(move |one| one.side == side);
    if sides(Side::Pre).next().is_none() {
        return Err("the transaction was not announced".to_owned());
    }
    if let Some(gap) = pending.iter().flat_map(|one| &one.gaps).next() {
        return Err(gap.clone());
    }
    let packages: HashSet<(&str, &str)> = sides(Side::Pre)
        .flat_map(|one| one.packages.iter().map(move |package| (one.manager.as_str(), package.name.as_str())))
        .collect();
    let unannounced = sides(Side::Post)
        .flat_map(|one| one.packages.iter().map(move |package| (one.manager.as_str(), package.name.as_str())))
        .find(|package| !packages.contains(package));
    if let Some((_, package)) = unannounced {
        return Err(format!("{package} was not announced"));
    }
    let seen: HashSet<&Path> = sides(Side::Pre)
        .flat_map(|one| &one.claims)
        .filter_map(|claim| match claim {
            Claim::File { path, .. } => Some(path.as_path()),
            Claim::Tree { .. } => None,
        })
        .collect();
    let mut newer = Vec::new();
    for claim in claims {
        match claim {
            Claim::File { path, .. } if seen.contains(path.as_path()) => {}
            Claim::File { path, package: Some(_) } => newer.push(path.as_path()),
            Claim::File { path, package: None } => {
                return Err(format!("{} was not announced", path.display()));
            }
            // A folder only says that one of the packages has files in it.
            Claim::Tree { .. } if !packages.is_empty() => {}
            Claim::Tree { prefix } => return Err(format!("which files below {} is not known", prefix.display())),
        }
    }
    Ok(newer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim::Package;
    use std::path::PathBuf;

    fn pending(side: Side, package: &str, files: &[&str]) -> Pending {
        let claim = |path: &&str| Claim::File { path: PathBuf::from(path), package: Some(package.to_owned()) };
        Pending {
            boot_id: String::new(),
            time: 0,
            side,
            manager: "m".to_owned(),
            root: PathBuf::from("/"),
            packages: vec![Package { name: package.to_owned(), old: None, new: None }],
            claims: files.iter().map(claim).collect(),
            snapshots: Vec::new(),
            caller: String::new(),
            gaps: Vec::new(),
            hangs_on: Vec::new(),
            numbering: None,
            told: Default::default(),
        }
    }

    #[test]
    fn only_what_was_announced_can_be_asked_of_the_inodes() {
        let (pre, post) =
            (pending(Side::Pre, "a", &["/l/a.so.1"]), pending(Side::Post, "a", &["/l/a.so.1", "/l/a.so.1.2"]));
        assert_eq!(announced(&[pre.clone(), post.clone()], &post.claims), Ok(vec![Path::new("/l/a.so.1.2")]));
        let not = |pending: &[Pending], claims: &[Claim]| announced(pending, claims).expect_err("something is missing");
        assert_eq!(not(std::slice::from_ref(&post), &post.claims), "the transaction was not announced");
        let other = pending(Side::Post, "b", &["/l/b"]);
        assert_eq!(not(&[pre.clone(), other.clone()], &other.claims), "b was not announced");
        let nobodys = [Claim::File { path: PathBuf::from("/x"), package: None }];
        assert_eq!(not(std::slice::from_ref(&pre), &nobodys), "/x was not announced");
        let broken = Pending { gaps: vec!["cut".to_owned()], ..pre.clone() };
        assert_eq!(not(&[broken], &[]), "cut");
        let nameless = Pending { packages: Vec::new(), ..pre };
        assert_eq!(
            not(&[nameless], &[Claim::Tree { prefix: PathBuf::from("/l") }]),
            "which files below /l is not known"
        );
    }

    #[test]
    fn one_user_or_one_doubt_is_enough_to_look_at_the_processes() {
        let path = Path::new("/l");
        let doubt = || Fate::Unknown("no handle".to_owned());
        for (fates, expected) in [
            (vec![Fate::Gone, Fate::Unused, Fate::Untouched], Way::Inodes(3)),
            (vec![], Way::Inodes(0)),
            (vec![Fate::Gone, Fate::Used], Way::Processes("the old /l is still used".to_owned())),
            (vec![Fate::Used, doubt(), Fate::Used], Way::Processes("2 old files are still used".to_owned())),
            (vec![Fate::Gone, doubt()], Way::Processes("/l: no handle".to_owned())),
        ] {
            let fates: Vec<_> = fates.into_iter().map(|fate| (path, fate)).collect();
            assert_eq!(way(&fates), expected);
        }
    }
}
