//! Daemons that link `reexec-client` are asked: they keep their pid, their sockets and their
//! connections, and whoever may not ask gets nowhere.

use anyhow::{ensure, Context, Result};
use reexec_client::ask::{ask, Conversation, Next, Target, Unasked};
use reexec_client::protocol::{Answer, Ask};
use reexec_tests::echo::{compile, installed, pkg_config, Daemon, Language, Linking, LANGUAGES};
use reexec_tests::place::{workspace, Scratch};
use reexec_tests::run::{run, wait_until};
use reexec_tests::skip;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

fn asked(daemon: &Daemon) -> Result<Conversation, Unasked> {
    let start_ticks = daemon.start_ticks().unwrap_or(0);
    let question = Ask { within: Some(SOON) };
    ask(Target { pid: daemon.pid(), start_ticks }, question, Instant::now() + SOON)
}

/// Asks, and waits for what comes after the first answer.
fn ask_and_wait(daemon: &Daemon) -> Result<(Answer, Next)> {
    let mut conversation = asked(daemon)?;
    let answer = conversation.answer().clone();
    Ok((answer, conversation.next(Instant::now() + SOON)))
}

#[test]
fn both_daemons_keep_pid_socket_and_connections_over_an_upgrade() -> Result<()> {
    for language in LANGUAGES {
        // Something that the daemon does not know, and must not carry from program to program.
        let daemon = Daemon::start_by(language, &["sh", "-c", "exec 9</etc/passwd; exec \"$0\" \"$@\""])?;
        let (mut one, mut other) = (daemon.connect()?, daemon.connect()?);
        assert_eq!((one.say("a")?, one.say("b")?, other.say("c")?), ("1 a".into(), "2 b".into(), "1 c".into()));
        let (ticks, blocked) = (daemon.start_ticks()?, signals(&daemon)?);
        for round in 1..=3 {
            daemon.replace()?;
            ensure!(!daemon.is_fresh()?, "{language:?}: nothing was replaced");
            assert_eq!(ask_and_wait(&daemon)?, (Answer::Will, Next::Ended), "{language:?}");
            daemon.becomes_fresh()?;
            assert_eq!(one.say("on")?, format!("{} on", 2 + round), "{language:?}");
            assert_eq!(other.say("on")?, format!("{} on", 1 + round), "{language:?}");
            assert_eq!(daemon.connect()?.say("new")?, "1 new", "{language:?}");
            assert_eq!((daemon.start_ticks()?, signals(&daemon)?), (ticks, blocked.clone()), "{language:?}");
        }
        let left: Vec<_> = daemon.descriptors()?.into_iter().filter(|(_, link)| link == "/etc/passwd").collect();
        assert_eq!(left, [], "{language:?} carried on what it did not know");
        let environment = daemon.proc("environ")?;
        let listen: Vec<&str> = environment.split('\0').filter(|line| line.starts_with("LISTEN_FDNAMES")).collect();
        assert_eq!(listen.len(), 1, "{listen:?}");
    }
    Ok(())
}

/// Which signals it blocks and ignores; without those above 31, of which libc has two for itself, and without SIGHUP,
/// which the C daemon hears in `ppoll` only.
fn signals(daemon: &Daemon) -> Result<Vec<u64>> {
    let status = daemon.proc("status")?;
    let masks = status.lines().filter_map(|line| line.strip_prefix("SigBlk:").or(line.strip_prefix("SigIgn:")));
    masks.map(|mask| Ok(u64::from_str_radix(mask.trim(), 16)? & 0x7fff_fffe)).collect()
}

#[test]
fn a_daemon_in_the_middle_of_something_goes_later_and_by_itself() -> Result<()> {
    for language in LANGUAGES {
        let daemon = Daemon::start(language)?;
        let mut client = daemon.connect()?;
        client.send("half a li")?;
        wait_until("it has read that", SOON, || {
            daemon.replace()?;
            let answer = asked(&daemon)?.answer().clone();
            Ok(matches!(answer, Answer::Later(because) if because.contains("half read")).then_some(()))
        })?;
        let mut conversation = asked(&daemon)?;
        ensure!(!daemon.is_fresh()?);
        assert_eq!(conversation.next(Instant::now() + Duration::from_millis(50)), Next::Nothing);
        assert_eq!(client.say("ne")?, "1 half a line", "{language:?}");
        assert_eq!(conversation.next(Instant::now() + SOON), Next::Said(Answer::Will));
        assert_eq!(conversation.next(Instant::now() + SOON), Next::Ended);
        daemon.becomes_fresh()?;
        assert_eq!(client.say("more")?, "2 more", "{language:?}");
    }
    Ok(())
}

