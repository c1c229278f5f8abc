//! The host's side of a plugin's process: starts it, listens until the deadline, ends it.

use super::child::{self, stage_byte, WORD};
use super::wire::{self, Frame, Heard, Request, Taker, Unheard, HEADER, MAX_ANSWER};
use super::{Answer, Function, Host, Owners, Plugin, PluginError, Question, Stage};
use crate::model::claim::Claim;
use crate::model::text::escape;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{kill_process, kill_process_group, pidfd_open, waitpid, Pid, PidfdFlags, Signal, WaitOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Most bytes of what a plugin prints that are kept.
const MAX_PRINTED: usize = 2048;

/// Asks the questions in a process of its own.
pub(super) fn ask(
    plugin: &Plugin,
    questions: Vec<Question>,
    deadline: Duration,
) -> Result<Vec<Result<Answer, PluginError>>, PluginError> {
    let file = plugin.file.clone();
    let request = Request { folder: plugin.folder.clone(), name: plugin.name.clone(), questions };
    let bytes = request.bytes().map_err(|why| PluginError::Question { file: file.clone(), why })?;
    let mut talk =
        Talk::begin(&plugin.host, &bytes).map_err(|error| PluginError::Process { file: file.clone(), error })?;
    let end =
        talk.listen(Instant::now() + deadline).map_err(|error| PluginError::Process { file: file.clone(), error })?;
    let status = talk.child.end().map_err(|error| PluginError::Process { file: file.clone(), error })?;

    let (stage, printed) = (talk.stage, talk.printed());
    let function = request.questions.first().map_or(Function::Read, Question::function);
    match end {
        End::Done => {}
        End::TimedOut => return Err(PluginError::TimedOut { file, deadline, stage, printed }),
        End::TooMuch => return Err(PluginError::TooMuch { file, function }),
        End::Garbage => {
            let why = "its answer cannot be parsed".to_owned();
            return Err(PluginError::Garbage { file, function, why });
        }
        End::Gone => return Err(gone(plugin, status, stage, printed)),
    }
    answers(plugin, &request.questions, &talk.heard, &printed)
}

fn gone(plugin: &Plugin, status: ExitStatus, stage: Stage, printed: String) -> PluginError {
    let file = plugin.file.clone();
    match status.signal() {
        Some(signal) => PluginError::Crashed { file, signal, stage, printed },
        None => PluginError::Exited { file, code: status.code().unwrap_or(-1), stage, printed },
    }
}

/// Turns the frames into one answer for each question.
fn answers(
    plugin: &Plugin,
    questions: &[Question],
    heard: &[u8],
    printed: &str,
) -> Result<Vec<Result<Answer, PluginError>>, PluginError> {
    let file = &plugin.file;
    let mut questions = questions.iter();
    let mut all = Vec::new();
    let mut rest = heard;
    while let Ok(Some((frame, payload, len))) = wire::frame(rest) {
        rest = &rest[len..];
        match frame {
            Frame::Stage => {}
            Frame::Answer => {
                let Some(question) = questions.next() else {
                    break;
                };
                all.push(answer(plugin, question, payload, printed));
            }
            Frame::Refusal => {
                let refusal = wire::take_error(&mut Taker::new(payload), file);
                return Err(refusal.unwrap_or_else(|_| plugin.unparsed(Function::Read)));
            }
            Frame::Done => break,
        }
    }
    if let Some(question) = questions.next() {
        return Err(plugin.unparsed(question.function()));
    }
    Ok(all)
}

fn answer(plugin: &Plugin, question: &Question, payload: &[u8], printed: &str) -> Result<Answer, PluginError> {
    let mut heard = wire::parse_answer(payload, &plugin.file).map_err(|unheard| match unheard {
        Unheard::Said(error) => error,
        Unheard::Garbage(why) => PluginError::Garbage { file: plugin.file.clone(), function: question.function(), why },
    })?;
    match question {
        Question::Read(_) | Question::Expand { .. } => {
            if !printed.is_empty() {
                heard.reading.messages.push(format!("plugin {} printed: {printed}", plugin.name));
            }
            Ok(Answer::Reading(heard.reading))
        }
        Question::Owners { paths, .. } => Ok(Answer::Owners(by_path(heard, paths.len()))),
        Question::Busy { .. } => Ok(Answer::Busy(wire::busy_of(heard))),
        Question::Dependencies { packages, .. } => {
            let mut all = vec![Vec::new(); packages.len()];
            for (index, package) in heard.dependencies {
                all.get_mut(index).into_iter().for_each(|of: &mut Vec<String>| of.push(package.clone()));
            }
            Ok(Answer::Dependencies(all))
        }
    }
}

/// One owner for each path; of several the first that was said.
fn by_path(heard: Heard, paths: usize) -> Owners {
    let mut each = vec![None; paths];
    for (index, owner) in heard.owners {
        if let Some(place @ None) = each.get_mut(index) {
            *place = Some(owner);
        }
    }
    let file = |claim| match claim {
        Claim::File { path, .. } => Some(path),
        Claim::Tree { .. } => None,
    };
    let whole = heard.reading.messages.is_empty();
    let basis = heard.reading.claims.into_iter().filter_map(file).filter(|_| whole).collect();
    Owners { each, basis }
}

/// How listening ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All answers are there.
    Done,
    /// The process ended before.
    Gone,
    TimedOut,
    TooMuch,
    Garbage,
}

