//! `watch`: the update service. It asks its sources, and brackets what they install as `run` does; so no
//! program needs the right to change itself.

use crate::cli::WatchArguments;
use crate::model::watch::{Agenda, Answer, Pace};
use crate::sys::pokes::Pokes;
use crate::sys::sources::{self, Part, Source};
use crate::sys::wakes::{chance, Wake, Wakes};
use crate::sys::{host, log, service};
use anyhow::{bail, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// Ends where everything worked, and where not every source did.
const DONE: u8 = 0;
const NOT_ALL: u8 = 1;
/// Of a look at all files in use; it waits for a run that acts.
const NOTE: Duration = Duration::from_secs(300);

/// Runs until it is told to end, or once; the exit code.
pub fn watch(typed: &WatchArguments) -> Result<u8> {
    if host::uid() != 0 {
        bail!("only root can install; any user may ask for a look through {}", typed.socket.display());
    }
    let mut wakes = Wakes::new()?;
    sources::adopt_orphans()?;
    if typed.once {
        return Ok(if look(typed, &wakes) { DONE } else { NOT_ALL });
    }
    let pokes = Pokes::open(&typed.socket)?;
    service::ready()?;
    serve(typed, &mut wakes, &pokes)?;
    Ok(DONE)
}

fn serve(typed: &WatchArguments, wakes: &mut Wakes, pokes: &Pokes) -> Result<()> {
    let began = Instant::now();
    let pace = Pace { every: typed.every, jitter: typed.jitter, gap: typed.gap };
    let mut agenda = Agenda::new(pace, chance());
    loop {
        let wait = agenda.wait(began.elapsed());
        if wait.is_zero() {
            tell_senders(pokes);
            agenda.looked(began.elapsed(), chance());
            look(typed, wakes);
        }
        // Who asks while a look is wanted already wakes nobody: the kernel keeps the datagrams.
        let open = if agenda.is_asked() { None } else { Some(pokes) };
        match wakes.wait(open, agenda.wait(began.elapsed()))? {
            Wake::End => {
                log::line("told to end");
                return Ok(());
            }
            Wake::Again | Wake::Poked => agenda.ask(),
            Wake::Time => {}
        }
    }
}

fn tell_senders(pokes: &Pokes) {
    if let (Some(sender), count) = pokes.take() {
        let more = if count > 1 { format!(" and {} more", count - 1) } else { String::new() };
        log::line(&format!("asked to look by pid {} of user {}{more}", sender.pid, sender.uid));
    }
}

/// Asks every source; whether all of them could be asked and did what they were to do.
fn look(typed: &WatchArguments, wakes: &Wakes) -> bool {
    sources::reap();
    let mut good = true;
    if typed.root == Path::new("/") {
        if let Err(error) = sources::note(NOTE, &|| wakes.is_over()) {
            log::line(&format!("what was replaced although nobody said so is not known: {error:#}"));
            good = false;
        }
    }
    for (name, source) in sources::list(&typed.root) {
        if wakes.is_over() {
            return false;
        }
        if let Err(error) = source.and_then(|source| update(&source, typed, wakes)) {
            log::line(&format!("source {name}: {error:#}"));
            good = false;
        }
    }
    good
}

/// Asks one source, and installs what it has.
fn update(source: &Source, typed: &WatchArguments, wakes: &Wakes) -> Result<()> {
    match Answer::of(run(source, Part::Check, typed.check, wakes)?) {
        Answer::Yes => {}
        Answer::No | Answer::Later => return Ok(()),
        Answer::Failed => bail!("check failed"),
    }
    log::line(&format!("source {}: installing", source.name));
    match run(source, Part::Install, typed.install, wakes)? {
        0 => log::line(&format!("source {}: installed, and nothing of what was acted on runs the old", source.name)),
        // EX_TEMPFAIL, as of a check.
        75 => {}
        code => bail!("install, or what was done about who runs the old, ended with {code} (reexec history --last)"),
    }
    Ok(())
}

fn run(source: &Source, part: Part, deadline: Duration, wakes: &Wakes) -> Result<i32> {
    let ran = sources::run(source, part, deadline, &|| wakes.is_over())?;
    let of = format!("source {}: {}", source.name, part.word());
    if ran.killed > 0 {
        log::line(&format!("{of}: {} processes that it left were ended", ran.killed));
    }
    let code = sources::words(ran.end, deadline).map_err(|error| error.context(part.word()))?;
    if Answer::of(code) != Answer::No && !ran.said.is_empty() {
        log::line(&format!("{of}: {}", crate::model::text::escape(ran.said.as_bytes())));
    }
    Ok(code)
}
