/* load: processes that look to a scanner like those of a busy host after an upgrade.
 *
 *     load COUNT FOLDER TRUTH
 *
 * FOLDER holds copies of real shared objects.  Those named victim-* are mapped only by one process in
 * twenty, and are replaced by rename once all processes are up; the pids of these processes are
 * written to TRUTH, then "ready COUNT STALE" is said.
 *
 * Each process is executed, not only forked, so that its addresses are its own.  It maps real objects
 * the way the dynamic loader does (headers, code, constants, relocated data, data, zeroes) until it
 * has 60 to 300 mappings, touches a page of each, and holds some descriptors.  One in ten has five
 * threads, one in five is another user's.  The same COUNT gives the same population.
 *
 * SIGUSR1 wakes a process, which then falls asleep again.
 * It ends with the end of its standard input, and so does every process of it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    FEWEST = 60, MOST = 300,        /* mappings of a process */
    OWN = 24,                       /* mappings that every process has without our doing */
    PER_STALE = 20, PER_THREADS = 10, PER_USER = 5,
    THREADS = 4, USER = 12345,
    AT_ONCE = 32,                   /* processes that start at a time */
    MOST_OBJECTS = 4096, MOST_SPAN = 64 << 20,
    READY = 198, END = 199,         /* descriptors of a worker */
};

static uint64_t state;
static uint32_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 16;
}
static void seed(uint64_t with) {
    state = with * 0x9E3779B97F4A7C15ULL | 1;
    for (int i = 0; i < 8; i++) next();
}

static void fail(const char *what, const char *object) {
    fprintf(stderr, "load: %s %s: %s\n", what, object, strerror(errno));
    exit(1);
}

static char *objects[MOST_OBJECTS], *victims[MOST_OBJECTS];
static int object_count, victim_count;

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *folder) {
    DIR *all = opendir(folder);
    if (!all) fail("list", folder);
    for (struct dirent *entry; (entry = readdir(all));) {
        int is_victim = !strncmp(entry->d_name, "victim-", 7);
        if (entry->d_name[0] == '.' || object_count == MOST_OBJECTS || victim_count == MOST_OBJECTS) continue;
        if (is_victim) victims[victim_count++] = strdup(entry->d_name);
        else objects[object_count++] = strdup(entry->d_name);
    }
    closedir(all);
    qsort(objects, object_count, sizeof *objects, by_name);
    qsort(victims, victim_count, sizeof *victims, by_name);
}

static uint64_t down(uint64_t at) { return at & ~(uint64_t)(PAGE - 1); }
static uint64_t up(uint64_t at) { return down(at + PAGE - 1); }
static volatile char touched;

static int map_segment(int fd, char *base, const Elf64_Phdr *segment) {
    int prot = (segment->p_flags & PF_R ? PROT_READ : 0) | (segment->p_flags & PF_W ? PROT_WRITE : 0)
        | (segment->p_flags & PF_X ? PROT_EXEC : 0);
    uint64_t start = down(segment->p_vaddr), file_end = up(segment->p_vaddr + segment->p_filesz);
    uint64_t end = up(segment->p_vaddr + segment->p_memsz);
    int made = 0;
    if (file_end > start) {
        char *at = base + start;
        if (mmap(at, file_end - start, prot, MAP_PRIVATE | MAP_FIXED, fd, down(segment->p_offset)) == MAP_FAILED) return 0;
        made++;
        if (prot & PROT_WRITE) *at = *at;
        else touched = *at;
    }
    if (end > file_end && (prot & PROT_WRITE)
        && mmap(base + file_end, end - file_end, prot, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        made++;
    return made;
}

/* Maps an object as the dynamic loader would; how many mappings that made. */
static int map_object(int folder, const char *name) {
    union { unsigned char bytes[PAGE]; Elf64_Ehdr elf; } head;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC), made = 0;
    if (fd < 0) return 0;
    ssize_t got = pread(fd, head.bytes, sizeof head, 0);
    if (got < (ssize_t)sizeof head.elf || memcmp(head.bytes, ELFMAG, 4) || head.bytes[EI_CLASS] != ELFCLASS64
        || head.elf.e_phoff + head.elf.e_phnum * sizeof(Elf64_Phdr) > (size_t)got) goto out;
    const Elf64_Phdr *segments = (const void *)(head.bytes + head.elf.e_phoff);
    uint64_t span = 0;
    for (int i = 0; i < head.elf.e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && segments[i].p_vaddr + segments[i].p_memsz > span)
            span = segments[i].p_vaddr + segments[i].p_memsz;
    if (!span || span > MOST_SPAN) goto out;
    char *base = mmap(0, up(span), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) goto out;
    munmap(base, up(span));
    for (int i = 0; i < head.elf.e_phnum; i++)
        if (segments[i].p_type == PT_LOAD) made += map_segment(fd, base, segments + i);
    for (int i = 0; i < head.elf.e_phnum; i++) {
        uint64_t start = down(segments[i].p_vaddr), end = down(segments[i].p_vaddr + segments[i].p_memsz);
        if (segments[i].p_type == PT_GNU_RELRO && end > start && !mprotect(base + start, end - start, PROT_READ)) made++;
    }
out:
    close(fd);
    return made;
}

static void *sleep_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

static void hold_descriptors(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || epoll_create1(0) < 0 || eventfd(0, 0) < 0
        || open("/etc/passwd", O_RDONLY) < 0) fail("hold", "descriptors");
}

