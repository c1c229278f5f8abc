/* What a daemon links to be asked to execute itself anew after an upgrade, under the same pid, with
 * its listening sockets and its connections.  See reexec-client(3).
 *
 *     struct reexec_client *client;
 *     if (reexec_client_start(&client, argc, argv) < 0) ...      first of all in main
 *     int http = reexec_client_take(client, "http");             from systemd, or the program before
 *     if (http < 0) http = ...                                   the first start
 *     reexec_client_listen(client);                              in the process that stays
 *     reexec_client_ready();
 *     ... poll reexec_client_fd(client); when it is readable, and at a safe point:
 *     if (reexec_client_asked(client, NULL) > 0) {
 *         reexec_client_answer(client, REEXEC_CLIENT_WILL, NULL);
 *         reexec_client_pass(client, "http", http);
 *         reexec_client_execute(client);                         returns only if it failed
 *         syslog(LOG_WARNING, "%s", reexec_client_error(client));
 *     }
 *
 * Functions that return int or ssize_t return a negative errno when they fail;
 * reexec_client_error says it in words.  A client is for one thread at a time.
 */
#ifndef REEXEC_CLIENT_H
#define REEXEC_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct reexec_client;

/* How the running file and the file at its path compare. */
#define REEXEC_CLIENT_SAME 0
#define REEXEC_CLIENT_REPLACED 1
#define REEXEC_CLIENT_OVERWRITTEN 2 /* the same file, with another size or modification time */
#define REEXEC_CLIENT_REMOVED 3

/* Answers. */
#define REEXEC_CLIENT_WILL 1  /* now, at once */
#define REEXEC_CLIENT_LATER 2 /* by itself, when it can; not within the time that the asker waits */
#define REEXEC_CLIENT_NO 3

/* Who asks.  May grow at its end; set size before the call. */
struct reexec_client_asker {
    size_t size;       /* sizeof(struct reexec_client_asker) */
    uint32_t pid;      /* 0: it has no number in this pid namespace */
    uint32_t uid;
    int64_t within_ms; /* how long it will wait; -1: it did not say */
};

/* Looks at what this program is, marks every descriptor behind standard error close-on-exec, and
 * takes those that were handed over by LISTEN_FDS.  First in main, before threads, chroot, chdir. */
int reexec_client_start(struct reexec_client **client, int argc, char *const argv[]);

/* Closes its socket and what was not taken.  NULL is allowed. */
void reexec_client_free(struct reexec_client *client);

/* What the last function that failed has to say; never NULL, valid until the next call. */
const char *reexec_client_error(const struct reexec_client *client);

/* The next descriptor that was handed over under this name, now the caller's; -ENOENT: none. */
int reexec_client_take(struct reexec_client *client, const char *name);

/* Copies the bytes that were handed over under this name; how many.  -ENOENT: none; -EMSGSIZE: more
 * than fit, and then they are lost. */
ssize_t reexec_client_take_state(struct reexec_client *client, const char *name, void *buffer,
                                 size_t size);

/* The absolute path that the program was started from; valid as long as the client. */
const char *reexec_client_path(const struct reexec_client *client);

/* One of REEXEC_CLIENT_SAME, ...; costs one stat. */
int reexec_client_own_file(struct reexec_client *client);

/* Begins to listen; in the process that stays (after daemon(3), not in a worker). */
int reexec_client_listen(struct reexec_client *client);

/* To be polled for reading; not to be read or closed. */
int reexec_client_fd(const struct reexec_client *client);

/* 1: somebody waits for an answer; 0: nobody.  Never blocks.  asker may be NULL. */
int reexec_client_asked(struct reexec_client *client, struct reexec_client_asker *asker);

/* Answers everybody who waits, or was told REEXEC_CLIENT_LATER.  because: UTF-8, may be NULL. */
int reexec_client_answer(struct reexec_client *client, int answer, const char *because);

/* The next program gets this descriptor under this name (printable ASCII without ':', at most 255
 * bytes).  It stays the caller's, and must be open when reexec_client_execute is called. */
int reexec_client_pass(struct reexec_client *client, const char *name, int fd);

/* The next program gets a copy of these bytes under this name. */
int reexec_client_pass_state(struct reexec_client *client, const char *name, const void *data,
                             size_t size);

/* Lets the new file run once as a child before this process gives way to it; it must end with 0
 * within deadline_ms.  arguments: without the program's name, NULL at the end. */
int reexec_client_try_with(struct reexec_client *client, char *const arguments[],
                           unsigned deadline_ms);

/* Gives this process to the program that stands at the path now, with the arguments of the start.
 * Returns only if that did not work: then everything is as before, whoever asked was told why, and
 * what was passed is forgotten. */
int reexec_client_execute(struct reexec_client *client);

/* Tells the service manager (sd_notify(3)) that the program is ready, after its start and after each
 * execution.  1: told; 0: nobody wants to know. */
int reexec_client_ready(void);

/* Asks the update service (reexec watch) to look for something new; any program may, and needs no
 * client for it.  Never blocks.  0: asked; -ENOENT or -ECONNREFUSED: no such service. */
int reexec_client_look_now(void);

#ifdef __cplusplus
}
#endif

#endif
