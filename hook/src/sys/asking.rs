//! Asking processes to execute themselves anew, over the socket of `reexec-client` (its PROTOCOL.md).

use crate::model::plan::Outcome;
use crate::model::process::ProcessKey;
use crate::model::text::escape;
use reexec_client::ask::{self, Conversation, Next, Target, Unasked};
use reexec_client::protocol::{Answer, Ask};
use std::time::{Duration, Instant};

/// Asks each of these processes that listens; the outcome and words for it.
pub fn ask_all(processes: &[ProcessKey], within: Duration) -> (Outcome, String) {
    let deadline = Instant::now() + within;
    let answers: Vec<(i32, Heard)> = std::thread::scope(|scope| {
        let ask = |key: &ProcessKey| {
            let key = *key;
            (key.pid, scope.spawn(move || ask_one(key, within, deadline)))
        };
        let threads: Vec<_> = processes.iter().map(ask).collect();
        let heard = |thread: std::thread::ScopedJoinHandle<'_, Heard>| {
            thread.join().unwrap_or_else(|_| Heard::Said(Outcome::Failed, "failed inside".to_owned()))
        };
        threads.into_iter().map(|(pid, thread)| (pid, heard(thread))).collect()
    });
    let said: Vec<(i32, Outcome, String)> = answers
        .into_iter()
        .filter_map(|(pid, heard)| match heard {
            Heard::Said(outcome, words) => Some((pid, outcome, words)),
            Heard::Deaf => None,
        })
        .collect();
    let words: Vec<String> = said.iter().map(|(pid, _, words)| format!("pid {pid} {words}")).collect();
    match said.iter().map(|(_, outcome, _)| *outcome).max_by_key(|outcome| weight(*outcome)) {
        Some(outcome) => (outcome, words.join(", ")),
        None => (Outcome::Refused, "none of its processes can be asked: they do not link reexec-client".to_owned()),
    }
}

/// What is heard of one process.
enum Heard {
    /// It said something, or gave no answer in time.
    Said(Outcome, String),
    /// It has no socket to be asked on.
    Deaf,
}

/// Of several answers the one that counts most.
fn weight(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done | Outcome::Vanished => 0,
        Outcome::Later => 1,
        Outcome::Refused => 2,
        Outcome::TimedOut => 3,
        Outcome::Failed => 4,
    }
}

fn ask_one(key: ProcessKey, within: Duration, deadline: Instant) -> Heard {
    let Ok(pid) = u32::try_from(key.pid) else { return Heard::Deaf };
    let target = Target { pid, start_ticks: key.start_ticks };
    match ask::ask(target, Ask { within: Some(within) }, deadline) {
        Ok(conversation) => {
            let (outcome, words) = hear(conversation, deadline);
            Heard::Said(outcome, words)
        }
        Err(Unasked::NoListener) => Heard::Deaf,
        Err(Unasked::Gone) => Heard::Said(Outcome::Vanished, "has ended".to_owned()),
        Err(Unasked::NoAnswer) => Heard::Said(Outcome::TimedOut, "gave no answer in time".to_owned()),
        Err(error) => Heard::Said(Outcome::Failed, format!("could not be asked: {error}")),
    }
}

/// Listens until it has done what it said, or time is over.
fn hear(mut conversation: Conversation, deadline: Instant) -> (Outcome, String) {
    let mut answer = conversation.answer().clone();
    loop {
        let (outcome, words) = match answer {
            Answer::Will => (Outcome::TimedOut, "said will, and has not done it in time".to_owned()),
            Answer::Later(why) => (Outcome::Later, format!("does it later: {}", escape(why.as_bytes()))),
            Answer::No(why) => return (Outcome::Refused, format!("will not: {}", escape(why.as_bytes()))),
            Answer::Failed(why) => return (Outcome::Failed, format!("tried and failed: {}", escape(why.as_bytes()))),
        };
        // Whoever says later is not waited for: it needs longer than we would.
        let until = if outcome == Outcome::Later { Instant::now() } else { deadline };
        answer = match conversation.next(until) {
            Next::Said(next) => next,
            Next::Ended => return (Outcome::Done, "has executed itself".to_owned()),
            Next::Nothing => return (outcome, words),
        };
    }
}
