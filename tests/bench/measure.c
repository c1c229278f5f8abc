/* measure COMMAND…: what a whole process with all its children cost, as the kernel counted it.
 *
 * One line on standard output: microseconds of wall and processor time, KiB at most resident (of the
 * largest single process), exit code.  What the command reads comes from the file named by MEASURE_IN, or
 * is empty; what it prints goes to the file named by MEASURE_OUT, or nowhere.  This program is small, so that its own memory does not hide the command's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long micros(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

int main(int count, char **words) {
    if (count < 2) {
        fprintf(stderr, "measure: a command\n");
        return 2;
    }
    const char *from = getenv("MEASURE_IN"), *out = getenv("MEASURE_OUT");
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid_t child = vfork();
    if (child < 0) return 1;
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int in = open(from ? from : "/dev/null", O_RDONLY);
        int to = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (in < 0 || to < 0 || dup2(in, 0) < 0 || dup2(to, 1) < 0 || dup2(to, 2) < 0) _exit(126);
        execvp(words[1], words + 1);
        _exit(127);
    }
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) != child) return 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long long wall = (end.tv_sec - begin.tv_sec) * 1000000LL + (end.tv_nsec - begin.tv_nsec) / 1000;
    printf("%lld %lld %ld %d\n", wall, micros(used.ru_utime) + micros(used.ru_stime), used.ru_maxrss,
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
