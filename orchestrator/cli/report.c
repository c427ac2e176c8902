/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/report.h"

#include <stdio.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

static void print_pass(const json_t *pass)
{
    static const char *const figures[] = {"bytes", "zero_bytes", "changed_bytes", "rate_bytes_s"};
    const json_t *generation = json_object_get(pass, "generation");
    char text[ARRAY_SIZE(figures)][32], gen[24] = "-";

    for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
        str_from_bytes((uint64_t)field_integer(pass, figures[i], 0), text[i], sizeof(text[i]));
    if (json_is_integer(generation))
        snprintf(gen, sizeof(gen), "%lld", (long long)json_integer_value(generation));
    printf("  %-8s %4s %11s %11s %11s %8.1f s %9s/s\n", field_string(pass, "kind", "?"), gen,
           text[0], text[1], text[2], json_number_value(json_object_get(pass, "seconds")), text[3]);
    if (field_string(pass, "why_full", NULL))
        printf("           compared in full: %s\n", field_string(pass, "why_full", ""));
}

static void print_downtime(const json_t *downtime)
{
    static const struct {
        const char *field, *label;
    } parts[] = {{"shutdown_s", "shutdown"}, {"last_delta_s", "last delta"},
                 {"instant_flip_s", "instant flip"}, {"morph_s", "morph"}, {"flip_s", "flip"},
                 {"define_s", "define"}, {"boot_s", "boot"}};

    printf("downtime%s\n", field_bool(downtime, "complete", false) ? "" : " (not complete)");
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const json_t *seconds = json_object_get(downtime, parts[i].field);

        if (json_is_number(seconds))
            printf("  %-12s %8.2f s\n", parts[i].label, json_number_value(seconds));
    }
    printf("  %-12s %8.2f s\n", "total", json_number_value(json_object_get(downtime, "total_s")));
}

/* The first digits of a hash, as people compare them. */
static const char *short_hash(const json_t *change, const char *key, char text[12])
{
    snprintf(text, 12, "%.8s", field_string(change, key, "-"));
    return text;
}

static void print_morph(const json_t *morph)
{
    json_t *changes = json_object_get(morph, "changes"), *notes, *item;
    char before[12], after[12];
    size_t i;

    printf("morph of %s: %zu change%s%s\n",
           field_string(json_object_get(morph, "os"), "pretty", "the guest"),
           json_array_size(changes), json_array_size(changes) == 1 ? "" : "s",
           field_bool(morph, "rehearsed", false) ? ", as rehearsed" : "");
    json_array_foreach(changes, i, item)
        printf("  %-9s %-8s → %-8s %s\n", field_string(item, "kind", ""),
               short_hash(item, "before", before), short_hash(item, "after", after),
               field_string(item, "path", ""));
    notes = json_object_get(morph, "notes");
    json_array_foreach(notes, i, item)
        if (field_bool(item, "warning", false))
            printf("  warning   %s\n", field_string(item, "text", ""));
}

void report_print(const json_t *report)
{
    const json_t *passes = json_object_get(report, "passes"), *downtime;
    json_t *pass;
    size_t i;

    printf("%s: %s/%s is %s\n", field_string(report, "name", ""),
           field_string(report, "source", ""), field_string(report, "vm", ""),
           field_string(report, "state", ""));
    if (json_array_size(passes) > 0)
        printf("  %-8s %4s %11s %11s %11s %10s %11s\n", "pass", "gen", "copied", "zero", "changed",
               "time", "rate");
    json_array_foreach((json_t *)passes, i, pass)
        print_pass(pass);
    if (json_is_object(json_object_get(report, "morph")))
        print_morph(json_object_get(report, "morph"));
    downtime = json_object_get(report, "downtime");
    if (json_is_object(downtime))
        print_downtime(downtime);
}

static int run_report(int argc, char **argv)
{
    _cleanup_json_ json_t *report = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_report, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("migrations", argv[optind], "report");
    r = client_call(common.socket, "GET", path, NULL, &report, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(report);
    else
        report_print(report);
    return EXIT_CODE_OK;
}

const struct cli_verb verb_report = {
    "report", "NAME", 1, 1, "bytes, rates, downtime", run_report, NULL, 0, "@migration"};
