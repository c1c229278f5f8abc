/* victim: a process in states that are known.
 *
 *     victim list                      the factories, and below them the words that they are made of
 *     victim make FACTORY FOLDER SHOP  puts itself into that state, with files in FOLDER
 *     victim WORD [ARGUMENT] …         puts itself into any other state, word by word
 *
 * Then it says "ready PID…" (its own pid as its parent sees it, and its children's) and holds the
 * state. It ends with the end of its standard input, and so does every process that it makes:
 * nothing outlives the test, not even one that was killed. SHOP holds the files that states are made
 * of; what somebody says was replaced is written to FOLDER/claims, one path a line.
 */
#define _GNU_SOURCE
#include <sys/mount.h> /* with bullseye's headers it must come before <linux/fs.h> */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "factories.h"
#ifndef VERSION
#define VERSION "1"
#endif

enum { PAGE = 4096, MAX_CHILDREN = 64, MAX_WORDS = 256 };

/* So that two builds differ. */
const char victim_version[] __attribute__((used)) = "victim, version " VERSION;

static pid_t children[MAX_CHILDREN];
static int child_count;

static void fail(const char *what, const char *object) {
    fprintf(stderr, "victim: %s %s: %s\n", what, object ? object : "", strerror(errno));
    exit(1);
}

static void until_input_ends(void) {
    char byte;
    for (;;) {
        ssize_t n = read(0, &byte, 1);
        if (n == 0 || (n < 0 && errno != EINTR)) _exit(0);
    }
}

static void map_descriptor(int fd, int prot, int flags, const char *object) {
    struct stat st;
    if (fstat(fd, &st)) fail("fstat", object);
    if (mmap(0, st.st_size ? st.st_size : PAGE, prot, flags, fd, 0) == MAP_FAILED) fail("mmap", object);
}

static void map_file(const char *path, int prot, int flags) {
    int writes = (prot & PROT_WRITE) && (flags & MAP_SHARED);
    int fd = open(path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (fd < 0) fail("open", path);
    map_descriptor(fd, prot, flags, path);
    close(fd);
}

static void map_code(const char *path) { map_file(path, PROT_READ | PROT_EXEC, MAP_PRIVATE); }
static void map_data(const char *path) { map_file(path, PROT_READ, MAP_PRIVATE); }
static void map_database(const char *path) { map_file(path, PROT_READ | PROT_WRITE, MAP_SHARED); }
static void map_shared(const char *path) { map_file(path, PROT_READ, MAP_SHARED); }

static void *loaded;
static void load(const char *path) {
    if (!(loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL))) {
        fprintf(stderr, "victim: dlopen %s\n", dlerror());
        exit(1);
    }
}

static void unload(const char *unused) {
    (void)unused;
    if (dlclose(loaded)) fail("dlclose", 0);
}

static void hold_open(const char *path) {
    if (open(path, O_RDONLY) < 0) fail("open", path);
}

/* What a just-in-time compiler leaves: executable memory of a file that never had a name. */
static void memfd(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, PAGE)) fail("memfd", name);
    map_descriptor(fd, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, name);
    close(fd);
}

/* A file of its own making, mapped executable and unlinked by itself. */
static void scratch(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    if (fd < 0 || ftruncate(fd, PAGE)) fail("create", path);
    map_descriptor(fd, PROT_READ | PROT_EXEC, MAP_SHARED, path);
    close(fd);
    if (unlink(path)) fail("unlink", path);
}

static void *sleep_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

static void threads(const char *count) {
    for (int i = atoi(count); i > 0; i--) {
        pthread_t thread;
        if (pthread_create(&thread, 0, sleep_for_ever, 0)) fail("thread", count);
    }
}

/* A child that inherits everything so far, and makes nothing of what follows. */
static void fork_child(const char *unused) {
    (void)unused;
    if (child_count == MAX_CHILDREN) fail("fork", "too many");
    pid_t child = fork();
    if (child < 0) fail("fork", 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        until_input_ends();
    }
    children[child_count++] = child;
}

