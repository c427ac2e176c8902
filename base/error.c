/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <string.h>

#include "str.h"

struct error {
    int code;
    char text[];
};

static struct error *error_make(int code, const char *prefix, const char *middle,
                                const char *suffix)
{
    size_t length = strlen(prefix) + strlen(middle) + strlen(suffix) + 1;
    struct error *e = malloc(sizeof(*e) + length);

    if (!e)
        abort(); /* a sentence does not fit into memory: nothing sensible is left to do */
    e->code = code;
    snprintf(e->text, length, "%s%s%s", prefix, middle, suffix);
    str_make_utf8(e->text); /* it travels as JSON, and may quote anything */
    return e;
}

static char *error_format(const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    return text;
}

int error_set(struct error **err, int code, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;

    if (!err || *err)
        return -code;
    va_start(ap, fmt);
    text = error_format(fmt, ap);
    va_end(ap);
    *err = error_make(code, text, "", "");
    return -code;
}

int error_set_errno(struct error **err, int code, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list ap;

    if (!err || *err)
        return -code;
    va_start(ap, fmt);
    text = error_format(fmt, ap);
    va_end(ap);
    *err = error_make(code, text, ": ", strerror(code));
    return -code;
}

int error_prefix(struct error **err, const char *fmt, ...)
{
    _cleanup_free_ char *text = NULL;
    struct error *old;
    va_list ap;

    if (!err || !*err)
        return -EIO;
    va_start(ap, fmt);
    text = error_format(fmt, ap);
    va_end(ap);
    old = *err;
    *err = error_make(old->code, text, ": ", old->text);
    free(old);
    return -(*err)->code;
}

const char *error_text(const struct error *e)
{
    return e ? e->text : "no error";
}

int error_code(const struct error *e)
{
    return e ? e->code : 0;
}

struct error *error_free(struct error *e)
{
    free(e);
    return NULL;
}

int error_move(struct error **to, struct error **from)
{
    int code = error_code(*from);

    if (to && !*to)
        *to = steal_ptr(*from);
    else
        *from = error_free(*from);
    return -(code ? code : EIO);
}

int error_exit_code(int code)
{
    switch (code) {
    case 0:
        return EXIT_CODE_OK;
    case EINVAL:
        return EXIT_CODE_USAGE;
    case ENOENT:
        return EXIT_CODE_NOT_FOUND;
    case EEXIST:
        return EXIT_CODE_EXISTS;
    case EPERM:
    case EROFS:
        return EXIT_CODE_STATE;
    case EBUSY:
    case ETXTBSY:
        return EXIT_CODE_BUSY;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return EXIT_CODE_SPACE;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENOTCONN:
    case ENXIO:
    case ETIMEDOUT:
    case ENODATA: /* a bitmap or export that is not there */
        return EXIT_CODE_SOURCE;
    case EBADMSG:
    case EPROTO:
    case EUCLEAN:
        return EXIT_CODE_DAMAGED;
    case ECANCELED:
        return EXIT_CODE_CANCELLED;
    default:
        return EXIT_CODE_FAILED;
    }
}
