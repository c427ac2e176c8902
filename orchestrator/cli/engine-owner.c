/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine flip, detach, source, source-lost. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"

static json_t *grace_request(const struct engine_args *a)
{
    json_t *j = a->grace_s < 0 ? json_object() : json_pack("{s:f}", "grace_s", a->grace_s);

    if (a->token)
        json_object_set_new(j, "token", json_string(a->token));
    return j;
}

static const char *bitmap_of(const struct engine_args *a, const char *disk)
{
    for (size_t i = 0; i < a->bitmap_count; i++)
        if (strcmp(a->bitmaps[i].name, disk) == 0)
            return a->bitmaps[i].value;
    return NULL;
}

json_t *engine_disks_json(const struct engine_args *a)
{
    json_t *disks = json_array();

    for (size_t i = 0; i < a->disk_count; i++) {
        const char *bitmap = bitmap_of(a, a->disks[i].name);
        json_t *j = json_pack("{s:s, s:s}", "name", a->disks[i].name, "uri", a->disks[i].value);

        if (bitmap)
            json_object_set_new(j, "bitmap", json_string(bitmap));
        json_array_append_new(disks, j);
    }
    return disks;
}

static int flip_request(const struct engine_args *a, json_t **ret_request, struct error **err)
{
    json_t *j;

    if (!a->instant && (a->disk_count || a->bitmap_count || a->snapshot || a->since))
        return error_set(err, EINVAL, "NAME=NBD-URI, --bitmap, --snapshot and --since belong to "
                                      "flip --instant");
    if (a->instant && a->generation >= 0)
        return error_set(err, EINVAL, "--generation belongs to a flip that is not --instant");
    if (a->instant && (a->disk_count == 0 || !a->snapshot))
        return error_set(err, EINVAL, "flip --instant needs NAME=NBD-URI of every disk and "
                                      "--snapshot ID: where the rest is fetched, and what it is");
    j = grace_request(a);
    if (a->generation >= 0)
        json_object_set_new(j, "generation", json_integer(a->generation));
    if (a->instant) {
        json_object_set_new(j, "instant", json_true());
        json_object_set_new(j, "disks", engine_disks_json(a));
        json_object_set_new(j, "snapshot", json_string(a->snapshot));
        if (a->since)
            json_object_set_new(j, "since", json_string(a->since));
    }
    *ret_request = j;
    return 0;
}

static void print_flip(const struct engine_args *a, const json_t *result)
{
    const char *mode = json_string_value(json_object_get(result, "mode"));

    printf("%s: %s; the targets are read-write%s\n", a->store, mode ? mode : "owner",
           mode && strcmp(mode, "owner-hydrating") == 0
               ? ", what is missing is fetched from the source: leave it there until the mode is "
                 "owner"
               : "");
}

int engine_verb_flip(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *request = NULL, *result = NULL;
    int r = flip_request(a, &request, err);

    if (r < 0)
        return r;
    r = session_open(&s, a, err);
    if (r < 0) {
        json_decref(request);
        return r;
    }
    r = session_call(&s, "flip", request, &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_flip(a, result);
    json_decref(result);
    return session_close(&s, r, err);
}

int engine_verb_detach(const struct engine_args *a, struct error **err)
{
    return session_simple(a, "detach", grace_request(a), "detached; the targets are free", err);
}

int engine_verb_source(const struct engine_args *a, struct error **err)
{
    if (a->disk_count == 0)
        return error_set(err, EINVAL, "source needs NAME=NBD-URI of every disk: the place the same "
                                      "point in time is read from now");
    return session_simple(a, "source", json_pack("{s:o}", "disks", engine_disks_json(a)),
                          "the engine reads its source there", err);
}

int engine_verb_source_lost(const struct engine_args *a, struct error **err)
{
    return session_simple(a, "source-lost", NULL, "requests that need the source fail until it is "
                                                  "back", err);
}
