/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "engine/verbcall.h"

/* true or "digest", "bytes", false or nothing. */
static int parse_compare(const struct call *c, struct sync_request *q, struct error **err)
{
    const char *how = text_arg(c, "compare");

    q->compare = how || json_is_true(json_object_get(c->args, "compare"));
    q->compare_bytes = how && strcmp(how, "bytes") == 0;
    if (how && !q->compare_bytes && strcmp(how, "digest") != 0)
        return error_set(err, EINVAL, "compare is 'digest' or 'bytes', not '%s'", how);
    return 0;
}

static int parse_sync(const struct call *c, struct sync_source sources[DISKS_MAX],
                      struct sync_request *q, struct error **err)
{
    json_int_t connections = json_integer_value(json_object_get(c->args, "connections"));

    q->sources = sources;
    q->snapshot = text_arg(c, "snapshot");
    if (connections < 0 || connections > 16)
        return error_set(err, EINVAL, "connections must be 1 to 16");
    q->connections = (unsigned)connections;
    if (q->snapshot && (!*q->snapshot || strlen(q->snapshot) > SNAPSHOT_ID_MAX))
        return error_set(err, EINVAL, "a snapshot id has 1 to %d bytes", SNAPSHOT_ID_MAX);
    if (parse_compare(c, q, err) < 0)
        return -EINVAL;
    return parse_sources(c, sources, &q->source_count, err);
}

static json_t *pass_json(const struct sync_disk *sd)
{
    const struct pull *p = &sd->pull;

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f}", "disk", sd->disk->name, "bytes",
                     (json_int_t)atomic_load(&p->read_bytes), "written_bytes",
                     (json_int_t)atomic_load(&p->written_bytes), "zero_bytes",
                     (json_int_t)(sd->zero_bytes + atomic_load(&p->zero_bytes)), "changed_bytes",
                     (json_int_t)(sd->changed_bytes - atomic_load(&p->same_bytes)), "same_bytes",
                     (json_int_t)atomic_load(&p->same_bytes), "seconds",
                     (double)sd->nanoseconds / 1e9);
}

static json_t *sync_result(const struct sync *s)
{
    json_t *passes = json_array();

    for (unsigned i = 0; i < s->disk_count; i++)
        json_array_append_new(passes, pass_json(&s->disks[i]));
    return json_pack("{s:I, s:s, s:b, s:o}", "generation", (json_int_t)s->generation, "snapshot",
                     s->snapshot, "already", s->already, "passes", passes);
}

static int run_sync(struct call *c, const struct sync_request *q, json_t **ret_result,
                    struct error **err)
{
    struct engine *e = c->engine;
    struct sync *s = mem_new(1, sizeof(*s));
    int r;

    pthread_mutex_lock(&e->lock);
    e->sync = s;
    pthread_mutex_unlock(&e->lock);
    r = sync_open(s, e, q, err);
    if (r == 0)
        r = sync_run(s, report_progress, c, err);
    if (r == 0)
        *ret_result = sync_result(s);
    pthread_mutex_lock(&e->lock);
    e->sync = NULL;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    sync_close(s);
    free(s);
    return r;
}

/* A second request for the same point in time waits for the first. */
static bool join_running(struct call *c, const char *snapshot)
{
    struct engine *e = c->engine;
    bool joined = false;

    for (;;) {
        struct progress_report p = {0};
        struct timespec until;

        pthread_mutex_lock(&e->lock);
        if (!snapshot || !e->sync || strcmp(e->sync->snapshot, snapshot) != 0) {
            pthread_mutex_unlock(&e->lock);
            return joined;
        }
        joined = true;
        sync_progress(e->sync, &p);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 1;
        pthread_cond_timedwait(&e->changed, &e->lock, &until);
        pthread_mutex_unlock(&e->lock);
        report_progress(&p, c);
    }
}

static int verb_sync(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct sync_request q = {0};
    int r = parse_sync(c, sources, &q, err);

    if (r < 0)
        return r;
    join_running(c, q.snapshot);
    r = engine_operation_begin(c->engine, "sync", 1u << MODE_INIT | 1u << MODE_MIRROR, err);
    if (r < 0)
        return r;
    r = run_sync(c, &q, ret_result, err);
    engine_operation_end(c->engine);
    return r;
}

const struct verb verbs_sync[] = {
    {"sync", verb_sync, " disks snapshot compare connections "},
    {0},
};
