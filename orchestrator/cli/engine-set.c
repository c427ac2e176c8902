/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine set: how many old generations stay, and what gives way when there is no room. */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"

static void print_policy(const json_t *j)
{
    uint64_t budget = (uint64_t)json_integer_value(json_object_get(j, "space_budget_bytes"));
    char text[32];

    printf("keep %" JSON_INTEGER_FORMAT " older generations; layers may take %s; when full: %s\n",
           json_integer_value(json_object_get(j, "keep")),
           budget ? str_from_bytes(budget, text, sizeof(text)) : "any space",
           json_string_value(json_object_get(j, "when_full")));
}

int engine_verb_set(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *request = json_object(), *result = NULL;
    int r;

    if (a->keep >= 0)
        json_object_set_new(request, "keep", json_integer(a->keep));
    if (a->has_budget)
        json_object_set_new(request, "space_budget_bytes",
                            json_integer((json_int_t)a->space_budget));
    if (a->when_full)
        json_object_set_new(request, "when_full", json_string(a->when_full));
    r = session_open(&s, a, err);
    if (r < 0) {
        json_decref(request);
        return r;
    }
    s.brief = true;
    r = session_call(&s, "set", request, &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_policy(result);
    json_decref(result);
    return session_close(&s, r, err);
}
