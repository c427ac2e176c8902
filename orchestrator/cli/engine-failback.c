/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine failback: the VM goes back to its source. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"

static uint64_t bytes_of(const json_t *j, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(j, name));
}

static int failback_request(const struct engine_args *a, json_t **ret_request, struct error **err)
{
    json_t *q;

    if (a->disk_count == 0)
        return error_set(err, EINVAL, "failback needs NAME=NBD-URI for each disk: where it came "
                                      "from");
    for (size_t i = 0; i < a->bitmap_count; i++) {
        size_t k = 0;

        while (k < a->disk_count && strcmp(a->bitmaps[i].name, a->disks[k].name) != 0)
            k++;
        if (k == a->disk_count)
            return error_set(err, EINVAL, "--bitmap names disk '%s', but no URI is given for it",
                             a->bitmaps[i].name);
    }
    q = json_pack("{s:o, s:b}", "disks", engine_disks_json(a), "final", a->final);
    if (a->check)
        json_object_set_new(q, "check", json_string(a->check));
    if (a->grace_s >= 0)
        json_object_set_new(q, "grace_s", json_real(a->grace_s));
    *ret_request = q;
    return 0;
}

static void print_disk(const json_t *d)
{
    const char *name = json_string_value(json_object_get(d, "disk"));
    char sent[32], zero[32];

    printf("  %-12s %s sent, %s of them zero, %.1f s\n", name ? name : "?",
           str_from_bytes(bytes_of(d, "sent_bytes"), sent, sizeof(sent)),
           str_from_bytes(bytes_of(d, "zero_bytes"), zero, sizeof(zero)),
           json_number_value(json_object_get(d, "seconds")));
}

static void print_failback(const struct engine_args *a, const json_t *result)
{
    const json_t *disks = json_object_get(result, "disks");
    char dirty[32];

    for (size_t i = 0; i < json_array_size(disks); i++)
        print_disk(json_array_get(disks, i));
    if (a->final)
        printf("%s: returned%s; the source's disks are the truth now\n", a->store,
               json_is_true(json_object_get(result, "already")) ? " before" : "");
    else
        printf("%s: written meanwhile and to be sent: %s; stop the VM and run the pass with "
               "--final when that is little\n", a->store,
               str_from_bytes(bytes_of(result, "dirty_bytes"), dirty, sizeof(dirty)));
}

void engine_print_failback(const json_t *status)
{
    const json_t *f = json_object_get(status, "failback");
    const json_t *disks = json_object_get(status, "disks");
    const char *mode = json_string_value(json_object_get(status, "mode"));
    const char *phase = json_string_value(json_object_get(f, "phase"));
    char done[32], total[32];
    uint64_t dirty = 0;

    for (size_t i = 0; i < json_array_size(disks); i++)
        dirty += bytes_of(json_array_get(disks, i), "dirty_bytes");
    if (mode && strcmp(mode, "failback") == 0 && json_is_true(json_object_get(status, "running")))
        printf("  failback: %s to be sent\n", str_from_bytes(dirty, total, sizeof(total)));
    if (json_is_object(f))
        printf("  %s of failback: %s, %s of %s\n",
               json_is_true(json_object_get(f, "final")) ? "final pass" : "pass",
               phase ? phase : "?",
               str_from_bytes(bytes_of(f, "done_bytes"), done, sizeof(done)),
               str_from_bytes(bytes_of(f, "total_bytes"), total, sizeof(total)));
}

int engine_verb_failback(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *request = NULL, *result = NULL;
    int r = failback_request(a, &request, err);

    if (r < 0)
        return r;
    r = session_open(&s, a, err);
    if (r < 0) {
        json_decref(request);
        return r;
    }
    r = session_call(&s, "failback", request, &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_failback(a, result);
    json_decref(result);
    return session_close(&s, r, err);
}
