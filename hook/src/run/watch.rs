//! `watch`: the update service. It asks its sources, installs, and lets `apply` do what the policy says; so
//! no program needs the right to change itself.

use crate::cli::WatchArguments;
use crate::model::watch::{Agenda, Answer, Pace};
use crate::sys::pokes::Pokes;
use crate::sys::sources::{self, Part, Source};
use crate::sys::wakes::{chance, Wake, Wakes};
use crate::sys::{host, log, service};
use anyhow::{bail, Result};
use std::time::{Duration, Instant};

/// Ends where everything worked, and where not every source did.
const DONE: u8 = 0;
const NOT_ALL: u8 = 1;

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
    let (mut good, mut installed) = (true, false);
    for (name, source) in sources::list(&typed.root) {
        if wakes.is_over() {
            return false;
        }
        if let Err(error) = source.and_then(|source| update(&source, typed, wakes, &mut installed)) {
            log::line(&format!("source {name}: {error:#}"));
            good = false;
        }
    }
    if installed && !wakes.is_over() {
        good &= apply(wakes);
    }
    good
}

/// Asks one source, and installs what it has; `touched` where something may have been replaced, also by an
/// install that failed half-way.
fn update(source: &Source, typed: &WatchArguments, wakes: &Wakes, touched: &mut bool) -> Result<()> {
    match run(source, Part::Check, typed.check, wakes)? {
        Answer::Yes => {}
        Answer::No | Answer::Later => return Ok(()),
        Answer::Failed => bail!("check failed"),
    }
    log::line(&format!("source {}: installing", source.name));
    *touched = true;
    match run(source, Part::Install, typed.install, wakes)? {
        Answer::Yes => log::line(&format!("source {}: installed", source.name)),
        Answer::No | Answer::Later => {}
        Answer::Failed => bail!("install failed"),
    }
    Ok(())
}

fn run(source: &Source, part: Part, deadline: Duration, wakes: &Wakes) -> Result<Answer> {
    let ran = sources::run(source, part, deadline, &|| wakes.is_over())?;
    let of = format!("source {}: {}", source.name, part.word());
    if ran.killed > 0 {
        log::line(&format!("{of}: {} processes that it left were ended", ran.killed));
    }
    let answer = Answer::of(sources::words(ran.end, deadline).map_err(|error| error.context(part.word()))?);
    if answer != Answer::No && !ran.said.is_empty() {
        log::line(&format!("{of}: {}", crate::model::text::escape(ran.said.as_bytes())));
    }
    Ok(answer)
}

/// The policy, the steps and the proof, in a process of its own: a run that is told to end is taken up by the
/// next one.
fn apply(wakes: &Wakes) -> bool {
    match service::apply(&|| wakes.is_over()) {
        Ok(Some(0)) => true,
        Ok(Some(code)) => {
            log::line(&format!("apply ended with {code}; reexec history --last tells what is left"));
            code != 2
        }
        Ok(None) => false,
        Err(error) => {
            log::line(&format!("apply: {error:#}"));
            false
        }
    }
}
