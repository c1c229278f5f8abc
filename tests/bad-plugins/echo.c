/* A good one: says what it was asked. */
#include "plugin.h"

static int32_t echo_read(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    char text[128];
    snprintf(text, sizeof text, "phase %u, since %lld, %zu bytes", trigger->phase,
             (long long)trigger->since, trigger->input.len);
    sink->message(sink->context, BYTES(text));
    sink->package(sink->context, BYTES("pkg"), BYTES("1"), EMPTY);
    for (size_t i = 0; i < trigger->argument_count; i++)
        sink->file(sink->context, trigger->arguments[i], i ? BYTES("pkg") : EMPTY);
    sink->tree(sink->context, trigger->root);
    return REEXEC_OK;
}

static int32_t echo_expand(struct reexec_bytes root, const struct reexec_bytes *packages,
                           size_t count, const struct reexec_sink *sink) {
    for (size_t i = 0; i < count; i++)
        sink->file(sink->context, root, packages[i]);
    return REEXEC_OK;
}

static int32_t echo_owners(struct reexec_bytes root, const struct reexec_bytes *paths, size_t count,
                           const struct reexec_sink *sink) {
    (void)root;
    for (size_t i = count; i-- > 1;)
        sink->owner(sink->context, i, paths[i], BYTES("2.0"), i > 1 ? BYTES("md5") : EMPTY,
                    i > 1 ? BYTES("00ff") : EMPTY);
    return REEXEC_OK;
}

static int32_t echo_busy(struct reexec_bytes root, const struct reexec_sink *sink) {
    sink->message(sink->context, root);
    return REEXEC_INTERRUPTED;
}

static const struct reexec_plugin_v1 table = {
    sizeof table, (const uint8_t *)"echo", echo_read, echo_expand, echo_owners, echo_busy};
EXPORT(table)
