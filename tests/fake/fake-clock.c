/* SPDX-License-Identifier: Apache-2.0 */
/* The wall clock of a slipwayd-fake, so many seconds beside the real one as the file FAKE_CLOCK says:
 * somebody sets it while slipwayd runs.  The monotonic clock goes on as ever. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static long offset_s(void)
{
    const char *path = getenv("FAKE_CLOCK");
    _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char text[32];
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    text[n > 0 ? n : 0] = '\0';
    return strtol(text, NULL, 10);
}

/* Instead of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);

    if (r == 0 && id == CLOCK_REALTIME)
        ts->tv_sec += offset_s();
    return r;
}
