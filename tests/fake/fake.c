/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/daemon.h"

/* Adds a numbered line to the file that `variable` names. */
static void write_down(const char *variable, unsigned number, const char *what, const char *detail)
{
    const char *log = getenv(variable);
    _cleanup_free_ char *line = str_format("%u %s %s\n", number, what, detail);

    if (log) {
        _cleanup_close_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        fdio_write_all(fd, line, strlen(line));
    }
}

static bool is_number(const char *variable, unsigned number)
{
    const char *wanted = getenv(variable);

    return wanted && strtoul(wanted, NULL, 10) == number;
}

/* SLIPWAY_HOLD=FILE: whoever comes to the point that is written there waits until it is not. */
static void hold(const char *point, const char *detail)
{
    const char *path = getenv("SLIPWAY_HOLD");
    _cleanup_free_ char *here = str_format("%s %s", point, detail);
    bool held = path != NULL;

    while (held) {
        _cleanup_free_ char *text = NULL;

        held = fdio_read_file(path, 200, &text, NULL) == 0 && strcmp(text, here) == 0;
        if (held)
            clock_sleep_ns(2 * NS_PER_MS);
    }
}

/* Counts the points; SLIPWAY_CRASH_AT=N dies at the Nth, SLIPWAY_POINTS=FILE writes them down. */
static void on_point(const char *point, const char *detail)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned count;

    pthread_mutex_lock(&lock);
    write_down("SLIPWAY_POINTS", ++count, point, detail);
    if (is_number("SLIPWAY_CRASH_AT", count))
        kill(getpid(), SIGKILL);
    pthread_mutex_unlock(&lock);
    hold(point, detail);
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
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static unsigned count;
    _cleanup_free_ char *path = str_format("%s/fail-%s", folder, operation), *text = NULL;
    char *sentence;
    long code;
    bool fails;

    pthread_mutex_lock(&lock);
    write_down("SLIPWAY_OPERATIONS", ++count, operation, "");
    fails = is_number("SLIPWAY_FAIL_AT", count);
    pthread_mutex_unlock(&lock);
    if (fails)
        return error_set(err, EIO, "%s fails, to see what comes of it", operation);
    if (fdio_read_file(path, 1000, &text, NULL) < 0)
        return 0;
    code = strtol(text, &sentence, 10);
    return error_set(err, code > 0 ? (int)code : EIO, "%s", sentence);
}

const char *fake_folder(const char *uri)
{
    return str_starts(uri, "test://") ? uri + strlen("test://") : NULL;
}
