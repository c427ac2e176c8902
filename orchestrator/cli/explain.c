/* SPDX-License-Identifier: Apache-2.0 */
/* slipway explain [NAME]: what is done next, and why. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

static const json_t *total(const json_t *decision)
{
    return json_object_get(json_object_get(decision, "forecast"), "total");
}

static double seconds(const json_t *range, const char *field)
{
    return json_number_value(json_object_get(range, field));
}

static void print_one(const json_t *d)
{
    const json_t *range = total(d);
    const char *action = field_string(d, "action", "none");

    printf("%s: %s\n", field_string(d, "name", ""), field_string(d, "state", ""));
    printf("  %s%s%s\n", strcmp(action, "none") == 0 ? "" : action,
           strcmp(action, "none") == 0 ? "" : ": ", field_string(d, "reason", ""));
    if (json_object_get(d, "refused"))
        printf("  the last try was refused: %s\n", field_string(d, "refused", ""));
    if (json_is_object(range))
        printf("  downtime of a cutover now: %s%.1f s (%.1f … %.1f s)\n",
               field_bool(json_object_get(d, "forecast"), "at_least", false) ? "at least " : "",
               seconds(range, "expected_s"), seconds(range, "low_s"), seconds(range, "high_s"));
    if (json_is_string(json_object_get(d, "again")))
        printf("  decided anew at %s\n", field_string(d, "again", ""));
}

static void print_all(const json_t *decisions)
{
    json_t *d;
    size_t i;

    printf("%-20s %-11s %-8s %-5s %s\n", "NAME", "STATE", "NOW", "PLACE", "WHY");
    json_array_foreach((json_t *)(uintptr_t)decisions, i, d) {
        const json_t *position = json_object_get(d, "position");
        const char *action = field_string(d, "action", "none");
        char place[24] = "-";

        if (json_is_integer(position))
            snprintf(place, sizeof(place), "%lld", (long long)json_integer_value(position));
        printf("%-20s %-11s %-8s %-5s %s\n", field_string(d, "name", ""),
               field_string(d, "state", ""), strcmp(action, "none") == 0 ? "-" : action, place,
               field_string(d, "reason", ""));
    }
}

static int run(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_explain, argc, argv, NULL, NULL);
    bool one = r < 0 && optind < argc;

    if (r >= 0)
        return r;
    path = one ? client_path("migrations", argv[optind], "explain") : str_dup("/v1/schedule");
    r = client_call(common.socket, "GET", path, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(answer);
    else if (one)
        print_one(answer);
    else
        print_all(json_object_get(answer, "decisions"));
    return EXIT_CODE_OK;
}

const struct cli_verb verb_explain = {
    "explain", "[NAME]", 0, 1, "what is done next, and why", run, NULL, 0, "@migration"};
