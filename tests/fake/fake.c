/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/daemon.h"

/* Counts the points; SLIPWAY_CRASH_AT=N dies at the Nth, SLIPWAY_POINTS=FILE writes them down. */
static void on_point(const char *point, const char *detail)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned count;
    const char *at = getenv("SLIPWAY_CRASH_AT"), *log = getenv("SLIPWAY_POINTS");
    _cleanup_free_ char *line = NULL;

    LOCK_FOR_SCOPE(&lock);
    count++;
    line = str_format("%u %s %s\n", count, point, detail);
    if (log) {
        _cleanup_close_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        fdio_write_all(fd, line, strlen(line));
    }
    if (at && strtoul(at, NULL, 10) == count)
        kill(getpid(), SIGKILL);
}

static void __attribute__((constructor)) install(void)
{
    job_trace_hook = on_point;
}

void fake_point(const char *operation, const char *when)
{
    job_trace(operation, when);
}

int fake_failure(const char *folder, const char *operation, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/fail-%s", folder, operation), *text = NULL;
    char *sentence;
    long code;

    if (fdio_read_file(path, 1000, &text, NULL) < 0)
        return 0;
    code = strtol(text, &sentence, 10);
    return error_set(err, code > 0 ? (int)code : EIO, "%s", sentence);
}

const char *fake_folder(const char *uri)
{
    return str_starts(uri, "test://") ? uri + strlen("test://") : NULL;
}
