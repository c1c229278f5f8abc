//! From what was typed to what is to be put where.

use crate::cli::ReplaceArguments;
use crate::model::file::{FileKind, Look};
use crate::model::pending::Snapshot;
use crate::model::replace::{refusal, refusal_of_place, role_of_link, Made, Role};
use crate::model::text::escape_path;
use crate::sys::content::{compare_bytes, role};
use crate::sys::files::{Links, Root};
use crate::sys::replace::{content, nearest_folder, place};
use crate::sys::{host, input, tree};
use anyhow::{bail, ensure, Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// More names than a distribution's largest package has.
const MOST: usize = 200_000;
/// A list of so many, with long paths.
const MOST_MANIFEST: u64 = 64 << 20;

/// Where the new content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// Standard input.
    Input,
    /// A link with this text.
    Link(PathBuf),
    /// This folder itself.
    Tree(PathBuf),
}

/// One name, and what is to take it.
#[derive(Debug, Clone)]
pub struct Item {
    /// Where the new content comes from.
    pub source: Source,
    /// The name by which a list of digests knows it.
    pub name: Vec<u8>,
    /// The name, links in its folders resolved.
    pub target: PathBuf,
    /// What stands there.
    pub old: Option<Snapshot>,
    /// What files below an old folder are.
    pub below: Vec<Snapshot>,
    /// Who may need it.
    pub role: Role,
}

/// All that is to be put in place.
#[derive(Debug, Default)]
pub struct Items {
    /// In the order in which names change.
    pub items: Vec<Item>,
    /// What is there already.
    pub unchanged: Vec<PathBuf>,
    /// Folders that are missing, the outermost first, with their permissions.
    pub folders: Vec<(Made, u16)>,
}

/// Finds out what was meant, and whether all of it may be done.
pub fn of(typed: &ReplaceArguments) -> Result<Items> {
    let mut items = Items::default();
    match typed.pair() {
        None => {
            let path = typed.manifest.as_deref().context("expected NEW and TARGET")?;
            for (new, target) in manifest(path)? {
                items.add(file_item(&new, &target, typed.follow)?, typed)?;
            }
        }
        Some((folder, root)) if typed.set => items.add_set(folder, root, typed)?,
        Some((new, target)) if typed.folder => items.items.push(folder_item(new, target)?),
        Some((new, target)) => items.add(file_item(new, target, typed.follow)?, typed)?,
    }
    let mut met = BTreeSet::new();
    for item in &items.items {
        ensure!(met.insert(&item.target), "{} is to be replaced twice", escape_path(&item.target));
    }
    items.items.sort_by_key(|item| item.role);
    Ok(items)
}

/// A path as it is meant, its folder without links.
fn meant(path: &Path, follow: bool) -> Result<PathBuf> {
    let path = std::path::absolute(path).with_context(|| escape_path(path))?;
    ensure!(path.file_name().is_some(), "{} is no name of a file", escape_path(&path));
    ensure!(!path.components().any(|part| part == Component::ParentDir), "{}: name it without ..", escape_path(&path));
    let is_link = Root::Own.look(&path, Links::Keep).found().is_some_and(|facts| facts.kind == FileKind::Link);
    match follow && is_link {
        true => path.canonicalize().with_context(|| format!("{} leads nowhere", escape_path(&path))),
        false => Ok(Root::Own.resolve_folder(&path)),
    }
}

fn file_item(new: &Path, target: &Path, follow: bool) -> Result<Item> {
    let target = meant(target, follow)?;
    let folder = target.parent().context("no folder")?;
    let is_folder = Root::Own.look(folder, Links::Keep).found().is_some_and(|facts| facts.kind == FileKind::Folder);
    ensure!(is_folder, "{}: its folder {} is not there", escape_path(&target), escape_path(folder));
    item(new, target)
}

fn item(new: &Path, target: PathBuf) -> Result<Item> {
    let place = place(&target);
    if let Some(why) = refusal(&place, host::uid()) {
        bail!("{why}");
    }
    let old = Root::Own.snapshot(target.clone());
    let name = if new == Path::new("-") { target.as_os_str() } else { new.as_os_str() }.as_bytes().to_vec();
    let (source, role) = match new == Path::new("-") {
        true => (Source::Input, Role::Data),
        false => {
            let file = content::open(new)?;
            let facts = Root::Own.look(new, Links::Follow);
            let is_same = facts.found().zip(old.as_ref()).is_some_and(|(new, old)| new.id == old.facts.id);
            ensure!(!is_same, "{} and {} are the same file", escape_path(new), escape_path(&target));
            (Source::File(std::path::absolute(new)?), role(&file))
        }
    };
    Ok(Item { source, name, target, old, below: Vec::new(), role })
}

