/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/model/model.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/draft.h"
#include "engine/flip.h"
#include "engine/room.h"
#include "engine/store.h"

/* A step may fail when a fault was put in its way. */
static bool excused(struct model *m)
{
    return sim_fault_hit(m->sim) || m->read_fault || m->late_fault;
}

static void unexpected(struct model *m, const char *what, const struct error *err, int r)
{
    if (!excused(m))
        model_fail(m, "%s: %s", what, err ? error_text(err) : strerror(-r));
}

static unsigned below(struct model *m, unsigned n)
{
    return random_below(&m->random, n);
}

/* ---- sync ---- */

static void source_was_read(unsigned disk, uint64_t offset, uint64_t length, void *context)
{
    struct model *m = context;

    for (uint64_t b = offset / BLOCK_SIZE; b < div_up(offset + length, BLOCK_SIZE); b++)
        if (m->durable[disk][b])
            model_fail(m, "block %" PRIu64 " of disk %s was durable and is fetched again", b,
                       model_disks[disk]);
}

static void forget_durable(struct model *m)
{
    memset(m->durable, 0, sizeof(m->durable));
}

static void close_sync(struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        puller_free(m->pullers[d]);
        m->pullers[d] = NULL;
        if (m->sync->disk_count > d && m->sync->disks[d].tainted)
            memset(m->durable[d], 0, sizeof(m->durable[d]));
    }
    sync_close(m->sync);
    free(steal_ptr(m->sync));
    if (m->engine)
        engine_operation_end(m->engine);
}

static bool checkpoint(struct model *m, unsigned d)
{
    bool durable[8] = {false};
    int r;

    reference_durable(m, d, durable);
    r = sync_checkpoint(m->sync, d);
    if (r < 0)
        unexpected(m, "a checkpoint failed", NULL, r);
    else if (!m->engine->failed && !m->sync->disks[d].tainted)
        memcpy(m->durable[d], durable, sizeof(durable));
    return r == 0;
}

/* As the product does when the copy fails or is cancelled. */
static void give_up_sync(struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        puller_free(m->pullers[d]);
        m->pullers[d] = NULL;
        if (m->sync->disks[d].pull_ready)
            checkpoint(m, d);
    }
    close_sync(m);
}

static int choose_point(struct model *m)
{
    bool interrupted = m->point >= 0 && (m->gen == NO_GENERATION ||
                                         m->gen_points[m->gen] != m->point);

    if (interrupted && below(m, 3) > 0)
        return m->point;
    forget_durable(m);
    if (m->source->point_count > 0 && below(m, 4) == 0)
        memsource_write(m->source, random_next(&m->random));
    return (int)memsource_point(m->source);
}

static void open_sync(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct sync_source sources[MEM_DISKS];
    char uri[MEM_DISKS][32], since[32], snapshot[32];
    struct sync_request q = {.sources = sources, .source_count = MEM_DISKS, .snapshot = snapshot};
    bool delta = m->mode == MODE_MIRROR;
    int r = engine_operation_begin(m->engine, "sync", 1u << MODE_INIT | 1u << MODE_MIRROR, &err);

    if (r < 0) {
        unexpected(m, "a sync was refused", err, r);
        return;
    }
    push_forget(m); /* what a crash left of one gives way */
    m->point = choose_point(m);
    m->source->no_allocation = below(m, 4) == 0;
    q.compare = below(m, 6) == 0;
    snprintf(snapshot, sizeof(snapshot), "p%d", m->point);
    snprintf(since, sizeof(since), "since:%d", delta ? m->gen_points[m->gen] : 0);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(uri[d], sizeof(uri[d]), "mem:%d/%u", m->point, d);
        sources[d] = (struct sync_source){model_disks[d], uri[d], delta ? since : NULL};
    }
    m->sync = mem_new(1, sizeof(*m->sync));
    memset(m->pulled, 0, sizeof(m->pulled));
    r = sync_open(m->sync, m->engine, &q, &err);
    if (r == 0)
        r = sync_prepare(m->sync, &err);
    reference_promise(m);
    if (r == 0)
        return;
    if (r != -EBUSY || m->engine->disks[0].layer_count + m->engine->disks[1].layer_count < 8)
        unexpected(m, "a sync could not begin", err, r);
    close_sync(m);
}

