/* SPDX-License-Identifier: Apache-2.0 */
/* slipway group list, cutover, sync, commit, rollback */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

enum { KEY_INSTANT = KEY_OWN, KEY_FAILBACK, KEY_DISCARD };

static void print_group(const json_t *group)
{
    json_t *member;
    size_t i;

    printf("%-20s %s\n", field_string(group, "name", ""), field_string(group, "phase", "-"));
    json_array_foreach(json_object_get(group, "members"), i, member)
        printf("  %-18s %s\n", field_string(member, "name", ""),
               field_string(member, "state", ""));
    if (json_object_get(group, "reason"))
        printf("  %s\n", field_string(group, "reason", ""));
}

static int run_list(int argc, char **argv)
{
    _cleanup_json_ json_t *answer = NULL;
    struct cli_common common;
    struct error *err = NULL;
    json_t *group;
    size_t i;
    int r = common_parse(&common, &verb_group_list, argc, argv, NULL, NULL);

    if (r >= 0)
        return r;
    r = client_call(common.socket, "GET", "/v1/groups", NULL, &answer, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (common.json)
        common_print(answer);
    else if (json_array_size(json_object_get(answer, "groups")) == 0)
        puts("there are no groups");
    else
        json_array_foreach(json_object_get(answer, "groups"), i, group) print_group(group);
    return EXIT_CODE_OK;
}

const struct cli_verb verb_group_list = {
    "group list", "", 0, 0, "VMs that are cut over as one, and how far", run_list, NULL, 0, NULL};

/* Follows its members one after the other; the first that went wrong gives the exit code. */
static int follow(const struct cli_common *common, const json_t *group)
{
    int worst = EXIT_CODE_OK;
    json_t *member;
    size_t i;

    json_array_foreach(json_object_get(group, "members"), i, member) {
        int code = common_follow(common, field_string(member, "name", ""));

        if (worst == EXIT_CODE_OK)
            worst = code;
    }
    return worst;
}

static int post(const struct cli_common *common, const char *name, const char *what, json_t *body)
{
    _cleanup_free_ char *path = client_path("groups", name, what);
    _cleanup_json_ json_t *group = NULL;
    struct error *err = NULL;
    int r = client_call(common->socket, "POST", path, json_object_size(body) ? body : NULL, &group,
                        &err);

    if (r < 0)
        return common_fail(common, err);
    if (common_follows(common))
        return follow(common, group);
    if (common->json)
        common_print(group);
    else
        print_group(group);
    return EXIT_CODE_OK;
}

static int take(struct cli_common *common, int key, void *context)
{
    if (key == KEY_INSTANT)
        json_object_set_new(context, "instant", json_true());
    else
        json_object_set_new(context, "failback", json_boolean(key == KEY_FAILBACK));
    return -1;
}

static int run_verb(const struct cli_verb *verb, int argc, char **argv)
{
    _cleanup_json_ json_t *body = json_object();
    struct cli_common common;
    int r = common_parse(&common, verb, argc, argv, take, body);

    return r >= 0 ? r : post(&common, argv[optind], strchr(verb->name, ' ') + 1, body);
}

static int run_cutover(int argc, char **argv)
{
    return run_verb(&verb_group_cutover, argc, argv);
}

static int run_sync(int argc, char **argv)
{
    return run_verb(&verb_group_sync, argc, argv);
}

static int run_commit(int argc, char **argv)
{
    return run_verb(&verb_group_commit, argc, argv);
}

static int run_rollback(int argc, char **argv)
{
    return run_verb(&verb_group_rollback, argc, argv);
}

static const struct cli_option cutover_options[] = {
    {"instant", NULL, KEY_INSTANT, "every member's cutover is an instant one", NULL, 0},
    CLI_OPTIONS_END};

static const struct cli_option rollback_options[] = {
    {"failback", NULL, KEY_FAILBACK, "send back what the VMs have written first", NULL, 0},
    {"discard", NULL, KEY_DISCARD, "do not", NULL, 0},
    CLI_OPTIONS_END};

const struct cli_verb verb_group_cutover = {
    "group cutover", "GROUP", 1, 1, "cut over all VMs of a group, or none", run_cutover,
    cutover_options, CLI_FOLLOWS, "@group"};

const struct cli_verb verb_group_sync = {
    "group sync", "GROUP", 1, 1, "copy one instant of all VMs of a group", run_sync, NULL,
    CLI_FOLLOWS, "@group"};

const struct cli_verb verb_group_commit = {
    "group commit", "GROUP", 1, 1, "commit every VM of a group", run_commit, NULL, CLI_FOLLOWS,
    "@group"};

const struct cli_verb verb_group_rollback = {
    "group rollback", "GROUP", 1, 1, "roll every VM of a group back", run_rollback,
    rollback_options, CLI_FOLLOWS, "@group"};
