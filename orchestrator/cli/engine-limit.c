/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine limit: how fast background work may go. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/cli/engine.h"

static const char *const fields[ENGINE_LIMITS] = {
    [ENGINE_LIMIT_SOURCE_RATE] = "source_bytes_s",
    [ENGINE_LIMIT_SOURCE_IOPS] = "source_iops",
    [ENGINE_LIMIT_TARGET_RATE] = "target_bytes_s",
    [ENGINE_LIMIT_TARGET_IOPS] = "target_iops",
};

int engine_limit_parse(struct engine_args *a, enum engine_limit which, const char *value,
                       struct error **err)
{
    bool rate = which == ENGINE_LIMIT_SOURCE_RATE || which == ENGINE_LIMIT_TARGET_RATE;
    uint64_t number = 0;
    int r = strcmp(value, "unlimited") == 0 ? 0 : str_to_bytes(value, &number);

    if (r == 0 && !rate && strcmp(value, "unlimited") != 0 &&
        value[strspn(value, "0123456789")] != '\0')
        r = -EINVAL;
    if (r < 0 || number > UINT64_C(1) << 50)
        return error_set(err, EINVAL, "'%s' is no limit: %s, or 'unlimited'", value,
                         rate ? "give bytes per second, as 800K, 100M or 2G"
                              : "give a whole number of requests per second");
    a->limits[which] = number;
    a->limit_given[which] = true;
    return 0;
}

static json_t *limit_request(const struct engine_args *a)
{
    json_t *q = json_object();

    if (a->one_disk)
        json_object_set_new(q, "disk", json_string(a->one_disk));
    for (unsigned i = 0; i < ENGINE_LIMITS; i++)
        if (a->limit_given[i])
            json_object_set_new(q, fields[i], json_integer((json_int_t)a->limits[i]));
    return q;
}

static void print_side(const json_t *rates, const char *bytes_name, const char *iops_name)
{
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(rates, bytes_name));
    uint64_t iops = (uint64_t)json_integer_value(json_object_get(rates, iops_name));
    char text[64] = "", size[32];
    size_t n = 0;

    if (bytes)
        n = (size_t)snprintf(text, sizeof(text), "%s/s",
                             str_from_bytes(bytes, size, sizeof(size)));
    if (iops)
        snprintf(text + n, sizeof(text) - n, "%s%" PRIu64 " IOPS", n ? ", " : "", iops);
    printf("  %-28s", text[0] ? text : "unlimited");
}

static void print_rates(const char *name, const json_t *rates)
{
    printf("  %-14s", name);
    print_side(rates, "source_bytes_s", "source_iops");
    print_side(rates, "target_bytes_s", "target_iops");
    putchar('\n');
}

static void print_limits(const json_t *limits)
{
    const char *name;
    json_t *rates;

    printf("  %-14s  %-28s  %s\n", "", "source", "target");
    print_rates("the whole VM", json_object_get(limits, "vm"));
    json_object_foreach(json_object_get(limits, "disks"), name, rates)
        print_rates(name, rates);
}

static bool is_limited(const json_t *rates)
{
    bool limited = false;
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)rates, name, value)
        limited |= json_integer_value(value) > 0;
    return limited;
}

void engine_print_limits(const json_t *status)
{
    const json_t *limits = json_object_get(status, "limits");
    bool limited = is_limited(json_object_get(limits, "vm"));
    const char *name;
    json_t *rates;

    json_object_foreach(json_object_get(limits, "disks"), name, rates)
        limited |= is_limited(rates);
    if (limited) {
        printf("  limits of background work:\n");
        print_limits(limits);
    }
}

int engine_verb_limit(const struct engine_args *a, struct error **err)
{
    struct session s;
    json_t *result = NULL;
    int r = session_open(&s, a, err);

    if (r < 0)
        return r;
    s.brief = true;
    r = session_call(&s, "limit", limit_request(a), &result, err);
    if (r == 0 && a->json)
        session_print(result);
    else if (r == 0)
        print_limits(result);
    json_decref(result);
    return session_close(&s, r, err);
}