/// A folder that takes the place of another, or a link that is to lead to it.
fn folder_item(new: &Path, target: &Path) -> Result<Item> {
    let new = std::path::absolute(new)?.canonicalize().with_context(|| escape_path(new))?;
    let facts = *Root::Own.look(&new, Links::Keep).found().with_context(|| escape_path(&new))?;
    ensure!(facts.kind == FileKind::Folder, "{} is no folder", escape_path(&new));
    let target = meant(target, false)?;
    let place = place(&target);
    if let Some(why) = refusal_of_place(&place, host::uid()) {
        bail!("{why}");
    }
    let old = Root::Own.snapshot(target.clone());
    let kind = old.as_ref().map(|old| old.facts.kind);
    let source = match kind {
        None | Some(FileKind::Folder) => {
            ensure!(!new.starts_with(&target) && !target.starts_with(&new), "one of the two folders lies in the other");
            if let Some(why) = refusal_of_place(&super::items::place(&new), host::uid()) {
                bail!("{why}");
            }
            let above = Root::Own.look(&nearest_folder(&target), Links::Keep);
            ensure!(
                above.found().is_some_and(|above| above.id.dev == facts.id.dev),
                "{} lies on another file system than {}: no rename leads from one to the other; copy it beside first",
                escape_path(&new),
                escape_path(&target)
            );
            Source::Tree(new.clone())
        }
        Some(FileKind::Link) => Source::Link(link_text(&target, &new)?),
        Some(FileKind::Regular | FileKind::Special) => {
            bail!("{} is no folder, and no link to one", escape_path(&target))
        }
    };
    let below = tree::files(&target, MOST)?.into_iter().filter_map(|path| Root::Own.snapshot(path)).collect();
    Ok(Item { source, name: Vec::new(), target, old, below, role: Role::Link })
}

/// The text by which a link is to lead to a folder: relative where the one before was, too.
fn link_text(link: &Path, to: &Path) -> Result<PathBuf> {
    let before = std::fs::read_link(link).with_context(|| escape_path(link))?;
    let folder = link.parent().context("no folder")?;
    if before.is_absolute() {
        return Ok(to.to_owned());
    }
    let common = folder.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    Ok(up.chain(to.components().skip(common)).collect())
}

/// Lines of a new file's path, a tab, and the path that it takes.
fn manifest(path: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let bytes = input::file(path, MOST_MANIFEST).with_context(|| format!("manifest {}", escape_path(path)))?;
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let place = || format!("{}:{}", escape_path(path), index + 1);
        let at = line.iter().position(|&byte| byte == b'\t');
        let (new, target) =
            at.map(|at| line.split_at(at)).with_context(|| format!("{}: expected NEW, a tab, and TARGET", place()))?;
        let (new, target) = (crate::model::text::path_of(new), crate::model::text::path_of(&target[1..]));
        ensure!(target.is_absolute(), "{}: TARGET must be an absolute path", place());
        // Relative to the manifest, wherever it is read from.
        rows.push((path.parent().unwrap_or(Path::new("")).join(new), target));
    }
    ensure!(rows.len() <= MOST, "{}: more than {MOST} files", escape_path(path));
    ensure!(!rows.is_empty(), "{} names no file", escape_path(path));
    Ok(rows)
}

impl Items {
    fn add(&mut self, item: Item, typed: &ReplaceArguments) -> Result<()> {
        match is_there(&item)? && !typed.changes_attributes() {
            true => self.unchanged.push(item.target),
            false => self.items.push(item),
        }
        Ok(())
    }

    /// Everything below a folder takes its place below another one.
    fn add_set(&mut self, folder: &Path, root: &Path, typed: &ReplaceArguments) -> Result<()> {
        let root = std::path::absolute(root)?.canonicalize().with_context(|| escape_path(root))?;
        let mut missing: BTreeMap<PathBuf, u16> = BTreeMap::new();
        let found = tree::walk(folder, MOST)?;
        ensure!(!found.is_empty(), "nothing is in {}", escape_path(folder));
        for (path, facts) in found {
            let below = path.strip_prefix(folder).context("a path below the folder")?.to_owned();
            let target = Root::Own.resolve_folder(&root.join(&below));
            match facts.kind {
                FileKind::Folder => match Root::Own.look(&target, Links::Follow) {
                    Look::Found(there) if there.kind == FileKind::Folder => {}
                    Look::Absent => {
                        missing.insert(target, facts.mode);
                    }
                    _ => bail!("{} is no folder", escape_path(&target)),
                },
                FileKind::Special => bail!("{} is a device, a FIFO or a socket", escape_path(&path)),
                FileKind::Regular => {
                    let mut item = item(&path, target)?;
                    item.name = below.as_os_str().as_bytes().to_vec();
                    self.add(item, typed)?;
                }
                FileKind::Link => self.add_link(&path, target, typed)?,
            }
        }
        if let Some(first) = missing.keys().next() {
            let why = refusal_of_place(&super::items::place(&nearest_folder(first).join("x")), host::uid());
            ensure!(why.is_none(), "{}", why.unwrap_or_default());
        }
        self.folders = missing.into_iter().map(|(path, mode)| (Made(path), mode)).collect();
        Ok(())
    }

    fn add_link(&mut self, path: &Path, target: PathBuf, typed: &ReplaceArguments) -> Result<()> {
        let text = std::fs::read_link(path).with_context(|| escape_path(path))?;
        let place = place(&target);
        let is_link = place.look.found().is_some_and(|facts| facts.kind == FileKind::Link);
        let why = if is_link { refusal_of_place(&place, host::uid()) } else { refusal(&place, host::uid()) };
        ensure!(why.is_none(), "{}", why.unwrap_or_default());
        let (old, role) = (Root::Own.snapshot(target.clone()), role_of_link(&target));
        self.add(Item { source: Source::Link(text), name: Vec::new(), target, old, below: Vec::new(), role }, typed)
    }
}

/// Whether just that is in place already.
fn is_there(item: &Item) -> Result<bool> {
    let Some(old) = &item.old else { return Ok(false) };
    Ok(match (&item.source, old.facts.kind) {
        (Source::File(path), FileKind::Regular) => {
            let there = Root::Own.open(&item.target);
            there.is_some_and(|there| content::open(path).is_ok_and(|new| compare_bytes(&there, &new)))
        }
        (Source::Link(text), FileKind::Link) => std::fs::read_link(&item.target)? == *text,
        _ => false,
    })
}
