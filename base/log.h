/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging of programs.  The engine library returns errors, and logs only what nobody is there to be
 * told (the failure of a background flush, a source that is lost).  Lines go to standard
 * error; under systemd (JOURNAL_STREAM set) they carry the <N> priority prefix of sd-daemon(3),
 * otherwise time and level.  Thread-safe; one line is one write.
 */
#pragma once

enum log_level {
    LOG_LEVEL_NONE = 0,
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* Names the program (kept by reference) and the highest level that is written. */
void log_open(const char *program, enum log_level max);

/* The level named "error", "warning", "info" or "debug"; -EINVAL otherwise. */
int log_level_from_name(const char *name);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
