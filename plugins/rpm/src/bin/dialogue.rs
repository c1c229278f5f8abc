//! Answers zypp, which talks in frames with its commit plugins, and libdnf5, which answers questions
//! of its actions, and tells the hook what they said.
//!
//! Without arguments: a commit plugin of zypp. `libdnf5 pre|post`: an action of libdnf5 in json mode.
//! Whatever happens, they are answered in time, and the exit code is 0: it is their transaction.

use reexec_rpm::frame::{Frame, ACK, NO_METHOD};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program whose hook is called; it is removed before this one, and then there is nobody to tell. It has to stand
/// in the program as it is: `reexec doctor` looks for it, and a compiler may make instructions of a constant.
#[used]
static REEXEC: &str = "/usr/bin/reexec";
/// Longest frame or answer that is kept: a whole distribution's list of packages is some 2 MB.
const MAX_FRAME: usize = 8 << 20;
/// zypp and libdnf5 wait for us while the hook runs; zypp gives up on a plugin after 30 s.
const HOOK_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks whether the hook has ended.
const PULSE: Duration = Duration::from_millis(10);
/// libdnf5's question for all packages of the transaction.
const QUESTION: &[u8] = b"{\"op\": \"get\", \"domain\": \"trans_packages\", \
    \"args\": {\"output\": [\"direction\", \"full_nevra\"]}}\n";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["libdnf5", phase @ ("pre" | "post")] => libdnf5(phase),
        _ => zypp(),
    }
}

/// Answers each frame, until zypp says good-bye or is gone.
fn zypp() {
    let mut rest = Vec::new();
    while let Some(bytes) = next(&mut rest, 0) {
        let frame = Frame::parse(bytes.trim_ascii_start());
        let answer = match frame.map_or(&b""[..], |frame| frame.command) {
            b"COMMITBEGIN" => {
                hook("pre", "zypp", &bytes);
                ACK
            }
            b"COMMITEND" => {
                hook("post", "zypp", &bytes);
                ACK
            }
            b"PLUGINBEGIN" | b"PLUGINEND" | b"_DISCONNECT" => ACK,
            _ => NO_METHOD,
        };
        let over = frame.is_some_and(|frame| frame.command == b"_DISCONNECT");
        if !say(answer) || over {
            return;
        }
    }
}

/// Asks for the packages, and tells the hook what came back; nothing, if libdnf5 does not know the
/// question: then the hook still knows that a transaction has ended.
fn libdnf5(phase: &str) {
    let mut rest = Vec::new();
    let answer = if say(QUESTION) { next(&mut rest, b'\n') } else { None };
    hook(phase, "libdnf5", &answer.unwrap_or_default());
}

/// The bytes up to the next one of this value; `None` at the end, or where there are too many.
fn next(rest: &mut Vec<u8>, end: u8) -> Option<Vec<u8>> {
    let mut chunk = [0; 16 << 10];
    // Each byte is looked at once, however small the pieces are.
    let mut seen = 0;
    loop {
        if let Some(at) = rest[seen..].iter().position(|byte| *byte == end) {
            let after = rest.split_off(seen + at + 1);
            rest.truncate(seen + at);
            return Some(std::mem::replace(rest, after));
        }
        seen = rest.len();
        if rest.len() > MAX_FRAME {
            return None;
        }
        match std::io::stdin().read(&mut chunk) {
            Ok(0) => return None,
            Ok(read) => rest.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Writes it all; whether somebody was there to read it.
fn say(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Tells the hook, with none of our caller's pipes.
fn hook(phase: &str, dialect: &str, input: &[u8]) {
    let mut command = Command::new(REEXEC);
    command.args(["hook", "rpm", "--phase", phase, "--quiet", dialect]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        return;
    };
    let pipe = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside the waiting: a hook that does not read is ended below, which ends the writing too.
        scope.spawn(|| pipe.map(|mut pipe| pipe.write_all(input)));
        wait(&mut child);
    });
}

fn wait(child: &mut Child) {
    let end = Instant::now() + HOOK_DEADLINE;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(PULSE);
    }
}
