//! `replace`: puts files in place, then judges, acts and proves as after any transaction.

mod items;
mod links;
mod prove;
pub mod put;

pub use items::{Item, Items, Source};

use super::apply::{self, Own, Run};
use super::desk::Desk;
use crate::cli::{Attributes, ReplaceArguments};
use crate::model::pending::{Pending, Side};
use crate::model::replace::{parse_sums, Remedy, Replaced, ReplacedFile, Sums};
use crate::model::text::escape_path;
use crate::sys::replace::dress::Dress;
use crate::sys::replace::{content, signature};
use crate::sys::state::Store;
use crate::sys::users::Users;
use crate::sys::{clock, content as bytes, files::Root, host, input, progress};
use anyhow::{bail, ensure, Context, Result};
use put::{recover, Put, Recovered};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// How long a replacement waits for another one to end: that may wait for proof.
const LOCK_DEADLINE: Duration = Duration::from_secs(600);
/// A list of digests of a whole distribution.
const MOST_SUMS: u64 = 64 << 20;

/// What there is to say.
#[derive(Debug, Default)]
pub struct Said {
    /// What was put in place.
    pub replaced: Replaced,
    /// Who ran the old, and what became of it; `None` where that was not looked at.
    pub run: Option<Run>,
}

/// Puts in place what was typed.
pub fn replace(desk: &Desk<'_>, typed: &ReplaceArguments) -> Result<Said> {
    ensure!(desk.common.root == Path::new("/"), "--root: files are put in place on the running system only");
    ensure!(desk.common.claims.is_none(), "--claims: what is put in place is what is looked at");
    // A faulty policy is told before anything has changed.
    desk.policy()?;
    let store = match host::uid() {
        0 => desk.store.clone(),
        _ => Store::of_user()?,
    };
    let line = progress::show("waiting for another replacement to end");
    let _lock = if typed.dry_run { None } else { Some(store.lock_replacing(LOCK_DEADLINE)?) };
    drop(line);
    let mut said = Said::default();
    let mut waiting: Vec<Pending> = Vec::new();
    if !typed.dry_run {
        if let Some(recovered) = recover(&store)? {
            said.replaced.recovered = words(&recovered);
            waiting.extend(after(desk, &recovered));
        }
    }
    if typed.recover {
        return judge(desk, waiting, typed.later, said);
    }
    let order = Order::read(typed)?;
    let items = items::of(typed)?;
    order.check_list(&items.items)?;
    said.replaced.unchanged = items.unchanged.clone();
    said.replaced.files = items.items.iter().map(row).collect();
    said.replaced.dry_run = typed.dry_run;
    if typed.dry_run || items.items.is_empty() {
        for item in &items.items {
            order.check_source(item)?;
        }
        return judge(desk, waiting, typed.later, said);
    }
    let mut put = Put::begin(&store, &items.items, items.folders, typed.undo_if_unproven)?;
    let placed =
        put.write(&items.items, &|item, source| order.dress(item, source), &|item, file| order.check(item, file));
    match placed.and_then(|()| put.place()) {
        Ok(window) => said.replaced.window = Some(window),
        Err(error) => {
            let lost = put.give_up();
            let what = if lost.is_empty() { "nothing was changed".to_owned() } else { lost.join("; ") };
            return Err(error.context(what));
        }
    }
    links::find(&put.journal, &mut said.replaced);
    if typed.undo_if_unproven {
        return prove::or_undo(desk, put, said);
    }
    waiting.extend(put.journal.pending(&desk.boot_id, clock::now()));
    let kept = keep(desk, waiting)?;
    put.clean()?;
    act(desk, kept, typed.later, said)
}

/// Writes down what is to be judged, where there is a place for it: for root.
fn keep(desk: &Desk<'_>, pending: Vec<Pending>) -> Result<Own> {
    match host::uid() {
        0 => Own::keep(desk, pending),
        _ => Ok(Own { paths: Vec::new(), pending }),
    }
}

fn judge(desk: &Desk<'_>, waiting: Vec<Pending>, later: bool, said: Said) -> Result<Said> {
    match waiting.is_empty() {
        true => Ok(said),
        false => act(desk, keep(desk, waiting)?, later, said),
    }
}

/// Judges, acts and proves; later, where packages are being changed.
fn act(desk: &Desk<'_>, own: Own, later: bool, mut said: Said) -> Result<Said> {
    if host::uid() != 0 {
        said.run = Some(apply::look_own(desk, &own)?);
        return Ok(said);
    }
    if later {
        said.replaced.notes.push("who still runs the old is looked at by the next `reexec apply`".to_owned());
        return Ok(said);
    }
    said.run = apply::apply_own_when_idle(desk, &own, &mut said.replaced.notes)?;
    Ok(said)
}

