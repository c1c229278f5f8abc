/* The contract between reexec and its package manager plugins, in C.
 *
 * A plugin is a shared object libreexec_NAME.so, owned by root, that exports one function:
 *
 *     const struct reexec_plugin_v1 *reexec_plugin_v1(void);
 *
 * It returns a pointer to one static struct, which begins with its own size and only ever grows at
 * its end. Functions that a plugin does not have are NULL. All bytes are borrowed for the length of
 * one call; paths and names are bytes without a NUL at their end. The plugin runs in a short-lived
 * process of its own that may read and nothing else; what it prints is shown to the admin.
 *
 * The same contract in Rust is src/lib.rs; a test keeps the two alike.
 */
#ifndef REEXEC_PLUGIN_H
#define REEXEC_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What read, expand, owners and dependencies return. */
#define REEXEC_OK 0
#define REEXEC_FAILED (-1)  /* could not look; said why through sink->message */
#define REEXEC_PANICKED (-2)

/* What busy returns, or a negative number from above. */
#define REEXEC_IDLE 0
#define REEXEC_BUSY 1        /* a transaction is in progress, a lock is held */
#define REEXEC_INTERRUPTED 2 /* nobody is at work, but a transaction was left half-way */
/* A lock is there that counts as long as a process has it open for writing: sink->file names it,
   the host looks. If nobody has, the transaction was left half-way. */
#define REEXEC_LOCKED 3

/* trigger->phase */
#define REEXEC_PHASE_PRE 1  /* before the files are replaced */
#define REEXEC_PHASE_POST 2 /* after the files were replaced */

/* Borrowed bytes; data may be NULL when len is 0. */
struct reexec_bytes {
    const uint8_t *data;
    size_t len;
};

/* What the package manager said when it called the hook. */
struct reexec_trigger {
    size_t size; /* of this struct as the host knows it */
    uint32_t phase;
    struct reexec_bytes root; /* folder that holds the system; "/" for the running one */
    const struct reexec_bytes *arguments;
    size_t argument_count;
    struct reexec_bytes input; /* standard input of the trigger, to its end or the host's bound */
    int64_t since;             /* seconds since 1970: older changes are no news; 0: unknown */
};

/* Where a plugin puts its answers; every callback copies what it is given. */
struct reexec_sink {
    size_t size;   /* of this struct as the host knows it */
    void *context; /* first argument of every callback */
    /* A package of the transaction; an empty version means none. */
    void (*package)(void *context, struct reexec_bytes name, struct reexec_bytes old_version,
                    struct reexec_bytes new_version);
    /* A file of the transaction by absolute path below the root; package may be empty. */
    void (*file)(void *context, struct reexec_bytes path, struct reexec_bytes package);
    /* Something at or below this absolute folder was replaced; which files is not known. */
    void (*tree)(void *context, struct reexec_bytes prefix);
    /* Who owns the path at index of the question; algorithm and digest may both be empty. */
    void (*owner)(void *context, size_t index, struct reexec_bytes package,
                  struct reexec_bytes version, struct reexec_bytes algorithm,
                  struct reexec_bytes digest);
    /* A line for the admin, UTF-8. */
    void (*message)(void *context, struct reexec_bytes text);
    /* The package at index of the question depends on this one, by itself or through others. A host
       whose size ends before this one does not know it. */
    void (*dependency)(void *context, size_t index, struct reexec_bytes package);
};

/* What a plugin hands to the host. Append-only. */
struct reexec_plugin_v1 {
    size_t size;         /* sizeof(struct reexec_plugin_v1) */
    const uint8_t *name; /* NUL-terminated, [a-z0-9-]+, as in the library's file name */
    /* Turns a trigger into packages and claims. */
    int32_t (*read)(const struct reexec_trigger *trigger, const struct reexec_sink *sink);
    /* Names every file of the packages, as the database lists them now, through sink->file, and may
       say their versions through sink->package. */
    int32_t (*expand)(struct reexec_bytes root, const struct reexec_bytes *packages, size_t count,
                      const struct reexec_sink *sink);
    /* Says through sink->owner who owns each of the paths. It may name through sink->file, with no
       package, the files and folders of the database that change whenever an answer may: as long as
       all of them are what they were the host need not ask again. */
    int32_t (*owners)(struct reexec_bytes root, const struct reexec_bytes *paths, size_t count,
                      const struct reexec_sink *sink);
    /* Whether packages are being changed now. */
    int32_t (*busy)(struct reexec_bytes root, const struct reexec_sink *sink);
    /* Says through sink->dependency on which installed packages each of the packages depends, by
       itself or through others; recommendations do not count. */
    int32_t (*dependencies)(struct reexec_bytes root, const struct reexec_bytes *packages,
                            size_t count, const struct reexec_sink *sink);
};

/* The one function that a plugin exports. */
const struct reexec_plugin_v1 *reexec_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
