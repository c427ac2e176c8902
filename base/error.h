/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error is an errno code for programs and one sentence for people.
 *
 * Grammar of the whole tree: functions return 0 (or a useful value) on success and -errno on
 * failure.  Functions whose failure a person will read take `struct error **err` as their last
 * parameter; they set it on every failure and leave it alone on success.  err may be NULL.
 * The sentence names the thing, says what is wrong, and what to do about it; no full stop.  It is
 * UTF-8 whatever it quotes: other bytes become '?'.
 */
#pragma once

#include <errno.h>
#include "cleanup.h"

struct error;

/* Sets *err (if err is given and still empty) to code and the formatted sentence.
 * code is a positive errno.  Returns -code, so that `return error_set(err, ENOENT, ...)` works. */
int error_set(struct error **err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set, and appends ": " and the text of errno `code` to the sentence. */
int error_set_errno(struct error **err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts the formatted text and ": " before the sentence of *err.  Returns -code of *err. */
int error_prefix(struct error **err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The sentence; "no error" for NULL.  Owned by e. */
const char *error_text(const struct error *e);

/* The positive errno; 0 for NULL. */
int error_code(const struct error *e);

/* Frees e (NULL is fine) and returns NULL. */
struct error *error_free(struct error *e);

/* Moves *from into *to (freeing *from when `to` is NULL or already set). Returns -code. */
int error_move(struct error **to, struct error **from);

static inline void error_freep(struct error **e)
{
    error_free(*e);
}
#define _cleanup_error_ _cleanup_(error_freep)

/*
 * Exit codes of every Slipway program (documented in slipway(1)).
 */
enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,    /* anything not named below */
    EXIT_CODE_USAGE = 2,     /* wrong options or arguments (EINVAL) */
    EXIT_CODE_NOT_FOUND = 3, /* store, VM, disk, source or job does not exist (ENOENT) */
    EXIT_CODE_EXISTS = 4,    /* name or file is already there (EEXIST) */
    EXIT_CODE_STATE = 5,     /* the verb does not fit the mode or state (EPERM, EROFS) */
    EXIT_CODE_BUSY = 6,      /* owned by another process (EBUSY) */
    EXIT_CODE_SPACE = 7,     /* no space or too small (ENOSPC, EFBIG) */
    EXIT_CODE_SOURCE = 8,    /* the source cannot be reached or answered nonsense (ECONNREFUSED) */
    EXIT_CODE_DAMAGED = 9,   /* store or journal: damaged, another version (EBADMSG, EPROTO) */
    EXIT_CODE_CANCELLED = 10 /* cancelled (ECANCELED) */
};

/* The exit code for a positive errno. */
int error_exit_code(int code);
