/* SPDX-License-Identifier: Apache-2.0 */
/* slipway engine: the engine from the command line, without a daemon. */
#include "orchestrator/cli/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/align.h"
#include "orchestrator/cli/cli.h"

static const struct {
    const char *name;
    int (*run)(const struct engine_args *args, struct error **err);
} verbs[] = {
    {"create", engine_verb_create}, {"serve", engine_verb_serve},
    {"sync", engine_verb_sync},     {"status", engine_verb_status},
    {"cancel", engine_verb_cancel}, {"draft", engine_verb_draft},
    {"set", engine_verb_set},       {"diff", engine_verb_diff},
    {"load", engine_verb_load},
    {"flip", engine_verb_flip},     {"detach", engine_verb_detach},
    {"stop", engine_verb_stop},     {"fsck", engine_verb_fsck},
    {"verify", engine_verb_verify}, {"manifest", engine_verb_manifest},
    {"manifest-key", engine_verb_manifest_key},
    {"verify-manifest", engine_verb_verify_manifest},
    {"limit", engine_verb_limit},
    {"failback", engine_verb_failback},   {"source", engine_verb_source},
    {"source-lost", engine_verb_source_lost},
};

/* Also where the words cannot be understood: a script reads the complaint, too. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static int run_verb(size_t index, int argc, char **argv)
{
    struct engine_args args;
    struct error *err = NULL;
    int r = engine_args_parse(argc, argv, &args, &err);

    if (r == 0 && args.help)
        fputs(engine_usage, stdout);
    else if (r == 0)
        r = verbs[index].run(&args, &err);
    if (r < 0)
        r = cli_fail("engine", err, wants_json(argc, argv));
    engine_args_done(&args);
    return r;
}

static int run(int argc, char **argv)
{
    struct error *err = NULL;

    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(engine_usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? EXIT_CODE_USAGE : EXIT_CODE_OK;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0)
            return run_verb(i, argc - 1, argv + 1);
    error_set(&err, EINVAL, "unknown verb '%s'; see 'slipway engine --help'", argv[1]);
    return cli_fail("engine", err, wants_json(argc, argv));
}

const struct cli_verb verb_engine = {
    "engine", "VERB ...", 1, 99, "an engine by hand, see slipway engine --help", run, NULL,
    CLI_FOREIGN, NULL};
