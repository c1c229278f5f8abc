//! One line on the terminal that says what is waited for, and is gone when the wait is over.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is shorter is over before anybody has read the line.
const A_MOMENT: Duration = Duration::from_millis(700);
const PULSE: Duration = Duration::from_millis(500);
/// Back to the line's begin, and clear it (ECMA-48 EL).
const CLEAR: &[u8] = b"\r\x1b[K";

/// Nothing is shown until somebody at a terminal is known to want it.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Says whether the one who called us reads text on a terminal.
pub fn want(wanted: bool) {
    WANTED.store(wanted && std::io::stderr().is_terminal(), Ordering::Relaxed);
}

/// The line; it stands until this is dropped.
#[derive(Debug)]
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

/// Shows what is waited for, with the seconds that it has taken, from a moment on.
pub fn show(what: impl Into<String>) -> Progress {
    if !WANTED.load(Ordering::Relaxed) {
        return Progress(None);
    }
    let what = what.into();
    let columns = super::host::error_columns().unwrap_or(80);
    let (stop, stopped) = channel();
    let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
        let started = Instant::now();
        let mut pause = A_MOMENT;
        let mut shown = false;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            pause = PULSE;
            shown = true;
            let _ = write(&[CLEAR, line(&what, started.elapsed().as_secs(), columns).as_bytes()]);
        }
        if shown {
            let _ = write(&[CLEAR]);
        }
    });
    Progress(thread.ok().map(|thread| (stop, thread)))
}

/// One that is wider than the terminal would wrap, and could not be cleared.
fn line(what: &str, seconds: u64, columns: usize) -> String {
    let end = format!(" \u{2026} {seconds} s");
    let room = columns.saturating_sub(end.chars().count() + 1);
    what.chars().take(room).collect::<String>().trim_end().to_owned() + &end
}

fn write(parts: &[&[u8]]) -> std::io::Result<()> {
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(&parts.concat())?;
    stderr.flush()
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn the_line_fits_the_terminal_and_keeps_the_seconds() {
        assert_eq!(line("waiting", 3, 80), "waiting \u{2026} 3 s");
        assert_eq!(line("waiting for a-very-long-name.service", 12, 20), "waiting for \u{2026} 12 s");
    }
}