static bool may_sync(const struct model *m)
{
    return !m->sync && !m->local && !m->push.open &&
           (m->mode == MODE_INIT || m->mode == MODE_MIRROR) &&
           m->source->point_count + 1 < MEM_POINTS &&
           (m->gen == NO_GENERATION || m->gen + 2 < GENERATIONS);
}

/* One step of one puller; the sync is closed when it fails. */
static void pull(struct model *m, unsigned d)
{
    int r = 0;

    if (!m->pullers[d])
        r = puller_new(&m->sync->disks[d].pull, m->sync->disks[d].reader, &m->pullers[d]);
    if (r == 0)
        r = puller_step(m->pullers[d]);
    if (r == PULL_DONE)
        m->pulled[d] = true;
    else if (r == PULL_WAIT)
        r = puller_wait(m->pullers[d]);
    if (r < 0) {
        struct error *err = NULL;

        error_set(&err, EIO, "%s", m->sync->disks[d].pull.error_text);
        unexpected(m, "a puller failed", err, r);
        error_free(err);
        give_up_sync(m);
    }
}

static void commit(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct content c = {0};
    int r;

    for (unsigned d = 0; d < MEM_DISKS; d++) {
        puller_free(m->pullers[d]);
        m->pullers[d] = NULL;
        c.bytes[d] = m->source->points[m->point][d];
    }
    reference_generation(m, content_copy(&c), m->point);
    r = sync_commit(m->sync, &err);
    if (r == 0) {
        m->gen++;
        m->mode = MODE_MIRROR;
        m->maybe_gen = false;
        reference_promise(m);
        forget_durable(m);
        if (m->sync->generation != m->gen)
            model_fail(m, "the sync says it committed generation %" PRIu64,
                       m->sync->generation);
    } else {
        unexpected(m, "a commit failed", err, r);
        if (!m->engine->failed && !sim_dead(m->sim)) {
            m->maybe_gen = false;
            content_free(&m->gens[m->gen + 1]);
        }
    }
    close_sync(m);
}

static void end_sync(struct model *m)
{
    while (m->sync && !m->failure[0]) {
        unsigned d = below(m, MEM_DISKS);

        if (m->pulled[0] && m->pulled[1]) {
            commit(m);
            return;
        }
        if (below(m, 12) == 0 && !checkpoint(m, d))
            give_up_sync(m);
        else if (!m->pulled[d])
            pull(m, d);
    }
}

static void sync_step(struct model *m, enum step_kind kind)
{
    if (!m->sync && (kind == STEP_SYNC_BEGIN || kind == STEP_SYNC) && may_sync(m)) {
        open_sync(m);
        if (kind == STEP_SYNC && m->sync)
            end_sync(m);
    } else if (m->sync && kind == STEP_PULL) {
        for (unsigned n = 1 + below(m, 4); n > 0 && m->sync; n--) {
            unsigned d = below(m, MEM_DISKS);

            if (!m->pulled[d])
                pull(m, d);
        }
    } else if (m->sync && kind == STEP_CHECKPOINT) {
        if (!checkpoint(m, below(m, MEM_DISKS)))
            give_up_sync(m);
    } else if (m->sync && (kind == STEP_SYNC_END || kind == STEP_SYNC)) {
        end_sync(m);
    } else if (m->sync && kind == STEP_SYNC_GIVE_UP) {
        give_up_sync(m);
    }
}

/* ---- fold ---- */

static void end_fold(struct model *m)
{
    if (!m->folding)
        return;
    fold_end(&m->fold);
    m->folding = false;
    pthread_mutex_unlock(&m->engine->fold_lock);
}

