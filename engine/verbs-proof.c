/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "engine/manifest.h"
#include "engine/repair.h"
#include "engine/verbcall.h"
#include "engine/verify.h"

static int parse_verify(const struct call *c, struct sync_source sources[DISKS_MAX],
                        struct verify_request *q, struct error **err)
{
    const json_t *sample = json_object_get(c->args, "sample");

    q->sources = sources;
    q->sample_percent = sample ? json_number_value(sample) : 100;
    q->seed = clock_now_ns();
    q->bytes = json_is_true(json_object_get(c->args, "bytes"));
    if (!(q->sample_percent > 0 && q->sample_percent <= 100))
        return error_set(err, EINVAL, "a sample is more than 0 and at most 100 percent");
    return parse_sources(c, sources, &q->source_count, err);
}

/* One at a time.  No exclusive operation: it only reads, and syncs and readers go on. */
static int audit_begin(struct engine *e, struct verify *verify, struct error **err)
{
    LOCK_FOR_SCOPE(&e->lock);
    if (e->verify)
        return error_set(err, EBUSY, "%s is being verified, or a manifest is being made; wait for "
                                     "it or cancel it", e->store);
    e->verify = verify;
    return 0;
}

static void audit_end(struct engine *e)
{
    LOCK_FOR_SCOPE(&e->lock);
    e->verify = NULL;
}

static int verb_verify(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct verify_request q = {0};
    struct verify verify = {0};
    int r = parse_verify(c, sources, &q, err);

    if (r == 0)
        r = audit_begin(c->engine, &verify, err);
    if (r < 0)
        return r;
    if (json_is_true(json_object_get(c->args, "repair")))
        r = repair_run(&verify, c->engine, &q, report_progress, c, ret_result, err);
    else
        r = verify_run(&verify, c->engine, &q, report_progress, c, ret_result, err);
    audit_end(c->engine);
    return r;
}

static int verb_manifest(struct call *c, json_t **ret_result, struct error **err)
{
    struct verify stop = {0};
    int r = audit_begin(c->engine, &stop, err);

    if (r < 0)
        return r;
    r = manifest_make(&stop, c->engine, text_arg(c, "key"), report_progress, c, ret_result, err);
    audit_end(c->engine);
    return r;
}

const struct verb verbs_proof[] = {
    {"verify", verb_verify, " disks sample bytes repair "},
    {"manifest", verb_manifest, " key "},
    {0},
};
