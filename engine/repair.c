/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/repair.h"

#include "base/str.h"

struct repair {
    struct verify *verify;
    struct engine *engine;
    struct verify_request request;
    uint64_t *sets[DISKS_MAX];
    progress_fn *progress;
    void *context;
};

static bool is_equal(const json_t *result)
{
    return json_is_true(json_object_get(result, "equal"));
}

/* What a sample has found says that there may be more. */
static int find(struct repair *x, json_t **ret_result, struct error **err)
{
    json_t *audit = NULL;
    int r = verify_run(x->verify, x->engine, &x->request, x->progress, x->context, ret_result, err);

    if (r < 0 || is_equal(*ret_result) || x->request.sample_percent >= 100)
        return r;
    audit = steal_ptr(*ret_result);
    x->request.sample_percent = 100;
    r = verify_run(x->verify, x->engine, &x->request, x->progress, x->context, ret_result, err);
    if (r == 0)
        json_object_set(*ret_result, "audit", audit);
    json_decref(audit);
    return r;
}

static void publish(struct engine *e, struct sync *s)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->sync = s;
    pthread_cond_broadcast(&e->changed);
}

static int fetch(struct repair *x, struct sync *s, json_t **ret_repaired, struct error **err)
{
    struct sync_request q = {.sources = x->request.sources,
                             .source_count = x->request.source_count,
                             .repair = x->sets};
    uint64_t bytes = 0;
    int r;

    if (atomic_load(&x->verify->cancel))
        return error_set(err, ECANCELED, "the verify was cancelled; nothing was changed");
    publish(x->engine, s);
    r = sync_open(s, x->engine, &q, err);
    if (r == 0)
        r = sync_run(s, x->progress, x->context, err);
    for (unsigned i = 0; r == 0 && i < s->disk_count; i++)
        bytes += s->disks[i].changed_bytes;
    if (r == 0)
        *ret_repaired = json_pack("{s:I, s:I}", "generation", (json_int_t)s->generation, "bytes",
                                  (json_int_t)bytes);
    publish(x->engine, NULL);
    sync_close(s);
    return r;
}

static int run(struct repair *x, json_t **ret_result, struct error **err)
{
    json_t *repaired = json_null();
    struct sync *s;
    int r;

    r = find(x, ret_result, err);
    if (r == 0 && !is_equal(*ret_result)) {
        s = mem_new(1, sizeof(*s));
        r = fetch(x, s, &repaired, err);
        free(s);
    }
    if (r == 0)
        json_object_set_new(*ret_result, "repaired", repaired);
    return r;
}

int repair_run(struct verify *verify, struct engine *e, const struct verify_request *request,
               progress_fn *progress, void *context, json_t **ret_result, struct error **err)
{
    struct repair x = {.verify = verify, .engine = e, .request = *request, .progress = progress,
                       .context = context};
    json_t *result = NULL;
    int r = engine_operation_begin(e, "repair", 1u << MODE_MIRROR, err);

    if (r < 0)
        return r;
    x.request.repair = x.sets;
    r = run(&x, &result, err);
    engine_operation_end(e);
    for (unsigned i = 0; i < DISKS_MAX; i++)
        free(x.sets[i]);
    if (r == 0)
        *ret_result = result;
    else
        json_decref(result);
    return r;
}
