/* victim: a process in states that are known.
 *
 *     victim list                 the states, one per line
 *     victim STATE [ARGUMENT] …   puts itself into all of them, says "ready PID…", and holds them
 *
 * It ends with the end of its standard input, and so does every process that it makes: nothing
 * outlives the test, not even one that was killed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, MAX_CHILDREN = 64 };

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

static void load(const char *path) {
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
        fprintf(stderr, "victim: dlopen %s\n", dlerror());
        exit(1);
    }
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
    if (child == 0) until_input_ends();
    children[child_count++] = child;
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

static void nothing(const char *unused) { (void)unused; }

static const struct {
    const char *state, *argument;
    void (*enter)(const char *argument);
} STATES[] = {
    {"run", 0, nothing},
    {"map-code", "FILE", map_code},
    {"map-data", "FILE", map_data},
    {"map-database", "FILE", map_database},
    {"load", "LIBRARY", load},
    {"open", "FILE", hold_open},
    {"memfd", "NAME", memfd},
    {"scratch", "FILE", scratch},
    {"threads", "COUNT", threads},
    {"fork", 0, fork_child},
    {"name", "TEXT", name},
    {"handle", "SIGNAL", handle},
    {"ignore", "SIGNAL", ignore},
};
enum { STATE_COUNT = sizeof STATES / sizeof *STATES };

static char **enter(char **words) {
    for (int i = 0; i < STATE_COUNT; i++) {
        if (strcmp(*words, STATES[i].state)) continue;
        if (STATES[i].argument && !words[1]) break;
        const char *argument = STATES[i].argument ? *++words : 0;
        STATES[i].enter(argument);
        return words + 1;
    }
    fprintf(stderr, "victim: %s: no such state, or its argument is missing (see victim list)\n", *words);
    exit(2);
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "list")) {
        for (int i = 0; i < STATE_COUNT; i++)
            printf("%s%s%s\n", STATES[i].state, STATES[i].argument ? " " : "", STATES[i].argument ? STATES[i].argument : "");
        return 0;
    }
    if (count < 2) {
        fprintf(stderr, "victim: list, or states to hold\n");
        return 2;
    }
    for (char **rest = words + 1; *rest;) rest = enter(rest);
    printf("ready %d", getpid());
    for (int i = 0; i < child_count; i++) printf(" %d", children[i]);
    printf("\n");
    fflush(stdout);
    until_input_ends();
}
