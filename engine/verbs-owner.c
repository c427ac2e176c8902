/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs that begin, feed and end the owner modes. */
#include "base/align.h"
#include "engine/digest.h"
#include "engine/flip.h"
#include "engine/hydrate.h"
#include "engine/owner.h"
#include "engine/sourcefile.h"
#include "engine/verbcall.h"

static json_t *mode_json(const struct engine *e, bool already)
{
    return json_pack("{s:s, s:I, s:b}", "mode", store_mode_name(e->mode), "generation",
                     (json_int_t)e->cur_gen, "already", already);
}

static int verb_flip(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct flip_request q = {.grace_ns = grace_arg(c, 2),
                             .instant = json_is_true(json_object_get(c->args, "instant")),
                             .sources = sources,
                             .snapshot = text_arg(c, "snapshot"),
                             .since = text_arg(c, "since")};
    uint8_t token[16];
    bool already = token_done(c, token, &q.token);
    int r = 0;

    if (r == 0)
        r = generation_arg(c, &q.generation, err);
    q.older = q.generation != NO_GENERATION;
    if (r == 0 && q.instant && q.older)
        return error_set(err, EINVAL, "an instant flip is to a snapshot, not to a generation");
    if (!q.instant && (q.snapshot || q.since || json_object_get(c->args, "disks")))
        return error_set(err, EINVAL, "disks, snapshot and since belong to an instant flip");
    if (r == 0 && q.instant)
        r = parse_sources(c, sources, &q.source_count, err);
    if (r == 0 && q.snapshot && (!*q.snapshot || strlen(q.snapshot) > SNAPSHOT_ID_MAX))
        return error_set(err, EINVAL, "a snapshot id has 1 to %d bytes", SNAPSHOT_ID_MAX);
    if (r == 0 && !already)
        r = engine_flip(c->engine, &q, report_progress, c, err);
    if (r == 0)
        *ret_result = mode_json(c->engine, already);
    return r;
}

static int verb_detach(struct call *c, json_t **ret_result, struct error **err)
{
    uint8_t token[16];
    const uint8_t *given;
    bool already = token_done(c, token, &given);
    int r = already ? 0 : engine_detach(c->engine, grace_arg(c, 5), given, err);

    if (r == 0)
        *ret_result = json_pack("{s:s, s:b}", "mode", store_mode_name(MODE_DETACHED), "already",
                                already);
    return r;
}

/* ---- where the source of a hydrating owner is ---- */

static int set_sources(struct engine *e, const struct sync_source *sources, unsigned count,
                       struct error **err)
{
    struct super root = superfile_get(&e->super);
    int r = sync_check_names(e, sources, count, err);

    if (r < 0)
        return r;
    r = sourcefile_write(e->io, e->store, sources, count, root.snapshot);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        struct hydrator *h = engine_disk(e, sources[i].name)->owner->hydrator;

        r = h ? hydrator_set_source(h, sources[i].uri) : 0;
    }
    return r < 0 ? error_set_errno(err, -r, "cannot note the place of the source in %s", e->store)
                 : 0;
}

static int verb_source(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    unsigned count = 0;
    int r = parse_sources(c, sources, &count, err);

    if (r == 0)
        r = engine_operation_begin(c->engine, "source", 1u << MODE_OWNER_HYD, err);
    if (r < 0)
        return r;
    r = set_sources(c->engine, sources, count, err);
    engine_operation_end(c->engine);
    if (r == 0)
        *ret_result = json_object();
    return r;
}

static int verb_source_lost(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;
    int r = engine_operation_begin(e, "source-lost", 1u << MODE_OWNER_HYD, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < e->disk_count; i++)
        if (e->disks[i].owner->hydrator)
            hydrator_source_lost(e->disks[i].owner->hydrator);
    engine_operation_end(e);
    *ret_result = json_object();
    return 0;
}

const struct verb verbs_owner[] = {
    {"flip", verb_flip, " grace_s generation instant disks snapshot since token "},
    {"detach", verb_detach, " grace_s token "},
    {"source", verb_source, " disks "},
    {"source-lost", verb_source_lost, " "},
    {0},
};
