//! Telling users: a note on their desktop through their own bus, a line on their terminal.

use super::systemd::Systemd;
use super::user::{self, Errand};
use crate::model::note::Note;
use crate::model::plan::Outcome;
use anyhow::{ensure, Result};
use rustix::fs::{fstat, FileType, Mode, OFlags};
use std::time::Duration;

/// Tells a user, and the terminals of these sessions; the outcome and words for it.
pub fn tell(uid: u32, note: &Note, terminals: &[String], deadline: Duration) -> (Outcome, String) {
    let errand = Errand::Note { title: note.title.clone(), text: note.text.clone() };
    let desktop = user::send(uid, &errand, deadline);
    let mut told = Vec::new();
    if desktop.is_ok() {
        told.push("its desktop".to_owned());
    }
    if !terminals.is_empty() {
        told.extend(write_lines(terminals, uid, note));
    }
    match (told.is_empty(), desktop) {
        (false, _) => (Outcome::Done, format!("told user {uid} on {}", told.join(" and "))),
        (true, Err(error)) => (Outcome::Refused, format!("user {uid} has no desktop to be told on: {error:#}")),
        (true, Ok(_)) => (Outcome::Done, String::new()),
    }
}

/// The terminals of these sessions that took a line.
fn write_lines(scopes: &[String], uid: u32, note: &Note) -> Vec<String> {
    let sessions = Systemd::connect().and_then(|systemd| systemd.sessions()).unwrap_or_default();
    let mine = sessions.into_iter().filter(|session| scopes.contains(&session.scope) && !session.terminal.is_empty());
    let line = format!("\r\nreexec: {}\r\n", note.text);
    mine.filter(|session| write_line(&session.terminal, uid, &line).is_ok()).map(|session| session.terminal).collect()
}

/// Writes to a terminal that is the user's own; one that does not take it at once gets nothing.
fn write_line(terminal: &str, uid: u32, line: &str) -> Result<()> {
    ensure!(!terminal.contains(".."), "not a terminal's name");
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(format!("/dev/{terminal}"), flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let is_terminal =
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && rustix::termios::isatty(&file);
    ensure!(is_terminal && stat.st_uid == uid, "not the user's terminal");
    rustix::io::write(&file, line.as_bytes())?;
    Ok(())
}
