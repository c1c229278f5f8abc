//! A loaded plugin and what it says: the only code that calls foreign functions.
//!
//! Invariant: runs only in a plugin's process (see [`super::child`]). A pointer of the plugin that
//! is none ends that process, and the host says so.

#![allow(unsafe_code)]

use super::wire::{put, put_number, record, MAX_ANSWER, MAX_MESSAGES, MAX_RECORDS, MAX_STRING};
use super::{trust, Function, Phase, PluginError, Question, TriggerInput};
use crate::model::text::{escape, escape_path};
use libloading::os::unix::{Library as Loaded, Symbol, RTLD_LOCAL, RTLD_NOW};
use reexec_plugin_abi::{Bytes, Entry, PluginV1, Sink, Trigger};
use std::ffi::c_void;
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Least size of a plugin's struct: all but `read` is optional, and `read` comes first.
pub(super) const LEAST: usize = offset_of!(PluginV1, read) + size_of::<usize>();

/// Most bytes of one message that are kept.
const MAX_MESSAGE: usize = 4096;

/// A plugin in this process. It stays loaded until the process ends.
#[derive(Debug)]
pub(super) struct Library {
    file: PathBuf,
    table: PluginV1,
}

impl Library {
    /// Checks the library of a plugin, loads exactly the checked file, and takes its struct.
    pub(super) fn load(folder: &Path, name: &str) -> Result<Library, PluginError> {
        let file = trust::file_of(folder, name);
        let checked = trust::open(folder, name)?;
        // By the open file, so that what was checked is what is loaded.
        let path = format!("/proc/self/fd/{}", checked.as_raw_fd());
        // SAFETY: running the library's initialisers is what this process is for; it is root's.
        let loaded = unsafe { Loaded::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            let why = loader_text(&error).replace(&path, &escape_path(&file));
            PluginError::NotLoadable { file: file.clone(), why }
        })?;
        // SAFETY: the symbol's name has the version of its type in it.
        let entry: Symbol<Entry> = unsafe { loaded.get(reexec_plugin_abi::SYMBOL) }
            .map_err(|_| PluginError::NoSymbol { file: file.clone() })?;
        // SAFETY: the contract: it takes nothing and returns a pointer.
        let table = unsafe { entry() };
        // Unloading would run finalisers, and its struct is used until the end.
        std::mem::forget(loaded);
        let table = take_table(table, &file)?;
        check_own_name(&table, name, &file)?;
        Ok(Library { file, table })
    }

    /// Asks one question; the records of the answer.
    pub(super) fn ask(&self, question: &Question) -> Result<Vec<u8>, PluginError> {
        let function = question.function();
        let absent = || PluginError::NoFunction { file: self.file.clone(), function };
        let asked = match question {
            Question::Owners { paths, .. } => paths.len(),
            Question::Dependencies { packages, .. } => packages.len(),
            Question::Read(_) | Question::Expand { .. } | Question::Busy { .. } => 0,
        };
        let ear = Ear::new(asked);
        let sink = ear.sink();
        let code = match question {
            Question::Read(trigger) => {
                let read = self.table.read.ok_or_else(absent)?;
                call_read(trigger, |trigger| {
                    // SAFETY: both structs and all bytes in them live until the call returns.
                    unsafe { read(trigger, &sink) }
                })
            }
            Question::Expand { root, packages } => {
                let expand = self.table.expand.ok_or_else(absent)?;
                let all: Vec<_> = packages.iter().map(|name| Bytes::of(name.as_bytes())).collect();
                // SAFETY: as above; `all` has `all.len()` elements.
                unsafe { expand(bytes_of(root), all.as_ptr(), all.len(), &sink) }
            }
            Question::Owners { root, paths } => {
                let owners = self.table.owners.ok_or_else(absent)?;
                let all: Vec<_> = paths.iter().map(|path| bytes_of(path)).collect();
                // SAFETY: as above.
                unsafe { owners(bytes_of(root), all.as_ptr(), all.len(), &sink) }
            }
            Question::Dependencies { root, packages } => {
                let dependencies = self.table.dependencies.ok_or_else(absent)?;
                let all: Vec<_> = packages.iter().map(|name| Bytes::of(name.as_bytes())).collect();
                // SAFETY: as above.
                unsafe { dependencies(bytes_of(root), all.as_ptr(), all.len(), &sink) }
            }
            Question::Busy { root } => {
                let busy = self.table.busy.ok_or_else(absent)?;
                // SAFETY: as above.
                unsafe { busy(bytes_of(root), &sink) }
            }
        };
        ear.close().answer(code, function, &self.file)
    }
}

