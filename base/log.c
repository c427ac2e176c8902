/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "align.h"
#include "journald.h"
#include "str.h"

#define MESSAGE_BYTES 2048
#define JOURNAL_PATIENCE_S 5 /* so long a message waits for a journal that does not read */
#define DATAGRAM_BYTES (MESSAGE_BYTES + 1024)

static const char *log_program = "slipway";
static enum log_level log_max = LOG_LEVEL_INFO;
static const char *journal_path; /* NULL: not in use */
static int journal_fd = -1;

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
    if (journald_has_stream(STDERR_FILENO, getenv("JOURNAL_STREAM")))
        log_to_journal(JOURNALD_SOCKET);
}

int log_to_journal(const char *socket_path)
{
    const struct timeval patience = {.tv_sec = JOURNAL_PATIENCE_S};

    if (journal_fd < 0)
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal_fd >= 0)
        setsockopt(journal_fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (journal_fd < 0)
        return -errno;
    journal_path = socket_path;
    return 0;
}

int log_level_from_name(const char *name)
{
    for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++)
        if (level_names[i] && strcmp(level_names[i], name) == 0)
            return i;
    return -EINVAL;
}

static bool journal_write(enum log_level level, const struct log_about *about, const char *message)
{
    char data[DATAGRAM_BYTES], priority[2] = {(char)('0' + (int)level), '\0'};
    const struct journald_field fields[] = {
        {"MESSAGE", message}, {"PRIORITY", priority}, {"SYSLOG_IDENTIFIER", log_program},
        {"MESSAGE_ID", about->id}, {"SLIPWAY_KIND", about->kind},
        {"SLIPWAY_MIGRATION", about->migration}, {"SLIPWAY_SOURCE", about->source}};
    size_t length = journald_format(fields, ARRAY_SIZE(fields), data, sizeof(data));

    return length && journald_send(journal_fd, journal_path, data, length) == 0;
}

/* What stands before the message on standard error.  <N> is what systemd reads as its priority. */
static size_t line_head(char *line, size_t size, enum log_level level,
                        const struct log_about *about)
{
    struct timespec now;
    struct tm tm;
    int n;

    if (journal_path)
        return (size_t)snprintf(line, size, "<%d>", (int)level);
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    n = snprintf(line, size, "%02d:%02d:%02d.%03ld %s %s: ", tm.tm_hour, tm.tm_min, tm.tm_sec,
                 now.tv_nsec / 1000000, log_program, level_names[level]);
    if (about->kind)
        n += snprintf(line + n, size - (size_t)n, "[%s] ", about->kind);
    return (size_t)n;
}

static void line_write(enum log_level level, const struct log_about *about, const char *message)
{
    char line[MESSAGE_BYTES + 200];
    size_t used = line_head(line, 200, level, about), length = strlen(message);

    memcpy(line + used, message, length);
    used += length;
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return; /* nobody is left to tell */
}

/* A message is one line, also when somebody's input is in it. */
static void flatten(char *message)
{
    for (char *c = str_make_utf8(message); *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

static void emit(enum log_level level, const struct log_about *about, const char *fmt, va_list ap)
{
    static const struct log_about nothing;
    char message[MESSAGE_BYTES];

    if (level > log_max)
        return;
    if (!about)
        about = &nothing;
    vsnprintf(message, sizeof(message), fmt, ap);
    flatten(message);
    if (!journal_path || !journal_write(level, about, message))
        line_write(level, about, message);
}

void log_write(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit(level, NULL, fmt, ap);
    va_end(ap);
}

void log_write_about(enum log_level level, const struct log_about *about, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    emit(level, about, fmt, ap);
    va_end(ap);
}