#[test]
fn a_new_file_that_cannot_or_must_not_run_leaves_the_old_program_running() -> Result<()> {
    type Spoil = fn(&Daemon) -> Result<()>;
    let cases: [(&str, Spoil); 6] = [
        ("is gone", |daemon| Ok(fs::remove_file(daemon.program())?)),
        ("may be written by anybody", |daemon| {
            daemon.replace()?;
            Ok(fs::set_permissions(daemon.program(), fs::Permissions::from_mode(0o757))?)
        }),
        ("is not executable", |daemon| {
            daemon.replace()?;
            Ok(fs::set_permissions(daemon.program(), fs::Permissions::from_mode(0o644))?)
        }),
        ("Exec format error", |daemon| daemon.replace_with(b"\x7fELF, or so it says")),
        ("exit status: 7", |daemon| daemon.replace_with(b"#!/bin/sh\nexit 7\n")),
        ("is not a regular file", |daemon| {
            fs::remove_file(daemon.program())?;
            Ok(fs::create_dir(daemon.program())?)
        }),
    ];
    for language in LANGUAGES {
        for (why, spoil) in cases {
            let daemon = Daemon::start(language)?;
            let mut client = daemon.connect()?;
            assert_eq!(client.say("a")?, "1 a");
            let before = (daemon.descriptors()?, daemon.start_ticks()?);
            spoil(&daemon)?;
            let (answer, next) = ask_and_wait(&daemon)?;
            assert_eq!(answer, Answer::Will);
            let Next::Said(Answer::Failed(because)) = &next else { anyhow::bail!("{language:?}, {why}: {next:?}") };
            ensure!(because.contains(why), "{language:?}: {because}, not {why}");
            assert_eq!(client.say("b")?, "2 b");
            assert_eq!(daemon.connect()?.say("c")?, "1 c");
            wait_until("all is as before", SOON, || Ok((daemon.descriptors()? == before.0).then_some(())))?;
            assert_eq!(daemon.start_ticks()?, before.1);
        }
    }
    Ok(())
}

/// Says something on the daemon's socket, as whoever; prints what came back.
const SPEAK: &str = r#"
import socket, sys
name, user, message = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
import os
if user: os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.settimeout(20)
peer.connect("\0" + name)
try: peer.send(message)
except BrokenPipeError: pass # refused before it was heard; the answer is there
while True:
    said = peer.recv(1000)
    if not said: break
    print(said.decode())
"#;

fn speak(daemon: &Daemon, user: u32, message: &[u8]) -> Result<String> {
    speak_by(&[], daemon, user, message)
}

/// From within what the wrapper makes of it.
fn speak_by(wrapper: &[&str], daemon: &Daemon, user: u32, message: &[u8]) -> Result<String> {
    let name = String::from_utf8(reexec_client::ask::names(daemon.pid())?.pop().context("a name")?)?;
    let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
    let (user, words) = (user.to_string(), ["/usr/bin/python3", "-c", SPEAK, &name]);
    let words = [wrapper, &words, &[&user, &hex]].concat();
    let mut python = Command::new(words[0]);
    python.args(&words[1..]);
    Ok(run(&mut python, b"", SOON)?.success()?.text())
}

#[test]
fn another_user_is_refused_and_learns_nothing() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    for language in LANGUAGES {
        let daemon = Daemon::start(language)?;
        daemon.replace()?;
        let said = speak(&daemon, 65534, b"reexec 1 ask")?;
        assert_eq!(said, "reexec 1 no user 65534 may not ask a process of user 0", "{language:?}");
        ensure!(!daemon.is_fresh()?);
        assert_eq!(speak(&daemon, 0, b"reexec 1 ask")?, "reexec 1 will", "{language:?}");
        daemon.becomes_fresh()?;
    }
    Ok(())
}

#[test]
fn root_of_a_container_on_the_same_network_is_refused() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let daemon = Daemon::start(Language::Rust)?;
    daemon.replace()?;
    let container = ["unshare", "--pid", "--fork", "--mount-proc"];
    let said = speak_by(&container, &daemon, 0, b"reexec 1 ask")?;
    assert_eq!(said, "reexec 1 no a process in a container may not ask");
    ensure!(!daemon.is_fresh()?);
    Ok(())
}

