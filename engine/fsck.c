/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/fsck-inside.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"
#include "engine/digest.h"
#include "engine/limitfile.h"
#include "engine/store.h"

#define EXTENTS_MAX 8  /* differing extents told per file */
#define MISSING_TEXT "cannot be opened"

void fsck_find(struct fsck *f, enum severity severity, const char *thing, const char *action,
               const char *meaning_fmt, ...)
{
    char meaning[512];
    va_list ap;

    va_start(ap, meaning_fmt);
    vsnprintf(meaning, sizeof(meaning), meaning_fmt, ap);
    va_end(ap);
    f->damages += severity == DAMAGE;
    json_array_append_new(f->findings,
                          json_pack("{s:s, s:s, s:s, s:s}", "severity",
                                    severity == DAMAGE ? "damage" : "note", "thing", thing,
                                    "meaning", meaning, "action", action));
}

/* ---- the superblock ---- */

static bool same_root(struct super a, struct super b)
{
    uint8_t x[META_PAGE], y[META_PAGE];

    a.seq = b.seq = 0;
    super_encode(&a, x);
    super_encode(&b, y);
    return memcmp(x, y, META_PAGE) == 0;
}

static void judge_slots(struct fsck *f, const char *path, const bool good[2], const bool empty[2],
                        const struct super roots[2])
{
    for (unsigned i = 0; i < 2; i++) {
        _cleanup_free_ char *thing = str_format("%s slot %u", path, i);

        if (!good[i] && !empty[i])
            find(f, NOTE, thing, "nothing; the next change of the store writes it anew",
                 "damaged, or torn when the machine stopped; the other slot is good and one good "
                 "slot suffices");
        else if (good[0] && good[1] && roots[i].seq < roots[!i].seq &&
                 !same_root(roots[0], roots[1]))
            find(f, NOTE, thing, "nothing; the next start of the engine writes both",
                 "older by one change: the engine stopped between the writes of the two slots; "
                 "the other slot counts");
    }
}

static int check_super(struct fsck *f, int fd, const char *path, struct error **err)
{
    uint8_t slots[2][META_PAGE];
    struct super roots[2] = {0};
    bool good[2], empty[2];
    uint32_t version = 0;
    int r = io_read(f->io, fd, slots, sizeof(slots), 0);

    if (r < 0) {
        find(f, DAMAGE, path, SYNC_AGAIN, "cannot be read: %s", strerror(-r));
        return 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        r = super_decode(slots[i], &roots[i], &version);
        if (r == -EPROTO)
            return error_set(err, EPROTO,
                             "%s: the store has format %u, this program knows %u; use the Slipway "
                             "version that wrote it", path, version, STORE_FORMAT);
        good[i] = r == 0 && roots[i].seq % 2 == i;
        empty[i] = is_zero(slots[i], META_PAGE);
    }
    if (!good[0] && !good[1]) {
        find(f, DAMAGE, path, SYNC_AGAIN, "both slots are damaged: nothing says what the store "
                                          "holds");
        return 0;
    }
    judge_slots(f, path, good, empty, roots);
    f->super = roots[good[1] && (!good[0] || roots[1].seq > roots[0].seq)];
    return 1;
}

/* vm.json and the superblock must speak of the same VM. */
static bool check_identity(struct fsck *f)
{
    const struct super *s = &f->super;
    _cleanup_free_ char *path = str_format("%s/vm.json", f->store);
    bool same = true;

    if (memcmp(s->vm_uuid, f->vm.uuid, 16) != 0 || s->disk_count != f->vm.disk_count) {
        find(f, DAMAGE, path, "restore the one that was changed",
             "it and the superblock are not of the same VM");
        return false;
    }
    for (unsigned i = 0; i < s->disk_count; i++)
        if (s->disks[i].size != f->vm.disks[i].size) {
            find(f, DAMAGE, path, "restore it from a backup",
                 "it says that disk %s has %" PRIu64 " bytes, the superblock says %" PRIu64,
                 f->vm.disks[i].name, f->vm.disks[i].size, s->disks[i].size);
            same = false;
        }
    return same;
}

/* ---- one disk: files ---- */

int fsck_open_sized(struct fsck *f, const char *path, uint64_t size, bool at_least,
                    const char *action)
{
    int fd = f->io->ops->open(f->io, path, IO_RDONLY), r;
    uint64_t have = 0;

    if (fd < 0) {
        find(f, DAMAGE, path, action, "%s: %s", MISSING_TEXT, strerror(-fd));
        return -1;
    }
    r = f->io->ops->size(f->io, fd, &have);
    if (r == 0 && (have == size || (at_least && have > size)))
        return fd;
    if (r < 0)
        find(f, DAMAGE, path, action, "its size cannot be read: %s", strerror(-r));
    else
        find(f, DAMAGE, path, action, "it has %" PRIu64 " bytes instead of %" PRIu64, have, size);
    f->io->ops->close(f->io, fd);
    return -1;
}

