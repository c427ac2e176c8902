/* SPDX-License-Identifier: Apache-2.0 */
/* What changed between two generations, and whether they are the same. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/diff.h"
#include "engine/fingerprint.h"
#include "engine/verbcall.h"

/* 1000 extents of two numbers with at most 16 digits stay far below CONTROL_LINE_MAX. */
_Static_assert(DIFF_EXTENTS_MAX * 40 < CONTROL_LINE_MAX / 2, "an event is one line");

static void send_extents(const struct disk *d, const struct diff_extent *extents, unsigned count,
                         void *context)
{
    struct call *c = context;
    json_t *list = json_array(), *event;

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_pack("[I, I]", (json_int_t)extents[i].offset,
                                              (json_int_t)extents[i].length));
    event = json_pack("{s:s, s:s, s:o}", "event", "extents", "disk", d->name, "extents", list);
    c->event(event, c->context);
    json_decref(event);
}

static int parse_generation(const struct call *c, const char *name, uint64_t *ret_gen,
                            struct error **err)
{
    const json_t *j = json_object_get(c->args, name);

    if (j && json_integer_value(j) < 0)
        return error_set(err, EINVAL, "'%s' is a generation, a number from 0 on", name);
    *ret_gen = j ? (uint64_t)json_integer_value(j) : NO_GENERATION;
    return 0;
}

static int parse_disk(const struct call *c, const struct disk **ret_disk, struct error **err)
{
    const char *name = text_arg(c, "disk");

    *ret_disk = name ? engine_disk(c->engine, name) : NULL;
    if (name && !*ret_disk)
        return error_set(err, ENOENT, "%s has no disk '%s'", c->engine->store, name);
    return 0;
}

static json_t *result_json(const struct engine *e, const struct disk *only,
                           const struct diff *diff)
{
    json_t *disks = json_array();

    for (unsigned i = 0; i < e->disk_count; i++) {
        const struct diff_disk *d = &diff->disks[i];

        if (only && only != &e->disks[i])
            continue;
        json_array_append_new(disks, json_pack("{s:s, s:I, s:I, s:I}", "name", e->disks[i].name,
                                               "changed_bytes", (json_int_t)d->changed_bytes,
                                               "extents", (json_int_t)d->extent_count,
                                               "written_bytes", (json_int_t)d->written_bytes));
    }
    return json_pack("{s:I, s:I, s:o}", "from", (json_int_t)diff->from, "to",
                     (json_int_t)diff->to, "disks", disks);
}

static int verb_diff(struct call *c, json_t **ret_result, struct error **err)
{
    struct diff_request q = {.fast = json_is_true(json_object_get(c->args, "fast")),
                             .extents = send_extents, .progress = report_progress, .context = c};
    struct diff diff = {0};
    int r = parse_generation(c, "from", &q.from, err);

    if (r == 0)
        r = parse_generation(c, "to", &q.to, err);
    if (r == 0)
        r = parse_disk(c, &q.disk, err);
    if (r == 0)
        r = diff_run(&diff, c->engine, &q, err);
    if (r == 0)
        *ret_result = result_json(c->engine, q.disk, &diff);
    return r;
}

static int fingerprint(struct engine *e, struct disk *d, uint64_t *gen,
                       uint8_t digest[DIGEST_SIZE], struct error **err)
{
    struct view *v = NULL;
    int r = view_get(e, *gen, &v);

    if (r == -ENOENT)
        return error_set(err, ENOENT, "generation %" PRIu64 " of %s is not retained; 'status' "
                                      "lists those that are", *gen, e->store);
    if (r < 0)
        return error_set(err, EPERM, "%s is no mirror; only generations have a digest", e->store);
    *gen = v->gen;
    r = fingerprint_view(v, d, &e->stopping, digest);
    view_put(v);
    return r < 0 ? error_set_errno(err, -r, "cannot read disk %s of %s", d->name, e->store) : 0;
}

static int verb_digest(struct call *c, json_t **ret_result, struct error **err)
{
    const struct disk *named = NULL;
    uint8_t digest[DIGEST_SIZE];
    char text[2 * DIGEST_SIZE + 1];
    uint64_t gen;
    int r = parse_generation(c, "generation", &gen, err);

    if (r == 0)
        r = parse_disk(c, &named, err);
    if (r == 0 && !named)
        r = error_set(err, EINVAL, "digest needs 'disk', the name of one");
    if (r == 0)
        r = fingerprint(c->engine, &c->engine->disks[named->index], &gen, digest, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < DIGEST_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    *ret_result = json_pack("{s:s, s:I, s:s}", "disk", named->name, "generation", (json_int_t)gen,
                            "digest", text);
    return 0;
}

const struct verb verbs_diff[] = {
    {"diff", verb_diff, " disk fast from to "},
    {"digest", verb_digest, " disk generation "},
    {0},
};