#[test]
fn what_is_no_question_is_refused_and_harms_nothing() -> Result<()> {
    let daemon = Daemon::start(Language::Rust)?;
    let before = daemon.descriptors()?;
    for (message, why) in [
        (&b"reexec 1"[..], "does not begin with"),
        (b"GET / HTTP/1.1\r\n\r\n", "no plain text"),
        (b"reexec 1 ask \x1b]0;x\x07", "no plain text"),
        (b"reexec 1 ask \xff\xfe", "no plain text"),
        (b"reexec 1 stop", "not known"),
        (b"reexec 1 ask within-ms=soon", "no number"),
        (&[b'a'; 513], "longer than 512"),
        (&[0; 10_000], "longer than 512"),
    ] {
        let said = speak(&daemon, 0, message)?;
        ensure!(said.starts_with("reexec 1 no ") && said.contains(why) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(daemon.connect()?.say("a")?, "1 a");
    wait_until("nothing is left open", SOON, || Ok((daemon.descriptors()? == before).then_some(())))?;
    Ok(())
}

#[test]
fn many_who_connect_and_never_ask_do_not_hold_the_daemon() -> Result<()> {
    use rustix::net::{connect, socket_with, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let daemon = Daemon::start(Language::Rust)?;
    let name = reexec_client::ask::names(daemon.pid())?.pop().context("a name")?;
    let before = daemon.descriptors()?.len();
    let mut silent = Vec::new();
    for _ in 0..200 {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new_abstract_name(&name)?)?;
        silent.push(socket);
    }
    assert_eq!(daemon.connect()?.say("a")?, "1 a");
    wait_until("it holds no more than eight", SOON, || Ok((daemon.descriptors()?.len() <= before + 8).then_some(())))?;
    daemon.replace()?;
    assert_eq!(ask_and_wait(&daemon)?, (Answer::Will, Next::Ended));
    daemon.becomes_fresh()
}

#[test]
fn a_daemon_out_of_descriptors_is_asked_when_it_has_some_again() -> Result<()> {
    use rustix::process::{prlimit, Pid, Resource, Rlimit};
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let daemon = Daemon::start(Language::C)?;
    let pid = i32::try_from(daemon.pid()).ok().and_then(Pid::from_raw);
    let used: Vec<u32> = daemon.descriptors()?.into_iter().map(|(number, _)| number).collect();
    let free = (0..).find(|number| !used.contains(number)).context("a number")?;
    let full = Rlimit { current: Some(free.into()), ..rustix::process::getrlimit(Resource::Nofile) };
    let before = prlimit(pid, Resource::Nofile, full)?;
    let ticks = || -> Result<u64> {
        let stat = daemon.proc("stat")?;
        let fields = stat.rsplit_once(')').context("a name")?.1.split_ascii_whitespace().skip(11).take(2);
        fields.map(|ticks| Ok(ticks.parse::<u64>()?)).sum()
    };
    let (worked, start_ticks) = (ticks()?, daemon.start_ticks()?);
    let target = Target { pid: daemon.pid(), start_ticks };
    let refused = ask(target, Ask::default(), Instant::now() + Duration::from_secs(1));
    assert!(matches!(refused, Err(Unasked::NoAnswer)), "{refused:?}");
    // A hundredth of a second each; a daemon that is woken in vain works all the time.
    ensure!(ticks()? < worked + 20, "it was busy with nothing");
    prlimit(pid, Resource::Nofile, before)?;
    daemon.replace()?;
    assert_eq!(daemon.connect()?.say("a")?, "1 a");
    assert_eq!(ask_and_wait(&daemon)?, (Answer::Will, Next::Ended));
    daemon.becomes_fresh()
}

#[test]
fn who_poses_as_the_daemon_is_not_asked() -> Result<()> {
    use rustix::net::{accept, bind, listen, socket_with, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let daemon = Daemon::start(Language::Rust)?;
    let inode = daemon
        .descriptors()?
        .into_iter()
        .find_map(|(_, link)| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()));
    let inode = inode.context("a socket")?;
    // Our own socket under a name of that kind, and lines in net/unix that say it is the daemon's.
    let token = "0123456789abcdef0123456789abcdef";
    let ours = |name: &[u8]| -> Result<_> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
        listen(&socket, 8)?;
        Ok(socket)
    };
    let posing = ours(format!("reexec-client/1/{token}").as_bytes())?;
    let _line = ours(format!("\n0: 2 0 00010000 0005 01 {inode} @reexec-client/1/{token}").as_bytes())?;
    let names = reexec_client::ask::names(daemon.pid())?;
    assert_eq!(names.len(), 2, "the lie is not even seen");

    daemon.replace()?;
    assert_eq!(ask_and_wait(&daemon)?, (Answer::Will, Next::Ended));
    daemon.becomes_fresh()?;
    // It may have been tried; it was told nothing.
    if let Ok(peer) = accept(&posing) {
        assert_eq!(rustix::io::read(&peer, &mut [0; 100])?, 0);
    }
    Ok(())
}

#[test]
fn a_daemon_in_a_network_of_its_own_is_asked() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root");
    }
    let daemon = Daemon::start_by(Language::C, &["unshare", "--net"])?;
    daemon.replace()?;
    assert_eq!(ask_and_wait(&daemon)?, (Answer::Will, Next::Ended));
    daemon.becomes_fresh()
}

