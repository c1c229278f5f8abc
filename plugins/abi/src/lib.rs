//! The C contract between the host and a package manager plugin.
//!
//! A plugin is a shared object `libreexec_NAME.so` that exports one function,
//! `reexec_plugin_v1`, which returns a pointer to one static [`PluginV1`]. The struct is
//! append-only and begins with its own size, so that an old host and a new plugin (and the other
//! way round) understand what both know. A change that is not an addition gets a new symbol.
//!
//! The plugin reads its package manager's database and answers through the callbacks of a
//! [`Sink`]. All bytes are borrowed for the length of one call, so no memory changes its owner.
//! Paths and names are bytes: they need not be UTF-8 and carry no NUL at their end.
//!
//! The same contract in C is `plugins/abi/reexec-plugin.h`; a test keeps the two alike.

#![allow(unsafe_code)]

pub mod rust;

use std::ffi::c_void;

/// Name of the one symbol a plugin exports. The major version is part of it.
pub const SYMBOL: &str = "reexec_plugin_v1";

/// The call went well.
pub const OK: i32 = 0;
/// The plugin could not look; it has said why through [`Sink::message`].
pub const FAILED: i32 = -1;
/// The plugin panicked; caught on its own side of the boundary.
pub const PANICKED: i32 = -2;

/// Answer of [`PluginV1::busy`]: nobody is changing packages.
pub const IDLE: i32 = 0;
/// Answer of [`PluginV1::busy`]: a transaction is in progress, a lock is held.
pub const BUSY: i32 = 1;
/// Answer of [`PluginV1::busy`]: nobody is at work, but a transaction was left half-way.
pub const INTERRUPTED: i32 = 2;
/// Answer of [`PluginV1::busy`]: a lock is there that counts as long as a process has it open for
/// writing, and is left over otherwise. Its path goes through [`Sink::file`]; the host looks who has
/// it open, and if nobody does, what [`Sink::message`] said is how it is known to be left half-way.
pub const LOCKED: i32 = 3;

/// [`Trigger::phase`]: before the files are replaced.
pub const PHASE_PRE: u32 = 1;
/// [`Trigger::phase`]: after the files were replaced.
pub const PHASE_POST: u32 = 2;

/// Borrowed bytes; `data` may be null when `len` is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl Bytes {
    /// Borrows a slice for the length of one call.
    pub fn of(slice: &[u8]) -> Bytes {
        Bytes { data: slice.as_ptr(), len: slice.len() }
    }

    /// The bytes again as a slice.
    ///
    /// # Safety
    /// `data` must be valid for `len` bytes for as long as the slice is used, or `len` be 0.
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.len == 0 || self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller promises that `data` is valid for `len` bytes.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// What the package manager said when it called the hook.
#[repr(C)]
#[derive(Debug)]
pub struct Trigger {
    /// Size of this struct as the host knows it, in bytes.
    pub size: usize,
    /// [`PHASE_PRE`] or [`PHASE_POST`].
    pub phase: u32,
    /// Folder that holds the system whose packages changed; `/` for the running one.
    pub root: Bytes,
    /// The trigger's arguments, `argument_count` of them.
    pub arguments: *const Bytes,
    /// Number of `arguments`.
    pub argument_count: usize,
    /// What the trigger got on its standard input, read to its end (or to the host's bound).
    pub input: Bytes,
    /// Seconds since 1970: what changed in the database before this moment is no news. 0: unknown.
    pub since: i64,
}

/// Where a plugin puts its answers. Every callback copies what it is given.
#[repr(C)]
#[derive(Debug)]
pub struct Sink {
    /// Size of this struct as the host knows it, in bytes.
    pub size: usize,
    /// To be handed back as the first argument of every callback.
    pub context: *mut c_void,
    /// A package of the transaction: name, old version (empty: none), new version (empty: none).
    pub package: Option<unsafe extern "C" fn(*mut c_void, name: Bytes, old: Bytes, new: Bytes)>,
    /// A file of the transaction by absolute path below the root, and the package it belongs to
    /// (empty: not known).
    pub file: Option<unsafe extern "C" fn(*mut c_void, path: Bytes, package: Bytes)>,
    /// Something at or below this absolute folder was replaced; which files is not known.
    pub tree: Option<unsafe extern "C" fn(*mut c_void, prefix: Bytes)>,
    /// Who owns the path at `index` of the question: package, its version, and the digest that the
    /// database keeps for the file (`algorithm` is `md5`, `sha256`, …, both empty: none).
    pub owner: Option<
        unsafe extern "C" fn(
            *mut c_void,
            index: usize,
            package: Bytes,
            version: Bytes,
            algorithm: Bytes,
            digest: Bytes,
        ),
    >,
    /// A line for the admin: what could not be looked at, or what a transaction is waiting for.
    /// UTF-8; other bytes are shown escaped.
    pub message: Option<unsafe extern "C" fn(*mut c_void, text: Bytes)>,
    /// The package at `index` of the question depends on this one, by itself or through others. A host
    /// whose `size` ends before this one does not know it.
    pub dependency: Option<unsafe extern "C" fn(*mut c_void, index: usize, package: Bytes)>,
}

/// The one struct that a plugin hands to the host. Append-only; absent functions are null.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct PluginV1 {
    /// Size of this struct as the plugin knows it, in bytes.
    pub size: usize,
    /// The plugin's name: a NUL-terminated string of `[a-z0-9-]`, as in the library's file name.
    pub name: *const u8,
    /// Turns a trigger into packages and claims. Returns [`OK`] or a negative number.
    pub read: Option<unsafe extern "C" fn(trigger: *const Trigger, sink: *const Sink) -> i32>,
    /// Names every file of the given packages, as the database lists them now, through
    /// [`Sink::file`]; files that their transaction provably left as they were may be left out. It may
    /// say through [`Sink::package`] which version is installed now, and of which there is none.
    /// Returns [`OK`] or a negative number.
    pub expand:
        Option<unsafe extern "C" fn(root: Bytes, packages: *const Bytes, count: usize, sink: *const Sink) -> i32>,
    /// Says through [`Sink::owner`] who owns each of the paths. It may name through [`Sink::file`], with no
    /// package, the files and folders of the database that change whenever an answer may: as long as all of
    /// them are what they were the host need not ask again. Returns [`OK`] or a negative number.
    pub owners: Option<unsafe extern "C" fn(root: Bytes, paths: *const Bytes, count: usize, sink: *const Sink) -> i32>,
    /// Whether packages are being changed now: [`IDLE`], [`BUSY`], [`INTERRUPTED`], [`LOCKED`] or a
    /// negative number.
    pub busy: Option<unsafe extern "C" fn(root: Bytes, sink: *const Sink) -> i32>,
    /// Says through [`Sink::dependency`] on which installed packages each of the given packages depends,
    /// by itself or through others; recommendations do not count. Returns [`OK`] or a negative number.
    pub dependencies:
        Option<unsafe extern "C" fn(root: Bytes, packages: *const Bytes, count: usize, sink: *const Sink) -> i32>,
}

// SAFETY: the struct is read-only static data of the plugin; its name points to a static string.
unsafe impl Sync for PluginV1 {}

/// Type of the exported function.
pub type Entry = unsafe extern "C" fn() -> *const PluginV1;
