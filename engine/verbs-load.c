/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/str.h"
#include "engine/load.h"
#include "engine/verbcall.h"

static json_t *load_exports(const struct engine *e)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < e->disk_count; i++) {
        _cleanup_free_ char *name = str_format("%s%s", e->disks[i].name, LOAD_SUFFIX);

        json_array_append_new(list, json_string(name));
    }
    return list;
}

static int verb_load_begin(struct call *c, json_t **ret_result, struct error **err)
{
    struct engine *e = c->engine;
    int r = load_begin(e, text_arg(c, "snapshot"), err);

    if (r < 0)
        return r;
    LOCK_FOR_SCOPE(&e->lock);
    if (!e->load)
        return error_set(err, ECANCELED, "the push to %s was ended at once by somebody else",
                         e->store);
    *ret_result = json_pack("{s:s, s:b, s:b, s:o}", "snapshot", e->load->snapshot, "initial",
                            e->load->initial, "resumed", e->load->resumed, "exports",
                            load_exports(e));
    return 0;
}

static json_t *load_result_json(const struct load_result *x)
{
    json_t *passes = json_array();

    for (unsigned i = 0; i < x->disk_count; i++)
        json_array_append_new(passes, json_pack(
            "{s:s, s:I, s:I, s:I, s:I}", "disk", x->disks[i].disk, "bytes",
            (json_int_t)x->disks[i].received_bytes, "written_bytes",
            (json_int_t)x->disks[i].written_bytes, "zero_bytes",
            (json_int_t)x->disks[i].zero_bytes, "same_bytes",
            (json_int_t)x->disks[i].same_bytes));
    return json_pack("{s:I, s:s, s:o}", "generation", (json_int_t)x->generation, "snapshot",
                     x->snapshot, "passes", passes);
}

/* A commit whose answer got lost: nothing is open, and the mirror is there already. */
static bool is_committed(struct engine *e, const char *snapshot)
{
    struct super root = superfile_get(&e->super);

    LOCK_FOR_SCOPE(&e->lock);
    return !e->load && root.mode != MODE_INIT && strcmp(root.snapshot, snapshot) == 0;
}

static int verb_load_commit(struct call *c, json_t **ret_result, struct error **err)
{
    const char *snapshot = text_arg(c, "snapshot");
    bool already = snapshot && is_committed(c->engine, snapshot);
    struct load_result result = {.generation = c->engine->cur_gen};
    int r = 0;

    if (already)
        snprintf(result.snapshot, sizeof(result.snapshot), "%s", snapshot);
    else
        r = load_commit(c->engine, grace_arg(c, 5), report_progress, c, &result, err);
    if (r == 0) {
        *ret_result = load_result_json(&result);
        json_object_set_new(*ret_result, "already", json_boolean(already));
    }
    return r;
}

static int verb_load_abandon(struct call *c, json_t **ret_result, struct error **err)
{
    int r = load_abandon(c->engine, grace_arg(c, 5), err);

    if (r == 0)
        *ret_result = json_object();
    return r;
}

const struct verb verbs_load[] = {
    {"load-begin", verb_load_begin, " snapshot "},
    {"load-commit", verb_load_commit, " grace_s snapshot "},
    {"load-abandon", verb_load_abandon, " grace_s "},
    {0},
};
