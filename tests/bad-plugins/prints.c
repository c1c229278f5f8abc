/* Prints, and answers well. */
#include "plugin.h"

static int32_t prints(const struct reexec_trigger *trigger, const struct reexec_sink *sink) {
    (void)trigger, (void)sink;
    char line[16];
    printf("to stdout\n");
    fflush(stdout);
    fprintf(stderr, "to \033[31mstderr\n");
    return fgets(line, sizeof line, stdin) ? REEXEC_FAILED : REEXEC_OK;
}

static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"prints", prints};
EXPORT(table)
