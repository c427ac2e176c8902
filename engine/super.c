/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/super.h"

#include "base/align.h"
#include "engine/crc32c.h"
#include "engine/lock.h"
#include "engine/plant.h"

#define SUPER_MAGIC 0x50555753u /* "SWUP" */
#define SUPER_HEAD 256          /* bytes before the disks */
#define SUPER_DISK_BYTES 128
_Static_assert(SUPER_HEAD + DISKS_MAX * SUPER_DISK_BYTES <= META_PAGE, "disks fit the slot");

const char *store_mode_name(enum store_mode mode)
{
    static const char *const names[_MODE_MAX] = {
        [MODE_INIT] = "init",
        [MODE_MIRROR] = "mirror",
        [MODE_OWNER_HYD] = "owner-hydrating",
        [MODE_OWNER] = "owner",
        [MODE_FAILBACK] = "failback",
        [MODE_DETACHED] = "detached",
        [MODE_RETURNED] = "returned",
        [MODE_FAILED] = "failed",
    };

    return mode > 0 && mode < _MODE_MAX ? names[mode] : "unknown";
}

const char *when_full_name(enum when_full when)
{
    return when == WHEN_FULL_WAIT ? "wait" : "revoke";
}

static void encode_disk(const struct super_disk *d, uint8_t *p)
{
    put_u64(p, d->size);
    put_u64(p + 8, d->base_gen);
    put_u64(p + 16, d->folding);
    put_u64(p + 24, d->map_epoch);
    p[32] = d->layer_count;
    p[33] = d->flags;
    memcpy(p + 40, d->target_id, 16);
    for (int i = 0; i < LAYERS_MAX + 1; i++)
        put_u64(p + 56 + 8 * i, d->layers[i]);
}

void super_encode(const struct super *s, uint8_t slot[META_PAGE])
{
    memset(slot, 0, META_PAGE);
    put_u32(slot, SUPER_MAGIC);
    put_u64(slot + 8, s->seq);
    put_u32(slot + 16, STORE_FORMAT);
    slot[20] = (uint8_t)s->mode;
    slot[21] = s->flags;
    slot[22] = s->clean;
    put_u16(slot + 24, s->disk_count);
    put_u64(slot + 32, s->cur_gen);
    memcpy(slot + 40, s->vm_uuid, 16);
    memcpy(slot + 56, s->boot_id, 16);
    memcpy(slot + 72, s->snapshot, SNAPSHOT_ID_MAX);
    memcpy(slot + 136, s->live_nonce, 16);
    memcpy(slot + 152, s->token, 16);
    put_u16(slot + 176, s->keep);
    slot[178] = s->when_full;
    put_u64(slot + 184, s->space_budget);
    for (unsigned i = 0; i < s->disk_count; i++)
        encode_disk(&s->disks[i], slot + SUPER_HEAD + i * SUPER_DISK_BYTES);
    put_u32(slot + 4, crc32c(0, slot, META_PAGE));
}

/* Everything a damaged or hostile slot could get wrong is refused here, so that the rest of the
 * engine may trust a struct super. */
static int decode_disk(const uint8_t *p, struct super_disk *d)
{
    d->size = get_u64(p);
    d->base_gen = get_u64(p + 8);
    d->folding = get_u64(p + 16);
    d->map_epoch = get_u64(p + 24);
    d->layer_count = p[32];
    d->flags = p[33];
    memcpy(d->target_id, p + 40, 16);
    if (d->size == 0 || d->size % SECTOR || d->size > DISK_SIZE_MAX)
        return -EBADMSG;
    if (d->layer_count > LAYERS_MAX + 1 ||
        d->flags & ~(SUPER_DISK_EMPTY | SUPER_DISK_ALL_MISSING | SUPER_DISK_PRESEED))
        return -EBADMSG;
    for (int i = 0; i < LAYERS_MAX + 1; i++)
        d->layers[i] = get_u64(p + 56 + 8 * i);
    for (int i = 0; i < d->layer_count; i++)
        if (d->layers[i] <= (i ? d->layers[i - 1] : d->base_gen))
            return -EBADMSG;
    if (d->folding && (d->layer_count == 0 || d->folding != d->layers[0]))
        return -EBADMSG;
    return 0;
}

static bool super_plausible(const struct super *s)
{
    if (s->mode <= 0 || s->mode >= _MODE_MAX || s->disk_count == 0 || s->disk_count > DISKS_MAX)
        return false;
    if (s->flags & ~(SUPER_LOCAL_CHANGES | SUPER_LATCHED | SUPER_PUSH) || s->clean > 1)
        return false;
    if (s->keep > KEEP_MAX || s->when_full >= _WHEN_FULL_MAX)
        return false;
    for (unsigned i = 0; i < s->disk_count; i++) {
        const struct super_disk *d = &s->disks[i];
        bool none = s->cur_gen == NO_GENERATION;

        if (s->mode == MODE_INIT ? !none || d->base_gen != NO_GENERATION || d->layer_count
                                 : none || d->base_gen > s->cur_gen)
            return false;
        if (d->layer_count && d->layers[d->layer_count - 1] > s->cur_gen)
            return false;
        if (d->layer_count > (s->mode == MODE_OWNER_HYD ? LAYERS_MAX + 1 : LAYERS_MAX))
            return false;
        if (s->mode >= MODE_OWNER_HYD && s->mode <= MODE_FAILBACK && !d->map_epoch)
            return false; /* masks and planes have a file */
    }
    return true;
}

