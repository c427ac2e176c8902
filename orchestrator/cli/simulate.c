/* SPDX-License-Identifier: Apache-2.0 */
/* slipway plan simulate FILE: waves, finish time and downtimes, before anything is done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan.h"
#include "orchestrator/simulate-plan.h"

#define INVENTORY_BYTES_MAX ((size_t)256 << 20)
#define NAMES_SHOWN 4
#define LEFT_SHOWN 20

enum simulate_key {
    KEY_INVENTORY = KEY_OWN, KEY_BEGIN, KEY_SYNCS, KEY_CUTOVERS, KEY_RATE, KEY_TOTAL, KEY_SEED,
    KEY_DAYS
};

struct asked {
    struct cli_common common;
    const char *inventory;
    json_t *options;
};

static int take_number(struct asked *a, const char *field, bool bytes)
{
    uint64_t value;
    char *end;

    if (bytes) {
        if (str_to_bytes(optarg, &value) < 0 || value == 0 || value > INT64_MAX)
            return common_usage(&a->common, "'%s' is no number of bytes: write 100M or 2G", optarg);
    } else {
        value = strtoull(optarg, &end, 10);
        if (end == optarg || *end || optarg[0] == '-' || value > INT32_MAX)
            return common_usage(&a->common, "'%s' is no number", optarg);
    }
    json_object_set_new(a->options, field, json_integer((json_int_t)value));
    return -1;
}

static int take(struct cli_common *common, int key, void *context)
{
    struct asked *a = context;

    switch (key) {
    case KEY_INVENTORY:
        a->inventory = optarg;
        return -1;
    case KEY_BEGIN:
        json_object_set_new(a->options, "begin", json_string(optarg));
        return -1;
    case KEY_SYNCS:
        return take_number(a, "syncs", false);
    case KEY_CUTOVERS:
        return take_number(a, "cutovers", false);
    case KEY_RATE:
        return take_number(a, "rate_bytes_s", true);
    case KEY_TOTAL:
        return take_number(a, "total_bytes_s", true);
    case KEY_SEED:
        return take_number(a, "seed", false);
    default:
        return take_number(a, "days", false);
    }
}

static int plan_read(const char *path, char **ret_text, struct error **err)
{
    int r = fdio_read_file(path, YAML_BYTES_MAX, ret_text, NULL);

    return r < 0 ? error_set_errno(err, -r, "cannot read the plan %s", path) : 0;
}

/* [description…], or {vms: [description…]}; *ret_by_name: VM → description. */
static int inventory_read(const char *path, json_t **ret_list, json_t **ret_by_name,
                          struct error **err)
{
    _cleanup_json_ json_t *value = NULL, *by_name = json_object();
    _cleanup_free_ char *text = NULL;
    json_t *list, *vm;
    json_error_t where;
    size_t length, i;
    int r = fdio_read_file(path, INVENTORY_BYTES_MAX, &text, &length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot read the inventory %s", path);
    value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    if (!value)
        return error_set(err, EINVAL, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    list = json_is_object(value) ? json_object_get(value, "vms") : value;
    if (!json_is_array(list))
        return error_set(err, EINVAL, "%s must hold an array of VMs, or an object with vms: the "
                         "answer of 'slipway vm list SOURCE --json' is one", path);
    json_array_foreach(list, i, vm) {
        const char *name = field_string(vm, "name", NULL);

        if (!name || json_object_get(by_name, name))
            return error_set(err, EINVAL, "%s: VM %zu of the inventory has %s", path, i + 1,
                             name ? "the name of another one" : "no name");
        json_object_set(by_name, name, vm);
    }
    *ret_list = json_incref(list);
    *ret_by_name = steal_ptr(by_name);
    return 0;
}

/* Here, without slipwayd.  {problems, warnings, report?} as it answers. */
static int simulate_here(const struct asked *a, const char *text, json_t **ret, struct error **err)
{
    _cleanup_json_ json_t *inventory = NULL, *by_name = NULL, *known = json_object();
    _cleanup_json_ json_t *migrations = NULL, *report = NULL;
    struct problems problems, warnings;
    struct plan *plan = NULL;
    int r = inventory_read(a->inventory, &inventory, &by_name, err);

    if (r < 0)
        return r;
    problems_init(&problems);
    problems_init(&warnings);
    if (plan_parse(text, strlen(text), &plan, &problems) == 0 &&
        plan_expand(plan, inventory, known, &migrations, &problems, &warnings) == 0)
        r = simulate_plan(migrations, by_name, NULL, a->options, &report, err);
    if (r == 0)
        *ret = json_pack("{s:O, s:O, s:O*}", "problems", problems.list, "warnings", warnings.list,
                         "report", report);
    plan_free(plan);
    problems_done(&problems);
    problems_done(&warnings);
    return r;
}

static int simulate_there(const struct asked *a, const char *file, const char *text, json_t **ret,
                          struct error **err)
{
    _cleanup_json_ json_t *body = json_pack("{s:s, s:s, s:O}", "file", file, "text", text,
                                            "options", a->options);

    if (!body)
        return error_set(err, EINVAL, "%s is no text in UTF-8", file);
    return client_call(a->common.socket, "POST", "/v1/plans/simulate", body, ret, err);
}

static void print_problems(const char *file, const char *kind, const json_t *problems)
{
    json_t *p;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)problems, i, p) {
        const char *field = field_string(p, "field", NULL);

        fprintf(stderr, "%s:%lld:%lld: %s%s%s%s\n", file, (long long)field_integer(p, "line", 0),
                (long long)field_integer(p, "column", 0), kind, field ? field : "",
                field ? ": " : "", field_string(p, "message", ""));
    }
}

