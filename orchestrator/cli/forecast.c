/* SPDX-License-Identifier: Apache-2.0 */
/* slipway forecast NAME: how long the VM would be down. */
#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/fields.h"

static double seconds(const json_t *range, const char *field)
{
    return json_number_value(json_object_get(range, field));
}

static void print_range(const char *label, const json_t *range)
{
    if (!json_is_object(range))
        printf("  %-11s %9s\n", label, "not known");
    else
        printf("  %-11s %7.1f s   %7.1f … %.1f s\n", label, seconds(range, "expected_s"),
               seconds(range, "low_s"), seconds(range, "high_s"));
}

static void print_rate(const char *label, const json_t *bytes_s)
{
    char text[32];

    if (!json_is_number(bytes_s))
        return;
    str_from_bytes((uint64_t)json_number_value(bytes_s), text, sizeof(text));
    printf("  %-11s %s/s\n", label, text);
}

/* What would make the unknown parts known. */
static void print_hints(const json_t *unknown)
{
    static const struct {
        const char *part, *hint;
    } hints[] = {{"delta", "a second 'slipway sync' tells how fast the VM writes"},
                 {"morph", "'slipway rehearse' measures morph and start"},
                 {"shutdown", "shutdown and flip are measured by a cutover alone"}};
    json_t *part;
    size_t i;

    for (size_t h = 0; h < ARRAY_SIZE(hints); h++)
        json_array_foreach((json_t *)(uintptr_t)unknown, i, part)
            if (json_is_string(part) && strcmp(json_string_value(part), hints[h].part) == 0)
                printf("  %s\n", hints[h].hint);
}

static void print(const char *name, const json_t *forecast)
{
    static const char *const parts[] = {"shutdown", "delta", "morph", "flip", "start"};
    bool at_least = field_bool(forecast, "at_least", false);

    printf("%s: downtime of a cutover now\n", name);
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        print_range(parts[i], json_object_get(forecast, parts[i]));
    print_range(at_least ? "at least" : "total", json_object_get(forecast, "total"));
    print_rate("written", json_object_get(forecast, "dirty_bytes_s"));
    print_rate("copied", json_object_get(forecast, "rate_bytes_s"));
    print_hints(json_object_get(forecast, "unknown"));
}

static int run(int argc, char **argv)
{
    _cleanup_json_ json_t *forecast = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_forecast, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("migrations", argv[optind], "forecast");
    r = client_call(common.socket, "GET", path, NULL, &forecast, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(forecast);
    else
        print(argv[optind], forecast);
    return EXIT_CODE_OK;
}

const struct cli_verb verb_forecast = {
    "forecast", "NAME", 1, 1, "how long the VM would be down, and why", run, NULL, 0,
    "@migration"};