/* Goes on as a child, so that all files that were made so far are older than the process. */
static void start(const char *unused) {
    (void)unused;
    pid_t parent = getpid(), child = fork();
    if (child < 0) fail("fork", 0);
    if (child > 0) {
        close(0);
        close(1);
        waitpid(child, 0, 0);
        _exit(0);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
}

static void name(const char *text) {
    if (prctl(PR_SET_NAME, text)) fail("name", text);
}

static void on_signal(int number) { (void)number; }
static void handle(const char *number) {
    struct sigaction action = {.sa_handler = on_signal};
    if (sigaction(atoi(number), &action, 0)) fail("sigaction", number);
}

static void ignore(const char *number) {
    if (signal(atoi(number), SIG_IGN) == SIG_ERR) fail("signal", number);
}

/* ---- memory that looks like files ---- */

static void sysv(const char *unused) {
    (void)unused;
    int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
    if (id < 0) fail("shmget", 0);
    void *at = shmat(id, 0, SHM_EXEC);
    shmctl(id, IPC_RMID, 0);
    if (at == (void *)-1) fail("shmat", 0);
}

static void devzero(const char *unused) {
    (void)unused;
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    if (mmap(0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED) fail("mmap", "/dev/zero");
    close(fd);
}

static void posix_shm(const char *name) {
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || ftruncate(fd, PAGE)) fail("shm_open", name);
    map_descriptor(fd, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, name);
    close(fd);
    shm_unlink(name);
}

static void aio(const char *unused) {
    (void)unused;
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 8, &context)) fail("io_setup", 0);
}

/* Where the kernel has it; elsewhere the state is the same without. */
static void uring(const char *unused) {
    (void)unused;
    char parameters[120] = {0};
    int fd = (int)syscall(SYS_io_uring_setup, 4, parameters);
    if (fd >= 0) mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
}

static void hugepage(const char *unused) {
    (void)unused;
    mmap(0, 2 << 20, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
}

static void tmpfile_in(const char *folder) {
    int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0700);
    if (fd < 0 || ftruncate(fd, PAGE)) fail("O_TMPFILE", folder);
    map_descriptor(fd, PROT_READ | PROT_EXEC, MAP_PRIVATE, folder);
    close(fd);
}

/* ---- life ---- */

static void keep_child(pid_t child, const char *what) {
    if (child < 0 || child_count == MAX_CHILDREN) fail(what, "child");
    children[child_count++] = child;
}

static void zombie(const char *unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) _exit(0);
    keep_child(child, "zombie");
    siginfo_t ended;
    waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT);
}

static int pause_for_ever(void *unused) {
    (void)unused;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) syscall(SYS_pause);
    return 0;
}

static void clone_memory(const char *unused) {
    (void)unused;
    char *stack = mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    keep_child(clone(pause_for_ever, stack + 16 * PAGE, CLONE_VM | SIGCHLD, 0), "clone");
}

/* A thread of the child does the vfork, so that the child itself can still be asked to end. */
static void *vfork_in_thread(void *told) {
    if (vfork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pid_t self = (pid_t)syscall(SYS_getpid);
        if (write(*(int *)told, &self, sizeof self) < 0) _exit(1);
        for (;;) syscall(SYS_pause);
    }
    return told;
}

static void vforked(const char *unused) {
    (void)unused;
    static int gate[2];
    pthread_t thread;
    pid_t child;
    if (pipe(gate) || pthread_create(&thread, 0, vfork_in_thread, &gate[1])) fail("vfork", 0);
    if (read(gate[0], &child, sizeof child) != sizeof child) fail("vfork", 0);
    keep_child(child, "vfork");
}

static void traced(const char *unused) {
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        until_input_ends();
    }
    keep_child(child, "traced");
    waitpid(child, 0, WUNTRACED);
}

