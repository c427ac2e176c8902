/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is the destination what we think it is?  Before the first pass: the disk as it was at the flip.
 * Before later ones: the disk the earlier passes went to.  In the end, when asked for: the target.
 */
#include "engine/failback.h"

#include <inttypes.h>
#include <string.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/iszero.h"
#include "engine/digest.h"
#include "engine/scan.h"

#define CONNECT_NS (30 * NS_PER_S)
#define SAMPLE_BLOCKS 64

struct check {
    struct failback *failback;
    struct failback_disk *fd;
    bool bytes;            /* compare with the target, not with digests */
    bool dirty_too;
    uint64_t stride;       /* only every stride-th block */
    uint64_t differing, first_differing; /* blocks */
    uint8_t *scratch;      /* one block of the target */
};

static bool cancelled(void *context)
{
    return atomic_load(&((struct failback *)context)->cancel);
}

static int open_reader(struct failback *f, struct failback_disk *fd, const char *bitmap,
                       struct reader **ret_reader, struct error **err)
{
    int r = f->engine->readers->open(fd->source->uri, bitmap, !bitmap, CONNECT_NS, cancelled, f,
                                     ret_reader, err);

    if (r < 0)
        return error_prefix(err, "disk %s", fd->disk->name), r;
    if ((*ret_reader)->ops->size(*ret_reader) == fd->disk->size)
        return 0;
    reader_close(*ret_reader);
    return error_set(err, EINVAL, "disk %s: the destination has another size than the disk; is it "
                                  "the disk this VM came from?", fd->disk->name);
}

/* ---- by the source's own bitmap ---- */

struct bitmap_walk {
    uint64_t dirty_bytes, first;
};

static int count_dirty(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct bitmap_walk *w = context;

    if (!(flags & EXTENT_DIRTY))
        return 0;
    if (w->dirty_bytes == 0)
        w->first = offset;
    w->dirty_bytes += length;
    return 0;
}

static int check_bitmap(struct failback *f, struct failback_disk *fd, struct error **err)
{
    struct bitmap_walk w = {0};
    struct reader *reader;
    int r = open_reader(f, fd, fd->source->bitmap, &reader, err);

    if (r < 0)
        return r;
    r = reader->ops->extents(reader, EXTENT_DIRTY, count_dirty, &w, err);
    reader_close(reader);
    if (r < 0 || w.dirty_bytes == 0)
        return r;
    return error_set(err, EPERM,
                     "disk %s: the source changed since the flip (%" PRIu64 " bytes by its bitmap, "
                     "the first at offset %" PRIu64 "); sending the difference would make a "
                     "mixture: put the source back to the point of the flip, or sync it anew",
                     fd->disk->name, w.dirty_bytes, w.first);
}

/* ---- by its bytes ---- */

static bool is_dirty(const struct disk *d, uint64_t block)
{
    return owner_is_dirty(d->owner, 0, block) || owner_is_dirty(d->owner, 1, block);
}

static uint64_t next_block(void *context, uint64_t from)
{
    const struct check *c = context;
    const struct disk *d = c->fd->disk;
    uint64_t b = div_up(from, c->stride) * c->stride;

    while (!c->dirty_too && b < d->blocks && is_dirty(d, b))
        b += c->stride;
    return MIN(b, d->blocks);
}

static int read_target(struct check *c, uint64_t block, uint32_t length)
{
    return owner_pread(c->fd->disk->owner, c->scratch, length, block * BLOCK_SIZE);
}

/* 1: the same, 0: not, -errno. */
static int compare(struct check *c, uint64_t block, const uint8_t *data, uint32_t length)
{
    struct disk *d = c->fd->disk;
    uint8_t known[DIGEST_SIZE] = {0}, have[DIGEST_SIZE];
    int r = c->bytes ? 0 : io_read(d->io, d->digest_fd, known, DIGEST_SIZE, block * DIGEST_SIZE);

    if (r < 0)
        return r;
    if (!is_zero(known, DIGEST_SIZE)) {
        digest_block(data, length, have);
        return memcmp(known, have, DIGEST_SIZE) == 0;
    }
    r = read_target(c, block, length);
    return r < 0 ? r : memcmp(c->scratch, data, length) == 0;
}

