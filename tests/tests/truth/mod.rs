//! What is true of each state of `tests/victim/factories.h`.

/// What must be there for a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The victim must be root.
    Root,
    /// Root, and to be alone: whoever looks has to wait for it.
    Alone,
    /// This program.
    Program(&'static str),
}

/// One file that must be named.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// Its kind.
    pub kind: &'static str,
    /// Below the state's folder, or absolute; several names of one file are parted by `|`.
    pub path: &'static str,
    /// The methods that are true, or honest.
    pub methods: &'static [&'static str],
}

/// What must be said of one process.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    /// The verdicts that are true, or honest.
    pub verdicts: &'static [&'static str],
    /// The files that must be named, and no others.
    pub causes: &'static [Cause],
    /// Whether it must be in a list of all processes.
    pub listed: bool,
}

/// One state.
#[derive(Debug, Clone, Copy)]
pub struct Truth {
    /// Its name.
    pub state: &'static str,
    /// What must be there for it.
    pub needs: Needs,
    /// Its process, then its children.
    pub processes: &'static [Expect],
}

/// Some new inode took the name; how, the evidence does not tell for certain.
const REPLACED: &[&str] = &["renamed", "recreated", "unknown"];
const FRESH: Expect = either(&["fresh"], &[]);
const LISTED: Expect = Expect { listed: true, ..FRESH };

const fn either(verdicts: &'static [&'static str], causes: &'static [Cause]) -> Expect {
    Expect { verdicts, causes, listed: false }
}

const fn stale(causes: &'static [Cause]) -> Expect {
    either(&["stale"], causes)
}

const fn tainted(causes: &'static [Cause]) -> Expect {
    either(&["tainted"], causes)
}

/// Fresh, and still something to see for who asks for all.
const fn fresh_with(causes: &'static [Cause]) -> Expect {
    either(&["fresh"], causes)
}

