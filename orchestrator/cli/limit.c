/* SPDX-License-Identifier: Apache-2.0 */
/* slipway limit …: how much syncs may use, where and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

#define PATH "/v1/limits"

enum limit_key { KEY_BANDWIDTH = KEY_OWN, KEY_IOPS, KEY_SYNCS, KEY_WHEN, KEY_ALSO_CUTOVER };

static const struct cli_option set_options[] = {
    {"bandwidth", "SPEED", KEY_BANDWIDTH,
     "bytes per second as 100M, bits as 200Mbit, medium (20 Mbit/s),\n"
     "fast (30 Mbit/s) or unlimited",
     "medium fast unlimited", 0},
    {"iops", "N", KEY_IOPS, "reads of the source per second", NULL, 0},
    {"syncs", "N", KEY_SYNCS, "how many syncs at the same time", NULL, 0},
    {"when", "WINDOW", KEY_WHEN,
     "as \"mon-fri 08:00-18:00\": the amounts behind it are for then, those\n"
     "before it for all other times; may be repeated", NULL, 0},
    {"also-cutover", NULL, KEY_ALSO_CUTOVER,
     "the last delta of a cutover keeps to it, too, and what is\n"
     "fetched behind an instant one", NULL, 0},
    CLI_OPTIONS_END};

/* The rules in the order they were given; the first is that of all other times. */
struct asked {
    json_t *rules;
    bool also_cutover;
};

static json_t *last_rule(struct asked *a)
{
    return json_array_get(a->rules, json_array_size(a->rules) - 1);
}

/* Another window of the last rule when that has no amount yet, otherwise the next rule. */
static void add_window(struct asked *a, const char *window)
{
    json_t *rule = last_rule(a), *when = json_object_get(rule, "when");

    if (!when || json_object_size(rule) > 1) {
        rule = json_pack("{s:[]}", "when");
        when = json_object_get(rule, "when");
        json_array_append_new(a->rules, rule);
    }
    json_array_append_new(when, json_string(window));
}

static int take_number(struct cli_common *common, struct asked *a, const char *name)
{
    char *end;
    long long n = strtoll(optarg, &end, 10);

    if (end == optarg || *end || n < 1)
        return common_usage(common, "--%s must be a whole number of at least 1, not '%s'", name,
                            optarg);
    json_object_set_new(last_rule(a), name, json_integer(n));
    return -1;
}

static int take(struct cli_common *common, int key, void *context)
{
    struct asked *a = context;
    char *end;
    long long bytes_s;

    switch (key) {
    case KEY_BANDWIDTH:
        bytes_s = strtoll(optarg, &end, 10);
        json_object_set_new(last_rule(a), "bandwidth",
                            *end ? json_string(optarg) : json_integer(bytes_s));
        return -1;
    case KEY_IOPS:
        return take_number(common, a, "iops");
    case KEY_SYNCS:
        return take_number(common, a, "syncs");
    case KEY_WHEN:
        add_window(a, optarg);
        return -1;
    default: /* KEY_ALSO_CUTOVER */
        a->also_cutover = true;
        return -1;
    }
}

/* The rule without a time goes last: the first whose time it is counts. */
static json_t *rules_of(const struct asked *a)
{
    json_t *rules = json_array(), *other = json_array_get(a->rules, 0), *rule;
    size_t i;

    json_array_foreach(a->rules, i, rule)
        if (i > 0)
            json_array_append(rules, rule);
    if (json_object_size(other) > 0 || json_array_size(rules) == 0)
        json_array_append(rules, other);
    return rules;
}

