//! Asks a process by which names it loaded files that were moved since: nothing is deleted, nothing
//! beside them tells, and yet another file stands where they were loaded from.

use super::aside;
use super::sights::Sights;
use crate::model::file::{FileFacts, FileKind, Look, Stamp};
use crate::model::judge::aside::{Aside, Clue};
use crate::model::judge::{Named, Standing, Use};
use crate::model::verdict::Content;
use crate::sys::content;
use crate::sys::files::{Links, Root};
use crate::sys::loader::Memory;
use crate::sys::procs::ProcessHandle;
use std::path::Path;

/// Finds what stands now where the process says that it loaded each file that was moved since it
/// started. Where somebody claims links that were flipped since, a file need not have been moved.
pub fn look(sights: &Sights, uses: &mut [Use], process: &ProcessHandle, started: Stamp) {
    let flipped = sights.claims.newest_link().is_some_and(|moment| moment > started);
    let moved = |usage: &Use| {
        let view = &sights.files[usage.file as usize];
        let Standing::Live(facts) = &view.standing else { return false };
        let renamed = view.named_since(facts) > started;
        (usage.execute || usage.is_program) && view.aside.is_none() && (flipped || renamed)
    };
    if !uses.iter().any(moved) {
        return;
    }
    let Some(memory) = Memory::of(process) else { return };
    let libraries = memory.libraries(process);
    for usage in uses.iter_mut().filter(|usage| moved(usage)) {
        let view = &sights.files[usage.file as usize];
        let (Standing::Live(facts), Some(root)) = (&view.standing, sights.spaces.root(view.sighting.space)) else {
            continue;
        };
        let name = match usage.is_program {
            true => memory.executed_as(),
            false => libraries.get(&view.sighting.printed).cloned(),
        };
        // In a chroot the name is meant from another root than the path.
        let Some(name) = name.filter(|name| name.is_absolute() && !is_chrooted(process, root)) else { continue };
        let Some(aside) = at_name(&name, facts, view.folder_moved, root) else { continue };
        // An interpreter that the kernel started for a script has the script's name (execve(2)).
        if usage.is_program && !content::is_elf(root, &aside.path) {
            continue;
        }
        let (old, new) = (root.open(view.sighting.path()), root.open(&aside.path));
        let content = new.map_or(Content::Unknown, |new| sights.contents.compare(old.as_ref(), None, &new));
        usage.elsewhere = Some(Box::new((aside, content)));
    }
}

/// Asks the process by which names it loaded the files whose place another one may have taken.
pub fn ask(sights: &Sights, uses: &mut [Use], process: &ProcessHandle) {
    let view = |usage: &Use| &sights.files[usage.file as usize];
    if uses.iter().all(|usage| view(usage).aside.is_none()) {
        return;
    }
    let Some(memory) = Memory::of(process) else { return };
    let (program, libraries) = (memory.executed_as(), memory.libraries(process));
    for usage in uses.iter_mut() {
        let view = view(usage);
        let (Some(aside), Some(root)) = (&view.aside, sights.spaces.root(view.sighting.space)) else { continue };
        let name = match usage.is_program {
            true => program.as_ref(),
            false => libraries.get(&view.sighting.printed),
        };
        usage.named = match name {
            None => Named::Unsaid,
            Some(name) if name.is_relative() && name.file_name() == aside.path.file_name() => Named::SamePath,
            Some(name) if root.resolve_folder(name) == aside.path => Named::SamePath,
            Some(_) => Named::OtherPath,
        };
    }
    // A library that is found from the program's own folder ($ORIGIN of ld.so(8)) moves with it.
    let swap = |usage: &Use| aside::swap_of(view(usage));
    let moved = uses.iter().find(|usage| usage.is_program && usage.named == Named::SamePath).and_then(swap);
    for usage in uses.iter_mut().filter(|usage| moved.is_some() && aside::swap_of(view(usage)) == moved) {
        usage.named = Named::SamePath;
    }
}

/// Whether another file was found where one of these was loaded from.
pub fn found(uses: &[Use]) -> bool {
    uses.iter().any(|usage| usage.elsewhere.is_some())
}

fn is_chrooted(process: &ProcessHandle, top: &Root) -> bool {
    let id = |root: &Root| root.look(Path::new("/"), Links::Follow).found().map(|facts| facts.id);
    process.root().is_none_or(|own| id(&own).is_none() || id(&own) != id(top))
}

/// The other file that a name leads to now, and when the name was made to lead there, at the latest.
fn at_name(name: &Path, mapped: &FileFacts, folder_moved: Option<Stamp>, root: &Root) -> Option<Aside> {
    let current = root.look(name, Links::Follow).found().copied()?;
    if current.id == mapped.id || current.kind != FileKind::Regular {
        return None;
    }
    let links = name.ancestors().filter_map(|part| match root.look(part, Links::Keep) {
        Look::Found(facts) if facts.kind == FileKind::Link => Some(facts.changed),
        Look::Found(_) | Look::Absent | Look::Hidden(_) => None,
    });
    let since = links.chain([mapped.changed]).chain(folder_moved).max()?;
    Some(Aside { path: root.resolve_folder(name), current, since, clue: Clue::LoadedAs })
}