/* Children come and go all the time. */
static void *breed(void *unused) {
    for (;;) {
        pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        if (child == 0) syscall(SYS_exit, 0);
        waitpid(child, 0, 0);
        usleep(1000);
    }
    return unused;
}

static void churn(const char *unused) {
    (void)unused;
    pthread_t thread;
    if (pthread_create(&thread, 0, breed, 0)) fail("thread", 0);
}

static void no_dump(const char *unused) {
    (void)unused;
    if (prctl(PR_SET_DUMPABLE, 0)) fail("dumpable", 0);
}

static void stop_child(const char *unused) {
    (void)unused;
    if (child_count) kill(children[child_count - 1], SIGSTOP);
}

static void map_often(const char *count) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (int i = atoi(count); i > 0; i--)
        if (mmap(0, PAGE, PROT_READ, i % 2 ? MAP_PRIVATE : MAP_SHARED, fd, 0) == MAP_FAILED) fail("mmap", count);
    close(fd);
}

/* ---- namespaces ---- */

static void new_mounts(const char *unused) {
    (void)unused;
    if (unshare(CLONE_NEWNS) || mount("none", "/", 0, MS_REC | MS_PRIVATE, 0)) fail("unshare", "mounts");
}

static void new_user(const char *unused) {
    (void)unused;
    if (unshare(CLONE_NEWUSER)) fail("unshare", "user");
}

/* Goes on as the first process of a new pid namespace; what waits outside answers for it. */
static void new_pids(const char *unused) {
    (void)unused;
    int gate[2];
    char text[20] = "";
    if (pipe(gate) || unshare(CLONE_NEWPID)) fail("unshare", "pids");
    pid_t child = fork();
    if (child < 0) fail("fork", 0);
    if (child > 0) {
        sprintf(text, "%d", child);
        if (write(gate[1], text, sizeof text) < 0) _exit(1);
        close(0);
        close(1);
        waitpid(child, 0, 0);
        _exit(0);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (read(gate[0], text, sizeof text) < 0) _exit(1);
    close(gate[0]);
    close(gate[1]);
    setenv("VICTIM_PID", text, 1);
}

static void change_root(const char *folder) {
    if (chroot(folder) || chdir("/")) fail("chroot", folder);
}

static void pivot(const char *folder) {
    if (mount(folder, folder, 0, MS_BIND | MS_REC, 0) || chdir(folder)) fail("bind", folder);
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/")) fail("pivot_root", folder);
}

static void mount_tmpfs(const char *folder) {
    if (mount("tmpfs", folder, "tmpfs", 0, 0)) fail("mount tmpfs", folder);
}

static void mount_proc(const char *folder) {
    if (mount("proc", folder, "proc", 0, 0)) fail("mount proc", folder);
}

static void unmount(const char *folder) {
    if (umount2(folder, MNT_DETACH)) fail("umount", folder);
}

/* A file system whose server never answers: a dead NFS or sshfs. */
static void hang(const char *folder) {
    char options[100];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) fail("open", "/dev/fuse");
    sprintf(options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd);
    if (mount("victim", folder, "fuse", 0, options)) fail("mount fuse", folder);
}

/* ---- what is done to files, as installers do it ---- */

static void copy_into(const char *from, const char *to, int flags) {
    char buffer[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    if (in < 0) fail("open", from);
    if (out < 0) fail("open", to);
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        if (write(out, buffer, (size_t)n) != n) fail("write", to);
    close(in);
    close(out);
}

static void copy(const char *from, const char *to) { copy_into(from, to, O_EXCL); }
static void overwrite(const char *from, const char *to) { copy_into(from, to, O_TRUNC); }
static void write_into(const char *from, const char *to) { copy_into(from, to, 0); }

/* Unless it is there: from the lower layer of an overlayfs, say. */
static void have(const char *from, const char *to) {
    if (access(to, F_OK)) copy(from, to);
}

static void move(const char *from, const char *to) {
    if (rename(from, to)) fail("rename", from);
}

static void exchange(const char *from, const char *to) {
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE)) fail("exchange", from);
}

