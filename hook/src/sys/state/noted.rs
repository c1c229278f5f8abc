//! What looks note for the next one.

use super::{make_folder, write_pieces, Store};
use anyhow::Result;
use std::io;
use std::path::PathBuf;

/// Rows for as many processes as Linux has pids (PID_MAX_LIMIT of `include/linux/threads.h`).
const MOST_NOTED: u64 = 64 << 20;

/// What looks note for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// When processes started.
    Starts,
    /// What processes map that may not have run since.
    Resting,
}

/// Writes a piece.
pub type Put<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

impl Store {
    /// What earlier looks noted, as they wrote it; nothing where they did not.
    pub fn noted(&self, noted: Noted) -> Vec<u8> {
        crate::sys::input::file(&self.noted_file(noted), MOST_NOTED).unwrap_or_default()
    }

    /// Keeps what a look noted for the next one, and hands over piece by piece.
    pub fn keep_noted(&self, noted: Noted, hand: impl FnOnce(&mut Put<'_>) -> io::Result<()>) -> Result<()> {
        make_folder(&self.run)?;
        write_pieces(&self.noted_file(noted), hand)
    }

    fn noted_file(&self, noted: Noted) -> PathBuf {
        self.run.join(if noted == Noted::Starts { "starts" } else { "resting" })
    }
}
