/* SPDX-License-Identifier: Apache-2.0 */
/* slipway status, slipway report */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/report.h"
#include "orchestrator/fields.h"

enum status_key { KEY_WATCH = KEY_OWN };

static void format_progress(const json_t *job, char *buf, size_t size)
{
    const json_t *p = json_object_get(job, "progress");
    uint64_t done = (uint64_t)field_integer(p, "done_bytes", 0);
    uint64_t total = (uint64_t)field_integer(p, "total_bytes", 0);
    char rate[32];

    if (!json_is_object(p))
        snprintf(buf, size, "-");
    else if (total == 0)
        snprintf(buf, size, "%s", field_string(p, "phase", ""));
    else
        snprintf(buf, size, "%s %u%% %s/s", field_string(p, "phase", ""),
                 (unsigned)((double)done * 100 / (double)total),
                 str_from_bytes((uint64_t)field_integer(p, "rate_bytes_s", 0), rate, sizeof(rate)));
}

static void print_row(const json_t *job)
{
    const json_t *generation = json_object_get(job, "generation");
    char progress[64], gen[24] = "-";

    if (json_is_integer(generation))
        snprintf(gen, sizeof(gen), "%lld", (long long)json_integer_value(generation));
    format_progress(job, progress, sizeof(progress));
    printf("%-20s %-11s %-22s %-5s %s/%s\n", field_string(job, "name", ""),
           field_string(job, "state", ""), progress, gen, field_string(job, "source", ""),
           field_string(job, "vm", ""));
    if (json_object_get(job, "error"))
        printf("    %s\n", field_string(json_object_get(job, "error"), "message", ""));
}

static void print_header(void)
{
    printf("%-20s %-11s %-22s %-5s %s\n", "NAME", "STATE", "PROGRESS", "GEN", "SOURCE/VM");
}

static void print_rehearsal(const json_t *rehearsal)
{
    const char *error = field_string(rehearsal, "error", NULL);

    printf("    rehearsal %s%s%s\n", field_string(rehearsal, "state", ""), error ? ": " : "",
           error ? error : "");
}

static void print_details(const json_t *job)
{
    json_t *disk, *verb;
    char size[32];
    size_t i;

    print_header();
    print_row(job);
    json_array_foreach(json_object_get(job, "disks"), i, disk)
        printf("    disk %-8s %9s  %s\n", field_string(disk, "name", ""),
               str_from_bytes((uint64_t)field_integer(disk, "size_bytes", 0), size, sizeof(size)),
               field_string(disk, "target", ""));
    if (json_is_object(json_object_get(job, "rehearsal")))
        print_rehearsal(json_object_get(job, "rehearsal"));
    if (json_array_size(json_object_get(job, "verbs")) > 0) {
        printf("    possible now:");
        json_array_foreach(json_object_get(job, "verbs"), i, verb)
            printf(" %s", json_string_value(verb));
        putchar('\n');
    }
}

struct watch {
    bool json;
    struct progress *progress;
};

static void watch_progress(struct watch *w, const char *name, const json_t *event)
{
    if (!w->progress)
        w->progress = progress_new(false);
    progress_update(w->progress, name, (uint64_t)field_integer(event, "done_bytes", 0),
                    (uint64_t)field_integer(event, "total_bytes", 0));
}

static int watch_event(const json_t *event, void *context)
{
    struct watch *w = context;
    const char *kind = field_string(event, "event", ""), *time = field_string(event, "time", "");
    const char *name = field_string(event, "migration", "-");

    if (w->json) {
        json_dumpf(event, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        return 0;
    }
    if (strcmp(kind, "progress") == 0) {
        watch_progress(w, name, event);
        return 0;
    }
    if (strcmp(kind, "hello") == 0 || strcmp(kind, "migration") == 0)
        return 0;
    progress_end(w->progress);
    w->progress = NULL;
    if (strcmp(kind, "state") == 0)
        printf("%.19s  %-20s %s%s%s\n", time, name, field_string(event, "state", ""),
               json_object_get(event, "error") ? ": " : "", field_string(event, "error", ""));
    else if (strcmp(kind, "rehearsal") == 0)
        printf("%.19s  %-20s rehearsal %s\n", time, name, field_string(event, "state", ""));
    else
        printf("%.19s  %-20s %s\n", time, name, field_string(event, "message", kind));
    fflush(stdout);
    return 0;
}

static int watch(const struct cli_common *common, const char *name)
{
    _cleanup_free_ char *path = name ? client_path("migrations", name, "events")
                                     : str_dup("/v1/events");
    struct watch w = {.json = common->json};
    struct error *err = NULL;
    int r = client_stream(common->socket, path, watch_event, &w, &err);

    progress_end(w.progress);
    return r < 0 ? common_fail(common, err) : EXIT_CODE_OK;
}

static int take(struct cli_common *common, int key, void *context)
{
    *(bool *)context = true; /* KEY_WATCH */
    return -1;
}

static int run_status(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    bool watching = false;
    const char *name;
    json_t *job;
    size_t i;
    int r = common_parse(&common, &verb_status, argc, argv, take, &watching);

    if (r >= 0)
        return r;
    name = optind < argc ? argv[optind] : NULL;
    path = name ? client_path("migrations", name, NULL) : str_dup("/v1/migrations");
    r = client_call(common.socket, "GET", path, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json && !watching) {
        common_print(answer);
    } else if (name && !common.json) {
        print_details(answer);
    } else if (!common.json) {
        print_header();
        json_array_foreach(json_object_get(answer, "migrations"), i, job)
            print_row(job);
    }
    return watching ? watch(&common, name) : EXIT_CODE_OK;
}

static const struct cli_option status_options[] = {
    {"watch", NULL, KEY_WATCH, "tell what happens until interrupted", NULL, 0}, CLI_OPTIONS_END};

const struct cli_verb verb_status = {
    "status", "[NAME]", 0, 1, "how migrations are; --watch: go on telling", run_status,
    status_options, 0, "@migration"};

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
