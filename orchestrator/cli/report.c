/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/report.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/align.h"
#include "base/str.h"
#include "orchestrator/cli/text.h"
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

const struct report_part report_parts[REPORT_PARTS] = {
    {"shutdown_s", "shutdown"}, {"last_delta_s", "last delta"},
    {"instant_flip_s", "instant flip"}, {"morph_s", "morph"}, {"flip_s", "flip"},
    {"define_s", "define"}, {"boot_s", "boot"}};

static void print_downtime(const json_t *downtime)
{
    printf("downtime%s\n", field_bool(downtime, "complete", false) ? "" : " (not complete)");
    for (size_t i = 0; i < REPORT_PARTS; i++) {
        const json_t *seconds = json_object_get(downtime, report_parts[i].field);

        if (json_is_number(seconds))
            printf("  %-12s %8.2f s\n", report_parts[i].label, json_number_value(seconds));
    }
    printf("  %-12s %8.2f s\n", "total", json_number_value(json_object_get(downtime, "total_s")));
}

/* The first digits of a hash, as people compare them. */
static const char *short_hash(const json_t *change, const char *key, char text[12])
{
    snprintf(text, 12, "%.8s", field_string(change, key, "-"));
    return text;
}

/* What the guest or its host have written. */
static char *safe(const json_t *object, const char *key, const char *otherwise)
{
    return text_safe(field_string(object, key, otherwise), text_is_utf8());
}

static void print_change(const json_t *change)
{
    _cleanup_free_ char *path = safe(change, "path", "");
    char before[12], after[12];

    printf("  %-9s %-8s → %-8s %s\n", field_string(change, "kind", ""),
           short_hash(change, "before", before), short_hash(change, "after", after), path);
}

static void print_morph(const json_t *morph)
{
    json_t *changes = json_object_get(morph, "changes"), *notes, *item;
    size_t i;
    _cleanup_free_ char *os = safe(json_object_get(morph, "os"), "pretty", "the guest");

    printf("morph of %s: %zu change%s%s\n", os,
           json_array_size(changes), json_array_size(changes) == 1 ? "" : "s",
           field_bool(morph, "rehearsed", false) ? ", as rehearsed" : "");
    json_array_foreach(changes, i, item)
        print_change(item);
    notes = json_object_get(morph, "notes");
    json_array_foreach(notes, i, item) {
        _cleanup_free_ char *text = safe(item, "text", "");

        if (field_bool(item, "warning", false))
            printf("  warning   %s\n", text);
    }
}

void report_print(const json_t *report)
{
    const json_t *passes = json_object_get(report, "passes"), *downtime;
    json_t *pass;
    size_t i;

    _cleanup_free_ char *vm = safe(report, "vm", "");

    printf("%s: %s/%s is %s\n", field_string(report, "name", ""),
           field_string(report, "source", ""), vm, field_string(report, "state", ""));
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
