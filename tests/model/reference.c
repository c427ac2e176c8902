/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/model.h"


#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/align.h"
#include "base/iszero.h"
#include "base/str.h"
#include "engine/draft.h"

const char *const model_disks[MEM_DISKS] = {"sda", "sdb"};
const char *const model_drafts[DRAFTS] = {"one", "two", "three"};

void model_fail(struct model *m, const char *format, ...)
{
    va_list args;

    if (m->failure[0])
        return;
    va_start(args, format);
    vsnprintf(m->failure, sizeof(m->failure), format, args);
    va_end(args);
}

struct content content_copy(const struct content *from)
{
    struct content c;

    for (unsigned d = 0; d < MEM_DISKS; d++) {
        c.bytes[d] = mem_new(1, mem_sizes[d]);
        if (from)
            memcpy(c.bytes[d], from->bytes[d], mem_sizes[d]);
    }
    return c;
}

void content_free(struct content *c)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        free(c->bytes[d]);
        c->bytes[d] = NULL;
    }
}

/* ---- what is readable ---- */

static void compare(struct model *m, const char *what, unsigned disk, const uint8_t *have,
                    const uint8_t *want)
{
    uint64_t at = 0;

    if (memcmp(have, want, mem_sizes[disk]) == 0)
        return;
    while (have[at] == want[at])
        at++;
    model_fail(m, "%s: disk %s differs at byte %" PRIu64 " (block %" PRIu64 ")", what,
               model_disks[disk], at, at / BLOCK_SIZE);
}

/* allowed: the view may refuse (its time is over), but it may never lie. */
static void check_view(struct model *m, struct view *v, const char *what, bool may_refuse)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);
        int r = view_pread(v, &m->engine->disks[d], have, (uint32_t)mem_sizes[d], 0);
        char text[64];

        snprintf(text, sizeof(text), "%s of generation %" PRIu64, what, v->gen);
        if (r < 0 && !(may_refuse && r == -ESHUTDOWN))
            model_fail(m, "%s cannot be read: %s", text, strerror(-r));
        else if (r == 0)
            compare(m, text, d, have, m->gens[v->gen].bytes[d]);
    }
}

/* A digest that is known is right: compares believe it. */
static void check_digest(struct model *m, const struct disk *d, uint64_t block,
                         const uint8_t *bytes, const uint8_t kept[DIGEST_SIZE])
{
    uint8_t want[DIGEST_SIZE];

    digest_block(bytes + block * BLOCK_SIZE, disk_block_length(d, block), want);
    if (!is_zero(kept, DIGEST_SIZE) && memcmp(kept, want, DIGEST_SIZE) != 0)
        model_fail(m, "the digest of block %" PRIu64 " of disk %s is of something else", block,
                   d->name);
}

static void check_digests(struct model *m, struct view *v)
{
    for (unsigned i = 0; i < MEM_DISKS; i++) {
        struct disk *d = &m->engine->disks[i];

        for (uint64_t b = 0; b < d->blocks; b++) {
            uint8_t kept[DIGEST_SIZE];

            if (view_digest(v, d, b, kept) < 0)
                model_fail(m, "the digests of disk %s cannot be read", d->name);
            else
                check_digest(m, d, b, m->gens[v->gen].bytes[i], kept);
        }
    }
}

/* During the initial sync they are of the point in time that is copied, also where nothing landed. */
static void check_initial(struct model *m)
{
    struct super root = superfile_get(&m->engine->super);
    unsigned point;

    if (sscanf(root.snapshot, "p%u", &point) != 1)
        return;
    for (unsigned i = 0; i < MEM_DISKS; i++) {
        struct disk *d = &m->engine->disks[i];
        _cleanup_free_ char *path = str_format("%s/dig", d->folder);
        uint64_t size = 0;
        const uint8_t *kept = sim_file(m->sim, path, &size);

        for (uint64_t b = 0; kept && b < MIN(d->blocks, size / DIGEST_SIZE); b++)
            check_digest(m, d, b, m->source->points[point][i], kept + b * DIGEST_SIZE);
    }
}

