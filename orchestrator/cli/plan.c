/* SPDX-License-Identifier: Apache-2.0 */
/* slipway plan …: files of plans, given to slipwayd. */
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"
#include "orchestrator/plan-schema.h"
#include "orchestrator/plan-yaml.h"

enum plan_key { KEY_MARKDOWN = KEY_OWN };

static int read_stdin(char **ret_text, struct error **err)
{
    char *text = mem_new(1, YAML_BYTES_MAX + 2);
    ssize_t n = fdio_read_all(STDIN_FILENO, text, YAML_BYTES_MAX + 1);

    if (n < 0) {
        free(text);
        return error_set_errno(err, (int)-n, "cannot read the plan from standard input");
    }
    *ret_text = text;
    return 0;
}

/* {file, text}; the text of "-" is standard input. */
static int read_plan(const char *path, json_t **ret_body, struct error **err)
{
    bool from_stdin = strcmp(path, "-") == 0;
    _cleanup_free_ char *text = NULL;
    json_t *value;
    int r = from_stdin ? read_stdin(&text, err) : fdio_read_file(path, YAML_BYTES_MAX, &text, NULL);

    if (r < 0)
        return from_stdin ? r : error_set_errno(err, -r, "cannot read the plan %s", path);
    value = json_string(text);
    if (!value)
        return error_set(err, EINVAL, "%s is no text in UTF-8", path);
    *ret_body = json_pack("{s:s, s:o}", "file", from_stdin ? "stdin" : path, "text", value);
    return 0;
}

/* "FILE:LINE:COLUMN: FIELD: message". */
static void print_problem(FILE *out, const char *file, const char *kind, const json_t *problem)
{
    const char *field = field_string(problem, "field", NULL);
    long long line = field_integer(problem, "line", 0);

    fprintf(out, "%s:", file);
    if (line > 0)
        fprintf(out, "%lld:%lld:", line, (long long)field_integer(problem, "column", 0));
    fprintf(out, " %s%s%s%s\n", kind, field ? field : "", field ? ": " : "",
            field_string(problem, "message", ""));
}

static void print_problems(const char *file, const char *kind, const json_t *problems)
{
    json_t *problem;
    size_t i;

    json_array_foreach(problems, i, problem)
        print_problem(stderr, file, kind, problem);
}

static void print_findings(const json_t *vm, const char *key, const char *kind)
{
    json_t *finding;
    size_t i;

    json_array_foreach(json_object_get(vm, key), i, finding)
        printf("  %s%s: %s\n", kind, field_string(finding, "check", "?"),
               field_string(finding, "message", ""));
}

static bool print_vm(const json_t *vm)
{
    const char *name = field_string(vm, "vm", "?"), *to = field_string(vm, "migration", name);
    const char *state = field_string(vm, "state", NULL);
    bool ready = field_bool(vm, "ready", false);
    json_t *changes = json_object_get(vm, "changes"), *change;
    size_t i;

    printf("%s", name);
    if (strcmp(name, to) != 0)
        printf(" → %s", to);
    printf(": %s%s", state ? "is there already, " : ready ? "ready" : "not ready",
           state ? state : "");
    json_array_foreach(changes, i, change)
        printf("%s%s", i ? ", " : "; would change: ", json_string_value(change));
    puts("");
    print_findings(vm, "reasons", "");
    print_findings(vm, "warnings", "note: ");
    return ready;
}

static void print_pool(const char *folder, const json_t *pool)
{
    char space[32], now[32], full[32];

    printf("%s: %s free, the disks take %s now and %s at most\n", folder,
           str_from_bytes((uint64_t)field_integer(pool, "free_bytes", 0), space, sizeof(space)),
           str_from_bytes((uint64_t)field_integer(pool, "sparse_bytes", 0), now, sizeof(now)),
           str_from_bytes((uint64_t)field_integer(pool, "full_bytes", 0), full, sizeof(full)));
}

static void print_check(const char *file, const json_t *answer)
{
    json_t *vms = json_object_get(answer, "vms"), *vm, *pool;
    size_t ready = 0, i;
    const char *folder;

    fflush(stdout);
    print_problems(file, "", json_object_get(answer, "problems"));
    print_problems(file, "note: ", json_object_get(answer, "warnings"));
    json_array_foreach(vms, i, vm)
        ready += print_vm(vm);
    json_object_foreach(json_object_get(answer, "pools"), folder, pool)
        print_pool(folder, pool);
    if (json_array_size(vms))
        printf("plan %s: %zu of %zu VMs are ready\n", field_string(answer, "name", "?"), ready,
               json_array_size(vms));
}

/* Reads the file and hands it in; -1: *ret_answer is there, otherwise the exit code. */
static int post(const struct cli_common *common, const char *path, const char *route,
                json_t **ret_answer)
{
    _cleanup_json_ json_t *body = NULL;
    struct error *err = NULL;
    int r = read_plan(path, &body, &err);

    if (r == 0)
        r = client_call(common->socket, "POST", route, body, ret_answer, &err);
    return r < 0 ? common_fail(common, err) : -1;
}