static void begin_fold(struct model *m)
{
    struct disk *d = m->folding ? NULL : fold_candidate(m->engine);
    int r;

    if (!d)
        return;
    pthread_mutex_lock(&m->engine->fold_lock);
    m->folding = true;
    r = fold_begin(&m->fold, m->engine, d);
    if (r < 0) {
        unexpected(m, "a fold could not begin", NULL, r);
        end_fold(m);
    }
}

static void fold_some(struct model *m, unsigned steps)
{
    int r = 1;

    for (; m->folding && r > 0 && steps > 0; steps--)
        r = fold_step(&m->fold);
    if (r == 0)
        r = fold_finish(&m->fold);
    else if (r > 0)
        return;
    if (r < 0)
        unexpected(m, "a fold failed", NULL, r);
    end_fold(m);
}

static void fold_to_the_end(struct model *m)
{
    for (int n = 0; n < 40; n++) {
        if (!m->folding)
            begin_fold(m);
        if (!m->folding)
            return;
        fold_some(m, 1000);
        if (excused(m))
            return;
    }
}

/* ---- readers ---- */

static void unpin(struct model *m, unsigned i)
{
    view_put(m->pins[i]);
    m->pins[i] = NULL;
}

/* One that is retained. */
static uint64_t some_generation(struct model *m)
{
    uint64_t oldest = MAX(m->engine->disks[0].oldest_readable,
                          m->engine->disks[1].oldest_readable);

    return oldest + below(m, (unsigned)(m->gen - oldest) + 1);
}

static void pin(struct model *m)
{
    unsigned i = below(m, PINS);
    int r;

    if (m->mode != MODE_MIRROR || m->pins[i])
        return;
    r = view_get(m->engine, some_generation(m), &m->pins[i]);
    if (r < 0)
        unexpected(m, "a generation cannot be pinned", NULL, r);
}

/* ---- drafts ---- */

static void create_draft(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    unsigned i = below(m, DRAFTS);
    struct model_draft *x = &m->drafts[i];
    uint64_t gen;
    int r;

    if (x->open || m->mode != MODE_MIRROR || m->gen + 2 >= GENERATIONS)
        return;
    gen = below(m, 2) ? NO_GENERATION : some_generation(m);
    r = draft_create(m->engine, model_drafts[i], gen, &x->gen, &err);
    if (r < 0) {
        unexpected(m, "a draft could not be made", err, r);
        return;
    }
    if (x->gen != (gen == NO_GENERATION ? m->gen : gen))
        model_fail(m, "a draft is over generation %" PRIu64, x->gen);
    x->open = true;
    x->content = content_copy(&m->gens[x->gen]);
}

/* One that is open, or whichever. */
static unsigned some_draft(struct model *m)
{
    unsigned i = below(m, DRAFTS);

    for (unsigned k = 0; k < DRAFTS && !m->drafts[i].open; k++)
        i = (i + 1) % DRAFTS;
    return i;
}

static void forget_draft(struct model_draft *x)
{
    x->open = false;
    content_free(&x->content);
}

static void check_no_draft(const char *path, void *context)
{
    if (strstr(path, "/draft-"))
        model_fail(context, "%s is left of a draft", path);
}

static void drop_draft(struct model *m, unsigned i)
{
    _cleanup_error_ struct error *err = NULL;
    bool left = false;
    int r;

    if (!m->drafts[i].open)
        return;
    r = draft_drop(m->engine, model_drafts[i], &err);
    if (r < 0)
        unexpected(m, "a draft could not be dropped", err, r);
    forget_draft(&m->drafts[i]);
    m->litter |= excused(m);
    for (unsigned k = 0; k < DRAFTS; k++)
        left |= m->drafts[k].open;
    if (!left && !m->litter)
        sim_each(m->sim, check_no_draft, m);
}

static void drop_drafts(struct model *m)
{
    for (unsigned i = 0; i < DRAFTS; i++)
        drop_draft(m, i);
}