fn row(item: &Item) -> ReplacedFile {
    let (path, was_there) = (item.target.clone(), item.old.is_some());
    ReplacedFile { path, was_there, links: Vec::new(), hidden_links: 0 }
}

/// What was done about a call that was cut short.
fn words(recovered: &Recovered) -> Vec<String> {
    let names = match recovered.journal.entries.as_slice() {
        [] => "nothing".to_owned(),
        [one] => escape_path(&one.target),
        [first, rest @ ..] => format!("{} and {} more", escape_path(&first.target), rest.len()),
    };
    let done = match recovered.remedy {
        Remedy::Finish => "was finished",
        Remedy::TakeBack => "was taken back",
    };
    let first = format!("an earlier call that was cut short {done}: {names}");
    std::iter::once(first).chain(recovered.lost.iter().cloned()).collect()
}

/// What is to be judged after it. Of one that was taken back only that its names may have led elsewhere.
fn after(desk: &Desk<'_>, recovered: &Recovered) -> Vec<Pending> {
    let both = recovered.journal.pending(&desk.boot_id, clock::now());
    match recovered.remedy {
        Remedy::Finish => both.into(),
        Remedy::TakeBack => both.into_iter().filter(|one| one.side == Side::Post).collect(),
    }
}

/// What every file must have, and what it gets.
#[derive(Debug)]
struct Order<'a> {
    typed: &'a ReplaceArguments,
    owner: Option<(Option<u32>, Option<u32>)>,
    sums: Option<Sums>,
}

impl<'a> Order<'a> {
    fn read(typed: &'a ReplaceArguments) -> Result<Order<'a>> {
        let owner = typed.owner.as_deref().map(|text| Users::parse_owner(Path::new("/"), text)).transpose()?;
        let sums = match &typed.sha256 {
            None => None,
            Some(path) => {
                let text = input::file(path, MOST_SUMS).with_context(|| escape_path(path))?;
                Some(parse_sums(&text).map_err(|error| anyhow::anyhow!("{}:{error}", escape_path(path)))?)
            }
        };
        Ok(Order { typed, owner, sums })
    }

    /// A signature is of the list where there is one, and of the one file otherwise.
    fn check_list(&self, items: &[Item]) -> Result<()> {
        let Some((signed, key)) = self.typed.signature.as_deref().zip(self.typed.key.as_deref()) else { return Ok(()) };
        match &self.typed.sha256 {
            Some(list) => signature::check(&content::open(list)?, signed, key),
            None if items.len() > 1 => bail!("a signature of many files is one of their list: name it with --sha256"),
            None => Ok(()),
        }
    }

    fn check_source(&self, item: &Item) -> Result<()> {
        match &item.source {
            Source::File(path) => self.check(item, &content::open(path)?),
            Source::Input | Source::Link(_) | Source::Tree(_) => Ok(()),
        }
    }

    /// Whether these bytes are those that somebody vouches for.
    fn check(&self, item: &Item, file: &File) -> Result<()> {
        if let (Some(sums), Some(list)) = (&self.sums, &self.typed.sha256) {
            let list = escape_path(list);
            let wanted = sums
                .of(&item.name)
                .with_context(|| format!("{list} has no digest of {}", crate::model::text::escape(&item.name)))?;
            let digest = bytes::digest(file, "sha256").context("too large for a digest, or not to be read")?;
            ensure!(digest == wanted, "its SHA-256 is {digest}, {list} says {wanted}");
        } else if let Some((signed, key)) = self.typed.signature.as_deref().zip(self.typed.key.as_deref()) {
            signature::check(file, signed, key)?;
        }
        Ok(())
    }

    /// What the new file is to wear.
    fn dress(&self, item: &Item, source: &File) -> Result<Dress> {
        let mut dress = match (self.typed.attributes, &item.old) {
            (Attributes::Old, Some(_)) => {
                let old = Root::Own.open(&item.target).context("the old file cannot be read")?;
                Dress::of(&old)?
            }
            // A new file belongs to whoever puts it there.
            (Attributes::Old, None) if item.source == Source::Input => Dress { mode: Some(0o644), ..Dress::default() },
            (Attributes::Old, None) => Dress { owner: None, ..Dress::of(source)? },
            (Attributes::New, _) => Dress::of(source)?,
        };
        dress.mode = self.typed.mode.or(dress.mode);
        if let Some((uid, gid)) = self.owner {
            let (old_uid, old_gid) = dress.owner.unwrap_or_else(host::own_ids);
            dress.owner = Some((uid.unwrap_or(old_uid), gid.unwrap_or(old_gid)));
        }
        Ok(dress)
    }
}
