//! The contract for plugins written in Rust: slices in, `Result` out, no `unsafe`.
//!
//! ```
//! use reexec_plugin_abi::rust::{Sink, Trigger};
//!
//! fn read(trigger: &Trigger<'_>, sink: &mut Sink<'_>) -> Result<(), String> {
//!     for line in trigger.input().split(|byte| *byte == b'\n') {
//!         sink.file(line, b"");
//!     }
//!     Ok(())
//! }
//!
//! reexec_plugin_abi::export! { name: "lines", read: read }
//! # fn main() {}
//! ```

use crate::{Bytes, PluginV1, BUSY, FAILED, IDLE, INTERRUPTED, LOCKED, OK, PANICKED, PHASE_POST, PHASE_PRE};
use std::any::Any;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

/// When the hook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Before the files are replaced.
    Pre,
    /// After the files were replaced.
    Post,
    /// A phase of a newer host.
    Other(u32),
}

/// What the package manager said when it called the hook.
#[derive(Debug, Clone, Copy)]
pub struct Trigger<'a> {
    raw: &'a crate::Trigger,
}

impl<'a> Trigger<'a> {
    /// When the hook was called.
    pub fn phase(&self) -> Phase {
        match self.raw.phase {
            PHASE_PRE => Phase::Pre,
            PHASE_POST => Phase::Post,
            other => Phase::Other(other),
        }
    }

    /// Folder that holds the system whose packages changed.
    pub fn root(&self) -> &'a Path {
        // SAFETY: `Trigger` values are made by `read_shim` and `Example` alone, from a trigger whose
        // bytes are valid for as long as its borrow.
        path(unsafe { self.raw.root.as_slice() })
    }

    /// The trigger's arguments.
    pub fn arguments(&self) -> impl Iterator<Item = &'a [u8]> {
        // SAFETY: as in `root`; `arguments` has `argument_count` elements.
        unsafe { slices(self.raw.arguments, self.raw.argument_count) }.into_iter()
    }

    /// What the trigger got on its standard input.
    pub fn input(&self) -> &'a [u8] {
        // SAFETY: as in `root`.
        unsafe { self.raw.input.as_slice() }
    }

    /// Seconds since 1970: what changed in the database before this moment is no news.
    pub fn since(&self) -> Option<i64> {
        (self.raw.since != 0).then_some(self.raw.since)
    }
}

/// Where the answers go.
#[derive(Debug)]
pub struct Sink<'a> {
    raw: &'a crate::Sink,
}

impl Sink<'_> {
    /// A package of the transaction; an empty version means none.
    pub fn package(&mut self, name: &[u8], old: &[u8], new: &[u8]) {
        if let Some(call) = self.raw.package {
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe { call(self.raw.context, Bytes::of(name), Bytes::of(old), Bytes::of(new)) }
        }
    }

    /// A file of the transaction, and the package it belongs to (empty: not known).
    pub fn file(&mut self, path: &[u8], package: &[u8]) {
        if let Some(call) = self.raw.file {
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe { call(self.raw.context, Bytes::of(path), Bytes::of(package)) }
        }
    }

    /// Something at or below this folder was replaced.
    pub fn tree(&mut self, prefix: &[u8]) {
        if let Some(call) = self.raw.tree {
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe { call(self.raw.context, Bytes::of(prefix)) }
        }
    }

    /// Who owns the path at `index` of the question.
    pub fn owner(&mut self, index: usize, owner: &Owner<'_>) {
        if let Some(call) = self.raw.owner {
            let (algorithm, digest) = owner.digest.unwrap_or((b"", b""));
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe {
                call(
                    self.raw.context,
                    index,
                    Bytes::of(owner.package),
                    Bytes::of(owner.version),
                    Bytes::of(algorithm),
                    Bytes::of(digest),
                )
            }
        }
    }

    /// The package at `index` of the question depends on this one, by itself or through others.
    pub fn dependency(&mut self, index: usize, package: &[u8]) {
        // An older host's struct ends before it.
        let is_known = self.raw.size >= std::mem::offset_of!(crate::Sink, dependency) + size_of::<usize>();
        if let (true, Some(call)) = (is_known, self.raw.dependency) {
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe { call(self.raw.context, index, Bytes::of(package)) }
        }
    }

    /// A line for the admin.
    pub fn message(&mut self, text: &str) {
        if let Some(call) = self.raw.message {
            // SAFETY: `context` belongs to this sink and the bytes outlive the call.
            unsafe { call(self.raw.context, Bytes::of(text.as_bytes())) }
        }
    }
}

/// Who owns a path.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The package.
    pub package: &'a [u8],
    /// Its version.
    pub version: &'a [u8],
    /// Algorithm and hexadecimal digest that the database keeps for the file.
    pub digest: Option<(&'a [u8], &'a [u8])>,
}