static void print_amounts(const json_t *rule)
{
    const json_t *bandwidth = json_object_get(rule, "bandwidth");
    char text[32];
    const char *divide = "";

    if (json_is_integer(bandwidth)) {
        str_from_bytes((uint64_t)json_integer_value(bandwidth), text, sizeof(text));
        printf("%s/s", text);
        divide = ", ";
    } else if (json_is_string(bandwidth)) {
        printf("%s", json_string_value(bandwidth));
        divide = ", ";
    }
    if (json_object_get(rule, "iops")) {
        printf("%s%lld IOPS", divide, (long long)field_integer(rule, "iops", 0));
        divide = ", ";
    }
    if (json_object_get(rule, "syncs"))
        printf("%s%lld at the same time", divide, (long long)field_integer(rule, "syncs", 0));
    else if (!*divide)
        printf("nothing is limited");
}

static void print_rule(const json_t *rule)
{
    const json_t *when = json_object_get(rule, "when");

    printf("  ");
    if (json_is_string(when))
        printf("%s: ", json_string_value(when));
    for (size_t i = 0; i < json_array_size(when); i++)
        printf("%s%s", json_string_value(json_array_get(when, i)),
               i + 1 < json_array_size(when) ? ", " : ": ");
    print_amounts(rule);
    putchar('\n');
}

static void print_limit(const json_t *limit)
{
    const char *scope = field_string(limit, "scope", "?");
    const char *name = field_string(limit, "name", NULL);
    json_t *rule;
    size_t i;

    printf("%s%s%s%s\n", !name && strcmp(scope, "all") != 0 ? "each " : "", scope, name ? " " : "",
           name ? name : "");
    json_array_foreach(json_object_get(limit, "rules"), i, rule)
        print_rule(rule);
    if (field_bool(limit, "also_cutover", false))
        printf("  also for cutovers\n");
}

static int list(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    struct error *err = NULL;
    json_t *limit;
    size_t i;
    int r = common_parse(&common, &verb_limit_list, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    r = client_call(common.socket, "GET", PATH, NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json) {
        common_print(answer);
        return EXIT_CODE_OK;
    }
    json_array_foreach(json_object_get(answer, "limits"), i, limit)
        print_limit(limit);
    if (i == 0)
        puts("nothing is limited");
    return EXIT_CODE_OK;
}

static json_t *scope_body(int argc, char **argv)
{
    return json_pack("{s:s, s:s*}", "scope", argv[optind], "name",
                     argc > optind + 1 ? argv[optind + 1] : NULL);
}

static int change(int argc, char **argv, const struct cli_common *common, const char *method,
                  json_t *body)
{
    _cleanup_json_ json_t *answer = NULL;
    struct error *err = NULL;
    int r = client_call(common->socket, method, PATH, body, &answer, &err);

    if (r < 0)
        return common_fail(common, err);
    if (common->json && answer)
        common_print(answer);
    else if (answer)
        print_limit(answer);
    return EXIT_CODE_OK;
}

static int set(int argc, char **argv)
{
    struct asked a = {.rules = json_pack("[{}]")};
    _cleanup_json_ json_t *body = NULL;
    struct cli_common common;
    int r = common_parse(&common, &verb_limit_set, argc, argv, take, &a);

    if (r < 0) {
        body = scope_body(argc, argv);
        json_object_set_new(body, "rules", rules_of(&a));
        if (a.also_cutover)
            json_object_set_new(body, "also_cutover", json_true());
        r = change(argc, argv, &common, "PUT", body);
    }
    json_decref(a.rules);
    return r;
}

static int clear(int argc, char **argv)
{
    _cleanup_json_ json_t *body = NULL;
    struct cli_common common;
    int r = common_parse(&common, &verb_limit_clear, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    body = scope_body(argc, argv);
    return change(argc, argv, &common, "DELETE", body);
}

#define SCOPES "all source host network node"

const struct cli_verb verb_limit_list = {
    "limit list", "", 0, 0, "what limits syncs", list, NULL, 0, NULL};

const struct cli_verb verb_limit_set = {
    "limit set", "SCOPE [NAME]", 1, 2, "limit the syncs of all, a source, host, network, node",
    set, set_options, 0, SCOPES " @source"};

const struct cli_verb verb_limit_clear = {
    "limit clear", "SCOPE [NAME]", 1, 2, "take a limit away", clear, NULL, 0, SCOPES " @source"};
