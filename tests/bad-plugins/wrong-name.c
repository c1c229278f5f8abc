#include "plugin.h"
static const struct reexec_plugin_v1 table = {sizeof table, (const uint8_t *)"right-name\n", read_nothing};
EXPORT(table)
