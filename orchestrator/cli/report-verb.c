/* SPDX-License-Identifier: Apache-2.0 */
/* slipway report */
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/report.h"
#include "orchestrator/fields.h"

enum report_key { KEY_HTML = KEY_OWN, KEY_OUTPUT, KEY_PLAN };

static const struct cli_option options[] = {
    {"html", NULL, KEY_HTML, "a page of HTML with plots, which needs nothing else", NULL, 0},
    {"output", "FILE", KEY_OUTPUT, "write it there instead of standard output", "@file", 'o'},
    {"plan", "PLAN", KEY_PLAN, "without NAME: only the migrations of this plan", "@plan", 0},
    CLI_OPTIONS_END};

struct asked {
    bool html;
    const char *output, *plan;
};

static int take(struct cli_common *common, int key, void *context)
{
    struct asked *a = context;

    switch (key) {
    case KEY_HTML:
        a->html = true;
        return -1;
    case KEY_OUTPUT:
        a->output = optarg;
        return -1;
    default: /* KEY_PLAN */
        a->plan = optarg;
        return -1;
    }
}

/* The migrations, of one plan or all; new reference. */
static json_t *select_plan(const json_t *migrations, const char *plan)
{
    json_t *selected = json_array(), *m;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)migrations, i, m)
        if (!plan ||
            strcmp(field_string(json_object_get(m, "params"), "plan", ""), plan) == 0)
            json_array_append(selected, m);
    return selected;
}

static void print_summary(const json_t *migrations)
{
    json_t *m;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)migrations, i, m)
        printf("%-20s %s\n", field_string(m, "name", ""), field_string(m, "state", ""));
}

/* All that is asked for, as text; the caller frees. */
static char *make_text(const struct cli_common *common, const struct asked *a, const json_t *report,
                       const json_t *migrations, size_t *ret_length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_length);

    if (!out)
        return NULL;
    if (common->json)
        json_dumpf(report ? report : migrations, out, JSON_INDENT(2));
    if (common->json)
        fputc('\n', out);
    else if (report)
        report_html(out, report);
    else
        report_html_summary(out, migrations, a->plan);
    return fclose(out) == 0 ? text : NULL;
}

static int write_out(const struct asked *a, const char *text, size_t length, struct error **err)
{
    int r = a->output ? fdio_replace_file(a->output, text, length, 0644)
                      : fdio_write_all(STDOUT_FILENO, text, length);

    return r < 0 ? error_set_errno(err, -r, "cannot write the report to %s",
                                   a->output ? a->output : "standard output") : 0;
}

static int show(const struct cli_common *common, const struct asked *a, const json_t *report,
                const json_t *migrations)
{
    _cleanup_free_ char *text = NULL;
    struct error *err = NULL;
    size_t length = 0;
    int r;

    if (!common->json && !a->html) {
        if (report)
            report_print(report);
        else
            print_summary(migrations);
        return EXIT_CODE_OK;
    }
    text = make_text(common, a, report, migrations, &length);
    r = text ? write_out(a, text, length, &err) : error_set_errno(&err, ENOMEM, "no report");
    return r < 0 ? common_fail(common, err) : EXIT_CODE_OK;
}

static int run(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL, *migrations = NULL;
    _cleanup_free_ char *path = NULL;
    struct cli_common common;
    struct error *err = NULL;
    struct asked a = {0};
    bool one;
    int r = common_parse(&common, &verb_report, argc, argv, take, &a);

    if (r >= 0)
        return r;
    one = optind < argc;
    if (a.output && !a.html && !common.json)
        return common_usage(&common, "--output goes with --html or --json");
    if (one && a.plan)
        return common_usage(&common, "--plan is for many migrations: leave '%s' out",
                            argv[optind]);
    path = one ? client_path("migrations", argv[optind], "report") : str_dup("/v1/migrations");
    r = client_call(common.socket, "GET", path, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (!one)
        migrations = select_plan(json_object_get(answer, "migrations"), a.plan);
    return show(&common, &a, one ? answer : NULL, migrations);
}

const struct cli_verb verb_report = {
    "report", "[NAME]", 0, 1, "bytes, rates, downtime, also as HTML; without NAME: of all", run,
    options, 0, "@migration"};