struct range {
    unsigned disk;
    uint64_t offset, length;
    uint8_t *bytes; /* NULL: zeros */
};

static struct range random_range(struct model *m, uint64_t grain)
{
    struct range x = {.disk = below(m, MEM_DISKS)};
    uint64_t left, units;

    x.offset = below(m, (unsigned)(mem_sizes[x.disk] / grain)) * grain;
    left = mem_sizes[x.disk] - x.offset;
    units = 1 + below(m, below(m, 2) ? 8 * 512 / (unsigned)grain : 140000 / (unsigned)grain);
    x.length = MIN(left, units * grain);
    if (below(m, 4) > 0) {
        x.bytes = mem_new(1, x.length);
        memset(x.bytes, 1 + (int)below(m, 255), x.length);
    }
    return x;
}

static void range_apply(const struct range *x, struct content *c)
{
    if (x->bytes)
        memcpy(c->bytes[x->disk] + x->offset, x->bytes, x->length);
    else
        memset(c->bytes[x->disk] + x->offset, 0, x->length);
}

static void write_draft(struct model *m)
{
    unsigned i = some_draft(m);
    struct range x;
    int r;

    if (!m->drafts[i].open)
        return;
    x = random_range(m, below(m, 2) ? 1 : 512);
    r = draft_pwrite(model_draft(m, i), &m->engine->disks[x.disk], x.bytes, (uint32_t)x.length,
                     x.offset);
    range_apply(&x, &m->drafts[i].content);
    free(x.bytes);
    if (r < 0) {
        unexpected(m, "a write to a draft failed", NULL, r);
        drop_draft(m, i); /* what it holds now is one of many things */
    }
}

static bool has_room(const struct model *m)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        if (m->engine->disks[d].layer_count >= LAYERS_MAX)
            return false;
    return true;
}

static void seal_draft(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    unsigned i = some_draft(m);
    struct model_draft *x = &m->drafts[i];
    bool busy = m->sync || m->push.open || !has_room(m);
    int expected = x->gen != m->gen ? -EPERM : busy ? -EBUSY : 0, r;
    uint64_t gen;

    if (!x->open)
        return;
    reference_generation(m, content_copy(&x->content), -1);
    r = draft_seal(m->engine, model_drafts[i], NULL, &gen, &err);
    if (r < 0 && !sim_dead(m->sim) && !m->engine->failed) {
        m->maybe_gen = false;
        content_free(&m->gens[m->gen + 1]);
    }
    if (r == 0 && expected == 0) {
        m->gen++;
        m->local = true;
        m->maybe_gen = false;
        reference_promise(m);
    } else if (r != expected) {
        unexpected(m, "a draft could not be sealed", err, r);
    }
    if (expected == 0) { /* what was interrupted gave way, or may have */
        forget_durable(m);
        push_forget(m);
    }
    if (r != -EPERM && r != -EBUSY && !(r == -ENOSPC && model_draft(m, i)))
        forget_draft(x);
}

/* ---- policy ---- */

static void set_policy(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct room_policy p = {.keep = (uint16_t)below(m, 4), .when_full = below(m, _WHEN_FULL_MAX)};
    int r;

    if (m->mode != MODE_MIRROR && m->mode != MODE_INIT)
        return;
    r = room_set(m->engine, &p, &err);
    if (r < 0)
        unexpected(m, "a policy cannot be set", err, r);
    reference_promise(m);
}

/* ---- owner ---- */

/* Whatever is under way gives way; false: there is nothing to flip. */
static bool before_flip(struct model *m)
{
    end_fold(m);
    if (m->sync)
        give_up_sync(m);
    push_give_up(m);
    push_forget(m);
    drop_drafts(m);
    forget_durable(m);
    return !sim_dead(m->sim) && !m->engine->failed;
}

