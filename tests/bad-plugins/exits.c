/* Ends the process, closes its descriptors, or leaves another process behind. */
#include "plugin.h"

static int32_t leave(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    (void)sink;
    exit((int)trigger->argument_count);
}

static int32_t deafen(struct reexec_bytes root, const struct reexec_bytes *packages, size_t count,
                      const struct reexec_sink *sink) {
    (void)root, (void)packages, (void)count, (void)sink;
    for (int fd = 0; fd < 1024; fd++)
        close(fd);
    return REEXEC_OK;
}

static int32_t fork_off(struct reexec_bytes root, const struct reexec_sink *sink) {
    (void)root;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    char text[32];
    snprintf(text, sizeof text, "%d", child);
    sink->message(sink->context, BYTES(text));
    return REEXEC_BUSY;
}

static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"exits", leave, deafen,
                                              NULL, fork_off};
EXPORT(table)
