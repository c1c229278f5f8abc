//! ask PID: asks a daemon to execute itself anew, as reexec does, and says what came of it. For
//! authors of daemons who want to try theirs.

use reexec_client::ask::{ask, Next, Target};
use reexec_client::protocol::{Answer, Ask};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let pid = std::env::args().nth(1).ok_or("usage: ask PID")?.parse()?;
    let deadline = Instant::now() + WITHIN;
    let mut conversation = ask(Target { pid, start_ticks: start_ticks(pid)? }, Ask { within: Some(WITHIN) }, deadline)?;
    let mut out = std::io::stdout();
    let mut answer = conversation.answer().clone();
    loop {
        writeln!(out, "{}", words(&answer))?;
        if !answer.is_open() {
            return Err("it goes on with the old program".into());
        }
        answer = match conversation.next(deadline) {
            Next::Said(next) => next,
            Next::Ended => break,
            Next::Nothing => return Err("nothing came of it in time".into()),
        };
    }
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    writeln!(out, "{pid} runs {program:?}")?;
    Ok(())
}

/// Another program might escape control characters as it likes; here `{:?}` does it.
fn words(answer: &Answer) -> String {
    match answer {
        Answer::Will => "will".to_owned(),
        Answer::Later(because) => format!("later: {because:?}"),
        Answer::No(because) => format!("no: {because:?}"),
        Answer::Failed(because) => format!("failed: {because:?}"),
    }
}

fn start_ticks(pid: u32) -> Result<u64, Box<dyn Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    Ok(fields.split_ascii_whitespace().nth(19).ok_or("no start time")?.parse()?)
}