static void check_generation(struct model *m, uint64_t gen)
{
    struct view *v;
    int r = view_get(m->engine, gen, &v);

    if (r < 0) {
        model_fail(m, "generation %" PRIu64 " cannot be opened: %s", gen, strerror(-r));
        return;
    }
    check_view(m, v, "a view", false);
    check_digests(m, v);
    view_put(v);
}

static void check_mirror(struct model *m, bool deep)
{
    uint64_t oldest = 0;

    for (unsigned d = 0; d < MEM_DISKS; d++)
        oldest = MAX(oldest, m->engine->disks[d].oldest_readable);
    if (m->engine->cur_gen != m->gen) {
        model_fail(m, "the engine is at generation %" PRIu64 ", %" PRIu64 " was acknowledged",
                   m->engine->cur_gen, m->gen);
        return;
    }
    if (oldest > m->promised)
        model_fail(m, "generation %" PRIu64 " was to be kept, %" PRIu64 " is the oldest",
                   m->promised, oldest);
    for (uint64_t gen = deep ? oldest : m->gen; gen <= m->gen; gen++)
        check_generation(m, gen);
}

/* What the owner's guest would see, new memory; NULL: the target is not there. */
static uint8_t *owner_bytes(struct model *m, unsigned disk)
{
    _cleanup_free_ char *path = str_format("/target/%s", model_disks[disk]);
    uint64_t size = 0;
    const uint8_t *target = sim_file(m->sim, path, &size);
    uint8_t *bytes;

    if (!target || size < mem_sizes[disk]) {
        model_fail(m, "target %s is gone or cut", path);
        return NULL;
    }
    bytes = mem_new(1, mem_sizes[disk]);
    memcpy(bytes, target, mem_sizes[disk]);
    sim_quiet_begin(m->sim);
    instant_overlay(m, disk, bytes);
    sim_quiet_end(m->sim);
    return bytes;
}

static void check_owner(struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = owner_bytes(m, d);

        if (have && !m->writing)
            compare(m, "the owner's target", d, have, m->owner.bytes[d]);
    }
}

struct draft *model_draft(const struct model *m, unsigned i)
{
    LOCK_FOR_SCOPE(&m->engine->lock);
    return draft_find_locked(m->engine, model_drafts[i], strlen(model_drafts[i]));
}

struct covered {
    struct model *model;
    const uint8_t *bytes;
    uint64_t next;
};

static int check_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct covered *c = context;

    if (offset != c->next || length == 0)
        model_fail(c->model, "extents leave out %" PRIu64 " to %" PRIu64, c->next, offset);
    for (uint64_t at = offset; flags & EXTENT_ZERO && at < offset + length; at++)
        if (c->bytes[at]) {
            model_fail(c->model, "byte %" PRIu64 " of a draft is said to be zero", at);
            break;
        }
    c->next = offset + length;
    return 0;
}

static void check_draft(struct model *m, unsigned i)
{
    struct draft *dr = model_draft(m, i);

    if (!dr) {
        model_fail(m, "the draft %s is gone", model_drafts[i]);
        return;
    }
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);
        struct covered c = {.model = m, .bytes = m->drafts[i].content.bytes[d]};
        int r = draft_pread(dr, &m->engine->disks[d], have, (uint32_t)mem_sizes[d], 0);

        if (r < 0) {
            model_fail(m, "the draft %s cannot be read: %s", model_drafts[i], strerror(-r));
            return;
        }
        compare(m, "a draft", d, have, c.bytes);
        r = draft_extents(dr, &m->engine->disks[d], mem_sizes[d], 0, check_extent, &c);
        if (r < 0 || c.next != mem_sizes[d])
            model_fail(m, "extents of the draft %s end at %" PRIu64 " (%d)", model_drafts[i],
                       c.next, r);
    }
}

/* ---- names ---- */

static bool layer_known(const struct disk *d, uint64_t gen)
{
    if (d->loading && d->loading->gen == gen)
        return true;
    for (unsigned i = 0; i < d->layer_count; i++)
        if (d->layers[i]->gen == gen)
            return true;
    return false;
}

