/* Never comes back; says who it is first. */
#include "plugin.h"

static int32_t hang(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    (void)trigger, (void)sink;
    fprintf(stderr, "%d", getpid());
    for (;;)
        pause();
}

/* Prints for ever. */
static int32_t flood(struct reexec_bytes root, const struct reexec_bytes *packages, size_t count,
                     const struct reexec_sink *sink) {
    (void)root, (void)packages, (void)count, (void)sink;
    for (;;)
        if (write(1, "flood ", 6) < 0)
            pause();
}

/* Answers well, and hangs when the process ends. */
static void never(void) {
    for (;;)
        pause();
}
static int32_t good(struct reexec_bytes root, const struct reexec_sink *sink) {
    (void)root, (void)sink;
    atexit(never);
    return REEXEC_BUSY;
}

static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"hangs", hang, flood,
                                              NULL, good};
EXPORT(table)
