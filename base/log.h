/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging of programs.  The engine library returns errors, and logs only what nobody is there to be
 * told (the failure of a background flush, a source that is lost).
 *
 * Where standard error is the stream that systemd named in JOURNAL_STREAM, messages go to the
 * journal itself, with their fields: MESSAGE_ID, SLIPWAY_KIND, SLIPWAY_MIGRATION, SLIPWAY_SOURCE.
 * Otherwise lines go to standard error, with time, level and kind.  Thread-safe; one message is one
 * line and one write, whatever is in it.
 */
#pragma once

enum log_level {
    LOG_LEVEL_NONE = 0,
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

/* What a message is about; each may be NULL. */
struct log_about {
    const char *kind;      /* a word that stays the same when sentences are reworded */
    const char *id;        /* the same for machines: 32 hexadecimal digits, see journalctl(1) */
    const char *migration; /* its name */
    const char *source;
};

/* Names the program (kept by reference) and the highest level that is written. */
void log_open(const char *program, enum log_level max);

/* From now on messages go to the journal's socket at this path (kept by reference); what cannot be
 * sent goes to standard error.  log_open() calls it when it should be so.  0 or -errno. */
int log_to_journal(const char *socket_path);

/* The level named "error", "warning", "info" or "debug"; -EINVAL otherwise. */
int log_level_from_name(const char *name);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* about may be NULL. */
void log_write_about(enum log_level level, const struct log_about *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
