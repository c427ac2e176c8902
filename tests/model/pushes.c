/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a push: clients write the disks, a crash at any call, and the same push again. */
#include "tests/model/model.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "engine/load.h"

static unsigned below(struct model *m, unsigned n)
{
    return random_below(&m->random, n);
}

static void unexpected(struct model *m, const char *what, const struct error *err, int r)
{
    if (!sim_fault_hit(m->sim) && !m->late_fault)
        model_fail(m, "%s: %s", what, err ? error_text(err) : strerror(-r));
}

static void forget_writes(struct model_push *p)
{
    while (p->write_count > 0)
        free(p->writes[--p->write_count].bytes);
}

void push_forget(struct model *m)
{
    struct model_push *p = &m->push;

    forget_writes(p);
    content_free(&p->now);
    content_free(&p->flushed);
    p->open = p->left = false;
}

void push_crashed(struct model *m)
{
    if (m->push.open)
        m->push.left = true;
    m->push.open = false;
}

/* Every byte is what the last flush covered, or something written after it. */
static void check_byte(struct model *m, unsigned disk, uint64_t at, uint8_t have)
{
    struct model_push *p = &m->push;
    bool good = have == p->flushed.bytes[disk][at];

    for (unsigned i = 0; i < p->write_count && !good; i++) {
        const struct guest_write *w = &p->writes[i];

        good = w->disk == disk && w->offset <= at && at < w->offset + w->length &&
               w->bytes[at - w->offset] == have;
    }
    if (!good)
        model_fail(m, "a push that goes on: disk %s at byte %" PRIu64 " holds neither what was "
                      "flushed nor what was written since", model_disks[disk], at);
}

static void read_back(struct model *m, unsigned disk, uint8_t *have)
{
    int r = load_pread(m->engine->load, &m->engine->disks[disk], have,
                       (uint32_t)mem_sizes[disk], 0);

    if (r < 0)
        model_fail(m, "the push cannot be read back: %s", strerror(-r));
}

/* After a crash the push holds what it holds; from here on exactly that. */
static void go_on(struct model *m)
{
    struct model_push *p = &m->push;

    sim_quiet_begin(m->sim);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        read_back(m, d, p->now.bytes[d]);
        for (uint64_t at = 0; at < mem_sizes[d] && !m->failure[0]; at++)
            check_byte(m, d, at, p->now.bytes[d][at]);
    }
    sim_quiet_end(m->sim);
}

static void begin(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct model_push *p = &m->push;
    bool again = p->left && below(m, 8) > 0;
    char snapshot[32];
    int r;

    if (p->open || m->sync || m->local || (m->mode != MODE_INIT && m->mode != MODE_MIRROR) ||
        m->source->point_count + 2 >= MEM_POINTS ||
        (m->gen != NO_GENERATION && m->gen + 2 >= GENERATIONS))
        return;
    p->id += !again;
    snprintf(snapshot, sizeof(snapshot), "push%u", p->id);
    memset(m->durable, 0, sizeof(m->durable)); /* an interrupted sync gives way */
    r = load_begin(m->engine, snapshot, &err);
    if (r == -EEXIST && again) { /* the crash came after it was committed */
        push_forget(m);
        return;
    }
    if (r == -EBUSY && m->engine->disks[0].layer_count + m->engine->disks[1].layer_count >= 8)
        return;
    if (r < 0) {
        unexpected(m, "a push could not begin", err, r);
        if (!again)
            push_forget(m);
        return;
    }
    if (again && !m->engine->load->resumed)
        model_fail(m, "a push was flushed and does not go on");
    p->open = true;
    if (again) {
        p->left = false;
        go_on(m);
        return;
    }
    push_forget(m);
    p->open = true;
    p->now = content_copy(m->mode == MODE_MIRROR ? &m->gens[m->gen] : NULL);
    p->flushed = content_copy(&p->now);
}

static void abandon(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (!m->push.open)
        return;
    r = load_abandon(m->engine, 0, &err);
    if (r < 0)
        unexpected(m, "a push could not be abandoned", err, r);
    push_forget(m);
}

void push_give_up(struct model *m)
{
    abandon(m);
}

static void note(struct model_push *p, const struct guest_write *w)
{
    struct guest_write *x = &p->writes[p->write_count++];

    *x = *w;
    x->bytes = mem_new(1, w->length);
    memcpy(x->bytes, w->bytes, w->length);
}

