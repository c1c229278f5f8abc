/* opener once LIBRARY: opens the library and ends with 0 if it is a whole one.
   opener loop PROGRAM LIBRARY: executes PROGRAM with `once`, again and again until standard input ends, and says
   how often, how often not with 0, and how the first of these ended. */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Behind all code, so that a short file is one without it. */
const char padding[400000] = {1};

static int once(const char *library)
{
    void *opened = dlopen(library, RTLD_NOW);
    if (!opened)
        return 2;
    int (*version)(void) = (int (*)(void))dlsym(opened, "library_version");
    const char *data = dlsym(opened, "library_data");
    if (!version || !data)
        return 3;
    int number = version();
    return (number == 1 || number == 2) && data[16] == '0' + number ? 0 : 4;
}

static int loop(const char *program, const char *library)
{
    long runs = 0, failed = 0;
    int first = 0;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while (poll(&input, 1, 0) == 0) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            execl(program, "opener", "once", library, (char *)NULL);
            _exit(100 + (errno == ENOENT ? 1 : errno == ETXTBSY ? 2 : errno == EACCES ? 3 : 4));
        }
        waitpid(child, &status, 0);
        runs++;
        if (status != 0 && failed++ == 0)
            first = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }
    printf("%ld %ld %d\n", runs, failed, first);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "once"))
        return once(argv[2]);
    if (argc == 4 && !strcmp(argv[1], "loop"))
        return loop(argv[2], argv[3]);
    return 64;
}
