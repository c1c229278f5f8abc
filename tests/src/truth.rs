//! What is true of each state of `tests/victim/factories.h`, and what must be said of it.

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
    /// Below the state's folder, or absolute; several names of one file are parted by `|`. `%` stands for 24
    /// folders with names of 200 letters, one in the other.
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
    /// Exit codes of a report on just these processes, to root, to root who is refused `map_files`, and to
    /// an ordinary user whose they are (`-` where he cannot make the state). Of several digits each is honest.
    pub codes: [&'static str; 3],
}

impl Truth {
    /// Whether there is just one verdict on each of its processes that is true.
    pub fn is_certain(&self) -> bool {
        self.processes.iter().all(|expect| expect.verdicts.len() == 1)
    }
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
    Truth { state: "untouched", needs: Needs::Nothing, processes: &[LISTED], codes: ["0", "0", "0"] },
    Truth { state: "claimed-untouched", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "replaced-before-start", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "loaded-after", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "unloaded", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "library-renamed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-renamed-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-recreated", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-removed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])], codes: ["1", "4", "4"] },
    Truth { state: "library-removed-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-in-tree", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-linked-aside", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-midway", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-backup-kept", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "other-link-replaced", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "two-names-two-processes", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), FRESH], codes: ["1", "1", "1"] },
    Truth { state: "mapped-not-loaded", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "no-build-id", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "4", "4"] },
    Truth { state: "last-byte", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "4", "4"] },
    Truth { state: "exchanged", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|new", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "program-renamed", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "program-recreated", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "program-removed-claimed", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["removed"])])], codes: ["1", "1", "1"] },
    Truth { state: "program-and-library", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"]), library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "program-now-a-folder", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-now-a-fifo", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "library-now-a-link", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "folder-recreated", needs: Needs::Nothing, processes: &[stale(&[library("d/lib.so", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "folder-recreated-same", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "replaced-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed", "recreated", "unknown"])])], codes: ["1", "1", "1"] },
    Truth { state: "downgraded-to-itself", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "reinstalled", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "reinstalled-claimed", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "reinstalled-recreated", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "reinstalled-plain", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "4", "4"] },
    Truth { state: "program-reinstalled", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "rolled-back", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "moved-away-and-back", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "moved-aside-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "moved-aside-same", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "moved-aside-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.older", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "moved-elsewhere-claimed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|backup/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "folder-swapped-claimed", needs: Needs::Nothing, processes: &[stale(&[library("app/lib.so|app.old/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "link-flipped-claimed", needs: Needs::Nothing, processes: &[stale(&[library("one/lib.so|two/lib.so|current/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "soname-flipped", needs: Needs::Nothing, processes: &[stale(&[library("libs.so.1|libs.so.1.0|libs.so.1.1", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "soname-flipped-before", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "moved-elsewhere", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|backup/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "folder-swapped", needs: Needs::Nothing, processes: &[stale(&[library("app/lib.so|app.old/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "link-itself-claimed", needs: Needs::Nothing, processes: &[stale(&[library("one/lib.so|two/lib.so|current/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "link-flipped-same", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "link-flipped-other", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "program-moved-aside", needs: Needs::Nothing, processes: &[stale(&[program("prog|prog.old", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "program-link-flipped", needs: Needs::Nothing, processes: &[stale(&[program("prog|prog-1|prog-2", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "version-beside", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "overwritten-claimed", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "overwritten", needs: Needs::Nothing, processes: &[either(&["tainted", "unknown"], &[library("lib.so", &["overwritten"])])], codes: ["4", "4", "4"] },
    Truth { state: "written-into-claimed", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "overwritten-same", needs: Needs::Nothing, processes: &[either(&["fresh", "unknown", "tainted"], &[library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "truncated", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "touched", needs: Needs::Nothing, processes: &[either(&["fresh", "unknown"], &[])], codes: ["4", "4", "4"] },
    Truth { state: "mode-changed", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "mode-changed-claimed", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "hard-linked", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "overwritten-then-renamed", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "stale-and-tainted", needs: Needs::Nothing, processes: &[tainted(&[program("prog", &["renamed"]), library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "data-renamed", needs: Needs::Nothing, processes: &[fresh_with(&[data("data", &["renamed"])])], codes: ["0", "0", "0"] },
    Truth { state: "data-overwritten-claimed", needs: Needs::Nothing, processes: &[tainted(&[data("data", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "own-database", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "read-database", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "open-replaced", needs: Needs::Nothing, processes: &[fresh_with(&[data("data", &["renamed"])])], codes: ["0", "0", "0"] },
    Truth { state: "memfd", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "sysv", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "devzero", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "posix-shm", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "aio", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "uring", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "hugepage", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "scratch", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "4", "4"] },
    Truth { state: "scratch-forked", needs: Needs::Nothing, processes: &[FRESH, FRESH], codes: ["0", "4", "4"] },
    Truth { state: "tmpfile", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "plugin-copied", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "4", "4"] },
    Truth { state: "memfd-program", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "memfd-program-old-library", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-blanks", needs: Needs::Nothing, processes: &[stale(&[library("a  b.so ", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-newline", needs: Needs::Nothing, processes: &[stale(&[library("a\\012b.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-backslash", needs: Needs::Nothing, processes: &[stale(&[library("a\\134012b.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-bytes", needs: Needs::Nothing, processes: &[stale(&[library("a\\377\\376\\200.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-control", needs: Needs::Nothing, processes: &[stale(&[library("a\\033[31m\\007.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-deleted", needs: Needs::Nothing, processes: &[stale(&[library("lib.so (deleted)", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-deleted-twice", needs: Needs::Nothing, processes: &[stale(&[library("lib.so (deleted) (deleted)", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-deleted-alive", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "name-deleted-decoy", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["removed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-percent", needs: Needs::Nothing, processes: &[stale(&[library("lib.so;65f0c1a2", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "name-blank", needs: Needs::Nothing, processes: &[stale(&[library(" ", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "path-too-long", needs: Needs::Nothing, processes: &[stale(&[library("%/lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "path-too-long-untouched", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "folder-removed", needs: Needs::Nothing, processes: &[stale(&[library("d/lib.so", &["removed"])])], codes: ["1", "4", "4"] },
    Truth { state: "folder-unreachable", needs: Needs::Root, processes: &[either(&["unknown"], &[])], codes: ["4", "4", "-"] },
    Truth { state: "name-of-memory", needs: Needs::Nothing, processes: &[stale(&[library("memfd:x/SYSV00", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "claim-slashes", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "claim-dots", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "claim-trailing", needs: Needs::Nothing, processes: &[stale(&[library("lib.so|lib.so.old", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "claim-through-link", needs: Needs::Nothing, processes: &[stale(&[library("real/lib.so|real/lib.so.old|alias/lib.so", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "claim-overwritten-dots", needs: Needs::Nothing, processes: &[tainted(&[library("lib.so", &["overwritten"])])], codes: ["3", "3", "3"] },
    Truth { state: "forked", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "forked-after", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "child-only", needs: Needs::Nothing, processes: &[FRESH, stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "threads", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "leader-exited", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["0", "0", "0"] },
    Truth { state: "zombie", needs: Needs::Nothing, processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "vforked", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "memory-shared", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "traced", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "stopped", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])]), stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "not-dumpable", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "4"] },
    Truth { state: "executed-again", needs: Needs::Nothing, processes: &[FRESH], codes: ["0", "0", "0"] },
    Truth { state: "executed-itself", needs: Needs::Nothing, processes: &[stale(&[program("prog", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "many-mappings", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "churning", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "hostile-name", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "chroot-inside", needs: Needs::Root, processes: &[stale(&[library("/lib/lib.so|root/lib/lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "chroot-outside", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])]), FRESH], codes: ["1", "1", "-"] },
    Truth { state: "chroot-moved", needs: Needs::Root, processes: &[FRESH, FRESH], codes: ["0", "0", "-"] },
    Truth { state: "private-mounts", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "private-mounts-same", needs: Needs::Root, processes: &[FRESH], codes: ["0", "0", "-"] },
    Truth { state: "own-copy-bound", needs: Needs::Root, processes: &[FRESH], codes: ["0", "0", "-"] },
    Truth { state: "file-bound-over", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("lib.so", &["unknown"])])], codes: ["1", "1", "-"] },
    Truth { state: "bound-file-replaced", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("source.so|target.so", REPLACED)])], codes: ["1", "1", "-"] },
    Truth { state: "mounted-over", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("d/lib.so", &["removed", "unknown"])])], codes: ["4", "4", "-"] },
    Truth { state: "mounted-over-with-new", needs: Needs::Root, processes: &[either(&["stale", "unknown"], &[library("d/lib.so", &["unknown"])])], codes: ["1", "1", "-"] },
    Truth { state: "unmounted", needs: Needs::Root, processes: &[either(&["unknown", "stale"], &[library("/lib.so|d/lib.so", &["removed", "unknown"])])], codes: ["4", "4", "-"] },
    Truth { state: "private-pids", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "private-pids-and-proc", needs: Needs::Root, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "user-namespace", needs: Needs::Nothing, processes: &[stale(&[library("lib.so", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "container-untouched", needs: Needs::Root, processes: &[FRESH], codes: ["0", "0", "-"] },
    Truth { state: "container-own-replaced", needs: Needs::Root, processes: &[stale(&[library("/lib/lib.so|root/lib/lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "container-host-bound", needs: Needs::Root, processes: &[stale(&[library("/host/lib.so|host/lib.so", &["renamed"])])], codes: ["1", "1", "-"] },
    Truth { state: "server-gone", needs: Needs::Alone, processes: &[either(&["unknown"], &[])], codes: ["-", "-", "-"] },
    Truth { state: "script-python", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s.py", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "script-untouched", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "script-not-claimed", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, either(&["fresh", "stale", "unknown"], &[script("s.py", REPLACED)])], codes: ["0", "0", "0"] },
    Truth { state: "script-argument", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "script-bash", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "script-bash-not-claimed", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["renamed"])])], codes: ["1", "1", "1"] },
    Truth { state: "script-bash-reinstalled", needs: Needs::Nothing, processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "script-dash", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s.sh", &["recreated"])])], codes: ["1", "1", "1"] },
    Truth { state: "script-module", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("helper.py", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "script-stranger", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "script-sourced", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("functions", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "script-overwritten", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s.py", &["overwritten"])])], codes: ["1", "1", "1"] },
    Truth { state: "script-hash-bang", needs: Needs::Program("/usr/bin/python3"), processes: &[FRESH, stale(&[script("s", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "script-hash-bang-env", needs: Needs::Nothing, processes: &[FRESH, stale(&[script("s", REPLACED)])], codes: ["1", "1", "1"] },
    Truth { state: "script-of-a-changed-shell", needs: Needs::Nothing, processes: &[FRESH, FRESH], codes: ["0", "0", "0"] },
    Truth { state: "script-and-interpreter", needs: Needs::Nothing, processes: &[FRESH, stale(&[program("bash", &["renamed"]), script("s.sh", &["renamed"])])], codes: ["1", "1", "1"] },
];