const fn library(path: &'static str, methods: &'static [&'static str]) -> Cause {
    Cause { kind: "library", path, methods }
}

const fn program(path: &'static str, methods: &'static [&'static str]) -> Cause {
    Cause { kind: "executable", path, methods }
}

const fn script(path: &'static str, methods: &'static [&'static str]) -> Cause {
    Cause { kind: "script", path, methods }
}

const fn data(path: &'static str, methods: &'static [&'static str]) -> Cause {
    Cause { kind: "data", path, methods }
}

/// All of them.
#[rustfmt::skip]
pub const TRUTHS: &[Truth] = &[
    Truth { state: "untouched", needs: Needs::Nothing, processes: &[LISTED] },
    Truth { state: "claimed-untouched", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "replaced-before-start", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "loaded-after", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "unloaded", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "library-renamed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "library-renamed-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "library-recreated", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["recreated"])])] },
    Truth { state: "library-removed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])] },
    Truth { state: "library-removed-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])] },
    Truth { state: "library-in-tree", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "library-linked-aside", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "library-midway", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "library-backup-kept", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "other-link-replaced", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "two-names-two-processes", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), FRESH] },
    Truth { state: "mapped-not-loaded", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "no-build-id", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "last-byte", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "exchanged", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|new", REPLACED)])] },
    Truth { state: "program-renamed", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"])])] },
    Truth { state: "program-recreated", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["recreated"])])] },
    Truth { state: "program-removed-claimed", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["removed"])])] },
    Truth { state: "program-and-library", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"]), library("lib.so", &["renamed"])])] },
    Truth { state: "program-now-a-folder", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["recreated"])])] },
    Truth { state: "library-now-a-fifo", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["recreated"])])] },
    Truth { state: "library-now-a-link", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", REPLACED)])] },
    Truth { state: "folder-recreated", needs: Needs::Nothing, processes: &[stale(&[library("d/lib.so", &["recreated"])])] },
    Truth { state: "folder-recreated-same", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "replaced-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed", "recreated", "unknown"])])] },
    Truth { state: "downgraded-to-itself", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "reinstalled", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "reinstalled-claimed", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "reinstalled-recreated", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "reinstalled-plain", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "program-reinstalled", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "rolled-back", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "moved-away-and-back", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "moved-aside-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])] },
    Truth { state: "moved-aside-same", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "moved-aside-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.older", REPLACED)])] },
    Truth { state: "moved-elsewhere-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|backup/lib.so", REPLACED)])] },
    Truth { state: "folder-swapped-claimed", needs: Needs::Nothing, processes: &[stale(&[library("app/lib.so|app.old/lib.so", REPLACED)])] },
    Truth { state: "link-flipped-claimed", needs: Needs::Nothing, processes: &[stale(&[library("one/lib.so|two/lib.so|current/lib.so", REPLACED)])] },
    Truth { state: "soname-flipped", needs: Needs::Nothing, processes: &[stale(&[library("libs.so.1|libs.so.1.0|libs.so.1.1", REPLACED)])] },
    Truth { state: "soname-flipped-before", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "moved-elsewhere", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|backup/lib.so", REPLACED)])] },
    Truth { state: "folder-swapped", needs: Needs::Nothing, processes: &[either(&["stale", "fresh"], &[library("app/lib.so|app.old/lib.so", REPLACED)])] },
    Truth { state: "link-itself-claimed", needs: Needs::Nothing, processes: &[stale(&[library("one/lib.so|two/lib.so|current/lib.so", REPLACED)])] },
    Truth { state: "link-flipped-same", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "link-flipped-other", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "program-moved-aside", needs: Needs::Nothing, processes: &[stale(&[program("prog|prog.old", REPLACED)])] },
    Truth { state: "program-link-flipped", needs: Needs::Nothing, processes: &[stale(&[program("prog|prog-1|prog-2", REPLACED)])] },
    Truth { state: "version-beside", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "overwritten-claimed", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])] },
    Truth { state: "overwritten", needs: Needs::Nothing, processes: &[either(&["tainted", "unknown"], &[library("lib.so", &["overwritten"])])] },
    Truth { state: "written-into-claimed", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])] },
    Truth { state: "overwritten-same", needs: Needs::Nothing, processes: &[either(&["fresh", "unknown", "tainted"], &[library("lib.so", &["overwritten"])])] },
    Truth { state: "truncated", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])] },
    Truth { state: "touched", needs: Needs::Nothing, processes: &[either(&["fresh", "unknown"], &[])] },
    Truth { state: "mode-changed", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "mode-changed-claimed", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "hard-linked", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "overwritten-then-renamed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "stale-and-tainted", needs: Needs::Nothing, processes: &[tainted(&[program("prog", &["renamed"]), library("lib.so", &["overwritten"])])] },
    Truth { state: "data-renamed", needs: Needs::Nothing, processes: &[fresh_with(&[data("data", &["renamed"])])] },
    Truth { state: "data-overwritten-claimed", needs: Needs::Nothing, processes: &[tainted(&[data("data", &["overwritten"])])] },
    Truth { state: "own-database", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "read-database", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "open-replaced", needs: Needs::Nothing, processes: &[fresh_with(&[data("data", &["renamed"])])] },
    Truth { state: "memfd", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "sysv", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "devzero", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "posix-shm", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "aio", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "uring", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "hugepage", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "scratch", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "scratch-forked", needs: Needs::Nothing, processes: &[FRESH, FRESH] },
    Truth { state: "tmpfile", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "plugin-copied", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "memfd-program", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "memfd-program-old-library", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "name-blanks", needs: Needs::Nothing, processes: &[stale(&[library("a  b.so ", &["renamed"])])] },
    Truth { state: "name-newline", needs: Needs::Nothing, processes: &[stale(&[library("a\\012b.so", &["renamed"])])] },
    Truth { state: "name-backslash", needs: Needs::Nothing, processes: &[stale(&[library("a\\134012b.so", &["renamed"])])] },
    Truth { state: "name-bytes", needs: Needs::Nothing, processes: &[stale(&[library("a\\377\\376\\200.so", &["renamed"])])] },
    Truth { state: "name-control", needs: Needs::Nothing, processes: &[stale(&[library("a\\033[31m\\007.so", &["renamed"])])] },
    Truth { state: "name-deleted", needs: Needs::Nothing, processes: &[stale(&[library("lib.so (deleted)", &["renamed"])])] },
    Truth { state: "name-deleted-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so (deleted) (deleted)", &["renamed"])])] },
    Truth { state: "name-deleted-alive", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "name-deleted-decoy", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])] },
    Truth { state: "name-percent", needs: Needs::Nothing, processes: &[stale(&[library("lib.so;65f0c1a2", &["renamed"])])] },
    Truth { state: "name-blank", needs: Needs::Nothing, processes: &[stale(&[library(" ", &["renamed"])])] },
    Truth { state: "name-of-memory", needs: Needs::Nothing, processes: &[stale(&[library("memfd:x/SYSV00", &["renamed"])])] },
    Truth { state: "claim-slashes", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])] },
    Truth { state: "claim-dots", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])] },
    Truth { state: "claim-trailing", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])] },
    Truth { state: "claim-through-link", needs: Needs::Nothing, processes: &[stale(&[library("real/lib.so|real/lib.so.old|alias/lib.so", REPLACED)])] },
    Truth { state: "claim-overwritten-dots", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])] },
    Truth { state: "forked", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "forked-after", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "child-only", needs: Needs::Nothing, processes: &[FRESH, stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "threads", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "leader-exited", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "zombie", needs: Needs::Nothing, processes: &[FRESH, FRESH] },
    Truth { state: "vforked", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "memory-shared", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "traced", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "stopped", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "not-dumpable", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "executed-again", needs: Needs::Nothing, processes: &[FRESH] },
    Truth { state: "executed-itself", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"])])] },
    Truth { state: "many-mappings", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "hostile-name", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "chroot-inside", needs: Needs::Root, processes: &[stale(&[library("/lib/lib.so|root/lib/lib.so", &["renamed"])])] },
    Truth { state: "chroot-outside", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])]), FRESH] },
    Truth { state: "chroot-moved", needs: Needs::Root, processes: &[FRESH, FRESH] },
    Truth { state: "private-mounts", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "private-mounts-same", needs: Needs::Root, processes: &[FRESH] },
    Truth { state: "own-copy-bound", needs: Needs::Root, processes: &[FRESH] },
    Truth { state: "file-bound-over", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("lib.so", &["unknown"])])] },
    Truth { state: "bound-file-replaced", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("source.so|target.so", REPLACED)])] },
    Truth { state: "mounted-over", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("d/lib.so", &["removed", "unknown"])])] },
    Truth { state: "mounted-over-with-new", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("d/lib.so", &["unknown"])])] },
    Truth { state: "unmounted", needs: Needs::Root, processes: &[either(&["unknown", "stale"], &[library("/lib.so|d/lib.so", &["removed", "unknown"])])] },
    Truth { state: "private-pids", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "private-pids-and-proc", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "user-namespace", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])] },
    Truth { state: "container-untouched", needs: Needs::Root, processes: &[FRESH] },
    Truth { state: "container-own-replaced", needs: Needs::Root, processes: &[stale(&[library("/lib/lib.so|root/lib/lib.so", &["renamed"])])] },
    Truth { state: "container-host-bound", needs: Needs::Root, processes: &[stale(&[library("/host/lib.so|host/lib.so", &["renamed"])])] },
    Truth { state: "server-gone", needs: Needs::Alone, processes: &[either(&["unknown"], &[])] },
    Truth { state: "script-python", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s.py", REPLACED)])] },
    Truth { state: "script-untouched", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH] },
    Truth { state: "script-not-claimed", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, either(&["fresh", "stale", "unknown"], &[script("s.py", REPLACED)])] },
    Truth { state: "script-argument", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH] },
    Truth { state: "script-bash", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["renamed"])])] },
    Truth { state: "script-bash-not-claimed", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["renamed"])])] },
    Truth { state: "script-bash-reinstalled", needs: Needs::Nothing, processes: &[FRESH, FRESH] },
    Truth { state: "script-dash", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["recreated"])])] },
    Truth { state: "script-module", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("helper.py", REPLACED)])] },
    Truth { state: "script-stranger", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH] },
    Truth { state: "script-sourced", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("functions", REPLACED)])] },
    Truth { state: "script-overwritten", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s.py", &["overwritten"])])] },
    Truth { state: "script-hash-bang", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s", REPLACED)])] },
    Truth { state: "script-hash-bang-env", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s", REPLACED)])] },
    Truth { state: "script-and-interpreter", needs: Needs::Nothing, processes: &[FRESH, stale(&[program("bash", &["renamed"]), script("s.sh", &["renamed"])])] },
];