static void check_name(const char *path, void *context)
{
    struct model *m = context;
    struct super root = superfile_get(&m->engine->super);
    const char *file = strrchr(path, '/') + 1;
    unsigned long long number;
    char suffix[16];
    const struct disk *d = NULL;

    for (unsigned i = 0; i < m->engine->disk_count; i++)
        if (str_starts(path, m->engine->disks[i].folder))
            d = &m->engine->disks[i];
    if (!d || strcmp(path, d->folder) == 0 || strcmp(file, "dig") == 0)
        return;
    if (sscanf(file, "L%llu.%15s", &number, suffix) == 2 && layer_known(d, number))
        return;
    if (sscanf(file, "map.%llu", &number) == 1 && root.mode == MODE_INIT &&
        root.disks[d->index].map_epoch == number)
        return;
    if ((sscanf(file, "map.%llu", &number) == 1 || sscanf(file, "al.%llu", &number) == 1) &&
        store_mode_is_owner(root.mode) && root.disks[d->index].map_epoch == number)
        return;
    model_fail(m, "%s is left over", path);
}

/* Hydrating or not, it is the owner. */
static enum store_mode shown_mode(const struct engine *e)
{
    return e->mode == MODE_OWNER_HYD ? MODE_OWNER : e->mode;
}

void reference_check(struct model *m, bool deep)
{
    struct engine *e = m->engine;

    sim_quiet_begin(m->sim);
    reference_promise(m);
    if (shown_mode(e) != m->mode)
        model_fail(m, "the engine is in mode %s, not %s", store_mode_name(e->mode),
                   store_mode_name(m->mode));
    else if (m->mode == MODE_MIRROR)
        check_mirror(m, deep);
    else if (m->mode == MODE_OWNER)
        check_owner(m);
    else if (m->mode == MODE_INIT && deep)
        check_initial(m);
    for (unsigned i = 0; i < PINS; i++)
        if (m->pins[i])
            check_view(m, m->pins[i], "a pinned view",
                       m->mode != MODE_MIRROR || atomic_load(&m->pins[i]->revoked));
    for (unsigned i = 0; i < DRAFTS; i++)
        if (m->drafts[i].open)
            check_draft(m, i);
    push_check(m);
    sim_quiet_end(m->sim);
}

/* ---- after a recovery ---- */

/* Every sector is what the last acknowledged flush covered, or something written after it. */
static void check_flushed(struct model *m, unsigned disk, const uint8_t *have)
{
    for (uint64_t at = 0; at < mem_sizes[disk] && !m->failure[0]; at += SECTOR) {
        bool good = memcmp(have + at, m->flushed.bytes[disk] + at, SECTOR) == 0;

        for (unsigned i = 0; i < m->write_count && !good; i++) {
            const struct guest_write *w = &m->writes[i];

            good = w->disk == disk && w->offset <= at && at + SECTOR <= w->offset + w->length &&
                   memcmp(have + at, w->bytes + (at - w->offset), SECTOR) == 0;
        }
        if (!good)
            model_fail(m, "power loss: disk %s at byte %" PRIu64 " holds neither what was flushed "
                          "nor what was written since", model_disks[disk], at);
    }
}

/* Exactly what was acknowledged; the write under way may be there in part. */
static void check_kept(struct model *m, unsigned disk, const uint8_t *have)
{
    const struct guest_write *w = m->writing ? &m->writes[m->write_count - 1] : NULL;

    for (uint64_t at = 0; at < mem_sizes[disk] && !m->failure[0]; at += SECTOR) {
        bool good = memcmp(have + at, m->owner.bytes[disk] + at, SECTOR) == 0;

        if (!good && w && w->disk == disk && w->offset <= at &&
            at + SECTOR <= w->offset + w->length)
            good = memcmp(have + at, w->bytes + (at - w->offset), SECTOR) == 0;
        if (!good)
            model_fail(m, "kill: disk %s at byte %" PRIu64 " lost an acknowledged write",
                       model_disks[disk], at);
    }
}

