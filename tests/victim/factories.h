/* The states, each made of words: @ is the state's own folder, % the shop (see words_of). What is true of
   each stands beside its name in tests/src/truth.rs, and a test sees to it that none is without. */

#define LIBRARY "have %/lib1 @/lib.so wait 40 start load @/lib.so wait 40 "
#define PROGRAM "have %/prog1 @/prog wait 40 start exec @/prog wait 40 "
#define BESIDE "copy %/lib2 @/new wait 40 rename @/new @/lib.so "
#define NAMED(name) "copy %/lib1 @/" name " wait 40 start load @/" name " wait 40 copy %/lib2 @/new wait 40 rename @/new @/" name " "
#define ROOT "mkdir @/root mkdir @/root/lib copy %/static @/root/prog copy %/lib1 @/root/lib/lib.so copy %/lib2 @/root/new wait 40 "
#define CONTAINER ROOT "start new-mounts new-pids pivot @/root exec /prog map-code /lib/lib.so wait 40 "
#define READY_PY "import\\ssys;print('r',flush=True);sys.stdin.read()"
#define READY_SH "echo\\sr\\nread\\sx\\nexit"

static const struct {
    const char *name, *about, *words;
} FACTORIES[] = {
    /* nothing happened */
    {"untouched", "a library and nothing more", LIBRARY},
    {"claimed-untouched", "the trigger names what was not replaced", LIBRARY "claim @/lib.so claim @"},
    {"replaced-before-start", "the old library was gone before", "copy %/lib1 @/lib.so " BESIDE "claim @/lib.so wait 40 start load @/lib.so"},
    {"loaded-after", "loaded after it was replaced, by an older process", "copy %/lib1 @/lib.so wait 40 start wait 40 " BESIDE "claim @/lib.so load @/lib.so"},
    {"unloaded", "the old library was unloaded", LIBRARY BESIDE "claim @/lib.so unload"},

    /* a new inode */
    {"library-renamed", "renamed over", LIBRARY BESIDE},
    {"library-renamed-claimed", "renamed over, and claimed", LIBRARY BESIDE "claim @/lib.so"},
    {"library-recreated", "unlinked, then created", LIBRARY "unlink @/lib.so wait 40 copy %/lib2 @/lib.so"},
    {"library-removed", "gone, and nobody says more", LIBRARY "unlink @/lib.so"},
    {"library-removed-claimed", "gone with its package", LIBRARY "unlink @/lib.so claim @/lib.so"},
    {"library-in-tree", "renamed over, and its folder is claimed", LIBRARY BESIDE "claim @"},
    {"library-linked-aside", "dpkg's way: the old inode linked aside for a while", LIBRARY "copy %/lib2 @/lib.so.dpkg-new link @/lib.so @/lib.so.dpkg-tmp wait 40 rename @/lib.so.dpkg-new @/lib.so wait 40 unlink @/lib.so.dpkg-tmp"},
    {"library-midway", "dpkg midway: the old inode still linked aside", LIBRARY "copy %/lib2 @/lib.so.dpkg-new link @/lib.so @/lib.so.dpkg-tmp wait 40 rename @/lib.so.dpkg-new @/lib.so"},
    {"library-backup-kept", "a hard link keeps the old inode", "have %/lib1 @/lib.so link @/lib.so @/backup wait 40 start load @/lib.so wait 40 " BESIDE},
    {"other-link-replaced", "of two names of the inode the other one was replaced", "have %/lib1 @/lib.so link @/lib.so @/other wait 40 start load @/lib.so wait 40 copy %/lib2 @/new wait 40 rename @/new @/other claim @/other"},
    {"two-names-two-processes", "two processes map one inode by two names, and one name is replaced", "copy %/lib1 @/lib.so link @/lib.so @/other wait 40 start spawn %/prog1 load @/other . load @/lib.so wait 40 " BESIDE},
    {"mapped-not-loaded", "code that no loader loaded, beside loaded libraries, while links are flipped", "copy %/lib1 @/lib.so copy %/lib1 @/other.so symlink x @/link wait 40 start load @/other.so map-code @/lib.so wait 40 symlink y @/new rename @/new @/link claim @/link"},
    {"no-build-id", "equal in size, different in some bytes, without a build-id", "copy %/plain1 @/lib.so wait 40 start load @/lib.so wait 40 copy %/plain2 @/new wait 40 rename @/new @/lib.so"},
    {"last-byte", "different in the last of two million bytes", "copy %/tail1 @/lib.so wait 40 start load @/lib.so wait 40 copy %/tail2 @/new wait 40 rename @/new @/lib.so"},
    {"exchanged", "old and new exchanged their names in one step", LIBRARY "copy %/lib2 @/new wait 40 exchange @/new @/lib.so claim @/lib.so"},
    {"program-renamed", "the program renamed over", PROGRAM "copy %/prog2 @/new wait 40 rename @/new @/prog"},
    {"program-recreated", "the program unlinked, then created", PROGRAM "unlink @/prog wait 40 copy %/prog2 @/prog"},
    {"program-removed-claimed", "the program gone with its package", PROGRAM "unlink @/prog claim @/prog"},
    {"program-and-library", "both", "have %/prog1 @/prog have %/lib1 @/lib.so wait 40 start exec @/prog load @/lib.so wait 40 copy %/prog2 @/prog.new wait 40 rename @/prog.new @/prog " BESIDE},
    {"program-now-a-folder", "a folder stands where the program was", PROGRAM "unlink @/prog wait 40 mkdir @/prog claim @/prog"},
    {"library-now-a-fifo", "a FIFO stands where the library was", LIBRARY "unlink @/lib.so wait 40 fifo @/lib.so claim @/lib.so"},
    {"library-now-a-link", "a link to another file stands where the library was", LIBRARY "copy %/lib2 @/lib.so.2 symlink lib.so.2 @/link wait 40 rename @/link @/lib.so claim @/lib.so"},
    {"folder-recreated", "its folder removed and made anew with a new library", "mkdir @/d copy %/lib1 @/d/lib.so wait 40 start load @/d/lib.so wait 40 unlink @/d/lib.so rmdir @/d wait 40 mkdir @/d copy %/lib2 @/d/lib.so"},
    {"folder-recreated-same", "its folder removed and made anew with the same library", "mkdir @/d copy %/lib1 @/d/lib.so wait 40 start load @/d/lib.so wait 40 unlink @/d/lib.so rmdir @/d wait 40 mkdir @/d copy %/lib1 @/d/lib.so"},
    {"replaced-twice", "renamed over, and renamed over again", LIBRARY BESIDE "wait 40 copy %/lib3 @/new wait 40 rename @/new @/lib.so"},
    {"downgraded-to-itself", "another version, then the first one again", LIBRARY BESIDE "wait 40 copy %/lib1 @/new wait 40 rename @/new @/lib.so claim @/lib.so"},

    /* a new inode and no new content */
    {"reinstalled", "the same bytes renamed over", LIBRARY "copy %/lib1 @/new wait 40 rename @/new @/lib.so"},
    {"reinstalled-claimed", "the same bytes renamed over, and claimed", LIBRARY "copy %/lib1 @/new wait 40 rename @/new @/lib.so claim @/lib.so"},
    {"reinstalled-recreated", "the same bytes unlinked and created", LIBRARY "unlink @/lib.so wait 40 copy %/lib1 @/lib.so"},
    {"reinstalled-plain", "the same bytes, no build-id", "copy %/plain1 @/lib.so wait 40 start load @/lib.so wait 40 copy %/plain1 @/new wait 40 rename @/new @/lib.so claim @/lib.so"},
    {"program-reinstalled", "the same program renamed over", PROGRAM "copy %/prog1 @/new wait 40 rename @/new @/prog claim @/prog"},
    {"rolled-back", "linked aside, replaced, and the very inode put back", LIBRARY "link @/lib.so @/lib.so.dpkg-tmp " BESIDE "wait 40 rename @/lib.so.dpkg-tmp @/lib.so claim @/lib.so"},
    {"moved-away-and-back", "moved away, another put there, moved back", LIBRARY "rename @/lib.so @/away copy %/lib2 @/lib.so wait 40 rename @/away @/lib.so"},

    /* nothing is deleted */
    {"moved-aside-claimed", "mv lib.so lib.so.old; cp new lib.so", LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib2 @/lib.so claim @/lib.so"},
    {"moved-aside-same", "moved aside, and the same bytes put there", LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib1 @/lib.so claim @/lib.so"},
    {"moved-aside-twice", "moved aside twice", LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib2 @/lib.so wait 40 rename @/lib.so.old @/lib.so.older rename @/lib.so @/lib.so.old copy %/lib3 @/lib.so claim @/lib.so"},
    {"moved-elsewhere-claimed", "moved into a backup folder, and a new one put there", "mkdir @/backup " LIBRARY "rename @/lib.so @/backup/lib.so wait 40 copy %/lib2 @/lib.so claim @/lib.so"},
    {"folder-swapped-claimed", "mv app app.old; mv next app", "mkdir @/app copy %/lib1 @/app/lib.so mkdir @/next copy %/lib2 @/next/lib.so wait 40 start load @/app/lib.so wait 40 rename @/app @/app.old rename @/next @/app claim @/app/lib.so"},
    {"link-flipped-claimed", "current -> one became current -> two", "mkdir @/one copy %/lib1 @/one/lib.so mkdir @/two copy %/lib2 @/two/lib.so symlink one @/current wait 40 start load @/current/lib.so wait 40 symlink two @/link rename @/link @/current claim @/current/lib.so"},
    {"soname-flipped", "libs.so.1 -> libs.so.1.0 became -> libs.so.1.1", "copy %/soname1 @/libs.so.1.0 symlink libs.so.1.0 @/libs.so.1 wait 40 start load @/libs.so.1 wait 40 copy %/soname2 @/libs.so.1.1 symlink libs.so.1.1 @/link wait 40 rename @/link @/libs.so.1"},
    {"soname-flipped-before", "the same, before the process started with the old one by its full name", "copy %/soname1 @/libs.so.1.0 copy %/soname2 @/libs.so.1.1 symlink libs.so.1.1 @/libs.so.1 wait 40 start load @/libs.so.1.0"},
    {"moved-elsewhere", "moved into a backup folder and a new one put there, and nobody says so", "mkdir @/backup " LIBRARY "rename @/lib.so @/backup/lib.so wait 40 copy %/lib2 @/lib.so"},
    {"folder-swapped", "mv app app.old; mv next app, and nobody says so", "mkdir @/app copy %/lib1 @/app/lib.so mkdir @/next copy %/lib2 @/next/lib.so wait 40 start load @/app/lib.so wait 40 rename @/app @/app.old rename @/next @/app"},
    {"link-itself-claimed", "current -> one became current -> two, and the link is claimed", "mkdir @/one copy %/lib1 @/one/lib.so mkdir @/two copy %/lib2 @/two/lib.so symlink one @/current wait 40 start load @/current/lib.so wait 40 symlink two @/link rename @/link @/current claim @/current"},
    {"link-flipped-same", "flipped to a folder with the same bytes", "mkdir @/one copy %/lib1 @/one/lib.so mkdir @/two copy %/lib1 @/two/lib.so symlink one @/current wait 40 start load @/current/lib.so wait 40 symlink two @/link rename @/link @/current claim @/current/lib.so"},
    {"link-flipped-other", "a link flipped that another process uses, this one names the file itself", "mkdir @/one copy %/lib1 @/one/lib.so mkdir @/two copy %/lib2 @/two/lib.so symlink one @/current wait 40 start load @/one/lib.so wait 40 symlink two @/link rename @/link @/current claim @/current/lib.so claim @/current"},
    {"program-moved-aside", "the program moved aside, and a new one put there", PROGRAM "rename @/prog @/prog.old wait 40 copy %/prog2 @/prog claim @/prog"},
    {"program-link-flipped", "the program was started through a link that was flipped", "copy %/prog1 @/prog-1 copy %/prog2 @/prog-2 symlink prog-1 @/prog wait 40 start exec @/prog wait 40 symlink prog-2 @/link rename @/link @/prog claim @/prog"},
    {"version-beside", "another version put beside it, the link stays", "copy %/soname1 @/libs.so.1.0 symlink libs.so.1.0 @/libs.so.1 wait 40 start load @/libs.so.1 wait 40 copy %/soname2 @/libs.so.1.1 claim @/libs.so.1.1"},

    /* written in place */
    {"overwritten-claimed", "truncated and written again, and claimed", LIBRARY "overwrite %/lib2 @/lib.so claim @/lib.so"},
    {"overwritten", "truncated and written again, and nobody says so", LIBRARY "overwrite %/lib2 @/lib.so"},
    {"written-into-claimed", "written without truncating", LIBRARY "write-into %/lib2 @/lib.so claim @/lib.so"},
    {"overwritten-same", "written in place with the same bytes, and claimed", LIBRARY "overwrite %/lib1 @/lib.so claim @/lib.so"},
    {"truncated", "cut to one page under its mapping", LIBRARY "truncate @/lib.so"},
    {"touched", "touched", LIBRARY "touch @/lib.so"},
    {"mode-changed", "chmod", LIBRARY "chmod @/lib.so"},
    {"mode-changed-claimed", "chmod, and claimed", LIBRARY "chmod @/lib.so claim @/lib.so"},
    {"hard-linked", "a second name was made", LIBRARY "link @/lib.so @/other claim @/lib.so"},
    {"overwritten-then-renamed", "written in place, then renamed over", LIBRARY "overwrite %/lib2 @/lib.so wait 40 copy %/lib3 @/new wait 40 rename @/new @/lib.so claim @/lib.so"},
    {"stale-and-tainted", "the program renamed over and the library written in place", "have %/prog1 @/prog have %/lib1 @/lib.so wait 40 start exec @/prog load @/lib.so wait 40 copy %/prog2 @/prog.new wait 40 rename @/prog.new @/prog overwrite %/lib2 @/lib.so claim @/lib.so"},

    /* data */
    {"data-renamed", "a mapped data file renamed over", "copy %/data1 @/data wait 40 start map-data @/data wait 40 copy %/data2 @/new wait 40 rename @/new @/data claim @/data"},
    {"data-overwritten-claimed", "a mapped data file written in place", "copy %/data1 @/data wait 40 start map-data @/data wait 40 overwrite %/data2 @/data claim @/data"},
    {"own-database", "a database that it writes itself", "copy %/data1 @/data wait 40 start map-database @/data wait 40 touch @/data claim @/data"},
    {"read-database", "a database that others write", "copy %/data1 @/data wait 40 start map-shared @/data wait 40 overwrite %/data2 @/data claim @/data"},
    {"open-replaced", "a file that is open, and was replaced", "copy %/data1 @/data wait 40 start open @/data wait 40 copy %/data2 @/new wait 40 rename @/new @/data claim @/data"},

    /* no files */
    {"memfd", "executable memory by memfd_create", "start memfd jit"},
    {"sysv", "System V shared memory", "start sysv"},
    {"devzero", "shared anonymous memory", "start devzero"},
    {"posix-shm", "POSIX shared memory, executable", "start posix-shm /reexec-test-victim"},
    {"aio", "a ring of aio", "start aio"},
    {"uring", "rings of io_uring", "start uring"},
    {"hugepage", "huge pages", "start hugepage"},
    {"scratch", "an executable file of its own, unlinked", "start scratch @/jit"},
    {"scratch-forked", "an executable file of its own, unlinked before a worker was forked", "start scratch @/jit wait 40 fork"},
    {"tmpfile", "an executable file that never had a name", "start tmpfile @"},
    {"plugin-copied", "a library that it copied for itself, loaded and unlinked", "start copy %/lib1 @/p8Xk2.so load @/p8Xk2.so unlink @/p8Xk2.so"},
    {"memfd-program", "a program executed from memory", "start memfd-run %/prog1"},
    {"memfd-program-old-library", "a program executed from memory that maps a replaced library", "copy %/lib1 @/lib.so wait 40 start memfd-run %/prog1 load @/lib.so wait 40 " BESIDE},

    /* names */
    {"name-blanks", "blanks, also at the end", NAMED("a\\s\\sb.so\\s")},
    {"name-newline", "a line break", NAMED("a\\nb.so")},
    {"name-backslash", "a backslash, and what maps would print of a line break", NAMED("a\\\\012b.so")},
    {"name-bytes", "bytes that are no UTF-8", NAMED("a\\377\\376\\200.so")},
    {"name-control", "control characters and a bell", NAMED("a\\033[31m\\007.so")},
    {"name-deleted", "a name that ends in (deleted)", NAMED("lib.so\\s(deleted)")},
    {"name-deleted-twice", "a name that ends in (deleted) twice", NAMED("lib.so\\s(deleted)\\s(deleted)")},
    {"name-deleted-alive", "alive, with such a name, and another file without it", "copy %/lib1 @/lib.so\\s(deleted) copy %/lib2 @/lib.so wait 40 start load @/lib.so\\s(deleted)"},
    {"name-deleted-decoy", "removed, and a stranger has its name with (deleted)", "copy %/lib1 @/lib.so copy %/lib2 @/lib.so\\s(deleted) wait 40 start load @/lib.so wait 40 unlink @/lib.so claim @/lib.so"},
    {"name-percent", "a name with the package manager's semicolon", NAMED("lib.so;65f0c1a2")},
    {"name-blank", "a name that is one blank", NAMED("\\s")},
    {"path-too-long", "a path of 5,000 bytes", "sink @ 24 copy %/lib1 ./lib.so wait 40 start map-code ./lib.so wait 40 copy %/lib2 ./new wait 40 rename ./new ./lib.so"},
    {"path-too-long-untouched", "a path of 5,000 bytes, nothing replaced", "sink @ 24 copy %/lib1 ./lib.so wait 40 start map-code ./lib.so"},
    {"folder-removed", "loaded from its working folder, which was removed with it", "mkdir @/d enter @/d copy %/lib1 ./lib.so wait 40 start load ./lib.so wait 40 unlink ./lib.so rmdir @/d"},
    {"folder-unreachable", "loaded from its working folder, whose file system was lazily unmounted, and replaced there", "mkdir @/d wait 40 new-mounts mount-tmpfs @/d enter @/d copy %/lib1 ./lib.so wait 40 start load ./lib.so wait 40 unmount @/d copy %/lib2 ./new wait 40 rename ./new ./lib.so"},
    {"name-of-memory", "a file whose name looks like memory", "mkdir @/memfd:x copy %/lib1 @/memfd:x/SYSV00 wait 40 start load @/memfd:x/SYSV00 wait 40 copy %/lib2 @/new wait 40 rename @/new @/memfd:x/SYSV00"},

    /* claims as people write them */
    {"claim-slashes", "//a///lib.so, moved aside", LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib2 @/lib.so claim /@///lib.so"},
    {"claim-dots", "a/./x/../lib.so, moved aside", "mkdir @/x " LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib2 @/lib.so claim @/./x/../lib.so"},
    {"claim-trailing", "a claim with a slash at its end, moved aside", LIBRARY "rename @/lib.so @/lib.so.old wait 40 copy %/lib2 @/lib.so claim @/lib.so/"},
    {"claim-through-link", "claimed through a linked folder, moved aside", "mkdir @/real copy %/lib1 @/real/lib.so symlink real @/alias wait 40 start load @/real/lib.so wait 40 rename @/real/lib.so @/real/lib.so.old wait 40 copy %/lib2 @/real/lib.so claim @/alias/lib.so"},
    {"claim-overwritten-dots", "a/./lib.so, written in place", LIBRARY "overwrite %/lib2 @/lib.so claim @/./lib.so"},

    /* lives */
    {"forked", "parent and child map the old library", LIBRARY "fork " BESIDE},
    {"forked-after", "the child was born after the replacement", LIBRARY BESIDE "fork"},
    {"child-only", "the parent unloaded it, the child did not", LIBRARY "fork unload " BESIDE},
    {"threads", "eight threads", LIBRARY "threads 8 " BESIDE},
    {"leader-exited", "the first thread has ended", LIBRARY "leader-exit " BESIDE},
    {"zombie", "a zombie child", LIBRARY "zombie"},
    {"vforked", "a child on the same memory, the parent waits", LIBRARY "vfork " BESIDE},
    {"memory-shared", "two processes on one address space", LIBRARY "clone-memory " BESIDE},
    {"traced", "a child that stands still under ptrace", LIBRARY "traced " BESIDE},
    {"stopped", "a child that was stopped", LIBRARY "fork stop-child " BESIDE},
    {"not-dumpable", "hides its memory", LIBRARY "no-dump " BESIDE},
    {"executed-again", "executed again by its path after the upgrade", PROGRAM "copy %/prog2 @/new wait 40 rename @/new @/prog claim @/prog wait 40 exec @/prog"},
    {"executed-itself", "executed again through /proc/self/exe: the old inode", PROGRAM "copy %/prog2 @/new wait 40 rename @/new @/prog claim @/prog wait 40 exec /proc/self/exe"},
    {"many-mappings", "32,000 mappings, and one of an old library", LIBRARY "map-often 32000 " BESIDE},
    {"churning", "children are born and end all the time", LIBRARY "churn " BESIDE},
    {"hostile-name", "escape codes in its name", LIBRARY "name \\033[31m)\\sR\\s0\\n(x " BESIDE},

    /* places */
    {"chroot-inside", "in a chroot, its library replaced inside", ROOT "start exec @/root/prog chroot @/root map-code /lib/lib.so wait 40 rename /new /lib/lib.so"},
    {"chroot-outside", "in a chroot, while a library outside was replaced", ROOT "copy %/lib1 @/lib.so wait 40 start spawn @/root/prog chroot @/root map-code /lib/lib.so . load @/lib.so wait 40 " BESIDE "claim @/lib.so"},
    {"chroot-moved", "in a chroot whose folder was moved", ROOT "start spawn @/root/prog chroot @/root map-code /lib/lib.so . wait 40 rename @/root @/moved"},
    {"private-mounts", "its own mount namespace, the host's files: replaced", LIBRARY "new-mounts " BESIDE},
    {"private-mounts-same", "its own mount namespace, nothing replaced", LIBRARY "new-mounts"},
    {"own-copy-bound", "a copy bound over the folder in its own namespace, untouched", "mkdir @/d mkdir @/copy copy %/lib1 @/d/lib.so copy %/lib1 @/copy/lib.so wait 40 start new-mounts bind @/copy @/d load @/d/lib.so"},
    {"file-bound-over", "another file bound over just the library, mapped before", "copy %/lib1 @/lib.so copy %/lib2 @/two.so wait 40 start new-mounts load @/lib.so wait 40 bind @/two.so @/lib.so"},
    {"bound-file-replaced", "a single file bound, its source replaced", "copy %/lib1 @/source.so write x @/target.so wait 40 start new-mounts bind @/source.so @/target.so load @/target.so wait 40 copy %/lib2 @/new wait 40 rename @/new @/source.so"},
    {"mounted-over", "a file system mounted over its folder", "mkdir @/d copy %/lib1 @/d/lib.so wait 40 start new-mounts load @/d/lib.so wait 40 mount-tmpfs @/d"},
    {"mounted-over-with-new", "mounted over, and another version in it", "mkdir @/d copy %/lib1 @/d/lib.so wait 40 start new-mounts load @/d/lib.so wait 40 mount-tmpfs @/d copy %/lib2 @/d/lib.so"},
    {"unmounted", "its file system lazily unmounted", "mkdir @/d wait 40 start new-mounts mount-tmpfs @/d copy %/lib1 @/d/lib.so load @/d/lib.so wait 40 unmount @/d"},
    {"private-pids", "its own pid namespace, a host library replaced", "copy %/lib1 @/lib.so wait 40 start new-pids load @/lib.so wait 40 " BESIDE},
    {"private-pids-and-proc", "its own pid namespace with its own /proc", "copy %/lib1 @/lib.so mkdir @/proc wait 40 start new-mounts new-pids mount-proc @/proc load @/lib.so wait 40 " BESIDE},
    {"user-namespace", "its own user namespace", LIBRARY "new-user " BESIDE},
    {"container-untouched", "a container, nothing replaced", CONTAINER},
    {"container-own-replaced", "a container, its own library replaced", CONTAINER "rename /new /lib/lib.so"},
    {"container-host-bound", "a host folder in a container, replaced on the host side", ROOT "mkdir @/host copy %/lib1 @/host/lib.so copy %/lib2 @/host/new mkdir @/root/host wait 40 start new-mounts new-pids bind @/host @/root/host pivot @/root exec /prog map-code /host/lib.so wait 40 rename /host/new /host/lib.so"},

    {"server-gone", "a file system whose server is gone is mounted over its folder", "mkdir @/d copy %/lib1 @/d/lib.so wait 40 start new-mounts load @/d/lib.so wait 40 hang @/d"},

    /* scripts */
    {"script-python", "python3 FILE, replaced", "write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . wait 40 write #\\snew\\n" READY_PY " @/new rename @/new @/s.py claim @/s.py"},
    {"script-untouched", "python3 FILE, claimed and not replaced", "write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . claim @/s.py"},
    {"script-not-claimed", "python3 FILE, replaced, and nobody says so", "write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . wait 40 write #\\snew\\n" READY_PY " @/new rename @/new @/s.py"},
    {"script-argument", "python3 -c TEXT FILE: no script of its", "write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 -c " READY_PY " @/s.py . wait 40 write #\\snew\\n" READY_PY " @/new rename @/new @/s.py claim @/s.py"},
    {"script-bash", "bash FILE, replaced: bash holds it open", "write " READY_SH " @/s.sh wait 40 start spawn /bin/bash @/s.sh . wait 40 write #\\snew\\n" READY_SH " @/new wait 40 rename @/new @/s.sh claim @/s.sh"},
    {"script-bash-not-claimed", "bash FILE, replaced, and nobody says so", "write " READY_SH " @/s.sh wait 40 start spawn /bin/bash @/s.sh . wait 40 write #\\snew\\n" READY_SH " @/new wait 40 rename @/new @/s.sh"},
    {"script-bash-reinstalled", "bash FILE, the same bytes renamed over", "write " READY_SH " @/s.sh wait 40 start spawn /bin/bash @/s.sh . wait 40 write " READY_SH " @/new rename @/new @/s.sh claim @/s.sh"},
    {"script-dash", "sh FILE, unlinked and created", "write " READY_SH " @/s.sh wait 40 start spawn /bin/sh @/s.sh . wait 40 unlink @/s.sh wait 40 write #\\snew\\n" READY_SH " @/s.sh claim @/s.sh"},
    {"script-module", "a module beside the script that it names, replaced", "write X=1 @/helper.py write import\\shelper\\n" READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . wait 40 write X=2 @/new rename @/new @/helper.py claim @/helper.py"},
    {"script-stranger", "a file beside the script that it does not name, replaced", "write X=1 @/stranger.py write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . wait 40 write X=2 @/new rename @/new @/stranger.py claim @/stranger.py"},
    {"script-sourced", "a file that a shell script reads by its path, replaced", "write X=1 @/functions write .\\s@/functions\\n" READY_SH " @/s.sh wait 40 start spawn /bin/bash @/s.sh . wait 40 write X=2 @/new rename @/new @/functions claim @/functions"},
    {"script-overwritten", "python3 FILE, edited in place", "write " READY_PY " @/s.py wait 40 start spawn /usr/bin/python3 @/s.py . wait 40 write #\\snew\\n" READY_PY " @/s.py claim @/s.py"},
    {"script-hash-bang", "executed by its first line", "write #!/usr/bin/python3\\n" READY_PY " @/s wait 40 start spawn @/s . wait 40 write #!/usr/bin/python3\\n#\\snew\\n" READY_PY " @/new rename @/new @/s claim @/s"},
    {"script-hash-bang-env", "executed by its first line, through env", "write #!/usr/bin/env\\sperl\\n$|=1;print\\s'r';<STDIN>; @/s wait 40 start spawn @/s . wait 40 write #!/usr/bin/env\\sperl\\n$|=1;print\\s'r';#x\\n<STDIN>; @/new rename @/new @/s claim @/s"},
    {"script-of-a-changed-shell", "executed by its first line, and its interpreter's mode changed since", "copy /bin/bash @/bash write #!@/bash\\n" READY_SH " @/s wait 40 start spawn @/s . wait 40 chmod @/bash"},
    {"script-and-interpreter", "a copy of the interpreter and the script, both replaced", "copy /bin/bash @/bash write " READY_SH " @/s.sh wait 40 start spawn @/bash @/s.sh . wait 40 copy %/prog2 @/new wait 40 rename @/new @/bash write #\\snew\\n" READY_SH " @/new wait 40 rename @/new @/s.sh claim @/s.sh claim @/bash"},
};