static int plan_check(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    int r = common_parse(&common, &verb_plan_check, argc, argv, NULL, NULL);

    if (r < 0)
        r = post(&common, argv[optind], "/v1/plans/check", &answer);
    if (r >= 0)
        return r;
    if (common.json)
        common_print(answer);
    else
        print_check(argv[optind], answer);
    if (json_array_size(json_object_get(answer, "problems")))
        return EXIT_CODE_USAGE;
    return field_bool(answer, "ok", false) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

/* What became of one VM; true when it is as the plan wants it. */
static bool print_done(const json_t *entry, bool quiet)
{
    const char *did = field_string(entry, "did", "?"), *why = field_string(entry, "why", NULL);
    json_t *fields = json_object_get(entry, "fields"), *field;
    bool good = strcmp(did, "failed") != 0 && strcmp(did, "kept") != 0;
    size_t i;

    if (quiet)
        return good;
    printf("%s: %s", field_string(entry, "name", "?"), did);
    json_array_foreach(fields, i, field)
        printf("%s%s", i ? ", " : " (", json_string_value(field));
    printf("%s%s%s\n", json_array_size(fields) ? ")" : "", why ? ": " : "", why ? why : "");
    return good;
}

static void print_limits(const json_t *limits)
{
    json_t *limit;
    size_t i;

    json_array_foreach(limits, i, limit)
        printf("limit of %s %s: set\n", field_string(limit, "scope", "?"),
               field_string(limit, "name", ""));
}

static int plan_apply(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    json_t *entry;
    bool good = true;
    size_t i;
    int r = common_parse(&common, &verb_plan_apply, argc, argv, NULL, NULL);

    if (r < 0)
        r = post(&common, argv[optind], "/v1/plans", &answer);
    if (r >= 0)
        return r;
    if (common.json) {
        common_print(answer);
    } else {
        print_problems(argv[optind], "note: ", json_object_get(answer, "warnings"));
        print_limits(json_object_get(answer, "limits"));
    }
    json_array_foreach(json_object_get(answer, "migrations"), i, entry)
        good = print_done(entry, common.json) && good;
    return good ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

/* "3 mirrored, 1 done". */
static void print_states(const json_t *plan)
{
    const char *state, *comma = "";
    json_t *count;

    json_object_foreach(json_object_get(plan, "states"), state, count) {
        printf("%s%lld %s", comma, (long long)json_integer_value(count), state);
        comma = ", ";
    }
    puts(*comma ? "" : "no migrations");
}

static int plan_list(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    struct error *err = NULL;
    json_t *plan;
    size_t i;
    int r = common_parse(&common, &verb_plan_list, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    r = client_call(common.socket, "GET", "/v1/plans", NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(answer);
    else
        json_array_foreach(json_object_get(answer, "plans"), i, plan) {
            printf("%-20s %-12s ", field_string(plan, "name", ""),
                   field_string(plan, "source", ""));
            print_states(plan);
        }
    return EXIT_CODE_OK;
}

static void print_plan(const json_t *plan)
{
    json_t *member;
    size_t i;

    printf("# plan %s of source %s, from %s: ", field_string(plan, "name", ""),
           field_string(plan, "source", ""), field_string(plan, "file", ""));
    print_states(plan);
    json_array_foreach(json_object_get(plan, "migrations"), i, member)
        printf("#   %-24s %s\n", field_string(member, "name", ""),
               field_string(member, "state", ""));
    fputs(field_string(plan, "text", ""), stdout);
}

static int plan_show(int argc, char **argv)
{
    _cleanup_json_ json_t *plan = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_plan_show, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("plans", argv[optind], NULL);
    r = client_call(common.socket, "GET", path, NULL, &plan, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(plan);
    else
        print_plan(plan);
    return EXIT_CODE_OK;
}

static int plan_remove(int argc, char **argv)
{
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_plan_remove, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    path = client_path("plans", argv[optind], NULL);
    r = client_call(common.socket, "DELETE", path, NULL, NULL, &err);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

static int schema_take(struct cli_common *common, int key, void *context)
{
    *(bool *)context = true;
    return -1;
}

static int plan_schema_print(int argc, char **argv)
{
    _cleanup_json_ json_t *schema = NULL;
    struct cli_common common;
    bool markdown = false;
    int r = common_parse(&common, &verb_plan_schema, argc, argv, schema_take, &markdown);

    if (r >= 0)
        return r;
    if (markdown) {
        schema_print_markdown(stdout);
        return EXIT_CODE_OK;
    }
    schema = schema_json();
    common_print(schema);
    return EXIT_CODE_OK;
}

static const struct cli_option schema_options[] = {
    {"markdown", NULL, KEY_MARKDOWN, "as the tables of docs/PLANS.md", NULL, 0}, CLI_OPTIONS_END};

const struct cli_verb verb_plan_check = {
    "plan check", "FILE", 1, 1, "what would become of a plan; touches nothing", plan_check, NULL, 0,
    "@file"};
const struct cli_verb verb_plan_apply = {
    "plan apply", "FILE", 1, 1, "make and change the migrations of a plan", plan_apply, NULL, 0,
    "@file"};
const struct cli_verb verb_plan_list = {
    "plan list", "", 0, 0, "plans and how far they are", plan_list, NULL, 0, NULL};
const struct cli_verb verb_plan_show = {
    "plan show", "NAME", 1, 1, "a plan as it was last applied", plan_show, NULL, 0, "@plan"};
const struct cli_verb verb_plan_remove = {
    "plan remove", "NAME", 1, 1, "forget a plan whose migrations are over", plan_remove, NULL, 0,
    "@plan"};
const struct cli_verb verb_plan_schema = {
    "plan schema", "", 0, 0, "what a plan may hold, as JSON Schema", plan_schema_print,
    schema_options, 0, NULL};