static void hard_link(const char *from, const char *to) {
    if (link(from, to)) fail("link", to);
}

static void soft_link(const char *from, const char *to) {
    if (symlink(from, to)) fail("symlink", to);
}

static void bind(const char *from, const char *to) {
    if (mount(from, to, 0, MS_BIND, 0)) fail("bind", to);
}

static void take_away(const char *path) {
    if (unlink(path)) fail("unlink", path);
}

static void folder(const char *path) {
    if (mkdir(path, 0755) && errno != EEXIST) fail("mkdir", path);
}

static void drop_folder(const char *path) {
    if (rmdir(path)) fail("rmdir", path);
}

static void enter_folder(const char *path) {
    if (chdir(path)) fail("chdir", path);
}

/* COUNT folders with names of 200 letters, one in the other, and into the last of them. */
static void sink(const char *folder, const char *count) {
    char name[201];
    memset(name, 'd', 200);
    name[200] = 0;
    enter_folder(folder);
    for (int i = atoi(count); i > 0; i--) {
        if (mkdir(name, 0755)) fail("mkdir", name);
        enter_folder(name);
    }
}

static void touch(const char *path) {
    if (utimensat(AT_FDCWD, path, 0, 0)) fail("touch", path);
}

static void change_mode(const char *path) {
    if (chmod(path, 0711)) fail("chmod", path);
}

static void truncate_to_page(const char *path) {
    if (truncate(path, PAGE)) fail("truncate", path);
}

static void fifo(const char *path) {
    if (mkfifo(path, 0644)) fail("mkfifo", path);
}

static void write_text(const char *text, const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0) fail("open", path);
    if (write(fd, text, strlen(text)) < 0 || write(fd, "\n", 1) < 0) fail("write", path);
    close(fd);
}

static const char *claims;
static void claim(const char *path) {
    int fd = open(claims ? claims : "claims", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, path, strlen(path)) < 0 || write(fd, "\n", 1) < 0) fail("claim", path);
    close(fd);
}

static void wait_millis(const char *count) { usleep((useconds_t)atoi(count) * 1000); }

static void nothing(const char *unused) { (void)unused; }

