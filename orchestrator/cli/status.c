/* SPDX-License-Identifier: Apache-2.0 */
/* slipway status */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/status.h"
#include "orchestrator/cli/text.h"
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

static char *safe(const json_t *object, const char *key)
{
    return text_safe(field_string(object, key, ""), text_is_utf8());
}

static void print_row(const json_t *job)
{
    const json_t *generation = json_object_get(job, "generation");
    _cleanup_free_ char *vm = safe(job, "vm");
    char progress[64], gen[24] = "-";

    if (json_is_integer(generation))
        snprintf(gen, sizeof(gen), "%lld", (long long)json_integer_value(generation));
    format_progress(job, progress, sizeof(progress));
    printf("%-20s %-11s %-22s %-5s %s/%s\n", field_string(job, "name", ""),
           field_string(job, "state", ""), progress, gen, field_string(job, "source", ""), vm);
    if (json_object_get(job, "alarm")) {
        _cleanup_free_ char *alarm = safe(job, "alarm");

        printf("    ALARM: %s\n", alarm);
    }
    if (json_object_get(job, "error")) {
        _cleanup_free_ char *message = safe(json_object_get(job, "error"), "message");

        printf("    %s\n", message);
    }
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

struct lines {
    bool json;
    struct progress *progress;
};

static void progress_line(struct lines *l, const char *name, const json_t *event)
{
    if (!l->progress)
        l->progress = progress_new(false);
    progress_update(l->progress, name, (uint64_t)field_integer(event, "done_bytes", 0),
                    (uint64_t)field_integer(event, "total_bytes", 0));
}

static void print_event(const char *kind, const char *name, const json_t *event)
{
    const char *time = field_string(event, "time", "");
    _cleanup_free_ char *message = safe(event, "message"), *error = safe(event, "error");

    if (strcmp(kind, "state") == 0)
        printf("%.19s  %-20s %s%s%s\n", time, name, field_string(event, "state", ""),
               *error ? ": " : "", error);
    else if (strcmp(kind, "rehearsal") == 0)
        printf("%.19s  %-20s rehearsal %s\n", time, name, field_string(event, "state", ""));
    else
        printf("%.19s  %-20s %s\n", time, name, *message ? message : kind);
    fflush(stdout);
}

static int take_event(const json_t *event, void *context)
{
    struct lines *l = context;
    const char *kind = field_string(event, "event", "");
    const char *name = field_string(event, "migration", "-");

    if (l->json) {
        json_dumpf(event, stdout, JSON_COMPACT);
        putchar('\n');
        return fflush(stdout) == 0 ? 0 : -EPIPE;
    }
    if (strcmp(kind, "progress") == 0) {
        progress_line(l, name, event);
        return 0;
    }
    if (strcmp(kind, "hello") == 0 || strcmp(kind, "migration") == 0)
        return 0;
    progress_end(l->progress);
    l->progress = NULL;
    print_event(kind, name, event);
    return 0;
}

/* Events as lines, from the snapshot on. */
static int watch_lines(const struct cli_common *common, const char *name, const json_t *snapshot)
{
    _cleanup_free_ char *plain = name ? client_path("migrations", name, "events")
                                      : str_dup("/v1/events");
    _cleanup_free_ char *path = str_format("%s?since=%s", plain,
                                           field_string(snapshot, "cursor", "0"));
    struct lines l = {.json = common->json};
    struct error *err = NULL;
    int r = client_stream(common->socket, path, take_event, &l, &err);

    progress_end(l.progress);
    return r < 0 ? common_fail(common, err) : EXIT_CODE_OK;
}

static const json_t *find(const json_t *snapshot, const char *name)
{
    json_t *job;
    size_t i;

    json_array_foreach(json_object_get(snapshot, "migrations"), i, job)
        if (strcmp(field_string(job, "name", ""), name) == 0)
            return job;
    return NULL;
}

/* The table, or lines: first what there is, then what happens. */
static int watch(const struct cli_common *common, const char *name, const json_t *snapshot)
{
    json_t *job;
    size_t i;

    if (!common->json)
        status_table(common, snapshot, name);
    if (common->json) {
        json_dumpf(snapshot, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (name) {
        print_details(find(snapshot, name));
    } else {
        print_header();
        json_array_foreach(json_object_get(snapshot, "migrations"), i, job)
            print_row(job);
    }
    fflush(stdout);
    return watch_lines(common, name, snapshot);
}

static int run_watch(const struct cli_common *common, const char *name)
{
    _cleanup_json_ json_t *snapshot = NULL;
    struct error *err = NULL;
    int r = client_call(common->socket, "GET", "/v1/status", NULL, &snapshot, &err);

    if (r == 0 && name && !find(snapshot, name))
        r = error_set(&err, ENOENT, "there is no migration named '%s'", name);
    return r < 0 ? common_fail(common, err) : watch(common, name, snapshot);
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
    if (watching)
        return run_watch(&common, name);
    path = name ? client_path("migrations", name, NULL) : str_dup("/v1/migrations");
    r = client_call(common.socket, "GET", path, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json) {
        common_print(answer);
    } else if (name) {
        print_details(answer);
    } else {
        print_header();
        json_array_foreach(json_object_get(answer, "migrations"), i, job)
            print_row(job);
    }
    return EXIT_CODE_OK;
}

static const struct cli_option status_options[] = {
    {"watch", NULL, KEY_WATCH,
     "a live table until interrupted (or q); off a terminal, and\n"
     "with --json, a line for whatever happens", NULL, 0}, CLI_OPTIONS_END};

const struct cli_verb verb_status = {
    "status", "[NAME]", 0, 1, "how migrations are; --watch: go on telling", run_status,
    status_options, 0, "@migration"};
