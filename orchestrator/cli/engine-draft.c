/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine draft ... */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"

static void print_draft(const json_t *draft)
{
    const json_t *disks = json_object_get(draft, "disks");
    char bytes[32];

    printf("%-16s over generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
           " connection(s), made %s\n", json_string_value(json_object_get(draft, "name")),
           json_integer_value(json_object_get(draft, "generation")),
           json_integer_value(json_object_get(draft, "connections")),
           json_string_value(json_object_get(draft, "created")));
    for (size_t i = 0; i < json_array_size(disks); i++) {
        const json_t *d = json_array_get(disks, i);
        json_int_t written = json_integer_value(json_object_get(d, "written_bytes"));

        printf("  %-14s %s written\n", json_string_value(json_object_get(d, "name")),
               str_from_bytes((uint64_t)written, bytes, sizeof(bytes)));
    }
}

static int list(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    int r = session_open(&s, a, err);

    if (r < 0)
        return r;
    r = session_call(&s, "draft-list", NULL, &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0) {
        const json_t *drafts = json_object_get(result, "drafts");

        for (size_t i = 0; i < json_array_size(drafts); i++)
            print_draft(json_array_get(drafts, i));
    }
    json_decref(result);
    return session_close(&s, r, err);
}

int engine_verb_draft(const struct engine_args *a, struct error **err)
{
    const char *done = strcmp(a->verb, "draft-create") == 0 ? "the draft is open"
                       : strcmp(a->verb, "draft-seal") == 0 ? "the draft is the latest generation"
                                                            : "the draft is gone";
    json_t *request;
    int r = session_need_engine(a, err);

    if (r < 0)
        return r;
    if (strcmp(a->verb, "draft-list") == 0)
        return list(a, err);
    request = json_pack("{s:s}", "name", a->draft_name);
    if (a->generation >= 0)
        json_object_set_new(request, "generation", json_integer(a->generation));
    if (a->token && strcmp(a->verb, "draft-seal") == 0)
        json_object_set_new(request, "token", json_string(a->token));
    return session_simple(a, a->verb, request, done, err);
}