int super_decode(const uint8_t slot[META_PAGE], struct super *ret_super, uint32_t *ret_version)
{
    uint8_t copy[META_PAGE];
    struct super s = {0};
    uint32_t crc = get_u32(slot + 4);

    memcpy(copy, slot, META_PAGE);
    put_u32(copy + 4, 0);
    if (get_u32(slot) != SUPER_MAGIC || crc32c(0, copy, META_PAGE) != crc)
        return -EBADMSG;
    *ret_version = get_u32(slot + 16);
    if (*ret_version != STORE_FORMAT)
        return -EPROTO;
    s.seq = get_u64(slot + 8);
    s.mode = slot[20];
    s.flags = slot[21];
    s.clean = slot[22];
    s.disk_count = get_u16(slot + 24);
    s.cur_gen = get_u64(slot + 32);
    memcpy(s.vm_uuid, slot + 40, 16);
    memcpy(s.boot_id, slot + 56, 16);
    memcpy(s.snapshot, slot + 72, SNAPSHOT_ID_MAX);
    memcpy(s.live_nonce, slot + 136, 16);
    memcpy(s.token, slot + 152, 16);
    s.keep = get_u16(slot + 176);
    s.when_full = slot[178];
    s.space_budget = get_u64(slot + 184);
    for (unsigned i = 0; i < s.disk_count && i < DISKS_MAX; i++)
        if (decode_disk(slot + SUPER_HEAD + i * SUPER_DISK_BYTES, &s.disks[i]) < 0)
            return -EBADMSG;
    if (!super_plausible(&s))
        return -EBADMSG;
    *ret_super = s;
    return 0;
}

int superfile_open(struct io *io, const char *path, unsigned flags, struct error **err)
{
    int fd = io->ops->open(io, path, flags);

    if (fd == -ENOENT)
        return error_set(err, EBADMSG, "the superblock %s is missing; restore it from a backup or "
                                       "make a new store and sync again", path);
    return fd < 0 ? error_set_errno(err, -fd, "cannot open the superblock %s", path) : fd;
}

int superfile_load(struct superfile *sf, struct io *io, int fd, const char *path,
                   struct error **err)
{
    uint8_t slots[2][META_PAGE];
    uint32_t version, foreign = 0; /* foreign: of a slot that another version wrote */
    bool found = false, other = false;
    uint64_t size = 0;
    int r = io->ops->size(io, fd, &size);

    if (r == 0 && size < sizeof(slots))
        return error_set(err, EBADMSG, "%s is cut off; restore the file from a backup or make a "
                                       "new store and sync again", path);
    if (r == 0)
        r = io_read(io, fd, slots, sizeof(slots), 0);
    if (r < 0)
        return error_set_errno(err, -r, "cannot read the superblock %s", path);
    *sf = (struct superfile){.io = io, .fd = fd};
    pthread_mutex_init(&sf->lock, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct super s;

        r = super_decode(slots[i], &s, &version);
        if (r == -EPROTO) {
            other = true;
            foreign = version;
        }
        if (r == 0 && s.seq % 2 == i && (!found || s.seq > sf->current.seq)) {
            sf->current = s;
            found = true;
        }
    }
    if (other)
        return error_set(err, EPROTO,
                         "%s: the store has format %u, this program knows %u; use the Slipway "
                         "version that wrote it", path, foreign, STORE_FORMAT);
    if (!found)
        return error_set(err, EBADMSG,
                         "%s: both superblock slots are damaged; restore the file from a backup "
                         "or make a new store and sync again", path);
    return 0;
}

static int write_slot(struct superfile *sf, struct super *s)
{
    _Alignas(META_PAGE) uint8_t slot[META_PAGE];

    s->seq += plant(PLANT_ROOT_SAME_SLOT) ? 2 : 1;
    super_encode(s, slot);
    return io_write(sf->io, sf->fd, slot, META_PAGE, s->seq % 2 * META_PAGE, true);
}

int superfile_update(struct superfile *sf, int (*fn)(struct super *, void *), void *context)
{
    struct super next;
    int r;

    HOLD_FOR_SCOPE(&sf->lock);
    if (sf->failed)
        return -EIO;
    next = sf->current;
    r = fn(&next, context);
    if (r < 0)
        return r;
    r = write_slot(sf, &next); /* the commit point */
    /* The other slot gets the same content: a sector that goes bad later must not take the store
     * back to before a generation or a flip that was acknowledged. */
    if (r == 0)
        r = write_slot(sf, &next);
    if (r < 0) {
        sf->failed = true;
        return r;
    }
    sf->current = next;
    return 0;
}

struct super superfile_get(struct superfile *sf)
{
    HOLD_FOR_SCOPE(&sf->lock);
    return sf->current;
}