/// The loader's own words; libloading's text puts its own before them.
fn loader_text(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn bytes_of(path: &Path) -> Bytes {
    Bytes::of(path.as_os_str().as_bytes())
}

fn call_read(trigger: &TriggerInput, call: impl FnOnce(&Trigger) -> i32) -> i32 {
    let arguments: Vec<_> = trigger.arguments.iter().map(|word| Bytes::of(word.as_bytes())).collect();
    call(&Trigger {
        size: size_of::<Trigger>(),
        phase: match trigger.phase {
            Phase::Pre => reexec_plugin_abi::PHASE_PRE,
            Phase::Post => reexec_plugin_abi::PHASE_POST,
        },
        root: bytes_of(&trigger.root),
        arguments: arguments.as_ptr(),
        argument_count: arguments.len(),
        input: Bytes::of(&trigger.input),
        since: trigger.since.unwrap_or(0),
    })
}

/// Copies what both sides know of the struct over an empty one.
fn take_table(theirs: *const PluginV1, file: &Path) -> Result<PluginV1, PluginError> {
    if theirs.is_null() {
        return Err(PluginError::NullTable { file: file.to_owned() });
    }
    // SAFETY: the contract says that the struct begins with its size; it need not be aligned.
    let size = unsafe { theirs.cast::<usize>().read_unaligned() };
    if size < LEAST {
        return Err(PluginError::Short { file: file.to_owned(), size });
    }
    let mut table = MaybeUninit::<PluginV1>::zeroed();
    // A size in the middle of a pointer does not count for that pointer.
    let known = size.min(size_of::<PluginV1>()) / size_of::<usize>() * size_of::<usize>();
    // SAFETY: `known` bytes are within ours, and within theirs by its own size.
    unsafe { std::ptr::copy_nonoverlapping(theirs.cast::<u8>(), table.as_mut_ptr().cast(), known) };
    // SAFETY: every field is a number, a raw pointer or an optional function, all may be zero.
    Ok(unsafe { table.assume_init() })
}

fn check_own_name(table: &PluginV1, name: &str, file: &Path) -> Result<(), PluginError> {
    let mut said = Vec::new();
    if !table.name.is_null() {
        // One byte more than fits, so that a longer name is another one.
        for at in 0..=trust::MAX_NAME {
            // SAFETY: no byte before this one was the NUL that ends the name.
            match unsafe { table.name.add(at).read() } {
                0 => break,
                byte => said.push(byte),
            }
        }
    }
    if said != name.as_bytes() {
        return Err(PluginError::WrongName { file: file.to_owned(), said: escape(&said) });
    }
    Ok(())
}

/// What hears the plugin during one call. It is never freed: a plugin that kept the pointer speaks
/// into an ear that nobody listens to any more.
#[derive(Debug)]
struct Ear(&'static Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    records: Vec<u8>,
    count: usize,
    messages: Vec<String>,
    more_messages: usize,
    /// Number of paths or packages that were asked for.
    asked: usize,
    trouble: Option<Trouble>,
    closed: bool,
}

#[derive(Debug)]
enum Trouble {
    Garbage(String),
    TooMuch,
}

impl Ear {
    fn new(asked: usize) -> Ear {
        Ear(Box::leak(Box::new(Mutex::new(Heard { asked, ..Heard::default() }))))
    }

    fn sink(&self) -> Sink {
        Sink {
            size: size_of::<Sink>(),
            context: std::ptr::from_ref(self.0).cast_mut().cast(),
            package: Some(hear_package),
            file: Some(hear_file),
            tree: Some(hear_tree),
            owner: Some(hear_owner),
            message: Some(hear_message),
            dependency: Some(hear_dependency),
        }
    }

    fn close(self) -> Heard {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut heard, Heard { closed: true, ..Heard::default() })
    }
}

impl Heard {
    fn answer(self, code: i32, function: Function, file: &Path) -> Result<Vec<u8>, PluginError> {
        let file = file.to_owned();
        let mut said = self.messages;
        if self.more_messages > 0 {
            said.push(format!("and {} more messages", self.more_messages));
        }
        match self.trouble {
            Some(Trouble::Garbage(why)) => return Err(PluginError::Garbage { file, function, why }),
            Some(Trouble::TooMuch) => return Err(PluginError::TooMuch { file, function }),
            None => {}
        }
        match (function, code) {
            (Function::Busy, 0..=reexec_plugin_abi::LOCKED) | (_, reexec_plugin_abi::OK) => {}
            (_, reexec_plugin_abi::PANICKED) => return Err(PluginError::Panicked { file, function, said }),
            (_, ..0) => return Err(PluginError::Failed { file, function, code, said }),
            (_, 1..) => {
                let why = format!("it returned {code}");
                return Err(PluginError::Garbage { file, function, why });
            }
        }
        let mut records = self.records;
        if function == Function::Busy {
            records.push(record::BUSY);
            put_number(&mut records, code.unsigned_abs().into());
        }
        if !said.is_empty() {
            records.push(record::MESSAGE);
            put_number(&mut records, said.len() as u64);
            for text in &said {
                put(&mut records, text.as_bytes());
            }
        }
        Ok(records)
    }

