/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/failback.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/export.h"
#include "engine/lock.h"

#define CONNECT_NS (30 * NS_PER_S)

static bool cancelled(void *context)
{
    return atomic_load(&((struct failback *)context)->cancel);
}

int failback_go_on(struct failback *f, const char *phase, uint64_t done, uint64_t total,
                   struct error **err)
{
    struct progress_report p = {phase, done, MAX(done, total)};

    pthread_mutex_lock(&f->engine->lock);
    f->report = p;
    pthread_mutex_unlock(&f->engine->lock);
    if (f->progress)
        f->progress(&p, f->context);
    if (cancelled(f))
        return error_set(err, ECANCELED, "the failback was cancelled; what was not sent is sent by "
                                         "the next pass");
    if (f->engine->failed)
        return error_set(err, EIO, "the engine of %s has stopped changing anything; see to its "
                                   "disks and restart it", f->engine->store);
    return 0;
}

/* ---- destinations ---- */

static int open_destination(struct failback *f, const struct sync_source *s, struct error **err)
{
    struct failback_disk *fd = &f->disks[f->disk_count++];
    uint64_t have;
    int r;

    fd->disk = engine_disk(f->engine, s->name);
    fd->source = s;
    f->check_total += fd->disk->size;
    r = f->engine->writers->open(s->uri, CONNECT_NS, cancelled, f, &fd->writer, err);
    if (r < 0)
        return error_prefix(err, "disk %s", s->name), r;
    have = fd->writer->ops->size(fd->writer);
    if (have != fd->disk->size)
        return error_set(err, EINVAL,
                         "disk %s: the destination has %" PRIu64 " bytes, the disk %" PRIu64
                         "; is it the disk this VM came from?", s->name, have, fd->disk->size);
    if (fd->writer->ops->max_request(fd->writer) < BLOCK_SIZE)
        return error_set(err, EOPNOTSUPP, "disk %s: the destination takes less than 64 KiB at a "
                                          "time; serve it without such a limit", s->name);
    return 0;
}

/* Some servers take one client at a time, so they are let go while somebody else reads there. */
static void close_destinations(struct failback *f)
{
    for (unsigned i = 0; i < f->disk_count; i++)
        writer_close(steal_ptr(f->disks[i].writer));
}

static int open_destinations(struct failback *f, struct error **err)
{
    const struct failback_request *q = f->request;
    int r = 0;

    f->disk_count = 0;
    f->check_total = 0;
    for (unsigned i = 0; r == 0 && i < q->source_count; i++)
        r = open_destination(f, &q->sources[i], err);
    return r;
}

/* ---- the first pass: is it the disk we came from? ---- */

static int root_failback(struct super *s, void *context)
{
    s->mode = MODE_FAILBACK;
    return 0;
}

static int change_mode(struct failback *f, int (*change)(struct super *, void *),
                       struct error **err)
{
    struct engine *e = f->engine;
    int r = superfile_update(&e->super, change, f);

    if (r < 0) {
        engine_fail(e);
        return error_set_errno(err, -r, "cannot write the superblock of %s", e->store);
    }
    LOCK_FOR_SCOPE(&e->lock);
    e->mode = e->super.current.mode;
    pthread_cond_broadcast(&e->changed);
    return 0;
}

static int begin_failback(struct failback *f, struct error **err)
{
    bool first = f->engine->mode == MODE_OWNER;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < f->disk_count; i++)
        r = first ? failback_check_source(f, &f->disks[i], err)
                  : failback_check_sample(f, &f->disks[i], err);
    if (!first)
        return r;
    return r < 0 ? r : change_mode(f, root_failback, err);
}

/* ---- passes ---- */

static uint64_t dirty_bytes(const struct disk *d)
{
    return MIN(owner_count_dirty(d->owner) * BLOCK_SIZE, d->size);
}

static uint64_t all_dirty(const struct failback *f)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < f->disk_count; i++)
        sum += dirty_bytes(f->disks[i].disk);
    return sum;
}

struct done {
    uint64_t before; /* bytes of passes that have ended */
    uint64_t total;
};

/* Sent and read back: each half of it. */
static int drive(struct failback *f, struct failback_pass *pass, struct done *done,
                 struct error **err)
{
    int r, step = PASS_MORE;

    while (step != PASS_DONE) {
        struct pass_status s = failback_pass_status(pass);

        r = failback_go_on(f, "failback", done->before + (s.sent_bytes + s.checked_bytes) / 2,
                           done->total, err);
        if (r < 0)
            return r;
        step = failback_pass_step(pass, err);
        if (step < 0)
            return step;
        if (step == PASS_WAIT)
            failback_pass_wait(pass);
    }
    return 0;
}

/* The destination is not used after a failure: operations may be under way in it. */
static int one_pass(struct failback *f, struct failback_disk *fd, struct done *done,
                    struct error **err)
{
    struct pass_options options = {fd->disk->owner, fd->writer, f->request->window_blocks};
    struct failback_pass *pass = NULL;
    uint64_t start = clock_now_ns();
    struct pass_status s;
    int r = failback_pass_new(&options, &pass);

