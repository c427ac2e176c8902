/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "engine/failback.h"
#include "engine/verbcall.h"

static int parse_check(const char *text, enum failback_check *ret_check, struct error **err)
{
    static const char *const names[] = {
        [FAILBACK_CHECK_BITMAP] = "bitmap",
        [FAILBACK_CHECK_DIGEST] = "digest",
        [FAILBACK_CHECK_NONE] = "none",
    };

    *ret_check = FAILBACK_CHECK_DEFAULT;
    if (!text)
        return 0;
    for (unsigned i = FAILBACK_CHECK_BITMAP; i <= FAILBACK_CHECK_NONE; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_check = (enum failback_check)i;
            return 0;
        }
    return error_set(err, EINVAL, "'%s' is no check; it is bitmap, digest or none", text);
}

static int verb_failback(struct call *c, json_t **ret_result, struct error **err)
{
    struct sync_source sources[DISKS_MAX] = {0};
    struct failback_request q = {.sources = sources, .grace_ns = grace_arg(c, 5),
                                 .final = json_is_true(json_object_get(c->args, "final"))};
    struct failback *f = mem_new(1, sizeof(*f));
    int r = parse_check(text_arg(c, "check"), &q.check, err);

    if (r == 0)
        r = parse_sources(c, sources, &q.source_count, err);
    if (r == 0)
        r = failback_run(f, c->engine, &q, report_progress, c, ret_result, err);
    free(f);
    return r;
}

const struct verb verbs_failback[] = {
    {"failback", verb_failback, " disks final check grace_s "},
    {0},
};