/// Whether nobody else runs in this process: a copy of it would have the locks of other threads and not them.
fn is_one_thread() -> bool {
    /// Of a folder without folders: its own name and the one inside.
    const NO_FOLDER: u64 = 2;
    // Counted by the kernel for fstat(2), not by listing.
    std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() == NO_FOLDER + 1)
}

/// Starts a program as the plugin's process.
fn start(program: &Path, channel: OwnedFd, output: OwnedFd) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command
        .arg(WORD)
        .env_clear()
        .current_dir("/")
        .stdin(channel)
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output))
        .process_group(0);
    Ok(Pid::from_child(&command.spawn()?))
}

/// A running plugin's process and what was heard from it.
struct Talk<'a> {
    child: Running,
    channel: UnixStream,
    output: OwnedFd,
    output_open: bool,
    unsent: &'a [u8],
    heard: Vec<u8>,
    /// How much of `heard` is whole frames.
    framed: usize,
    stage: Stage,
    output_heard: Vec<u8>,
}

impl<'a> Talk<'a> {
    fn begin(host: &Host, request: &'a [u8]) -> io::Result<Self> {
        let (channel, theirs) = UnixStream::pair()?;
        channel.set_nonblocking(true)?;
        let (output, output_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        let theirs = OwnedFd::from(theirs);
        let pid = match host {
            Host::Copy => child::copy(theirs, output_end)?,
            Host::Own if is_one_thread() => child::copy(theirs, output_end)?,
            Host::Own => start(Path::new("/proc/self/exe"), theirs, output_end)?,
            Host::Program(program) => start(program, theirs, output_end)?,
        };
        let child = Running::new(pid)?;
        Ok(Talk {
            child,
            channel,
            output,
            output_open: true,
            unsent: request,
            heard: Vec::new(),
            framed: 0,
            stage: Stage::Starting,
            output_heard: Vec::new(),
        })
    }

    fn listen(&mut self, until: Instant) -> io::Result<End> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(End::TimedOut);
            }
            let ended = self.wait(left)?;
            self.send()?;
            if let Some(end) = self.hear()? {
                return Ok(end);
            }
            if ended {
                return Ok(End::Gone);
            }
        }
    }

    /// Waits for something to do; whether the process had ended before the rest was done.
    fn wait(&mut self, left: Duration) -> io::Result<bool> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !self.unsent.is_empty());
        let mut fds = vec![PollFd::new(&self.child.pidfd, PollFlags::IN), PollFd::new(&self.channel, wanted)];
        if self.output_open {
            fds.push(PollFd::new(&self.output, PollFlags::IN));
        }
        let timeout =
            Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
        let ended = fds[0].revents().contains(PollFlags::IN);
        let hung_up = fds[1].revents().intersects(PollFlags::HUP);
        if hung_up && !ended {
            // It closed its end and is about to end, or the plugin closed it: either way there is
            // nothing more to hear, and polling the channel again would spin.
            let mut only = [PollFd::new(&self.child.pidfd, PollFlags::IN)];
            return match poll(&mut only, Some(&timeout)) {
                Ok(ready) => Ok(ready > 0),
                Err(Errno::INTR) => Ok(false),
                Err(errno) => Err(errno.into()),
            };
        }
        Ok(ended)
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.channel.write(self.unsent) {
                Ok(sent) => self.unsent = &self.unsent[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It ended without having read: its end says more than this.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.unsent = &[],
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.unsent = &[],
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<Option<End>> {
        self.hear_output();
        loop {
            // Twice as much as before where that was full.
            self.heard.reserve(4 << 10);
            match rustix::io::read(&self.channel, rustix::buffer::spare_capacity(&mut self.heard)) {
                Ok(0) | Err(Errno::AGAIN | Errno::CONNRESET) => return Ok(None),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            if self.heard.len() > MAX_ANSWER + 64 * HEADER {
                return Ok(Some(End::TooMuch));
            }
            if let Some(end) = self.follow() {
                // What it printed before it was done is in the pipe by now.
                self.hear_output();
                return Ok(Some(end));
            }
        }
    }

    /// Goes through the frames that have become whole.
    fn follow(&mut self) -> Option<End> {
        loop {
            match wire::frame(&self.heard[self.framed..]) {
                Ok(Some((Frame::Done, _, _))) => return Some(End::Done),
                Ok(Some((frame, payload, len))) => {
                    if let (Frame::Stage, [byte]) = (frame, payload) {
                        self.stage = stage_of(*byte);
                    }
                    self.framed += len;
                }
                Ok(None) => return None,
                Err(wire::Malformed) => return Some(End::Garbage),
            }
        }
    }

    fn hear_output(&mut self) {
        let mut chunk = [0; 4096];
        // Bounded: a plugin that prints for ever must not keep the host from its deadline.
        for _ in 0..64 {
            if !self.output_open {
                return;
            }
            match rustix::io::read(&self.output, &mut chunk) {
                Ok(0) => self.output_open = false,
                Ok(read) => {
                    let room = MAX_PRINTED.saturating_sub(self.output_heard.len());
                    self.output_heard.extend_from_slice(&chunk[..read.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.output_open = false,
            }
        }
    }

    /// What the plugin printed, on one line.
    fn printed(&mut self) -> String {
        self.hear_output();
        let text = self.output_heard.trim_ascii();
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').map(escape).collect();
        lines.join(" | ")
    }
}

fn stage_of(byte: u8) -> Stage {
    Function::ALL
        .into_iter()
        .map(Stage::Asking)
        .chain([Stage::Loading])
        .find(|stage| stage_byte(*stage) == byte)
        .unwrap_or(Stage::Starting)
}

/// A process that does not outlive this value, nor what it started in its process group.
struct Running {
    pid: Pid,
    pidfd: OwnedFd,
    reaped: bool,
}

impl Running {
    fn new(pid: Pid) -> io::Result<Running> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Running { pid, pidfd, reaped: false }),
            Err(errno) => {
                let _ = end(pid);
                Err(errno.into())
            }
        }
    }

    /// Ends the process, whatever it does, and says how it ended.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        end(self.pid)
    }
}

/// Ends a child that was not reaped yet, so that its pid, which is its group's number, is nobody else's.
fn end(pid: Pid) -> io::Result<ExitStatus> {
    let _ = kill_process_group(pid, Signal::KILL);
    let _ = kill_process(pid, Signal::KILL);
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end();
        }
    }
}

impl AsFd for Running {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