    if (r < 0)
        return error_set_errno(err, -r, "cannot send disk %s", fd->disk->name);
    yield_watch(&f->engine->yield);
    r = drive(f, pass, done, err);
    yield_unwatch(&f->engine->yield);
    s = failback_pass_status(pass);
    if (r < 0)
        writer_close(steal_ptr(fd->writer)); /* before the buffers its operations point to */
    failback_pass_free(pass);
    fd->sent_bytes += s.sent_bytes;
    fd->zero_bytes += s.zero_bytes;
    fd->nanoseconds += clock_now_ns() - start;
    fd->passes++;
    done->before += s.sent_bytes;
    return r;
}

static int pass_over_all(struct failback *f, struct error **err)
{
    struct done done = {0, all_dirty(f)};
    int r = 0;

    for (unsigned i = 0; r == 0 && i < f->disk_count; i++)
        r = one_pass(f, &f->disks[i], &done, err);
    return r;
}

/* ---- the final pass ---- */

/* No new export from here on, and nobody is left who has one. */
static int close_exports(struct failback *f, struct error **err)
{
    struct engine *e = f->engine;
    uint64_t until = clock_now_ns() + f->request->grace_ns;

    LOCK_FOR_SCOPE(&e->lock);
    e->returning = true;
    for (;;) {
        unsigned clients = export_count_owner_locked(e);

        if (clients == 0)
            return 0;
        if (clock_now_ns() >= until || cancelled(f))
            return error_set(err, EBUSY,
                             "%u connection%s still use%s the disks of %s; stop the VM, then run "
                             "the final pass again", clients, clients == 1 ? "" : "s",
                             clients == 1 ? "s" : "", e->store);
        pthread_mutex_unlock(&e->lock);
        clock_sleep_ns(20 * NS_PER_MS);
        pthread_mutex_lock(&e->lock);
    }
}

static void open_exports(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->returning = false;
    pthread_cond_broadcast(&e->changed);
}

static int root_returned(struct super *s, void *context)
{
    s->mode = MODE_RETURNED;
    return 0;
}

static void gates(struct failback *f, void (*move)(struct gate *gate))
{
    for (unsigned i = 0; i < f->disk_count; i++)
        move(&f->disks[i].disk->owner->gate);
}

static int send_the_rest(struct failback *f, struct error **err)
{
    int r = 0;

    while (r == 0 && all_dirty(f) > 0)
        r = pass_over_all(f, err);
    close_destinations(f);
    for (unsigned i = 0; r == 0 && f->request->check == FAILBACK_CHECK_DIGEST && i < f->disk_count;
         i++)
        r = failback_check_all(f, &f->disks[i], err);
    return r;
}

static int final_pass(struct failback *f, struct error **err)
{
    struct engine *e = f->engine;
    int r = close_exports(f, err);

    if (r == 0) {
        HOLD_FOR_SCOPE(&e->epoch_lock);
        gates(f, gate_close);
        f->checked_bytes = 0; /* of the comparison in the end */
        r = send_the_rest(f, err);
        if (r == 0)
            r = change_mode(f, root_returned, err);
        gates(f, gate_open);
    }
    if (r < 0)
        open_exports(e);
    return r;
}

/* ---- all ---- */

static json_t *disk_json(const struct failback_disk *fd)
{
    return json_pack("{s:s, s:I, s:I, s:f}", "disk", fd->disk->name, "sent_bytes",
                     (json_int_t)fd->sent_bytes, "zero_bytes", (json_int_t)fd->zero_bytes,
                     "seconds", (double)fd->nanoseconds / 1e9);
}

static json_t *result_json(const struct failback *f, bool already)
{
    json_t *disks = json_array();

    for (unsigned i = 0; i < f->disk_count; i++)
        json_array_append_new(disks, disk_json(&f->disks[i]));
    return json_pack("{s:s, s:b, s:b, s:I, s:o}", "mode", store_mode_name(f->engine->mode),
                     "final", f->request->final, "already", already, "dirty_bytes",
                     (json_int_t)(already ? 0 : all_dirty(f)), "disks", disks);
}

static int run(struct failback *f, struct error **err)
{
    const struct failback_request *q = f->request;
    int r = sync_check_names(f->engine, q->sources, q->source_count, err);

    if (r == 0)
        r = open_destinations(f, err); /* what is wrong with them is told before the long check */
    close_destinations(f);
    if (r == 0)
        r = begin_failback(f, err);
    if (r == 0)
        r = open_destinations(f, err);
    if (r == 0)
        r = f->request->final ? final_pass(f, err) : pass_over_all(f, err);
    close_destinations(f);
    return r;
}

int failback_run(struct failback *f, struct engine *e, const struct failback_request *q,
                 progress_fn *progress, void *context, json_t **ret_result, struct error **err)
{
    unsigned modes = 1u << MODE_OWNER | 1u << MODE_FAILBACK | (q->final ? 1u << MODE_RETURNED : 0);
    int r = engine_operation_begin(e, "failback", modes, err);

    if (r < 0)
        return r;
    *f = (struct failback){.engine = e, .request = q, .progress = progress, .context = context,
                           .report = {"failback", 0, 0}};
    pthread_mutex_lock(&e->lock);
    e->failback = f;
    pthread_mutex_unlock(&e->lock);
    if (e->mode == MODE_RETURNED) /* the answer of an earlier call was lost */
        *ret_result = result_json(f, true);
    else
        r = run(f, err);
    if (r == 0 && !*ret_result)
        *ret_result = result_json(f, false);
    pthread_mutex_lock(&e->lock);
    e->failback = NULL;
    pthread_mutex_unlock(&e->lock);
    engine_operation_end(e);
    return r;
}