static void drop_writes(struct model *m)
{
    while (m->write_count > 0)
        free(m->writes[--m->write_count].bytes);
    m->writing = false;
}

static void owner_recovered(struct model *m, bool power_lost)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = owner_bytes(m, d);

        if (!have)
            return;
        if (power_lost)
            check_flushed(m, d, have);
        else
            check_kept(m, d, have);
        memcpy(m->owner.bytes[d], have, mem_sizes[d]);
        if (power_lost)
            memcpy(m->flushed.bytes[d], have, mem_sizes[d]);
    }
    if (power_lost)
        drop_writes(m);
    m->writing = false;
}

/* A generation that may be folded once is no longer promised.  For want of room all may be. */
void reference_promise(struct model *m)
{
    uint64_t last = m->gen == NO_GENERATION ? 0 : m->gen;
    uint64_t keep = MIN(m->engine->keep, last);

    for (unsigned d = 0; d < MEM_DISKS; d++)
        if (m->engine->disks[d].layer_count + 1 >= LAYERS_MAX)
            keep = 0;
    m->promised = MAX(m->promised, last - keep);
}

void reference_owner(struct model *m)
{
    struct content c;

    if (m->mode == MODE_OWNER)
        return;
    m->mode = MODE_OWNER;
    m->gen = m->instant ? m->engine->cur_gen : m->owner_gen;
    for (unsigned d = 0; d < MEM_DISKS; d++)
        c.bytes[d] = m->instant ? m->source->points[m->owner_point][d] : m->gens[m->gen].bytes[d];
    m->owner = content_copy(&c);
    m->flushed = content_copy(&c);
}

void reference_detached(struct model *m, bool power_lost)
{
    m->mode = MODE_DETACHED;
    m->maybe_detached = false;
    owner_recovered(m, power_lost);
}

void reference_recovered(struct model *m, bool power_lost)
{
    struct engine *e = m->engine;
    uint64_t next = m->gen + 1; /* NO_GENERATION + 1 is 0 */

    if (m->maybe_gen && e->cur_gen == next) {
        m->gen = next;
        m->local |= m->gen_points[next] < 0;
        m->mode = MODE_MIRROR;
    } else if (m->maybe_gen) {
        content_free(&m->gens[next]);
    }
    if (m->maybe_owner && shown_mode(e) == MODE_OWNER)
        reference_owner(m);
    m->maybe_gen = m->maybe_owner = m->maybe_detached = m->instant = false;
    if (shown_mode(e) == MODE_OWNER && m->mode == MODE_OWNER)
        owner_recovered(m, power_lost);
    if (e->mode == MODE_INIT && m->mode == MODE_INIT && e->cur_gen != NO_GENERATION)
        model_fail(m, "a generation in mode init");
    reference_promise(m);
    reference_check(m, true);
    sim_each(m->sim, check_name, m);
}

/* ---- what was done ---- */

void reference_generation(struct model *m, struct content content, int point)
{
    m->gens[m->gen + 1] = content;
    m->gen_points[m->gen + 1] = point;
    m->maybe_gen = true;
}

void reference_guest_write(struct model *m, unsigned disk, uint64_t offset, uint64_t length,
                           const uint8_t *bytes)
{
    struct guest_write *w = &m->writes[m->write_count++];

    *w = (struct guest_write){disk, offset, length, mem_new(1, length)};
    if (bytes)
        memcpy(w->bytes, bytes, length);
    m->writing = true;
}

void reference_guest_flush(struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        memcpy(m->flushed.bytes[d], m->owner.bytes[d], mem_sizes[d]);
    drop_writes(m);
}

void reference_adopt(struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = owner_bytes(m, d);

        if (have)
            memcpy(m->owner.bytes[d], have, mem_sizes[d]);
    }
    m->writing = false;
}

void reference_durable(struct model *m, unsigned disk, bool durable[8])
{
    struct disk *d = &m->engine->disks[disk];

    for (uint64_t b = 0; b < d->blocks; b++)
        durable[b] = m->sync->initial ? d->map->missing[b] == 0
                                      : layer_state(d->loading, b) != BLOCK_PENDING;
}
