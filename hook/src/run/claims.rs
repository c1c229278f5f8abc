//! From what somebody says was replaced to claims that can be asked by path and by inode.

use crate::model::claim::Claim;
use crate::model::file::{FileKind, Look, Stamp};
use crate::model::judge::{ClaimIndex, ClaimedFile};
use crate::model::text::path_of;
use crate::sys::files::{Links, Root};
use crate::sys::input;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A list of a million paths, and some more.
const MOST_CLAIMS: u64 = 256 << 20;
const STDIN_DEADLINE: Duration = Duration::from_secs(20);

/// The claims of a `--claims` file: one path a line.
pub fn from_file(path: &Path) -> Result<Vec<Claim>> {
    let bytes = match path == Path::new("-") {
        true => {
            let input = input::stdin(MOST_CLAIMS as usize, STDIN_DEADLINE)?;
            if let Some(why) = input.cut {
                anyhow::bail!("claims on standard input: {why}");
            }
            input.bytes
        }
        false => input::file(path, MOST_CLAIMS).with_context(|| format!("claims {}", path.display()))?,
    };
    let lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut claims = Vec::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        if !line.starts_with(b"/") {
            let shown = crate::model::text::escape(&line[..line.len().min(80)]);
            anyhow::bail!("{}:{}: \"{shown}\" is no absolute path", path.display(), number + 1);
        }
        claims.push(Claim::File { path: path_of(line), package: None });
    }
    Ok(claims)
}

/// Looks at every claimed path below `root`. `earlier` claims come from transactions since boot; what
/// lies below a `silent` mount is not looked at.
pub fn index(claims: &[Claim], earlier: &[Claim], root: &Path, silent: &[PathBuf]) -> Result<ClaimIndex> {
    let host = Root::Own;
    let below = |path: &Path| match root == Path::new("/") {
        true => path.to_owned(),
        false => root.join(path.strip_prefix("/").unwrap_or(path)),
    };
    let mut index = ClaimIndex::default();
    let mut folders: HashMap<PathBuf, (PathBuf, Option<Stamp>)> = HashMap::new();
    let all = earlier.iter().map(|claim| (claim, true)).chain(claims.iter().map(|claim| (claim, false)));
    for (claim, earlier) in all {
        match claim {
            Claim::File { path, package } => {
                let typed = below(path);
                if silent.iter().any(|mount| typed.starts_with(mount)) {
                    let now = Look::Hidden("its file system does not answer".to_owned());
                    index.add_file(typed, ClaimedFile { package: package.clone(), now, link_changed: None, earlier });
                    continue;
                }
                let (Some(folder), Some(name)) = (typed.parent(), typed.file_name()) else { continue };
                let (real, link_changed) = folders.entry(folder.to_owned()).or_insert_with(|| {
                    let real = host.resolve(folder);
                    let link_changed = if real == folder { None } else { newest_link(&host, folder) };
                    (real, link_changed)
                });
                let (path, link_changed) = (real.join(name), *link_changed);
                let (now, link_made) = look(&host, &path);
                index.note_link(link_made.max(link_changed));
                index.add_file(path, ClaimedFile { package: package.clone(), now, link_changed, earlier });
            }
            Claim::Tree { prefix } => index.add_tree(host.resolve_folder(&below(prefix))),
        }
    }
    Ok(index)
}

/// What a claimed path leads to, and when it was made if it is a symbolic link.
fn look(root: &Root, path: &Path) -> (Look, Option<Stamp>) {
    match root.look(path, Links::Keep) {
        Look::Found(link) if link.kind == FileKind::Link => (root.look(path, Links::Follow), Some(link.changed)),
        now => (now, None),
    }
}

/// When the newest of the symbolic links on the way to a folder was made.
fn newest_link(root: &Root, folder: &Path) -> Option<Stamp> {
    let links = folder.ancestors().filter_map(|folder| root.look(folder, Links::Keep).found().copied());
    links.filter(|facts| facts.kind == FileKind::Link).map(|facts| facts.changed).max()
}