#[test]
fn a_process_that_does_not_listen_is_said_to_be_one() -> Result<()> {
    let mut sleeper = Command::new("sleep").arg("60").spawn()?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.id()))?;
    let ticks = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_ascii_whitespace().nth(19));
    let target = Target { pid: sleeper.id(), start_ticks: ticks.context("ticks")?.parse()? };
    let soon = || Instant::now() + SOON;
    let refused = ask(target, Ask::default(), soon()).map(drop);
    let later = ask(Target { start_ticks: target.start_ticks + 1, ..target }, Ask::default(), soon()).map(drop);
    sleeper.kill()?;
    sleeper.wait()?;
    assert!(matches!(refused, Err(Unasked::NoListener)), "{refused:?}");
    assert!(matches!(later, Err(Unasked::Gone)), "{later:?}");
    let gone = ask(target, Ask::default(), soon()).map(drop);
    assert!(matches!(gone, Err(Unasked::Gone)), "{gone:?}");
    Ok(())
}

#[test]
fn a_daemon_that_does_not_look_is_not_waited_for_long() -> Result<()> {
    let daemon = Daemon::start(Language::C)?;
    let pid = i32::try_from(daemon.pid()).ok().and_then(rustix::process::Pid::from_raw).context("a pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::STOP)?;
    let start = Instant::now();
    let start_ticks = daemon.start_ticks()?;
    let silent = ask(Target { pid: daemon.pid(), start_ticks }, Ask::default(), start + Duration::from_millis(300));
    assert!(matches!(silent, Err(Unasked::NoAnswer)), "{silent:?}");
    ensure!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    Ok(())
}

/// Calls every function, also as it should not be called.
const ALL_FUNCTIONS: &str = r#"
#include <assert.h>
#include <errno.h>
#include <reexec-client.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct reexec_client *client = NULL;
    struct reexec_client_asker asker;
    char fail[] = "--fail", state[4];
    char *const arguments[] = {fail, NULL};
    if (argc > 1)
        return 9;
    assert(reexec_client_start(NULL, argc, argv) == -EINVAL);
    assert(reexec_client_start(&client, argc, argv) == 0 && client);
    assert(!strcmp(reexec_client_error(client), "") && reexec_client_error(NULL));
    assert(reexec_client_path(client)[0] == '/' && !reexec_client_path(NULL));
    assert(reexec_client_own_file(client) == REEXEC_CLIENT_SAME);
    assert(reexec_client_own_file(NULL) == -EINVAL);
    assert(reexec_client_take(client, "http") == -ENOENT && reexec_client_take(client, NULL) == -EINVAL);
    assert(reexec_client_take_state(client, "state", state, sizeof state) == -ENOENT);
    assert(reexec_client_fd(client) == -ENOTCONN && reexec_client_asked(client, NULL) == -ENOTCONN);
    assert(reexec_client_listen(client) == 0 && reexec_client_fd(client) > 2);
    asker.size = sizeof asker;
    assert(reexec_client_asked(client, &asker) == 0);
    assert(reexec_client_answer(client, REEXEC_CLIENT_NO, "not now") == 0);
    assert(reexec_client_answer(client, 4, NULL) == -EINVAL);
    assert(reexec_client_pass(client, "a:b", 0) == -EINVAL && reexec_client_pass(client, "a", -1) == -EINVAL);
    assert(strstr(reexec_client_error(client), "negative"));
    assert(reexec_client_pass(client, "a", 0) == 0);
    assert(reexec_client_pass_state(client, "b", "x", 1) == 0);
    assert(reexec_client_pass_state(client, "b", NULL, 1) == -EINVAL);
    assert(reexec_client_try_with(client, arguments, 5000) == 0);
    assert(reexec_client_execute(client) == -ENOEXEC);
    assert(strstr(reexec_client_error(client), "exit status: 9"));
    assert(unlink(argv[0]) == 0 && reexec_client_own_file(client) == REEXEC_CLIENT_REMOVED);
    assert(reexec_client_execute(client) == -ENOENT);
    assert(reexec_client_ready() == 0);
    int asked = reexec_client_look_now(); /* this machine may have the service */
    assert(asked == -ENOENT || asked == -ECONNREFUSED || asked == 0);
    reexec_client_free(client);
    reexec_client_free(NULL);
    puts("ok");
    return 0;
}
"#;

