/* SPDX-License-Identifier: Apache-2.0 */
/* A cpio archive gives the same entries in whatever pieces it comes. */
#include <string.h>

#include "base/align.h"
#include "morph/cpio.h"
#include "tests/fuzz/fuzz.h"

static bool want(void *context, const struct cpio_entry *entry)
{
    return entry->size % 2 == 0;
}

static void on_entry(void *context, const struct cpio_entry *entry, const char *data)
{
    buffer_printf(context, "%s %x %x ", entry->name, entry->mode, entry->size);
    if (data)
        buffer_add(context, data, entry->size);
}

/* Whether it could be read to its end. */
static bool read_in(const uint8_t *data, size_t size, size_t piece, struct buffer *out)
{
    const struct cpio_handler handler = {want, on_entry, out};
    struct cpio_reader r;
    bool good = true;

    cpio_reader_init(&r, &handler, false);
    for (size_t at = 0; good && at < size; at += piece)
        good = cpio_feed(&r, data + at, MIN(piece, size - at)) >= 0;
    good = good && r.trailer_seen;
    cpio_reader_done(&r);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_buffer_ struct buffer whole = {0}, pieces = {0};

    if (read_in(data, size, size ? size : 1, &whole)) {
        FUZZ_ASSERT(read_in(data, size, 1 + size / 7, &pieces));
        FUZZ_ASSERT(whole.length == pieces.length);
        FUZZ_ASSERT(whole.length == 0 || memcmp(whole.data, pieces.data, whole.length) == 0);
    }
    return 0;
}
