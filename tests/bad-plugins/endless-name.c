/* A name that no NUL ends. */
#include "plugin.h"
static uint8_t name[4096] = {[0 ... 4095] = 'x'};
static const struct reexec_plugin_v1 table = {sizeof table, name, read_nothing};
EXPORT(table)