static void flip(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct flip_request q = {.older = below(m, 3) == 0};
    int r;

    if (m->mode != MODE_MIRROR)
        return;
    if (!before_flip(m))
        return;
    q.generation = m->owner_gen = q.older ? some_generation(m) : m->gen;
    m->promised = MAX(m->promised, m->owner_gen); /* a flip folds what is older */
    m->maybe_owner = true;
    r = engine_flip(m->engine, &q, NULL, NULL, &err);
    if (r == 0) {
        reference_owner(m);
        m->maybe_owner = false;
        return;
    }
    unexpected(m, "a flip failed", err, r);
    for (unsigned i = 0; i < PINS; i++)
        unpin(m, i); /* revoked */
    /* It is the owner, and only bringing what the layers of drafts have did not work. */
    if (m->engine->mode == MODE_OWNER_HYD && !m->engine->failed && !sim_dead(m->sim))
        reference_owner(m);
    if (!m->engine->failed && !sim_dead(m->sim))
        m->maybe_owner = false;
}

static void flip_instantly(struct model *m)
{
    if ((m->mode != MODE_MIRROR && m->mode != MODE_INIT) || !before_flip(m))
        return;
    instant_flip(m);
    for (unsigned i = 0; i < PINS; i++)
        unpin(m, i); /* revoked */
}

static struct export *open_export(struct model *m, unsigned disk)
{
    _cleanup_error_ struct error *err = NULL;
    struct export *x = NULL;

    if (engine_export_open(m->engine, model_disks[disk], &x, &err) < 0)
        model_fail(m, "the owner's disk cannot be opened: %s", error_text(err));
    return x;
}

static void guest_write(struct model *m)
{
    unsigned flags = below(m, 4) == 0 ? EXPORT_FUA : 0;
    struct range x;
    struct export *export;
    int r;

    if (m->mode != MODE_OWNER || m->write_count + 1 >= GUEST_WRITES)
        return;
    x = random_range(m, 512);
    export = open_export(m, x.disk);
    if (!export) {
        free(x.bytes);
        return;
    }
    reference_guest_write(m, x.disk, x.offset, x.length, x.bytes);
    if (x.bytes)
        r = export_pwrite(export, x.bytes, (uint32_t)x.length, x.offset, flags);
    else
        r = export_zero(export, (uint32_t)x.length, x.offset,
                        flags | (below(m, 2) ? EXPORT_MAY_TRIM : 0));
    export_close(export);
    if (r == 0) {
        range_apply(&x, &m->owner);
        m->writing = false;
        if (flags & EXPORT_FUA)
            range_apply(&x, &m->flushed);
    } else {
        unexpected(m, "a guest's write failed", NULL, r);
        if (!sim_dead(m->sim))
            reference_adopt(m);
    }
    free(x.bytes);
}

static void guest_flush(struct model *m)
{
    int r = 0;

    if (m->mode != MODE_OWNER)
        return;
    for (unsigned d = 0; r == 0 && d < MEM_DISKS; d++) {
        struct export *x = open_export(m, d);

        if (!x)
            return;
        r = export_flush(x);
        export_close(x);
    }
    if (r == 0)
        reference_guest_flush(m);
    else
        unexpected(m, "a guest's flush failed", NULL, r);
}

static void detach(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (m->engine->mode != MODE_OWNER)
        return;
    for (unsigned i = 0; i < PINS; i++)
        unpin(m, i);
    m->maybe_detached = true;
    r = engine_detach(m->engine, 0, NULL, &err);
    if (r < 0) {
        unexpected(m, "a detach failed", err, r);
        return;
    }
    m->maybe_detached = false;
    m->mode = MODE_DETACHED;
    reference_guest_flush(m);
}

/* ---- steps ---- */

static void restart(struct model *m, const struct step *step)
{
    if (below(m, 3) == 0) {
        driver_drop(m);
        if (sim_open_files(m->sim) > 0)
            model_fail(m, "%u files stay open after a close", sim_open_files(m->sim));
        if (!m->litter)
            sim_each(m->sim, check_no_draft, m);
    }
    if (!sim_dead(m->sim))
        sim_die(m->sim);
    recovery_crash(m, step);
}