static void write_once(struct model *m)
{
    struct model_push *p = &m->push;
    uint64_t grain = below(m, 2) ? 1 : below(m, 2) ? 512 : BLOCK_SIZE;
    bool hot = below(m, 2); /* things happen to a block that something happened to */
    struct guest_write w = {.disk = hot ? 0 : below(m, MEM_DISKS)};
    struct disk *d;
    bool zero = below(m, 4) == 0;
    int r;

    if (!p->open || p->write_count == PUSH_WRITES)
        return;
    d = &m->engine->disks[w.disk];
    w.offset = below(m, (unsigned)div_up(hot ? BLOCK_SIZE : d->size, grain)) * grain;
    w.length = MIN(d->size - w.offset, grain * (1 + below(m, grain == BLOCK_SIZE ? 3 : 3000)));
    w.bytes = mem_new(1, w.length);
    if (!zero && below(m, 3) == 0 && m->gen != NO_GENERATION)
        memcpy(w.bytes, m->gens[m->gen].bytes[w.disk] + w.offset, w.length); /* as it is */
    else if (!zero)
        memset(w.bytes, 1 + (int)below(m, 255), w.length);
    note(p, &w);
    r = zero ? load_zero(m->engine->load, d, w.length, w.offset, below(m, 2) ? 2 : 0)
             : load_pwrite(m->engine->load, d, w.bytes, (uint32_t)w.length, w.offset);
    if (r == 0)
        memcpy(p->now.bytes[w.disk] + w.offset, w.bytes, w.length);
    free(w.bytes);
    if (r < 0) {
        unexpected(m, "a write to a push failed", NULL, r);
        if (!sim_dead(m->sim))
            abandon(m); /* what it holds now is anybody's guess */
    }
}

static void write_some(struct model *m)
{
    for (unsigned n = 1 + below(m, 3); n > 0 && !sim_dead(m->sim); n--)
        write_once(m);
}

static void flush(struct model *m)
{
    struct model_push *p = &m->push;
    int r = 0;

    for (unsigned d = 0; p->open && r == 0 && d < MEM_DISKS; d++)
        r = load_flush(m->engine->load, &m->engine->disks[d]);
    if (!p->open)
        return;
    if (r == 0) {
        for (unsigned d = 0; d < MEM_DISKS; d++)
            memcpy(p->flushed.bytes[d], p->now.bytes[d], mem_sizes[d]);
        forget_writes(p);
        return;
    }
    unexpected(m, "a flush of a push failed", NULL, r);
    if (!sim_dead(m->sim) && !m->engine->failed)
        abandon(m);
}

/* What was pushed is a point in time of the source from now on, so that syncs can go on from it. */
static int as_point(struct model *m)
{
    int point = (int)memsource_point(m->source);

    for (unsigned d = 0; d < MEM_DISKS; d++)
        memcpy(m->source->points[point][d], m->push.now.bytes[d], mem_sizes[d]);
    return point;
}

static void commit(struct model *m)
{
    _cleanup_error_ struct error *err = NULL;
    struct model_push *p = &m->push;
    struct load_result result;
    int r;

    if (!p->open)
        return;
    m->point = as_point(m);
    reference_generation(m, content_copy(&p->now), m->point);
    r = load_commit(m->engine, 0, NULL, NULL, &result, &err);
    if (r == 0) {
        m->gen++;
        m->mode = MODE_MIRROR;
        m->maybe_gen = false;
        reference_promise(m);
        if (result.generation != m->gen)
            model_fail(m, "the push says it is generation %" PRIu64, result.generation);
        push_forget(m);
        return;
    }
    unexpected(m, "a push could not be committed", err, r);
    if (sim_dead(m->sim) || m->engine->failed)
        return;
    m->maybe_gen = false;
    content_free(&m->gens[m->gen + 1]);
    abandon(m);
}

void push_check(struct model *m)
{
    for (unsigned d = 0; m->push.open && d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        read_back(m, d, have);
        if (memcmp(have, m->push.now.bytes[d], mem_sizes[d]) != 0)
            model_fail(m, "disk %s of the push does not read back", model_disks[d]);
    }
}

void push_step(struct model *m, enum step_kind kind)
{
    if (kind == STEP_PUSH_BEGIN)
        begin(m);
    else if (kind == STEP_PUSH_WRITE)
        write_some(m);
    else if (kind == STEP_PUSH_FLUSH)
        flush(m);
    else if (kind == STEP_PUSH_COMMIT)
        commit(m);
    else if (kind == STEP_PUSH_ABANDON)
        abandon(m);
}
