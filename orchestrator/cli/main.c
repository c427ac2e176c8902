/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/help.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/version.h"

/* "help", "help VERB", "source --help" */
static int help(const char *word)
{
    if (!word)
        help_print();
    else
        help_print_group(word);
    return EXIT_CODE_OK;
}

static int unknown(int argc, char **argv, bool json)
{
    struct error *err = NULL;

    if (verb_is_group(argv[0]) && argc > 1)
        error_set(&err, EINVAL, "there is no verb '%s %s'; see slipway %s --help", argv[0], argv[1],
                  argv[0]);
    else if (verb_is_group(argv[0]))
        error_set(&err, EINVAL, "a word is missing behind '%s'; see slipway %s --help", argv[0],
                  argv[0]);
    else
        error_set(&err, EINVAL, "there is no verb '%s'; see slipway --help", argv[0]);
    return cli_fail(NULL, err, json);
}

static bool asks_for_json(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const struct cli_verb *verb;
    int words;

    log_open("slipway", LOG_LEVEL_WARNING);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help(NULL);
        return EXIT_CODE_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "--version") == 0) {
        puts("slipway " SLIPWAY_VERSION);
        return EXIT_CODE_OK;
    }
    if (strcmp(argv[1], "complete") == 0)
        return cli_complete(argc - 2, argv + 2);
    verb = verb_find(argc - 1, argv + 1, &words);
    if (verb)
        return verb->run(argc - words, argv + words);
    if (argc > 2 && strcmp(argv[2], "--help") == 0 && verb_is_group(argv[1]))
        return help(argv[1]);
    return unknown(argc - 1, argv + 1, asks_for_json(argc, argv));
}