/// Whether packages are being changed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody is at work.
    Idle,
    /// A transaction is in progress.
    Busy,
    /// Nobody is at work, but a transaction was left half-way.
    Interrupted,
    /// The lock that was named as a file counts if a process has it open for writing.
    Locked,
}

/// Turns a trigger into packages and claims.
pub type Read = fn(&Trigger<'_>, &mut Sink<'_>) -> Result<(), String>;
/// Names every file of the packages.
pub type Expand = fn(&Path, &[&[u8]], &mut Sink<'_>) -> Result<(), String>;
/// Says who owns the paths.
pub type Owners = fn(&Path, &[&[u8]], &mut Sink<'_>) -> Result<(), String>;
/// Says on which packages each of the packages depends.
pub type Dependencies = fn(&Path, &[&[u8]], &mut Sink<'_>) -> Result<(), String>;
/// Says whether packages are being changed now.
pub type Busy = fn(&Path, &mut Sink<'_>) -> Result<State, String>;

/// What [`export!`](crate::export) fills in for a plugin.
pub trait Plugin {
    /// The plugin's name.
    const NAME: &'static CStr;
    /// [`PluginV1::read`].
    const READ: Read;
    /// [`PluginV1::expand`].
    const EXPAND: Option<Expand> = None;
    /// [`PluginV1::owners`].
    const OWNERS: Option<Owners> = None;
    /// [`PluginV1::busy`].
    const BUSY: Option<Busy> = None;
    /// [`PluginV1::dependencies`].
    const DEPENDENCIES: Option<Dependencies> = None;
}

/// The struct that a plugin's entry function points to.
pub const fn table<P: Plugin>() -> PluginV1 {
    PluginV1 {
        size: size_of::<PluginV1>(),
        name: P::NAME.as_ptr().cast(),
        read: Some(read_shim::<P>),
        expand: match P::EXPAND {
            Some(_) => Some(expand_shim::<P>),
            None => None,
        },
        owners: match P::OWNERS {
            Some(_) => Some(owners_shim::<P>),
            None => None,
        },
        busy: match P::BUSY {
            Some(_) => Some(busy_shim::<P>),
            None => None,
        },
        dependencies: match P::DEPENDENCIES {
            Some(_) => Some(dependencies_shim::<P>),
            None => None,
        },
    }
}

/// Exports a plugin made of safe functions; all but `read` may be left out, the order is fixed.
#[macro_export]
macro_rules! export {
    {
        name: $name:literal,
        read: $read:expr
        $(, expand: $expand:expr)?
        $(, owners: $owners:expr)?
        $(, busy: $busy:expr)?
        $(, dependencies: $dependencies:expr)?
        $(,)?
    } => {
        struct Exported;

        impl $crate::rust::Plugin for Exported {
            const NAME: &'static ::core::ffi::CStr = {
                match ::core::ffi::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a plugin's name has no NUL in it"),
                }
            };
            const READ: $crate::rust::Read = $read;
            $(const EXPAND: ::core::option::Option<$crate::rust::Expand> = Some($expand);)?
            $(const OWNERS: ::core::option::Option<$crate::rust::Owners> = Some($owners);)?
            $(const BUSY: ::core::option::Option<$crate::rust::Busy> = Some($busy);)?
            $(const DEPENDENCIES: ::core::option::Option<$crate::rust::Dependencies> = Some($dependencies);)?
        }

        static TABLE: $crate::PluginV1 = $crate::rust::table::<Exported>();

        /// The one function that the host looks for.
        #[no_mangle]
        pub extern "C" fn reexec_plugin_v1() -> *const $crate::PluginV1 {
            &TABLE
        }
    };
}

unsafe extern "C" fn read_shim<P: Plugin>(trigger: *const crate::Trigger, sink: *const crate::Sink) -> i32 {
    // SAFETY: the host hands over pointers to structs of its own that are valid for the call.
    let (trigger, sink) = unsafe { (&*trigger, &*sink) };
    guarded(sink, |sink| (P::READ)(&Trigger { raw: trigger }, sink).map(|()| OK))
}

unsafe extern "C" fn expand_shim<P: Plugin>(
    root: Bytes,
    packages: *const Bytes,
    count: usize,
    sink: *const crate::Sink,
) -> i32 {
    // SAFETY: the host hands over bytes and pointers that are valid for the call.
    let (root, packages, sink) = unsafe { (root.as_slice(), slices(packages, count), &*sink) };
    guarded(sink, |sink| match P::EXPAND {
        Some(expand) => expand(path(root), &packages, sink).map(|()| OK),
        None => Ok(FAILED),
    })
}

unsafe extern "C" fn owners_shim<P: Plugin>(
    root: Bytes,
    paths: *const Bytes,
    count: usize,
    sink: *const crate::Sink,
) -> i32 {
    // SAFETY: the host hands over bytes and pointers that are valid for the call.
    let (root, paths, sink) = unsafe { (root.as_slice(), slices(paths, count), &*sink) };
    guarded(sink, |sink| match P::OWNERS {
        Some(owners) => owners(path(root), &paths, sink).map(|()| OK),
        None => Ok(FAILED),
    })
}

unsafe extern "C" fn dependencies_shim<P: Plugin>(
    root: Bytes,
    packages: *const Bytes,
    count: usize,
    sink: *const crate::Sink,
) -> i32 {
    // SAFETY: the host hands over bytes and pointers that are valid for the call.
    let (root, packages, sink) = unsafe { (root.as_slice(), slices(packages, count), &*sink) };
    guarded(sink, |sink| match P::DEPENDENCIES {
        Some(dependencies) => dependencies(path(root), &packages, sink).map(|()| OK),
        None => Ok(FAILED),
    })
}

unsafe extern "C" fn busy_shim<P: Plugin>(root: Bytes, sink: *const crate::Sink) -> i32 {
    // SAFETY: the host hands over bytes and pointers that are valid for the call.
    let (root, sink) = unsafe { (root.as_slice(), &*sink) };
    guarded(sink, |sink| match P::BUSY {
        Some(busy) => busy(path(root), sink).map(|state| match state {
            State::Idle => IDLE,
            State::Busy => BUSY,
            State::Interrupted => INTERRUPTED,
            State::Locked => LOCKED,
        }),
        None => Ok(FAILED),
    })
}

/// Runs one function of the plugin: an error becomes a message, a panic a number.
fn guarded(sink: &crate::Sink, call: impl FnOnce(&mut Sink<'_>) -> Result<i32, String>) -> i32 {
    let answered = catch_unwind(AssertUnwindSafe(|| call(&mut Sink { raw: sink })));
    match answered {
        Ok(Ok(code)) => code,
        Ok(Err(why)) => {
            Sink { raw: sink }.message(&why);
            FAILED
        }
        Err(panic) => {
            Sink { raw: sink }.message(panic_text(&*panic));
            // A payload whose destructor panics would unwind through the boundary after all.
            std::mem::forget(panic);
            PANICKED
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a text")
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// # Safety
/// `first` points to `count` elements (or `count` is 0) whose bytes are valid for `'a`.
unsafe fn slices<'a>(first: *const Bytes, count: usize) -> Vec<&'a [u8]> {
    if first.is_null() || count == 0 {
        return Vec::new();
    }
    // SAFETY: the caller promises `count` elements.
    let all = unsafe { std::slice::from_raw_parts(first, count) };
    all.iter()
        // SAFETY: the caller promises that their bytes are valid.
        .map(|bytes| unsafe { bytes.as_slice() })
        .collect()
}

#[path = "recorder.rs"]
mod recorder;

pub use recorder::{Question, Recorder, Said};

#[cfg(test)]
mod tests {
    use super::*;

    struct Bad;

    impl Plugin for Bad {
        const NAME: &'static CStr = c"bad";
        const READ: Read = |trigger, _| match trigger.input() {
            b"panic" => panic!("no {}", "way"),
            b"fail" => Err("cannot look".to_owned()),
            _ => Ok(()),
        };
    }

    fn read(input: &[u8]) -> (i32, Vec<Said>) {
        let raw = crate::Trigger {
            size: size_of::<crate::Trigger>(),
            phase: PHASE_PRE,
            root: Bytes::of(b"/"),
            arguments: std::ptr::null(),
            argument_count: 0,
            input: Bytes::of(input),
            since: 0,
        };
        let call = table::<Bad>().read.expect("read is always there");
        let (said, code) = Recorder::listen(|sink| {
            // SAFETY: both structs live until the call returns.
            Ok(unsafe { call(&raw, sink.raw) })
        })
        .expect("no error");
        (code, said)
    }

    #[test]
    fn errors_and_panics_become_a_number_and_a_message() {
        for (input, code, message) in
            [(&b""[..], OK, None), (b"fail", FAILED, Some("cannot look")), (b"panic", PANICKED, Some("no way"))]
        {
            let said = message.map(|text| Said::Message(text.to_owned()));
            assert_eq!(read(input), (code, said.into_iter().collect()));
        }
    }

    #[test]
    fn functions_that_are_left_out_are_null() {
        let table = table::<Bad>();
        assert!(table.expand.is_none() && table.owners.is_none() && table.busy.is_none());
        assert!(table.dependencies.is_none());
    }
}