static void start_threads(void) {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleep_for_ever, 0)) fail("start", "a thread");
    }
}

static void wake_up(int unused) {
    (void)unused;
}

/* A worker: its seed, and whether it is stale. */
static void work(const char *with, int is_stale) {
    const char *folder = getenv("LOAD_FOLDER");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, wake_up);
    seed(strtoull(with, 0, 10));
    int target = FEWEST + next() % (MOST - FEWEST + 1), has_threads = next() % PER_THREADS == 0;
    list(folder);
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), made = OWN;
    if (at < 0) fail("open", folder);
    if (is_stale) made += map_object(at, victims[next() % victim_count]);
    char *mapped = calloc(object_count, 1);
    for (int in_vain = 0; made < target && in_vain < 10000;) {
        int object = next() % object_count;
        if (mapped[object]) in_vain++;
        else made += map_object(at, objects[object]);
        mapped[object] = 1;
    }
    close(at);
    hold_descriptors();
    if (has_threads) start_threads();
    char byte = 'r';
    if (write(READY, &byte, 1) != 1) exit(1);
    close(READY);
    while (read(END, &byte, 1) < 0 && errno == EINTR) {}
    _exit(0);
}

/* Another version over it, as a package manager does: other bytes, another build-id. */
static void replace(int folder, const char *name) {
    static const char note[] = "\4\0\0\0\24\0\0\0\3\0\0\0GNU"; /* a GNU build-id of 20 bytes (elf(5)) */
    char beside[300];
    struct stat st;
    int old = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (old < 0 || fstat(old, &st)) fail("replace", name);
    char *bytes = malloc(st.st_size + 1);
    if (!bytes || read(old, bytes, st.st_size) != st.st_size) fail("read", name);
    char *id = memmem(bytes, st.st_size - 20, note, sizeof note);
    for (int i = 0; id && i < 20; i++) id[sizeof note + i] ^= 0x55;
    bytes[st.st_size] = 0;
    snprintf(beside, sizeof beside, ".%s.new", name);
    int new = openat(folder, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (new < 0 || write(new, bytes, st.st_size + 1) != st.st_size + 1) fail("write", beside);
    close(old);
    close(new);
    free(bytes);
    if (renameat(folder, beside, folder, name)) fail("rename", beside);
}

static pid_t start(uint64_t with, int is_stale, int is_users, const int *ready, const int *end) {
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)with);
    pid_t pid = fork();
    if (pid < 0) fail("fork", number);
    if (pid) return pid;
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(ready[1], READY);
    dup2(end[0], END);
    if (is_users && (setgroups(0, 0) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))) fail("become", "a user");
    execl("/proc/self/exe", "bench-load", "--work", number, is_stale ? "stale" : "fresh", (char *)0);
    _exit(127);
}

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "--work")) work(words[2], !strcmp(words[3], "stale"));
    int wanted = count == 4 ? atoi(words[1]) : 0;
    if (wanted < 1 || wanted > 20000) {
        fprintf(stderr, "load: COUNT (1 to 20000) FOLDER TRUTH\n");
        return 2;
    }
    setenv("LOAD_FOLDER", words[2], 1);
    list(words[2]);
    if (object_count < 20 || !victim_count) {
        fprintf(stderr, "load: %s holds %d objects and %d victims, too few\n", words[2], object_count, victim_count);
        return 2;
    }
    int ready[2], end[2];
    if (pipe2(ready, O_CLOEXEC) || pipe2(end, O_CLOEXEC)) fail("make", "pipes");
    FILE *truth = fopen(words[3], "we");
    if (!truth) fail("open", words[3]);
    seed(wanted);
    for (int started = 0, is_up = 0, stale = 0; is_up < wanted;) {
        for (; started < wanted && started - is_up < AT_ONCE; started++) {
            int is_stale = started % PER_STALE == PER_STALE / 2;
            pid_t pid = start(wanted * 1000003ULL + started, is_stale, next() % PER_USER == 0, ready, end);
            if (is_stale) stale += fprintf(truth, "%d\n", pid) > 0;
        }
        struct pollfd waits = {ready[0], POLLIN, 0};
        char bytes[AT_ONCE];
        if (poll(&waits, 1, 60000) <= 0) fail("wait for", "a process");
        ssize_t got = read(ready[0], bytes, sizeof bytes);
        if (got > 0) is_up += got;
    }
    if (fclose(truth)) fail("write", words[3]);
    int folder = open(words[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < victim_count; i++) replace(folder, victims[i]);
    printf("ready %d %d\n", wanted, (wanted + PER_STALE / 2 - 1) / PER_STALE);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    close(end[0]);
    close(end[1]);
    while (wait(0) > 0) {}
    return 0;
}