static void check_size(struct fsck *f, const char *path, uint64_t size)
{
    int fd = fsck_open_sized(f, path, size, false, SYNC_AGAIN);

    if (fd >= 0)
        f->io->ops->close(f->io, fd);
}

static int open_target(struct fsck *f, const struct super_disk *sd, const char *path)
{
    uint8_t id[16];
    int fd = fsck_open_sized(f, path, sd->size, true,
                        "put the target back, or make a new store and sync again");

    if (fd < 0)
        return -1;
    if (f->io->ops->identity(f->io, fd, id) == 0 && memcmp(id, sd->target_id, 16) == 0)
        return fd;
    find(f, DAMAGE, path, "put the old one back, or make a new store and sync again",
         "it is not the target this store was made with: it was replaced or restored");
    f->io->ops->close(f->io, fd);
    return -1;
}

void fsck_check_pages(struct fsck *f, const struct pagefile *pf, const char *path,
                      const char *what)
{
    uint64_t torn = 0;

    for (uint32_t i = 0; i < pf->count; i++) {
        enum slot_health h[2];

        if (pagefile_inspect(pf, i, h) == 0)
            torn += h[0] == SLOT_DAMAGED || h[1] == SLOT_DAMAGED;
    }
    if (torn)
        find(f, NOTE, path, "nothing; the next write of the page replaces the damaged slot",
             "%" PRIu64 " of its %s pages have one damaged slot, as a power loss leaves; the other "
             "slot of each is good", torn, what);
}

static struct map *check_map(struct fsck *f, const struct disk *d, const struct super_disk *sd)
{
    _cleanup_free_ char *path = disk_map_path(d, sd->map_epoch);
    struct map *map = NULL;
    int r = map_inspect(f->io, path, sd->map_epoch, d->blocks, &map);

    if (r < 0) {
        find(f, DAMAGE, path, "make a new store and sync again",
             "the map of what is missing in the target %s (%s)",
             r == -EBADMSG ? "is damaged" : "cannot be read", strerror(-r));
        return NULL;
    }
    fsck_check_pages(f, &map->file, path, "map");
    return map;
}

static void check_layer_sizes(struct fsck *f, const struct layer *l)
{
    _cleanup_free_ char *data = str_format("%s.data", l->stem);
    _cleanup_free_ char *digests = str_format("%s.dig", l->stem);
    _cleanup_free_ char *index = str_format("%s.idx", l->stem);

    check_size(f, data, l->blocks * BLOCK_SIZE);
    check_size(f, digests, l->blocks * DIGEST_SIZE);
    fsck_check_pages(f, &l->header, index, "header");
    fsck_check_pages(f, &l->states, index, "state");
}

/* A partial layer is what an instant flip leaves: only a hydrating owner may have one. */
static bool phase_fits(const struct fsck *f, const struct layer *l)
{
    return l->phase == LAYER_SEALED ||
           (l->phase == LAYER_PARTIAL && f->super.mode == MODE_OWNER_HYD);
}

static struct layer *check_layer(struct fsck *f, const struct disk *d, uint64_t gen)
{
    _cleanup_free_ char *stem = disk_layer_stem(d, gen);
    _cleanup_free_ char *thing = str_format("%s.*", stem);
    struct layer *l = NULL;
    int r = layer_inspect(f->io, stem, d->size, &l);

    if (r < 0) {
        find(f, DAMAGE, thing, SYNC_AGAIN, "the superblock names this layer, but its files are %s "
                                           "(%s)", r == -ENOENT ? "not all there" : "damaged",
             strerror(-r));
        return NULL;
    }
    if (l->gen != gen || !phase_fits(f, l)) {
        find(f, DAMAGE, thing, SYNC_AGAIN,
             l->gen != gen ? "its header says that it leads to another generation"
                           : "the superblock names this layer, but it was never sealed");
        layer_unref(l);
        return NULL;
    }
    check_layer_sizes(f, l);
    return l;
}