static double number(const json_t *object, const char *field)
{
    return json_number_value(json_object_get(object, field));
}

static void print_waves(const json_t *waves)
{
    json_t *wave, *name;
    size_t i, n;

    if (json_array_size(waves) > 0)
        printf("%-5s %-20s %-20s %6s %9s  %s\n", "WAVE", "FROM", "UNTIL", "VMS", "WORST", "WHICH");
    json_array_foreach((json_t *)(uintptr_t)waves, i, wave) {
        printf("%-5zu %-20s %-20s %6lld %7.1f s  ", i + 1, field_string(wave, "begin", ""),
               field_string(wave, "up", ""), (long long)field_integer(wave, "vms", 0),
               number(wave, "worst_downtime_s"));
        json_array_foreach(json_object_get(wave, "names"), n, name) {
            if (n == NAMES_SHOWN) {
                printf(" …");
                break;
            }
            printf("%s%s", n ? " " : "", json_string_value(name));
        }
        putchar('\n');
    }
}

static void print_left(const json_t *report)
{
    json_t *left = json_object_get(report, "left"), *over = json_object_get(report, "over_budget");
    json_t *vm;
    size_t i;

    json_array_foreach(over, i, vm)
        if (i < LEFT_SHOWN)
            printf("above its budget: %s, %.1f s instead of %g s\n", field_string(vm, "name", ""),
                   number(vm, "downtime_s"), number(vm, "budget_s"));
    json_array_foreach(left, i, vm)
        if (i < LEFT_SHOWN)
            printf("not moved: %s: %s\n", field_string(vm, "name", ""),
                   field_string(vm, "reason", ""));
    if (json_array_size(left) > LEFT_SHOWN || json_array_size(over) > LEFT_SHOWN)
        printf("… %zu above their budget and %zu not moved in all; --json has them\n",
               json_array_size(over), json_array_size(left));
}

static void print_assumptions(const json_t *report)
{
    json_t *assumption;
    size_t i;

    json_array_foreach(json_object_get(report, "assumptions"), i, assumption) {
        const char *from = field_string(assumption, "from", "");
        const char *unit = field_string(assumption, "unit", "");
        double value = number(assumption, "value");
        char text[40], bytes[32];

        if (strcmp(unit, "bytes/s") == 0)
            snprintf(text, sizeof(text), "%s/s",
                     str_from_bytes((uint64_t)value, bytes, sizeof(bytes)));
        else
            snprintf(text, sizeof(text), "%g %s", value, unit);
        printf("%s: %s: %s (%lld VMs)\n",
               strcmp(from, "median") == 0   ? "as the other VMs"
               : strcmp(from, "option") == 0 ? "as asked for"
                                             : "assumed",
               field_string(assumption, "what", ""), text,
               (long long)field_integer(assumption, "vms", 0));
    }
}