static void carry_out(struct model *m, const struct step *step)
{
    switch ((enum step_kind)step->kind) {
    case STEP_SOURCE_WRITE:
        memsource_write(m->source, random_next(&m->random));
        break;
    case STEP_FOLD_BEGIN:
        begin_fold(m);
        break;
    case STEP_FOLD:
        if (m->folding)
            fold_some(m, 1 + below(m, 2));
        break;
    case STEP_FOLD_END:
        end_fold(m);
        break;
    case STEP_FOLD_ALL:
        fold_to_the_end(m);
        break;
    case STEP_PIN:
        pin(m);
        break;
    case STEP_UNPIN:
        unpin(m, below(m, PINS));
        break;
    case STEP_DRAFT_CREATE:
        create_draft(m);
        break;
    case STEP_DRAFT_WRITE:
        write_draft(m);
        break;
    case STEP_DRAFT_SEAL:
        seal_draft(m);
        break;
    case STEP_DRAFT_DROP:
        drop_draft(m, some_draft(m));
        break;
    case STEP_FLIP:
        flip(m);
        break;
    case STEP_FLIP_INSTANT:
        flip_instantly(m);
        break;
    case STEP_HYDRATE:
        instant_hydrate(m, 1 + below(m, 12));
        break;
    case STEP_GUEST_WRITE:
        guest_write(m);
        break;
    case STEP_GUEST_FLUSH:
        guest_flush(m);
        break;
    case STEP_SET:
        set_policy(m);
        break;
    case STEP_DETACH:
        detach(m);
        break;
    case STEP_PUSH_BEGIN:
    case STEP_PUSH_WRITE:
    case STEP_PUSH_FLUSH:
    case STEP_PUSH_COMMIT:
    case STEP_PUSH_ABANDON:
        push_step(m, step->kind);
        break;
    default:
        sync_step(m, step->kind);
    }
}

void driver_step(struct model *m, const struct step *step)
{
    if (!m->engine || m->failure[0])
        return;
    m->random.state = step->seed;
    m->source->random.state = step->seed ^ 1;
    sim_seed(m->sim, step->seed ^ 2);
    if (step->kind == STEP_RESTART) {
        restart(m, step);
        return;
    }
    m->source->fail_read_at = step->read_fault;
    m->read_fault = step->read_fault;
    sim_set_fault(m->sim, step->fault, step->at);
    carry_out(m, step);
    if (m->failure[0])
        return;
    m->fault_hit = sim_fault_hit(m->sim);
    if (sim_dead(m->sim) || m->engine->failed)
        recovery_crash(m, step);
    else
        reference_check(m, false);
    m->late_fault = excused(m) && (m->sync || m->folding);
    sim_set_fault(m->sim, SIM_NO_FAULT, 0);
    m->source->fail_read_at = 0;
    m->read_fault = false;
}

void driver_finish(struct model *m)
{
    struct step step = {.seed = 77, .loss = SIM_LOSE_SOME};

    if (!m->engine || m->failure[0] || m->mode == MODE_DETACHED)
        return;
    m->random.state = step.seed;
    for (unsigned i = 0; i < PINS; i++)
        unpin(m, i);
    drop_drafts(m);
    if (m->engine->keep > 0)
        room_set(m->engine, &(struct room_policy){0}, NULL);
    reference_promise(m);
    end_fold(m);
    if (m->sync)
        end_sync(m);
    push_step(m, STEP_PUSH_COMMIT);
    m->late_fault = false;
    fold_to_the_end(m);
    if (may_sync(m) && !m->failure[0])
        sync_step(m, STEP_SYNC);
    fold_to_the_end(m);
    if (m->failure[0])
        return;
    if (m->mode == MODE_MIRROR && !m->local && (m->engine->disks[0].layer_count > 0 ||
                                                m->engine->disks[1].layer_count > 0))
        model_fail(m, "layers are left that cannot be folded");
    guest_write(m);
    guest_flush(m);
    instant_hydrate(m, 1000);
    if (m->engine->mode == MODE_OWNER_HYD)
        model_fail(m, "hydration does not come to an end");
    reference_check(m, true);
    sim_die(m->sim);
    step.crash = CRASH_POWER;
    recovery_crash(m, &step);
}