/* A layer whose sync was interrupted: nobody depends on it. */
static void check_loading(struct fsck *f, struct disk *d)
{
    _cleanup_free_ char *stem = disk_layer_stem(d, f->super.cur_gen + 1);
    _cleanup_free_ char *thing = str_format("%s.*", stem);
    struct layer *l = NULL;
    int r = layer_inspect(f->io, stem, d->size, &l);

    if (r == -ENOENT)
        return;
    if (r == 0 && l->gen == f->super.cur_gen + 1) {
        d->loading = l; /* disk_done() closes it */
        find(f, NOTE, thing, "sync the same snapshot again, or start over with another",
             "an interrupted sync of snapshot '%.63s'; what is here is kept", l->snapshot);
        return;
    }
    find(f, NOTE, thing, "nothing", "an interrupted sync left an unusable layer; it is removed at "
                                    "the next start");
    layer_unref(l);
}

struct leftovers {
    struct fsck *fsck;
    const struct disk *disk;
    const struct super_disk *super;
};

static bool layer_wanted(const struct leftovers *w, uint64_t gen)
{
    bool wanted = w->fsck->super.mode == MODE_MIRROR && gen == w->fsck->super.cur_gen + 1;

    for (unsigned i = 0; i < w->super->layer_count; i++)
        wanted |= w->super->layers[i] == gen;
    return wanted;
}

static bool has_map(const struct fsck *f)
{
    return f->super.mode == MODE_INIT || store_mode_is_owner(f->super.mode);
}

static int leftover(const char *name, void *context)
{
    struct leftovers *w = context;
    _cleanup_free_ char *path = str_format("%s/%s", w->disk->folder, name);
    unsigned long long number;
    char rest[16];
    bool wanted = false;

    if (strcmp(name, "dig") == 0)
        return 0;
    if (sscanf(name, "L%llu.%15s", &number, rest) == 2)
        wanted = layer_wanted(w, number);
    else if (sscanf(name, "map.%llu", &number) == 1)
        wanted = number == w->super->map_epoch && has_map(w->fsck);
    else if (sscanf(name, "al.%llu", &number) == 1)
        wanted = number == w->super->map_epoch && store_mode_is_owner(w->fsck->super.mode);
    else if (!str_starts(name, "draft-")) {
        find(w->fsck, NOTE, path, "nothing", "a file that this program does not know; it is left "
                                             "alone");
        return 0;
    }
    if (!wanted)
        find(w->fsck, NOTE, path, "nothing; it is removed at the next start",
             "a leftover: the superblock does not name it");
    return 0;
}

static void check_leftovers(struct fsck *f, const struct disk *d, const struct super_disk *sd)
{
    struct leftovers w = {f, d, sd};
    int r = f->io->ops->list(f->io, d->folder, leftover, &w);

    if (r < 0)
        find(f, DAMAGE, d->folder, SYNC_AGAIN, "the folder of the disk cannot be read: %s",
             strerror(-r));
}

/* ---- one disk: bytes ---- */

/* Something with bytes and digests at the offsets of the disk. */
struct bytes {
    struct fsck *fsck;
    const struct disk *disk;
    const char *path;
    const char *action;
    int data_fd, digest_fd;
    const struct layer *skip; /* blocks in it are not judged: they are being folded */
    const struct layer *only; /* blocks that hold data in it */
    const struct map *map;
    uint64_t bad_blocks, run_start;
    bool in_run;
    unsigned told;
};

static void end_run(struct bytes *b, uint64_t end)
{
    if (b->in_run && b->told++ < EXTENTS_MAX)
        find(b->fsck, DAMAGE, b->path, b->action,
             "bytes %" PRIu64 " to %" PRIu64 " are not what was written: their digest differs",
             b->run_start * BLOCK_SIZE, MIN(end * BLOCK_SIZE, b->disk->size) - 1);
    b->in_run = false;
}

static bool to_judge(const struct bytes *b, uint64_t block)
{
    if (b->only)
        return layer_state(b->only, block) == BLOCK_DATA;
    if (b->skip && layer_state(b->skip, block) != BLOCK_UNCHANGED)
        return false;
    return !b->map || atomic_load(&b->map->missing[block]) == 0;
}

/* 1: good, or nothing is known of it; 0: other bytes than were written; -errno. */
static int judge_block(struct bytes *b, uint64_t block, const uint8_t *digest, uint8_t *buffer)
{
    uint32_t length = disk_block_length(b->disk, block);
    uint8_t have[DIGEST_SIZE];
    int r;

    if (is_zero(digest, DIGEST_SIZE) || !to_judge(b, block))
        return 1;
    r = io_read(b->disk->io, b->data_fd, buffer, length, block * BLOCK_SIZE);
    if (r < 0)
        return r;
    b->fsck->done_bytes += length;
    digest_block(buffer, length, have);
    return memcmp(have, digest, DIGEST_SIZE) == 0;
}

