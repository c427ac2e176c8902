/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/cpio.h"

#include <string.h>
#include <sys/stat.h>

#include "base/align.h"

#define HEADER_SIZE 110
#define TRAILER "TRAILER!!!"

void cpio_reader_init(struct cpio_reader *r, const struct cpio_handler *handler,
                      bool stop_at_trailer)
{
    *r = (struct cpio_reader){.handler = *handler, .stop_at_trailer = stop_at_trailer};
}

void cpio_reader_done(struct cpio_reader *r)
{
    buffer_done(&r->piece);
    buffer_done(&r->name);
}

/* Field `index` of the header: eight hexadecimal digits. */
static int header_number(const char *header, unsigned index, uint32_t *ret)
{
    const char *p = header + 6 + index * 8;
    uint32_t v = 0;

    for (int i = 0; i < 8; i++) {
        char c = p[i];
        uint32_t digit;

        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (uint32_t)((c | 32) - 'a' + 10);
        else
            return -EBADMSG;
        v = v << 4 | digit;
    }
    *ret = v;
    return 0;
}

static void expect(struct cpio_reader *r, int state, size_t need)
{
    r->piece.length = 0;
    r->state = state;
    r->need = need;
}

static int on_header(struct cpio_reader *r)
{
    const char *h = r->piece.data;

    if (memcmp(h, "070701", 6) != 0 && memcmp(h, "070702", 6) != 0)
        return -EBADMSG;
    if (header_number(h, 1, &r->current.mode) < 0 || header_number(h, 6, &r->current.size) < 0 ||
        header_number(h, 11, &r->name_size) < 0)
        return -EBADMSG;
    if (r->name_size == 0 || r->name_size > CPIO_NAME_MAX)
        return -EBADMSG;
    expect(r, CPIO_NAME, round_up(HEADER_SIZE + r->name_size, 4) - HEADER_SIZE);
    return 0;
}

static void finish_entry(struct cpio_reader *r, const char *data)
{
    r->handler.entry(r->handler.context, &r->current, data);
    r->skip = round_up(r->current.size, 4) - (data ? r->current.size : 0);
    expect(r, CPIO_HEADER, HEADER_SIZE);
}

static int on_name(struct cpio_reader *r)
{
    const char *name;

    if (r->piece.data[r->name_size - 1] != '\0')
        return -EBADMSG;
    r->name.length = 0;
    buffer_add(&r->name, r->piece.data, r->name_size);
    name = r->name.data;
    if (strcmp(name, TRAILER) == 0) {
        r->trailer_seen = true;
        r->skip = round_up(r->current.size, 4);
        expect(r, CPIO_GAP, 0);
        return 0;
    }
    while (*name == '/' || (name[0] == '.' && name[1] == '/'))
        name++;
    r->current.name = name;
    r->trailer_seen = false;
    if (r->current.size > 0 && r->current.size <= CPIO_CONTENT_MAX &&
        r->handler.want(r->handler.context, &r->current))
        expect(r, CPIO_CONTENT, r->current.size);
    else
        finish_entry(r, NULL);
    return 0;
}

/* Zero bytes between archives, then a header. */
static size_t skip_gap(struct cpio_reader *r, const char *data, size_t length)
{
    size_t at = 0;

    while (at < length && data[at] == '\0')
        at++;
    if (at < length)
        expect(r, CPIO_HEADER, HEADER_SIZE);
    return at;
}

static int on_piece(struct cpio_reader *r)
{
    if (r->state == CPIO_HEADER)
        return on_header(r);
    if (r->state == CPIO_NAME)
        return on_name(r);
    finish_entry(r, r->piece.data);
    return 0;
}

ssize_t cpio_feed(struct cpio_reader *r, const void *data, size_t length)
{
    const char *bytes = data;
    size_t at = 0;

    while (at < length) {
        size_t n;

        if (r->skip > 0) {
            n = (size_t)MIN(r->skip, (uint64_t)(length - at));
            r->skip -= n;
            at += n;
            continue;
        }
        if (r->state == CPIO_GAP) {
            if (r->trailer_seen && r->stop_at_trailer)
                break;
            at += skip_gap(r, bytes + at, length - at);
            continue;
        }
        n = MIN(r->need - r->piece.length, length - at);
        buffer_add(&r->piece, bytes + at, n);
        at += n;
        if (r->piece.length == r->need && on_piece(r) < 0)
            return -EBADMSG;
    }
    return (ssize_t)at;
}

static void add_entry(struct cpio_writer *w, const char *name, uint32_t mode, const void *data,
                      size_t length)
{
    size_t name_size = strlen(name) + 1;

    buffer_printf(&w->out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++w->inode,
                  mode, 0u, 0u, S_ISDIR(mode) ? 2u : 1u, 0u, (unsigned)length, 0u, 0u, 0u, 0u,
                  (unsigned)name_size, 0u);
    buffer_add(&w->out, name, name_size);
    buffer_add_zeros(&w->out, round_up(w->out.length, 4) - w->out.length);
    buffer_add(&w->out, data, length);
    buffer_add_zeros(&w->out, round_up(w->out.length, 4) - w->out.length);
}

void cpio_add_directory(struct cpio_writer *w, const char *name)
{
    add_entry(w, name, S_IFDIR | 0755, NULL, 0);
}

void cpio_add_file(struct cpio_writer *w, const char *name, const void *data, size_t length)
{
    add_entry(w, name, S_IFREG | 0644, data, length);
}

void cpio_add_program(struct cpio_writer *w, const char *name, const void *data, size_t length)
{
    add_entry(w, name, S_IFREG | 0755, data, length);
}

void cpio_finish(struct cpio_writer *w)
{
    add_entry(w, TRAILER, 0, NULL, 0);
}