static const struct {
    const char *word, *argument;
    void (*enter)(const char *argument);
    void (*between)(const char *from, const char *to);
} WORDS[] = {
    {"run", 0, nothing, 0},
    {"start", 0, start, 0},
    {"map-code", "FILE", map_code, 0},
    {"map-data", "FILE", map_data, 0},
    {"map-database", "FILE", map_database, 0},
    {"map-shared", "FILE", map_shared, 0},
    {"load", "LIBRARY", load, 0},
    {"unload", 0, unload, 0},
    {"open", "FILE", hold_open, 0},
    {"memfd", "NAME", memfd, 0},
    {"scratch", "FILE", scratch, 0},
    {"tmpfile", "FOLDER", tmpfile_in, 0},
    {"sysv", 0, sysv, 0},
    {"devzero", 0, devzero, 0},
    {"posix-shm", "NAME", posix_shm, 0},
    {"aio", 0, aio, 0},
    {"uring", 0, uring, 0},
    {"hugepage", 0, hugepage, 0},
    {"map-often", "COUNT", map_often, 0},
    {"threads", "COUNT", threads, 0},
    {"fork", 0, fork_child, 0},
    {"vfork", 0, vforked, 0},
    {"zombie", 0, zombie, 0},
    {"clone-memory", 0, clone_memory, 0},
    {"traced", 0, traced, 0},
    {"churn", 0, churn, 0},
    {"stop-child", 0, stop_child, 0},
    {"name", "TEXT", name, 0},
    {"handle", "SIGNAL", handle, 0},
    {"ignore", "SIGNAL", ignore, 0},
    {"no-dump", 0, no_dump, 0},
    {"new-mounts", 0, new_mounts, 0},
    {"new-user", 0, new_user, 0},
    {"new-pids", 0, new_pids, 0},
    {"chroot", "FOLDER", change_root, 0},
    {"pivot", "FOLDER", pivot, 0},
    {"mount-tmpfs", "FOLDER", mount_tmpfs, 0},
    {"mount-proc", "FOLDER", mount_proc, 0},
    {"unmount", "FOLDER", unmount, 0},
    {"hang", "FOLDER", hang, 0},
    {"unlink", "FILE", take_away, 0},
    {"mkdir", "FOLDER", folder, 0},
    {"rmdir", "FOLDER", drop_folder, 0},
    {"enter", "FOLDER", enter_folder, 0},
    {"touch", "FILE", touch, 0},
    {"chmod", "FILE", change_mode, 0},
    {"truncate", "FILE", truncate_to_page, 0},
    {"fifo", "FILE", fifo, 0},
    {"claim", "PATH", claim, 0},
    {"wait", "MILLISECONDS", wait_millis, 0},
    {"sink", "FOLDER COUNT", 0, sink},
    {"copy", "FROM TO", 0, copy},
    {"have", "FROM TO", 0, have},
    {"overwrite", "FROM TO", 0, overwrite},
    {"write-into", "FROM TO", 0, write_into},
    {"write", "TEXT FILE", 0, write_text},
    {"rename", "FROM TO", 0, move},
    {"exchange", "FROM TO", 0, exchange},
    {"link", "FROM TO", 0, hard_link},
    {"symlink", "TARGET LINK", 0, soft_link},
    {"bind", "FROM TO", 0, bind},
};
enum { WORD_COUNT = sizeof WORDS / sizeof *WORDS, FACTORY_COUNT = sizeof FACTORIES / sizeof *FACTORIES };

/* ---- words that take all that is left, or some of it ---- */

static void go_on_as(const char *program, char **rest) {
    char *words[MAX_WORDS] = {(char *)program, "continue", (char *)(claims ? claims : "claims")};
    for (int i = 0; rest[i] && i + 4 < MAX_WORDS; i++) words[i + 3] = rest[i];
    execv(program, words);
    fail("exec", program);
}

/* memfd-run PROGRAM: the rest is done by a program that has no file (as runc executes itself). */
static void run_from_memory(const char *program, char **rest) {
    char link[40];
    int in = open(program, O_RDONLY | O_CLOEXEC), fd = memfd_create("runc_cloned:/proc/self/exe", 0);
    char buffer[65536];
    for (ssize_t n; (n = read(in, buffer, sizeof buffer)) > 0;)
        if (write(fd, buffer, (size_t)n) != n) fail("write", "memfd");
    sprintf(link, "/proc/self/fd/%d", fd);
    go_on_as(link, rest);
}

/* spawn PROGRAM ARGUMENT… .: a child that is ready when it says a line. */
static char **spawn(char **words) {
    int said[2];
    char byte;
    char **end = words;
    while (*end && strcmp(*end, ".")) end++;
    if (!*end || end == words || pipe(said)) fail("spawn", *words);
    pid_t child = fork();
    if (child == 0) {
        *end = 0;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(said[1], 1);
        close(said[0]);
        close(said[1]);
        execv(words[0], words);
        fail("exec", words[0]);
    }
    close(said[1]);
    if (read(said[0], &byte, 1) != 1) fail("spawn", "it ended at once");
    keep_child(child, "spawn");
    return end + 1;
}

/* leader-exit: the first thread ends, another does the rest. */
static void do_all(char **rest);
static void *rest_in_thread(void *rest) {
    usleep(20000);
    do_all(rest);
    return 0;
}