static int judge(void *context, uint64_t block, const uint8_t *data, uint32_t length)
{
    struct check *c = context;
    int r = compare(c, block, data, length);

    /* Written by the guest since we chose it: it is sent anyway. */
    if (r < 0 || r == 1 || (!c->dirty_too && is_dirty(c->fd->disk, block)))
        return MIN(r, 0);
    if (c->differing++ == 0)
        c->first_differing = block;
    c->first_differing = MIN(c->first_differing, block);
    return 0;
}

static int go_on(void *context, uint64_t seen_bytes, struct error **err)
{
    struct check *c = context;
    struct failback *f = c->failback;

    return failback_go_on(f, "check", MIN(f->checked_bytes + seen_bytes, f->check_total),
                          f->check_total, err);
}

static int scan(struct check *c, struct error **err)
{
    struct failback *f = c->failback;
    struct scan s = {.disk = c->fd->disk, .limits = f->engine->limits, .context = c,
                     .next = next_block, .judge = judge, .go_on = go_on};
    int r = open_reader(f, c->fd, NULL, &s.reader, err);

    if (r < 0)
        return r;
    c->scratch = malloc(BLOCK_SIZE);
    r = c->scratch ? scan_run(&s, err) : error_set_errno(err, ENOMEM, "cannot compare");
    if (s.reader)
        reader_close(s.reader);
    free(c->scratch);
    return r;
}

static int check_digests(struct failback *f, struct failback_disk *fd, struct error **err)
{
    struct check c = {.failback = f, .fd = fd, .stride = 1};
    int r = scan(&c, err);

    if (r < 0 || c.differing == 0)
        return r;
    return error_set(err, EPERM,
                     "disk %s: the source changed since the flip (%" PRIu64 " blocks of 64 KiB "
                     "that the VM here did not write, the first at offset %" PRIu64 "); sending "
                     "the difference would make a mixture: put the source back to the point of the "
                     "flip, or sync it anew", fd->disk->name, c.differing,
                     c.first_differing * BLOCK_SIZE);
}

int failback_check_source(struct failback *f, struct failback_disk *fd, struct error **err)
{
    enum failback_check check = f->request->check;
    int r;

    if (check == FAILBACK_CHECK_NONE)
        return 0;
    if (check == FAILBACK_CHECK_BITMAP && !fd->source->bitmap)
        return error_set(err, EINVAL, "disk %s: a check by bitmap needs the name of the bitmap "
                                      "that the source began at the flip; use digests without one",
                         fd->disk->name);
    if (check != FAILBACK_CHECK_DIGEST && fd->source->bitmap)
        r = check_bitmap(f, fd, err);
    else
        r = check_digests(f, fd, err);
    f->checked_bytes += fd->disk->size;
    return r;
}

int failback_check_sample(struct failback *f, struct failback_disk *fd, struct error **err)
{
    struct check c = {.failback = f, .fd = fd, .bytes = true,
                      .stride = MAX(fd->disk->blocks / SAMPLE_BLOCKS, UINT64_C(1))};
    int r = scan(&c, err);

    if (r < 0 || c.differing == 0)
        return r;
    return error_set(err, EPERM,
                     "disk %s: the destination is not the one that earlier passes went to, or "
                     "somebody has written to it since (offset %" PRIu64 " differs and is not due "
                     "to be sent); give the right one, or sync the source anew", fd->disk->name,
                     c.first_differing * BLOCK_SIZE);
}

int failback_check_all(struct failback *f, struct failback_disk *fd, struct error **err)
{
    struct check c = {.failback = f, .fd = fd, .bytes = true, .dirty_too = true, .stride = 1};
    int r = scan(&c, err);

    f->checked_bytes += fd->disk->size;
    if (r < 0 || c.differing == 0)
        return r;
    return error_set(err, EIO,
                     "disk %s: %" PRIu64 " blocks of the destination differ from the target, the "
                     "first at offset %" PRIu64 "; the VM may go on here: do not start it there",
                     fd->disk->name, c.differing, c.first_differing * BLOCK_SIZE);
}