#[test]
fn the_installed_tree_is_all_that_a_c_or_cpp_program_needs() -> Result<()> {
    let tree = installed()?;
    let folder = Scratch::new("c")?;
    let (source, program) = (folder.join("a.c"), folder.join("a"));
    fs::write(&source, ALL_FUNCTIONS)?;
    for (compiler, linking) in [("gcc", Linking::Shared), ("g++", Linking::Shared), ("gcc", Linking::Static)] {
        compile(compiler, &source, &program, linking)?;
        let needed = run(Command::new("readelf").arg("-d").arg(&program), b"", SOON)?.success()?.text();
        let shared = needed.contains("[libreexec-client.so.0]");
        assert_eq!(shared, linking == Linking::Shared, "{compiler} {linking:?}: {needed}");
        let mut command = Command::new(&program);
        command.env("LD_LIBRARY_PATH", tree.join("usr/lib")).env_remove("NOTIFY_SOCKET");
        let said = run(&mut command, b"", SOON)?.success()?.text();
        assert_eq!(said, "ok", "{compiler} {linking:?}");
    }
    assert_eq!(pkg_config(&["--modversion"])?, env!("CARGO_PKG_VERSION"));
    Ok(())
}

#[test]
fn the_header_declares_what_the_library_exports() -> Result<()> {
    let header = fs::read_to_string(workspace().join("client/c/reexec-client.h"))?;
    let code = header.rsplit_once("struct reexec_client;").context("the code")?.1;
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '(' || c == '.'));
    let mut declared: Vec<&str> = words
        .filter_map(|word| word.split_once('(').map(|(name, _)| name))
        .filter(|name| name.starts_with("reexec_client_"))
        .collect();
    declared.sort_unstable();
    declared.dedup();
    let library = installed()?.join("usr/lib/libreexec-client.so");
    let symbols = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library), b"", SOON)?.success()?.text();
    let mut exported: Vec<&str> = symbols.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    exported.sort_unstable();
    assert_eq!(declared, exported);
    let ever = ALL_FUNCTIONS.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect::<Vec<_>>();
    let never: Vec<_> = exported.iter().filter(|name| !ever.contains(name)).collect();
    assert_eq!(never, [&""; 0], "no program calls it");
    Ok(())
}

/// Executes itself once, from among threads, and looks at what it was left with.
const KEEPER: &str = r#"
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <reexec-client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void *sleeper(void *nothing) {
    for (;;) pause();
    return nothing;
}

