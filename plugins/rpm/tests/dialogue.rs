//! The program that answers zypp and libdnf5, in the words that they really say.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_reexec-rpm-dialogue");
/// zypp gives up on a plugin after 30 s.
const SOON: Duration = Duration::from_secs(25);

fn captured(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured");
    std::fs::read(folder.join(name)).expect("captured")
}

/// Whether a hook would be told of transactions that never were.
fn is_installed() -> bool {
    let installed = Path::new("/usr/bin/reexec").exists();
    if installed {
        let _ = writeln!(std::io::stderr(), "skipped: /usr/bin/reexec is installed here, and would be told");
    }
    installed
}

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program")
}

/// Ends in time, with 0 and nothing on standard error.
fn ends(mut child: Child) {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        assert!(begun.elapsed() < SOON, "it does not end");
        thread::sleep(Duration::from_millis(10));
    };
    let mut errors = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut errors).expect("text");
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

/// Says this and reads so many answers, each up to its NUL, while standard input stays open.
fn answers(child: &mut Child, said: &[u8], count: usize) -> Vec<String> {
    child.stdin.as_mut().expect("piped").write_all(said).expect("it reads");
    let out = child.stdout.as_mut().expect("piped");
    let mut answers = vec![String::new(); count];
    for answer in &mut answers {
        let mut byte = [0];
        while out.read(&mut byte).expect("it answers") == 1 && byte != [0] {
            answer.push(char::from(byte[0]));
        }
    }
    answers
}

#[test]
fn each_frame_of_zypp_is_answered_and_good_bye_is_the_end() {
    if is_installed() {
        return;
    }
    for version in ["17.25", "17.38"] {
        let mut child = start(&[]);
        for (frame, expected) in [
            (b"PLUGINBEGIN\nuserdata:x\n\n".to_vec(), "ACK"),
            (captured(&format!("zypp-{version}-commitbegin")), "ACK"),
            (captured(&format!("zypp-{version}-commitend")), "ACK"),
            (b"PACKAGESETCHANGED\n\n".to_vec(), "_ENOMETHOD"),
            (b"\xff\x80 no frame".to_vec(), "_ENOMETHOD"),
            (b"PLUGINEND\n\n".to_vec(), "ACK"),
            (b"_DISCONNECT\n\n".to_vec(), "ACK"),
        ] {
            let frame = frame.strip_suffix(b"\0").unwrap_or(&frame);
            let answer = answers(&mut child, &[frame, b"\0"].concat(), 1);
            assert_eq!(answer, [format!("{expected}\n\n")], "{version}: {}", frame.escape_ascii());
        }
        // Its standard input is open still.
        ends(child);
    }
}

#[test]
fn frames_come_together_and_in_pieces() {
    if is_installed() {
        return;
    }
    let mut child = start(&[]);
    let two = [&captured("zypp-17.25-commitbegin")[..], b"\0PLUGINEND\n\n\0PLUG"].concat();
    assert_eq!(answers(&mut child, &two, 2), ["ACK\n\n", "ACK\n\n"]);
    assert_eq!(answers(&mut child, b"INEND\n\n\0", 1), ["ACK\n\n"]);
    drop(child.stdin.take());
    ends(child);
}

#[test]
fn who_goes_away_or_never_ends_a_frame_is_left_alone() {
    if is_installed() {
        return;
    }
    let child = start(&[]);
    let mut silent = start(&[]);
    drop(silent.stdout.take());
    silent.stdin.as_mut().expect("piped").write_all(b"PLUGINBEGIN\n\n\0").expect("it reads");
    let mut endless = start(&[]);
    let mut pipe = endless.stdin.take().expect("piped");
    // A frame of more than 8 MiB: then nobody reads any more.
    let written = (0..1024).take_while(|_| pipe.write_all(&[b'x'; 16 << 10]).is_ok()).count();
    assert!((512..1024).contains(&written), "{written} chunks were read");
    ends(endless);
    ends(silent);
    let mut gone = child;
    drop(gone.stdin.take());
    ends(gone);
}

#[test]
fn libdnf5_is_asked_one_question_in_one_line() {
    if is_installed() {
        return;
    }
    for reply in [captured("libdnf5-5.4-reply"), captured("libdnf5-5.4-error"), b"\xff\x80".to_vec(), Vec::new()] {
        let mut child = start(&["libdnf5", "post"]);
        let mut pipe = child.stdin.take().expect("piped");
        pipe.write_all(&[&reply[..], b"\n"].concat()).expect("it reads");
        drop(pipe);
        let mut asked = String::new();
        child.stdout.as_mut().expect("piped").read_to_string(&mut asked).expect("text");
        let question: serde_json::Value = serde_json::from_str(asked.trim_end()).expect("one line of JSON");
        let expected = serde_json::json!({"op": "get", "domain": "trans_packages",
            "args": {"output": ["direction", "full_nevra"]}});
        assert_eq!((question, asked.lines().count()), (expected, 1));
        ends(child);
    }
}
