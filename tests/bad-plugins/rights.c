/* Tells what it may do. Paths to try are the trigger's arguments. */
#include "plugin.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

extern char **environ;

static void say(const struct reexec_sink *sink, const char *what, long number) {
    char text[256];
    snprintf(text, sizeof text, "%s %ld", what, number);
    sink->message(sink->context, BYTES(text));
}

static int32_t tell(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    char path[4096];
    memcpy(path, trigger->arguments[0].data, trigger->arguments[0].len);
    path[trigger->arguments[0].len] = 0;
    int variables = 0;
    while (environ && environ[variables])
        variables++;
    say(sink, "environment", variables);
    say(sink, "uid", getuid());
    say(sink, "reads", open(path, O_RDONLY | O_CLOEXEC) >= 0);
    say(sink, "writes", open(path, O_WRONLY) >= 0);
    say(sink, "unlinks", unlink(path) == 0);
    say(sink, "creates", open("/tmp/reexec-plugin-was-here", O_WRONLY | O_CREAT, 0600) >= 0);
    say(sink, "signals", kill(getppid(), 0) == 0);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(9);
    }
    int status = 0;
    waitpid(child, &status, 0);
    say(sink, "executes", WEXITSTATUS(status) == 0);
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC))
            say(sink, "inherited", fd);
    }
    char line[256];
    FILE *self = fopen("/proc/self/status", "r");
    while (self && fgets(line, sizeof line, self))
        if (!strncmp(line, "CapEff", 6) || !strncmp(line, "NoNewPrivs", 10)) {
            line[strcspn(line, "\n")] = 0;
            sink->message(sink->context, BYTES(line));
        }
    return REEXEC_OK;
}

static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"rights", tell};
EXPORT(table)
