/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli/verbs.h"

#include <string.h>

#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/common.h"

const struct cli_verb *const cli_verbs[] = {
    &verb_source_add,
    &verb_source_list,
    &verb_source_remove,
    &verb_vm_list,
    &verb_plan_check,
    &verb_plan_simulate,
    &verb_plan_apply,
    &verb_plan_list,
    &verb_plan_show,
    &verb_plan_remove,
    &verb_plan_schema,
    &verb_migrate,
    &verb_set,
    &verb_start,
    &verb_sync,
    &verb_status,
    &verb_cutover,
    &verb_commit,
    &verb_rollback,
    &verb_group_list,
    &verb_group_sync,
    &verb_group_cutover,
    &verb_group_commit,
    &verb_group_rollback,
    &verb_rehearse,
    &verb_explain,
    &verb_forecast,
    &verb_report,
    &verb_diff,
    &verb_cancel,
    &verb_remove,
    &verb_pause,
    &verb_resume,
    &verb_limit_list,
    &verb_limit_set,
    &verb_limit_clear,
    &verb_mount,
    &verb_engine,
    NULL,
};

const struct cli_option cli_common_options[] = {
    {"socket", "PATH", KEY_SOCKET,
     "slipwayd's socket (default " SOCKET_DEFAULT ", or\n$SLIPWAY_SOCKET)", "@file", 0},
    {"server", "https://HOST:PORT", KEY_SERVER,
     "slipwayd on another machine ($SLIPWAY_SERVER)", NULL, 0},
    {"cert", "FILE", KEY_CERT, "our certificate for it ($SLIPWAY_CERT)", "@file", 0},
    {"key", "FILE", KEY_KEY, "the key of our certificate ($SLIPWAY_KEY)", "@file", 0},
    {"ca", "FILE", KEY_CA, "the CA of slipwayd's certificate ($SLIPWAY_CA)", "@file", 0},
    {"json", NULL, KEY_JSON, "answers and errors as JSON on standard output", NULL, 0},
    {"help", NULL, KEY_HELP, "print this and exit", NULL, 0},
    {"version", NULL, KEY_VERSION, "print the version and exit", NULL, 0},
    CLI_OPTIONS_END,
};

const struct cli_option cli_follow_options[] = {
    {"follow", NULL, KEY_FOLLOW, "wait for the end, also off a terminal", NULL, 0},
    {"detach", NULL, KEY_DETACH, "return at once, also on a terminal", NULL, 0},
    CLI_OPTIONS_END,
};

/* Length of the first word when there is a second one, otherwise 0. */
static size_t group_length(const struct cli_verb *verb)
{
    const char *space = strchr(verb->name, ' ');

    return space ? (size_t)(space - verb->name) : 0;
}

bool verb_belongs(const struct cli_verb *verb, const char *word)
{
    size_t length = group_length(verb);

    if (length == 0)
        return strcmp(verb->name, word) == 0;
    return strlen(word) == length && strncmp(verb->name, word, length) == 0;
}

const struct cli_verb *verb_find(int argc, char *const *argv, int *ret_words)
{
    for (size_t i = 0; argc > 0 && cli_verbs[i]; i++) {
        size_t length = group_length(cli_verbs[i]);

        if (!verb_belongs(cli_verbs[i], argv[0]))
            continue;
        if (length && (argc < 2 || strcmp(cli_verbs[i]->name + length + 1, argv[1]) != 0))
            continue;
        *ret_words = length ? 2 : 1;
        return cli_verbs[i];
    }
    return NULL;
}

bool verb_is_group(const char *word)
{
    for (size_t i = 0; cli_verbs[i]; i++)
        if (group_length(cli_verbs[i]) && verb_belongs(cli_verbs[i], word))
            return true;
    return false;
}

const struct cli_option *verb_options(const struct cli_verb *verb, unsigned set)
{
    static const struct cli_option none[] = {CLI_OPTIONS_END};

    if (verb->flags & CLI_FOREIGN)
        return NULL;
    switch (set) {
    case 0:
        return verb->options ? verb->options : none;
    case 1:
        return verb->flags & CLI_FOLLOWS ? cli_follow_options : none;
    case 2:
        return cli_common_options;
    default:
        return NULL;
    }
}
