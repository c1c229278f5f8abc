//! A plugin's process: what `reexec __plugin` does, or a copy of the process that asks.
//!
//! The request comes over standard input, a socket, which is put aside before the plugin is
//! loaded; the answers go back over it. What the plugin prints goes where the host put it.

#![allow(unsafe_code)]

use super::library::Library;
use super::wire::{put_error, record, Frame, Request, MAX_REQUEST};
use super::{rights, Stage};
use crate::sys::raw_signal;
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// The first argument that makes `reexec` a plugin's process. Not for people.
pub const WORD: &str = "__plugin";

/// Code of a process that got no request, or could not send its answer.
const NOT_HEARD: i32 = 2;

/// Answers one request. To be called first of all, while the process has one thread.
pub fn main() -> ExitCode {
    answer_and_end()
}

/// Copies the process, which must have this thread alone: the copy answers one request that comes over `channel`,
/// and prints to `output`. A copy is there in a fifth of the time that the program takes to start.
pub(super) fn copy(channel: OwnedFd, output: OwnedFd) -> io::Result<Pid> {
    // SAFETY: one thread, so that the copy finds no lock held by somebody who is not in it.
    match unsafe { libc::fork() } {
        0 => {
            // Never back into the caller's code, which has a copy of all that it owned.
            let code = catch_unwind(|| match begin(&channel, &output) {
                Ok(()) => answer_and_end(),
                Err(_) => NOT_HEARD,
            });
            // SAFETY: as in `answer_and_end`.
            unsafe { libc::_exit(code.unwrap_or(NOT_HEARD)) }
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error),
    }
}

/// Makes of a copy what a started program would be: without the environment, the handlers, the group and the
/// standard files of the one that it was copied from.
fn begin(channel: &OwnedFd, output: &OwnedFd) -> io::Result<()> {
    rustix::process::setpgid(None, None)?;
    raw_signal::start_anew();
    // SAFETY: one thread, and nothing that was borrowed from the environment is used any more.
    unsafe { libc::clearenv() };
    rustix::process::chdir("/")?;
    rustix::stdio::dup2_stdin(channel)?;
    rustix::stdio::dup2_stdout(output)?;
    Ok(rustix::stdio::dup2_stderr(output)?)
}

fn answer_and_end() -> ! {
    close_inherited();
    let code = match serve() {
        Ok(()) => 0,
        Err(_) => NOT_HEARD,
    };
    // SAFETY: nothing of ours is left to be done, and the plugin's exit handlers are not wanted:
    // they could hang or crash after a good answer.
    unsafe { libc::_exit(code) }
}

/// Closes what the package manager left open: a plugin need not see its descriptors.
fn close_inherited() {
    // Since Linux 5.9; the list of descriptors, which the kernel makes an inode for each of, costs ten times as much.
    // SAFETY: nothing that owns a descriptor other than the three standard ones is used, or dropped, in this process.
    if unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) } == 0 {
        return;
    }
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // SAFETY: as above. The list's own, closed above, is closed once more in vain.
        unsafe { libc::close(number) };
    }
}

fn serve() -> io::Result<()> {
    // Never closed by us: a plugin may have done so, and that is no reason to abort.
    let channel = Box::leak(Box::new(take_channel()?));
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // Started as /proc/self/exe it would be called "exe".
    let _ = rustix::thread::set_name(c"reexec-plugin");
    let request = read_request(channel)?;
    rights::shed();
    send(channel, Frame::Stage, &[stage_byte(Stage::Loading)])?;
    match Library::load(&request.folder, &request.name) {
        Ok(library) => answer(channel, &library, &request)?,
        Err(error) => {
            let mut payload = Vec::new();
            put_error(&mut payload, &error);
            send(channel, Frame::Refusal, &payload)?;
        }
    }
    send(channel, Frame::Done, &[])
}

fn answer(channel: &mut File, library: &Library, request: &Request) -> io::Result<()> {
    for question in &request.questions {
        send(channel, Frame::Stage, &[stage_byte(Stage::Asking(question.function()))])?;
        let payload = library.ask(question).unwrap_or_else(|error| {
            let mut payload = vec![record::FAILURE];
            put_error(&mut payload, &error);
            payload
        });
        send(channel, Frame::Answer, &payload)?;
    }
    Ok(())
}

/// The byte of a [`Frame::Stage`].
pub(super) fn stage_byte(stage: Stage) -> u8 {
    match stage {
        Stage::Starting => 0,
        Stage::Loading => 10,
        Stage::Asking(function) => function as u8,
    }
}

/// Standard input under another number, which a program that the plugin starts does not inherit;
/// the plugin's standard input is empty.
fn take_channel() -> io::Result<File> {
    let channel: OwnedFd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(File::from(channel))
}

fn read_request(channel: &mut File) -> io::Result<Request> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut len = [0; 4];
    channel.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_REQUEST {
        return Err(bad());
    }
    let mut bytes = vec![0; len];
    channel.read_exact(&mut bytes)?;
    Request::parse(&bytes).map_err(|_| bad())
}

fn send(channel: &mut File, frame: Frame, payload: &[u8]) -> io::Result<()> {
    channel.write_all(&frame.header(payload.len()))?;
    channel.write_all(payload)
}
