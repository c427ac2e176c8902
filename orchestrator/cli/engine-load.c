/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine load: NBD clients write the disks into the engine. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s ? s : "?";
}

static uint64_t bytes_of(const json_t *j, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(j, name));
}

static void print_begun(const struct engine_args *a, const json_t *result)
{
    const json_t *exports = json_object_get(result, "exports");

    printf("%s: a push of %s is open (%s%s); write to:\n", a->store, text(result, "snapshot"),
           json_is_true(json_object_get(result, "initial")) ? "initial copy" : "delta",
           json_is_true(json_object_get(result, "resumed")) ? ", goes on" : "");
    for (size_t i = 0; i < json_array_size(exports); i++)
        printf("  nbd+unix:///%s?socket=%s/%s\n", json_string_value(json_array_get(exports, i)),
               a->store, NBD_SOCKET_NAME);
}

static void print_committed(const json_t *result)
{
    const json_t *passes = json_object_get(result, "passes");
    char received[32], written[32], zero[32], same[32];

    printf("generation %" JSON_INTEGER_FORMAT " is %s\n",
           json_integer_value(json_object_get(result, "generation")), text(result, "snapshot"));
    for (size_t i = 0; i < json_array_size(passes); i++) {
        const json_t *p = json_array_get(passes, i);

        printf("  %-12s %s received, %s written, %s zero, %s unchanged\n", text(p, "disk"),
               str_from_bytes(bytes_of(p, "bytes"), received, sizeof(received)),
               str_from_bytes(bytes_of(p, "written_bytes"), written, sizeof(written)),
               str_from_bytes(bytes_of(p, "zero_bytes"), zero, sizeof(zero)),
               str_from_bytes(bytes_of(p, "same_bytes"), same, sizeof(same)));
    }
}

static json_t *request(const struct engine_args *a)
{
    json_t *q = json_object();

    if (strcmp(a->verb, "load-abandon") != 0 && a->snapshot)
        json_object_set_new(q, "snapshot", json_string(a->snapshot));
    if (strcmp(a->verb, "load-begin") != 0 && a->grace_s >= 0)
        json_object_set_new(q, "grace_s", json_real(a->grace_s));
    return q;
}

static void print(const struct engine_args *a, json_t *result)
{
    if (a->json)
        session_print(result);
    else if (strcmp(a->verb, "load-begin") == 0)
        print_begun(a, result);
    else if (strcmp(a->verb, "load-commit") == 0)
        print_committed(result);
    else
        printf("%s: nothing of the push is left\n", a->store);
}

/* A push lives in its engine; only what an engine that ended has left of one can be abandoned with
 * an engine of this command's own. */
int engine_verb_load(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    int r = strcmp(a->verb, "load-abandon") == 0 ? 0 : session_need_engine(a, err);

    if (r == 0)
        r = session_open(&s, a, err);
    if (r < 0)
        return r;
    r = session_call(&s, a->verb, request(a), &result, err);
    if (r == 0)
        print(a, result);
    json_decref(result);
    return session_close(&s, r, err);
}
