/* Crashes: the function that is asked chooses how. */
#include "plugin.h"
#include <signal.h>
#include <sys/mman.h>

static int32_t segv(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    (void)trigger, (void)sink;
    fprintf(stderr, "last words\n");
    *(volatile int *)0 = 1;
    return REEXEC_OK;
}

static int32_t bus(struct reexec_bytes root, const struct reexec_bytes *packages, size_t count,
                   const struct reexec_sink *sink) {
    (void)root, (void)packages, (void)count, (void)sink;
    int file = memfd_create("empty", 0);
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    return page[0];
}

static int32_t aborts(struct reexec_bytes root, const struct reexec_bytes *paths, size_t count,
                      const struct reexec_sink *sink) {
    (void)root, (void)paths, (void)count, (void)sink;
    abort();
}

static int32_t endless(struct reexec_bytes root, const struct reexec_sink *sink) {
    volatile char big[4096];
    big[0] = 1;
    return endless(root, sink) + big[0];
}

static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"crashes", segv, bus,
                                              aborts, endless};
EXPORT(table)