static void print_report(const json_t *report)
{
    const json_t *downtime = json_object_get(report, "downtime");
    long long vms = field_integer(report, "vms", 0), up = field_integer(report, "up", 0);
    char copied[32];

    print_waves(json_object_get(report, "waves"));
    printf("%lld of %lld VMs are moved", up, vms);
    if (field_integer(report, "by_hand", 0) > 0)
        printf(", %lld are cut over by hand", (long long)field_integer(report, "by_hand", 0));
    if (json_is_string(json_object_get(report, "finish")))
        printf("; finished at %s", field_string(report, "finish", ""));
    printf(" (begun at %s)\n", field_string(report, "begin", ""));
    if (json_is_object(downtime))
        printf("downtime: %.1f s in the middle, %.1f s at worst (%s)\n",
               number(downtime, "median_s"), number(downtime, "most_s"),
               field_string(downtime, "whose", ""));
    printf("copied: %s in %lld syncs; the places for syncs are busy %.0f %% of the time\n",
           str_from_bytes((uint64_t)field_integer(report, "copied_bytes", 0), copied,
                          sizeof(copied)),
           (long long)field_integer(report, "syncs", 0), number(report, "busy") * 100);
    print_left(report);
    print_assumptions(report);
}

static int run_asked(struct asked *a, const char *file)
{
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *text = NULL;
    struct error *err = NULL;
    const json_t *report;
    int r = plan_read(file, &text, &err);

    if (r == 0)
        r = a->inventory ? simulate_here(a, text, &answer, &err)
                         : simulate_there(a, file, text, &answer, &err);
    if (r < 0)
        return common_fail(&a->common, err);
    report = json_object_get(answer, "report");
    if (a->common.json) {
        common_print(answer);
    } else {
        print_problems(file, "", json_object_get(answer, "problems"));
        print_problems(file, "note: ", json_object_get(answer, "warnings"));
        if (report)
            print_report(report);
    }
    return report ? EXIT_CODE_OK : EXIT_CODE_USAGE;
}

static int run(int argc, char **argv)
{
    struct asked a = {.options = json_object()};
    int r = common_parse(&a.common, &verb_plan_simulate, argc, argv, take, &a);

    if (r < 0)
        r = run_asked(&a, argv[optind]);
    json_decref(a.options);
    return r;
}

static const struct cli_option simulate_options[] = {
    {"inventory", "FILE", KEY_INVENTORY,
     "VMs as JSON (slipway vm list SOURCE --json) instead of\nasking slipwayd", "@file", 0},
    {"begin", "TIME", KEY_BEGIN, "when it begins, such as 2026-12-01T22:00:00+01:00\n(default now)",
     NULL, 0},
    {"syncs", "N", KEY_SYNCS, "as many syncs at the same time (default as slipwayd)", NULL, 0},
    {"cutovers", "N", KEY_CUTOVERS, "as many cutovers (default as syncs)", NULL, 0},
    {"rate", "BYTES", KEY_RATE, "copied per second by a sync that was never measured", NULL, 0},
    {"total-rate", "BYTES", KEY_TOTAL, "copied per second by all syncs together", NULL, 0},
    {"seed", "N", KEY_SEED, "of the chance in it (default 1)", NULL, 0},
    {"days", "N", KEY_DAYS, "look so far ahead (default 60)", NULL, 0},
    CLI_OPTIONS_END};

const struct cli_verb verb_plan_simulate = {
    "plan simulate", "FILE", 1, 1, "waves, finish time and downtimes of a plan", run,
    simulate_options, 0, "@file"};
