/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine fsck: is what is here what it should be? */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/engine.h"
#include "orchestrator/enginehost.h"

static const char *text(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));

    return s ? s : "?";
}

/* Runs slipway-store with progress as sessions show it. */
static int run_tool(const struct engine_args *a, const char *const *words, json_t **ret_result,
                    struct error **err)
{
    struct session s = {.args = a};
    int r = engine_host_tool(words, session_event, &s, ret_result, err);

    session_event_end(&s);
    return r;
}

static void print_finding(const json_t *f)
{
    printf("%s: %s\n    %s\n    what to do: %s\n", text(f, "severity"), text(f, "thing"),
           text(f, "meaning"), text(f, "action"));
}

static void print_report(const struct engine_args *a, const json_t *report)
{
    const json_t *findings = json_object_get(report, "findings");
    size_t damages = 0, count = json_array_size(findings);
    char bytes[32];

    for (size_t i = 0; i < count; i++) {
        const json_t *f = json_array_get(findings, i);

        print_finding(f);
        damages += strcmp(text(f, "severity"), "damage") == 0;
    }
    if (a->data)
        printf("%s of bytes compared with their digests\n",
               str_from_bytes((uint64_t)json_integer_value(json_object_get(report,
                                                                          "checked_bytes")),
                              bytes, sizeof(bytes)));
    if (damages)
        printf("%s: damaged, %zu finding%s\n", a->store, damages, damages == 1 ? "" : "s");
    else
        printf("%s: sound, %zu note%s\n", a->store, count, count == 1 ? "" : "s");
}

int engine_verb_fsck(const struct engine_args *a, struct error **err)
{
    const char *words[] = {"fsck", a->store, a->data ? "--data" : NULL, NULL};
    json_t *report = NULL;
    bool sound;
    int r = run_tool(a, words, &report, err);

    if (r < 0)
        return r;
    sound = json_is_true(json_object_get(report, "sound"));
    if (a->json)
        session_print(report);
    else
        print_report(a, report);
    json_decref(report);
    return sound ? 0 : EXIT_CODE_DAMAGED;
}
