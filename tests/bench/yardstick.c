/* yardstick: the least that a scanner can do from user space, to measure scanners against.
 *
 *     yardstick query   asks each process for each executable mapping of a file (PROCMAP_QUERY,
 *                       Linux 6.11), uses no answer
 *     yardstick text    reads the maps of each process to its end, looks at nothing
 *
 * Says how many processes and answers there were.  Ends with 3 where the kernel has no PROCMAP_QUERY.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* struct procmap_query of include/uapi/linux/fs.h, for older headers. */
struct query {
    uint64_t size, flags, address, start, end, vma_flags, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define QUERY _IOWR('f', 17, struct query)
enum { EXECUTABLE = 0x04, COVERING_OR_NEXT = 0x10, FILE_BACKED = 0x20 };

static char buffer[1 << 20];

static unsigned long ask(int maps) {
    struct query query = {.size = sizeof query, .flags = EXECUTABLE | COVERING_OR_NEXT | FILE_BACKED};
    unsigned long answers = 0;
    for (; !ioctl(maps, QUERY, &query); query.address = query.end) answers++;
    if (errno == ENOTTY) _exit(3);
    return answers;
}

static unsigned long read_all(int maps) {
    unsigned long reads = 0;
    while (read(maps, buffer, sizeof buffer) > 0) reads++;
    return reads;
}

int main(int count, char **words) {
    int text = count == 2 && !strcmp(words[1], "text");
    if (!text && !(count == 2 && !strcmp(words[1], "query"))) {
        fprintf(stderr, "yardstick: query, or text\n");
        return 2;
    }
    DIR *proc = opendir("/proc");
    if (!proc) return 1;
    unsigned long processes = 0, answers = 0;
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        char path[300];
        strcpy(stpcpy(path, entry->d_name), "/maps");
        int maps = openat(dirfd(proc), path, O_RDONLY | O_CLOEXEC);
        if (maps < 0) continue;
        processes++;
        answers += text ? read_all(maps) : ask(maps);
        close(maps);
    }
    printf("%lu processes, %lu answers\n", processes, answers);
    return 0;
}