void driver_drop(struct model *m)
{
    if (!m->engine)
        return;
    if (m->sync)
        close_sync(m);
    end_fold(m);
    for (unsigned i = 0; i < PINS; i++)
        unpin(m, i);
    for (unsigned i = 0; i < DRAFTS; i++)
        forget_draft(&m->drafts[i]);
    push_crashed(m);
    engine_close(steal_ptr(m->engine));
}

/* ---- life ---- */

struct model *model_new(uint64_t seed)
{
    struct model *m = mem_new(1, sizeof(*m));
    struct random r = {seed};

    m->sim = sim_new();
    sim_seed(m->sim, seed);
    sim_set_alignment(m->sim, random_once_in(&r, 3) ? 1 : random_once_in(&r, 2) ? 512 : 4096);
    sim_set_store_tear(m->sim, random_once_in(&r, 2) ? 512 : 32);
    m->source = memsource_new(seed);
    m->source->on_read = source_was_read;
    m->source->context = m;
    memsource_write(m->source, random_next(&r));
    memsource_write(m->source, random_next(&r));
    m->mode = MODE_INIT;
    m->gen = NO_GENERATION;
    m->point = -1;
    sim_io(m->sim)->ops->mkdir(sim_io(m->sim), "/store");
    sim_io(m->sim)->ops->mkdir(sim_io(m->sim), "/target");
    sim_settle(m->sim);
    return m;
}

void model_free(struct model *m)
{
    sim_die(m->sim);
    driver_drop(m);
    push_forget(m);
    for (unsigned g = 0; g < GENERATIONS; g++)
        content_free(&m->gens[g]);
    content_free(&m->owner);
    content_free(&m->flushed);
    while (m->write_count > 0)
        free(m->writes[--m->write_count].bytes);
    memsource_free(m->source);
    sim_free(m->sim);
    free(m);
}

/* Every other one begins with targets that hold old copies, cut or with other things behind. */
static void make_old_copies(struct model *m, uint64_t seed, struct store_vm *vm)
{
    struct random r = {seed};

    if (random_once_in(&r, 2))
        return;
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        uint64_t length = mem_sizes[d] + 512 * random_below(&r, 3);
        _cleanup_free_ uint8_t *old = mem_new(1, length);
        _cleanup_free_ char *path = str_format("/target/%s", model_disks[d]);

        memset(old, (int)random_below(&r, 3), length);
        for (uint64_t at = 0; at < mem_sizes[d]; at += BLOCK_SIZE)
            if (random_below(&r, 3) > 0)
                memcpy(old + at, m->source->live[d] + at, MIN(BLOCK_SIZE, mem_sizes[d] - at));
        sim_put(m->sim, path, old, length);
        vm->disks[d].preseed = true;
    }
    sim_settle(m->sim);
}

bool model_create(struct model *m, const struct step *step)
{
    _cleanup_error_ struct error *err = NULL;
    struct store_vm vm = {.name = str_dup("vm"), .disk_count = MEM_DISKS};
    int r;

    m->random.state = step->seed;
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(vm.disks[d].name, sizeof(vm.disks[d].name), "%s", model_disks[d]);
        vm.disks[d].target = str_format("/target/%s", model_disks[d]);
        vm.disks[d].size = mem_sizes[d];
    }
    make_old_copies(m, step->seed ^ 3, &vm);
    sim_set_fault(m->sim, step->fault, step->at);
    r = store_create(sim_io(m->sim), STORE, &vm, &err);
    store_vm_done(&vm);
    if (r < 0)
        unexpected(m, "a store could not be made", err, r);
    return r == 0;
}
