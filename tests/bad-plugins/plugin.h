/* What the plugins of the loader's tests share. */
#include "reexec-plugin.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES(text) ((struct reexec_bytes){(const uint8_t *)(text), strlen(text)})
#define EMPTY ((struct reexec_bytes){NULL, 0})
#define EXPORT(table)                                                                              \
    const struct reexec_plugin_v1 *reexec_plugin_v1(void) { return &(table); }

static inline int32_t read_nothing(const struct reexec_trigger *trigger,
                                   const struct reexec_sink *sink) {
    (void)trigger, (void)sink;
    return REEXEC_OK;
}