    fn take(&mut self, kind: u8, index: Option<usize>, strings: &[Bytes]) {
        if self.closed || self.trouble.is_some() {
            return;
        }
        if let Some(index) = index.filter(|index| *index >= self.asked) {
            let what = if kind == record::OWNER { "path" } else { "package" };
            let why = format!("it answered for {what} {index} of {}", self.asked);
            self.trouble = Some(Trouble::Garbage(why));
            return;
        }
        let mut len = 0;
        for string in strings {
            if let Err(why) = check_bytes(*string) {
                self.trouble = Some(Trouble::Garbage(why));
                return;
            }
            len += string.len + 12;
        }
        if self.count == MAX_RECORDS || self.records.len() + len > MAX_ANSWER - (1 << 20) {
            self.trouble = Some(Trouble::TooMuch);
            return;
        }
        self.count += 1;
        self.records.push(kind);
        if let Some(index) = index {
            put_number(&mut self.records, index as u64);
        }
        for string in strings {
            // SAFETY: not null and of a length that was looked at; that so many bytes are there is
            // the plugin's promise.
            put(&mut self.records, unsafe { string.as_slice() });
        }
    }

    fn take_message(&mut self, text: Bytes) {
        if self.closed || self.trouble.is_some() {
            return;
        }
        if let Err(why) = check_bytes(text) {
            self.trouble = Some(Trouble::Garbage(why));
            return;
        }
        if self.messages.len() + 1 >= MAX_MESSAGES {
            self.more_messages += 1;
            return;
        }
        // SAFETY: as in `take`.
        let text = unsafe { text.as_slice() };
        self.messages.push(escape(&text[..text.len().min(MAX_MESSAGE)]));
    }
}

fn check_bytes(bytes: Bytes) -> Result<(), String> {
    if bytes.len > MAX_STRING {
        return Err(format!("it said {} bytes at once, at most {MAX_STRING} are taken", bytes.len));
    }
    if bytes.data.is_null() && bytes.len > 0 {
        return Err(format!("it said {} bytes at a null pointer", bytes.len));
    }
    Ok(())
}

/// Hands the call to the ear; a panic of ours does not unwind into the plugin.
///
/// # Safety
/// `context` is null or the one of a [`Sink`] that [`Ear::sink`] made.
unsafe fn hear(context: *mut c_void, call: impl FnOnce(&mut Heard)) {
    if context.is_null() {
        return;
    }
    // SAFETY: the caller's promise; an ear is never freed.
    let heard = unsafe { &*context.cast::<Mutex<Heard>>() };
    let _ = catch_unwind(AssertUnwindSafe(|| {
        call(&mut heard.lock().unwrap_or_else(PoisonError::into_inner));
    }));
}

unsafe extern "C" fn hear_package(context: *mut c_void, name: Bytes, old: Bytes, new: Bytes) {
    // SAFETY: the contract says that the plugin hands back the sink's context.
    unsafe { hear(context, |heard| heard.take(record::PACKAGE, None, &[name, old, new])) }
}

unsafe extern "C" fn hear_file(context: *mut c_void, path: Bytes, package: Bytes) {
    // SAFETY: as in `hear_package`.
    unsafe { hear(context, |heard| heard.take(record::FILE, None, &[path, package])) }
}

unsafe extern "C" fn hear_tree(context: *mut c_void, prefix: Bytes) {
    // SAFETY: as in `hear_package`.
    unsafe { hear(context, |heard| heard.take(record::TREE, None, &[prefix])) }
}

unsafe extern "C" fn hear_owner(
    context: *mut c_void,
    index: usize,
    package: Bytes,
    version: Bytes,
    algorithm: Bytes,
    digest: Bytes,
) {
    let strings = [package, version, algorithm, digest];
    // SAFETY: as in `hear_package`.
    unsafe { hear(context, |heard| heard.take(record::OWNER, Some(index), &strings)) }
}

unsafe extern "C" fn hear_dependency(context: *mut c_void, index: usize, package: Bytes) {
    // SAFETY: as in `hear_package`.
    unsafe { hear(context, |heard| heard.take(record::DEPENDENCY, Some(index), &[package])) }
}

unsafe extern "C" fn hear_message(context: *mut c_void, text: Bytes) {
    // SAFETY: as in `hear_package`.
    unsafe { hear(context, |heard| heard.take_message(text)) }
}