static char **enter(char **words) {
    if (!strcmp(*words, "spawn")) return spawn(words + 1);
    if (!strcmp(*words, "exec") && words[1]) go_on_as(words[1], words + 2);
    if (!strcmp(*words, "memfd-run") && words[1]) run_from_memory(words[1], words + 2);
    if (!strcmp(*words, "leader-exit")) {
        pthread_t thread;
        if (pthread_create(&thread, 0, rest_in_thread, words + 1)) fail("thread", 0);
        syscall(SYS_exit, 0);
    }
    for (int i = 0; i < WORD_COUNT; i++) {
        if (strcmp(*words, WORDS[i].word)) continue;
        int wants = WORDS[i].between ? 2 : WORDS[i].argument ? 1 : 0;
        if ((wants > 0 && !words[1]) || (wants > 1 && !words[2])) break;
        if (WORDS[i].between) WORDS[i].between(words[1], words[2]);
        else WORDS[i].enter(wants ? words[1] : 0);
        return words + 1 + wants;
    }
    fprintf(stderr, "victim: %s: no such word, or its argument is missing (see victim list)\n", *words);
    exit(2);
}

static void do_all(char **rest) {
    while (*rest) rest = enter(rest);
    const char *outside = getenv("VICTIM_PID");
    char line[1000];
    int length = outside ? sprintf(line, "ready %s", outside) : sprintf(line, "ready %d", getpid());
    for (int i = 0; i < child_count; i++) length += sprintf(line + length, " %d", children[i]);
    line[length++] = '\n';
    if (write(1, line, (size_t)length) != length) exit(1);
    until_input_ends();
}

/* The text of a factory with @ for its folder and % for the shop; words end at blanks, and \s, \n
   and \377 (octal) stand for a blank, a line break and any other byte. */
static char **words_of(const char *text, const char *home, const char *shop) {
    static char *words[MAX_WORDS];
    static char all[60000];
    int count = 0, in_word = 0;
    char *to = all;
    for (const char *from = text; *from; from++) {
        if (*from == ' ' || *from == '\n') {
            if (in_word) *to++ = 0;
            in_word = 0;
            continue;
        }
        if (!in_word) words[count++] = to;
        if (count == MAX_WORDS) fail("make", "too many words");
        in_word = 1;
        if (*from == '@') to = stpcpy(to, home);
        else if (*from == '%') to = stpcpy(to, shop);
        else if (*from == '\\' && from[1] == 's') *to++ = ' ', from++;
        else if (*from == '\\' && from[1] == 'n') *to++ = '\n', from++;
        else if (*from == '\\' && from[1] == '\\') *to++ = '\\', from++;
        else if (*from == '\\') *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')), from += 3;
        else *to++ = *from;
    }
    *to = 0;
    return words;
}

static int list(void) {
    for (int i = 0; i < FACTORY_COUNT; i++) printf("%-28s %s\n", FACTORIES[i].name, FACTORIES[i].about);
    printf("\n");
    for (int i = 0; i < WORD_COUNT; i++)
        printf("%s%s%s\n", WORDS[i].word, WORDS[i].argument ? " " : "", WORDS[i].argument ? WORDS[i].argument : "");
    printf("exec PROGRAM\nmemfd-run PROGRAM\nleader-exit\nspawn PROGRAM ARGUMENT… .\n");
    return 0;
}

static void make(const char *factory, const char *home, const char *shop) {
    static char file[4096];
    snprintf(file, sizeof file, "%s/claims", home);
    claims = file;
    for (int i = 0; i < FACTORY_COUNT; i++)
        if (!strcmp(FACTORIES[i].name, factory)) do_all(words_of(FACTORIES[i].words, home, shop));
    fprintf(stderr, "victim: %s: no such factory (see victim list)\n", factory);
    exit(2);
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "list")) return list();
    if (count == 5 && !strcmp(words[1], "make")) make(words[2], words[3], words[4]);
    if (count >= 3 && !strcmp(words[1], "continue")) {
        claims = words[2];
        do_all(words + 3);
    }
    if (!words[1]) {
        fprintf(stderr, "victim: list, make FACTORY FOLDER SHOP, or words to do\n");
        return 2;
    }
    do_all(words + 1);
}