static void tell_progress(struct fsck *f, uint64_t total)
{
    struct progress_report p = {"read", f->done_bytes, total};

    if (f->options.progress)
        f->options.progress(&p, f->options.context);
}

static int judge_batch(struct bytes *b, uint64_t first, uint64_t count, const uint8_t *digests,
                       uint8_t *buffer)
{
    for (uint64_t i = 0; i < count; i++) {
        int r = judge_block(b, first + i, digests + i * DIGEST_SIZE, buffer);

        if (r < 0)
            return r;
        if (r == 1) {
            end_run(b, first + i);
            continue;
        }
        if (!b->in_run)
            b->run_start = first + i;
        b->in_run = true;
        b->bad_blocks++;
    }
    return 0;
}

static void judge_bytes(struct bytes *b)
{
    enum { BATCH = 256 };
    _cleanup_free_ uint8_t *digests = mem_new(BATCH, DIGEST_SIZE);
    _cleanup_free_ uint8_t *buffer = mem_new(1, BLOCK_SIZE);
    int r = 0;

    for (uint64_t first = 0; r == 0 && first < b->disk->blocks; first += BATCH) {
        uint64_t count = MIN((uint64_t)BATCH, b->disk->blocks - first);

        r = io_read(b->disk->io, b->digest_fd, digests, count * DIGEST_SIZE, first * DIGEST_SIZE);
        if (r == 0)
            r = judge_batch(b, first, count, digests, buffer);
        tell_progress(b->fsck, b->fsck->total_bytes);
    }
    end_run(b, b->disk->blocks);
    if (r < 0)
        find(b->fsck, DAMAGE, b->path, b->action, "it cannot be read: %s", strerror(-r));
    if (b->told > EXTENTS_MAX)
        find(b->fsck, DAMAGE, b->path, b->action,
             "in all %" PRIu64 " blocks of 64 KiB are not what was written", b->bad_blocks);
}

#define FETCH_AGAIN "verify --bytes --repair: it fetches what rotted from the source again"

static void check_layer_bytes(struct fsck *f, const struct disk *d, const struct layer *l)
{
    _cleanup_free_ char *path = str_format("%s.data", l->stem);
    struct bytes b = {.fsck = f, .disk = d, .path = path, .data_fd = l->read_fd,
                      .digest_fd = l->digest_fd, .only = l,
                      .action = FETCH_AGAIN};

    judge_bytes(&b);
}

static void check_target_bytes(struct fsck *f, const struct disk *d, const struct super_disk *sd,
                               int fd, const struct map *map)
{
    _cleanup_free_ char *digests = str_format("%s/dig", d->folder);
    struct bytes b = {.fsck = f, .disk = d, .path = d->target_path, .data_fd = fd, .map = map,
                      .skip = sd->folding && d->layer_count ? d->layers[0] : NULL,
                      .action = map ? "make a new store and sync again" : FETCH_AGAIN};

    b.digest_fd = f->io->ops->open(f->io, digests, IO_RDONLY);
    if (b.digest_fd < 0)
        return; /* told before */
    judge_bytes(&b);
    f->io->ops->close(f->io, b.digest_fd);
}

/* ---- all ---- */

static void check_bytes(struct fsck *f, const struct disk *d, const struct super_disk *sd, int fd,
                        const struct map *map, unsigned damages_before)
{
    bool follows = f->super.mode == MODE_INIT || f->super.mode == MODE_MIRROR;

    if (!f->options.data)
        return;
    if (!follows)
        find(f, NOTE, d->target_path, "nothing",
             "its bytes are not compared: in mode %s the guest writes, and digests tell of the "
             "time before", store_mode_name(f->super.mode));
    else if (f->damages != damages_before || fd < 0)
        find(f, NOTE, d->name, "see to the damage first",
             "the bytes of this disk are not compared: its files are damaged");
    else {
        check_target_bytes(f, d, sd, fd, map);
        for (unsigned i = 0; i < d->layer_count; i++)
            check_layer_bytes(f, d, d->layers[i]);
    }
}