static void first(struct reexec_client *client, int lock) {
    pthread_t thread;
    sigset_t block;
    char folder[4096];
    pid_t pid = getpid();
    /* What the daemon does with its life after the start. */
    sigemptyset(&block);
    sigaddset(&block, SIGUSR2);
    assert(!sigprocmask(SIG_BLOCK, &block, NULL) && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    assert(!prctl(PR_SET_PDEATHSIG, SIGTERM) && !setenv("KEPT", "yes", 1) && !setenv("LISTEN_FDS", "7", 1));
    assert(!chdir("/usr") && getcwd(folder, sizeof folder));
    umask(027);
    for (int i = 0; i < 4; i++) assert(!pthread_create(&thread, NULL, sleeper, NULL));
    assert(open("/dev/null", O_RDONLY) > lock); /* not passed */
    assert(!flock(lock, LOCK_EX | LOCK_NB));
    assert(!reexec_client_pass(client, "lock", lock) && !reexec_client_pass_state(client, "pid", &pid, sizeof pid));
    assert(!reexec_client_pass_state(client, "empty", NULL, 0));
    reexec_client_execute(client);
    fprintf(stderr, "%s\n", reexec_client_error(client));
    exit(1);
}

int main(int argc, char **argv) {
    struct reexec_client *client;
    pid_t before;
    sigset_t blocked;
    int signal_of_death, lock, other;
    char one[1], folder[4096];
    assert(argc == 3 && !strcmp(argv[2], "a b") && !reexec_client_start(&client, argc, argv));
    lock = reexec_client_take(client, "lock");
    if (lock < 0)
        first(client, open(argv[1], O_RDWR | O_CREAT, 0600));
    assert(lock == 3 && fcntl(lock, F_GETFD) == FD_CLOEXEC && fcntl(4, F_GETFD) == FD_CLOEXEC);
    assert(reexec_client_take_state(client, "pid", one, sizeof one) == -EMSGSIZE);
    assert(reexec_client_take_state(client, "pid", &before, sizeof before) == -ENOENT);
    assert(reexec_client_take_state(client, "empty", one, sizeof one) == 0);
    assert(open("/dev/null", O_RDONLY) == 4); /* nothing else came along */
    other = open(argv[1], O_RDWR);
    assert(flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
    assert(!sigprocmask(SIG_SETMASK, NULL, &blocked) && !sigismember(&blocked, SIGUSR2));
    assert(signal(SIGUSR1, SIG_IGN) == SIG_IGN);
    assert(!prctl(PR_GET_PDEATHSIG, &signal_of_death) && signal_of_death == SIGTERM);
    assert(!strcmp(getenv("KEPT"), "yes") && !strcmp(getenv("LISTEN_FDS"), "3"));
    assert(!strcmp(getcwd(folder, sizeof folder), "/usr") && umask(0) == 027);
    printf("%d\n", getpid());
    return 0;
}
"#;

#[test]
fn the_next_program_has_what_execve_keeps_and_what_it_was_passed_and_no_more() -> Result<()> {
    let folder = Scratch::new("keeper")?;
    let (source, program) = (folder.join("keeper.c"), folder.join("keeper"));
    fs::write(&source, KEEPER)?;
    compile("gcc", &source, &program, Linking::Shared)?;
    let mut command = Command::new(&program);
    command.arg(folder.join("lock")).arg("a b").env("LD_LIBRARY_PATH", installed()?.join("usr/lib"));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn()?;
    let pid = child.id();
    let said = wait_until("it has looked", SOON, || Ok(child.try_wait()?))
        .and_then(|status| Ok((status.success(), std::io::read_to_string(child.stdout.take().context("a pipe")?)?)));
    if said.is_err() {
        child.kill()?;
        child.wait()?;
    }
    assert_eq!(said?, (true, format!("{pid}\n")));
    Ok(())
}

/// What the guide leaves to its reader.
const REST_OF_RUST: &str = r#"
fn wait_for(_: &Client, _: &TcpListener) -> std::io::Result<()> { Ok(()) }
fn serve(_: &TcpListener) -> std::io::Result<u64> { Ok(0) }
"#;
const BEFORE_C: &str = r#"
#include <reexec-client.h>
#include <syslog.h>
static int listen_on(int port) { return port; }
static void wait_for(int one, int other) { (void)one; (void)other; }
static void serve(int listener) { (void)listener; }
int main(int argc, char **argv) {
"#;

#[test]
fn the_examples_of_the_guide_compile() -> Result<()> {
    let guide = fs::read_to_string(workspace().join("docs/daemon-authors.md"))?;
    let block = |kind: &str| -> Result<String> {
        let (_, rest) = guide.split_once(&format!("```{kind}\n")).context("a block")?;
        Ok(rest.split_once("\n```").context("its end")?.0.to_owned())
    };
    let folder = Scratch::new("guide")?;
    let source = folder.join("guide.c");
    fs::write(&source, format!("{BEFORE_C}{}\n}}\n", block("c")?))?;
    compile("gcc", &source, &folder.join("guide"), Linking::Shared)?;

    let source = folder.join("guide.rs");
    fs::write(&source, format!("{}{REST_OF_RUST}", block("rust")?))?;
    let library = installed()?.join("../libreexec_client.rlib");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2021", "--emit=metadata", "-Dwarnings", "--out-dir"]).arg(folder.path());
    rustc.arg(format!("--extern=reexec_client={}", library.display()));
    rustc.arg(format!("-Ldependency={}", installed()?.join("../deps").display())).arg(&source);
    run(&mut rustc, b"", Duration::from_secs(120))?.success()?;
    Ok(())
}
