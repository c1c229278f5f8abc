/* echo SOCKET: answers each line with its number on that connection, and goes on counting when it
 * has executed itself anew after an upgrade.
 *
 *     cc -o echo echo.c $(pkg-config --cflags --libs reexec-client)
 *
 * Example of a daemon with one loop, in C; examples/echo.rs is the same in Rust. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <reexec-client.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST 64           /* connections */
#define LONGEST_LINE 4096 /* more than that, and the connection is closed */
#define TRIAL_MS 5000

struct connection {
    int fd;
    unsigned long long count;
    size_t partial; /* bytes of a line that is half read */
    char line[LONGEST_LINE];
};

static struct connection connections[MOST];
static int connection_count;

/* A reload is an execution: SIGHUP is heard in ppoll(2) only, so that none is missed. */
static volatile sig_atomic_t reload;
static sigset_t in_poll;

static void on_hup(int signal) {
    reload = signal;
}

static void hear_hup(void) {
    struct sigaction action = {.sa_handler = on_hup};
    sigset_t hup;
    sigaction(SIGHUP, &action, NULL);
    sigemptyset(&hup);
    sigaddset(&hup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hup, &in_poll);
    sigdelset(&in_poll, SIGHUP);
}

static int fail(const char *what) {
    fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
    return 1;
}

static int listen_on(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, MOST)))
        return -1;
    return fd;
}

static void add(int fd, unsigned long long count) {
    connections[connection_count].fd = fd;
    connections[connection_count].count = count;
    connections[connection_count].partial = 0;
    connection_count++;
}

/* What the program before handed over; nothing at the first start. */
static void take_connections(struct reexec_client *client) {
    unsigned long long counts[MOST];
    ssize_t size = reexec_client_take_state(client, "counts", counts, sizeof counts);
    for (ssize_t i = 0; i < size / (ssize_t)sizeof counts[0]; i++) {
        int fd = reexec_client_take(client, "connection");
        if (fd >= 0)
            add(fd, counts[i]);
    }
}

/* Whether the connection goes on. */
static int serve(struct connection *c) {
    char *end;
    ssize_t size = recv(c->fd, c->line + c->partial, sizeof c->line - c->partial, MSG_DONTWAIT);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR;
    if (size == 0)
        return 0;
    c->partial += (size_t)size;
    while ((end = memchr(c->line, '\n', c->partial))) {
        char answer[LONGEST_LINE + 32];
        size_t line = (size_t)(end + 1 - c->line);
        int head = snprintf(answer, sizeof answer, "%llu ", ++c->count);
        memcpy(answer + head, c->line, line);
        /* Who does not read what it asked for is not served further. */
        if (send(c->fd, answer, (size_t)head + line, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return 0;
        c->partial -= line;
        memmove(c->line, end + 1, c->partial);
    }
    return c->partial < sizeof c->line;
}

static void serve_all(void) {
    for (int i = 0; i < connection_count; i++) {
        if (!serve(&connections[i])) {
            close(connections[i].fd);
            connections[i--] = connections[--connection_count];
        }
    }
}

static int unfinished(void) {
    int found = 0;
    for (int i = 0; i < connection_count; i++)
        found += connections[i].partial > 0;
    return found;
}

/* Returns only if it did not work; whoever asked was told why, and all goes on. */
static void execute(struct reexec_client *client, int listener) {
    char *const check[] = {"--check", NULL};
    unsigned long long counts[MOST];
    reexec_client_pass(client, "echo", listener);
    for (int i = 0; i < connection_count; i++) {
        counts[i] = connections[i].count;
        reexec_client_pass(client, "connection", connections[i].fd);
    }
    reexec_client_pass_state(client, "counts", counts, sizeof counts[0] * (size_t)connection_count);
    reexec_client_try_with(client, check, TRIAL_MS);
    reexec_client_execute(client);
    fprintf(stderr, "echo: %s\n", reexec_client_error(client));
}

static int wait_for_work(struct reexec_client *client, int listener) {
    struct pollfd fds[MOST + 2] = {{.fd = listener, .events = POLLIN},
                                   {.fd = reexec_client_fd(client), .events = POLLIN}};
    for (int i = 0; i < connection_count; i++)
        fds[i + 2] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
    return ppoll(fds, (nfds_t)connection_count + 2, NULL, &in_poll) < 0 && errno != EINTR ? -1 : 0;
}

int main(int argc, char **argv) {
    struct reexec_client *client;
    int listener, wanted = 0, error = reexec_client_start(&client, argc, argv);
    if (error < 0) {
        errno = -error;
        return fail("reexec_client_start");
    }
    if (argc == 2 && !strcmp(argv[1], "--check"))
        return 0;
    if (argc != 2) {
        fprintf(stderr, "usage: echo SOCKET | --check\n");
        return 2;
    }
    listener = reexec_client_take(client, "echo");
    if (listener < 0)
        listener = listen_on(argv[1]);
    if (listener < 0)
        return fail(argv[1]);
    take_connections(client);
    /* A daemon that cannot be asked can serve all the same. */
    if (reexec_client_listen(client) < 0)
        fprintf(stderr, "echo: %s\n", reexec_client_error(client));
    hear_hup();
    reexec_client_ready();

    for (;;) {
        int fd, half_read;
        if (wait_for_work(client, listener) < 0)
            return fail("poll");
        serve_all();
        if (connection_count < MOST && (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
            add(fd, 0);
        half_read = unfinished();
        if (reexec_client_asked(client, NULL) > 0) {
            wanted = 1;
            if (half_read)
                reexec_client_answer(client, REEXEC_CLIENT_LATER, "a line is half read");
        }
        if (reload) {
            wanted = 1;
            reload = 0;
        }
        if (wanted && !half_read) {
            wanted = 0;
            reexec_client_answer(client, REEXEC_CLIENT_WILL, NULL);
            execute(client, listener);
        }
    }
}