static void check_disk(struct fsck *f, unsigned i)
{
    const struct super_disk *sd = &f->super.disks[i];
    const struct store_disk *vd = &f->vm.disks[i];
    struct disk d = {.io = f->io, .index = i, .name = str_dup(vd->name), .digest_fd = -1,
                     .folder = str_format("%s/%s", f->store, vd->name), .size = vd->size,
                     .target_path = str_dup(vd->target), .blocks = div_up(vd->size, BLOCK_SIZE)};
    _cleanup_free_ char *digests = str_format("%s/dig", d.folder);
    bool ours = f->super.mode != MODE_DETACHED;
    unsigned damages_before = f->damages;
    int fd = ours ? open_target(f, sd, vd->target) : -1;

    check_size(f, digests, d.blocks * DIGEST_SIZE);
    if (f->super.mode == MODE_INIT)
        d.map = check_map(f, &d, sd);
    else if (store_mode_is_owner(f->super.mode))
        fsck_check_owner_disk(f, &d, sd);
    for (unsigned k = 0; k < sd->layer_count; k++) {
        struct layer *l = check_layer(f, &d, sd->layers[k]);

        if (l)
            d.layers[d.layer_count++] = l;
    }
    if (f->super.mode == MODE_MIRROR)
        check_loading(f, &d);
    check_leftovers(f, &d, sd);
    if (ours)
        check_bytes(f, &d, sd, fd, d.map, damages_before);
    if (fd >= 0)
        f->io->ops->close(f->io, fd);
    disk_done(&d);
}

static void check_limits(struct fsck *f)
{
    _cleanup_free_ char *path = str_format("%s/" LIMITFILE_NAME, f->store);
    _cleanup_error_ struct error *e = NULL;
    struct limitfile_names names = {.count = f->vm.disk_count};
    struct limit_table table;

    for (unsigned i = 0; i < f->vm.disk_count; i++)
        names.names[i] = f->vm.disks[i].name;
    if (limitfile_read(f->io, f->store, &names, &table, &e) < 0)
        find(f, DAMAGE, path, "correct or remove it: without it nothing is limited", "%s",
             error_text(e));
}

static void check_store(struct fsck *f)
{
    if (!check_identity(f))
        return;
    check_limits(f);
    if (store_mode_is_owner(f->super.mode))
        fsck_check_owner(f);
    for (unsigned i = 0; i < f->super.disk_count; i++)
        f->total_bytes += f->super.disks[i].size;
    if (f->super.mode == MODE_DETACHED)
        find(f, NOTE, f->store, "nothing; the store may be removed",
             "detached: the targets belong to whoever uses them now and are not looked at");
    for (unsigned i = 0; i < f->super.disk_count; i++)
        check_disk(f, i);
}

static int lock_super(struct fsck *f, int fd, struct error **err)
{
    int owner = 0, r = f->io->ops->lock(f->io, fd, 0, &owner);

    if (r == -EBUSY)
        return error_set(err, EBUSY, "%s is served by an engine (process %d); end it with 'slipway "
                                     "engine stop' first", f->store, owner);
    return r < 0 ? error_set_errno(err, -r, "cannot lock the superblock of %s", f->store) : 0;
}

static int look(struct fsck *f, struct error **err)
{
    _cleanup_free_ char *super_path = str_format("%s/super", f->store);
    _cleanup_free_ char *json_path = str_format("%s/vm.json", f->store);
    _cleanup_error_ struct error *e = NULL;
    int fd = f->io->ops->open(f->io, super_path, IO_RDONLY), r = 0, vm;

    if (fd >= 0)
        r = lock_super(f, fd, err);
    vm = r < 0 ? 0 : store_vm_read(f->io, f->store, &f->vm, &e);
    if (vm == -EPROTO || (vm == -ENOENT && fd < 0))
        r = error_move(err, &e);
    else if (vm < 0)
        find(f, DAMAGE, json_path, "restore it from a backup", "%s", error_text(e));
    if (r == 0 && fd < 0)
        find(f, DAMAGE, super_path, SYNC_AGAIN, "%s: %s", MISSING_TEXT, strerror(-fd));
    else if (r == 0)
        r = check_super(f, fd, super_path, err);
    if (r > 0 && vm == 0)
        check_store(f);
    if (fd >= 0)
        f->io->ops->close(f->io, fd);
    return r < 0 ? r : 0;
}

int fsck_run(struct io *io, const char *store, const struct fsck_options *options,
             json_t **ret_report, struct error **err)
{
    struct fsck f = {.io = io, .store = store, .options = *options, .findings = json_array()};
    bool known;
    int r = look(&f, err);

    known = r == 0 && f.super.mode != 0;
    if (r == 0)
        *ret_report = json_pack(
            "{s:s, s:s?, s:s?, s:o, s:b, s:I, s:O}", "store", store, "vm", f.vm.name, "mode",
            known ? store_mode_name(f.super.mode) : NULL, "generation",
            known && f.super.cur_gen != NO_GENERATION ? json_integer((json_int_t)f.super.cur_gen)
                                                      : json_null(),
            "sound", f.damages == 0, "checked_bytes", (json_int_t)f.done_bytes, "findings",
            f.findings);
    json_decref(f.findings);
    store_vm_done(&f.vm);
    return r;
}
