/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "slipway";
static enum log_level log_max = LOG_LEVEL_INFO;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_open(const char *program, enum log_level max)
{
    log_program = program;
    log_max = max;
}

int log_level_from_name(const char *name)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
        if (level_names[i] && strcmp(level_names[i], name) == 0)
            return i;
    return -EINVAL;
}

static size_t log_head(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm tm;
    int n;

    if (getenv("JOURNAL_STREAM")) {
        n = snprintf(line, size, "<%d>", (int)level);
    } else {
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &tm);
        n = snprintf(line, size, "%02d:%02d:%02d.%03ld %s %s: ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                     now.tv_nsec / 1000000, log_program, level_names[level]);
    }
    return n > 0 ? (size_t)n : 0;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char line[2048];
    size_t used;
    va_list ap;
    int n;

    if (level > log_max)
        return;
    used = log_head(line, sizeof(line), level);
    va_start(ap, fmt);
    n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
    va_end(ap);
    if (n > 0)
        used += (size_t)n < sizeof(line) - used - 1 ? (size_t)n : sizeof(line) - used - 2;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nobody is left to tell */
}
