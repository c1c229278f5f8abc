/* Lies about lengths, pointers and numbers: each function in its own way. */
#include "plugin.h"

static int32_t lies_read(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    struct reexec_bytes all = {(const uint8_t *)"/usr", SIZE_MAX};
    struct reexec_bytes null = {NULL, 7};
    struct reexec_bytes wild = {(const uint8_t *)8, 60000};
    switch (trigger->argument_count) {
    case 0: sink->file(sink->context, all, EMPTY); break;
    case 1: sink->file(sink->context, null, EMPTY); break;
    case 2: sink->file(sink->context, wild, EMPTY); break;
    case 3: sink->file(sink->context, BYTES("usr/lib/relative"), EMPTY); break;
    case 4: return 5;
    case 5: return -77;
    case 6: sink->message(NULL, BYTES("to nobody")); break;
    default: sink->file((void *)16, BYTES("/usr"), EMPTY);
    }
    return REEXEC_OK;
}

static int32_t lies_expand(struct reexec_bytes root, const struct reexec_bytes *packages,
                           size_t count, const struct reexec_sink *sink) {
    (void)root, (void)packages, (void)count;
    for (int i = 0; i < 3000000; i++)
        sink->file(sink->context, BYTES("/usr/lib/again"), BYTES("package"));
    return REEXEC_OK;
}

static int32_t lies_owners(struct reexec_bytes root, const struct reexec_bytes *paths, size_t count,
                           const struct reexec_sink *sink) {
    (void)root, (void)paths;
    sink->owner(sink->context, count, BYTES("a"), BYTES("1"), EMPTY, EMPTY);
    return REEXEC_OK;
}

static int32_t lies_busy(struct reexec_bytes root, const struct reexec_sink *sink) {
    (void)root, (void)sink;
    return 4;
}

static const struct reexec_plugin_v1 table = {
    sizeof table, (const uint8_t *)"lies", lies_read, lies_expand, lies_owners, lies_busy};
EXPORT(table)
