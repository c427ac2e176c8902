/* SPDX-License-Identifier: Apache-2.0 */
/* slipway pause, slipway resume. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/client.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/fields.h"

enum pause_key { KEY_ALL = KEY_OWN };

static const struct cli_option pause_options[] = {
    {"all", NULL, KEY_ALL, "all migrations that can be", NULL, 0}, CLI_OPTIONS_END};

static int take(struct cli_common *common, int key, void *context)
{
    *(bool *)context = true; /* KEY_ALL */
    return -1;
}

static int one(const struct cli_common *common, const char *verb, const char *name,
               json_t **ret_job, struct error **err)
{
    _cleanup_free_ char *path = client_path("migrations", name, verb);

    return client_call(common->socket, "POST", path, NULL, ret_job, err);
}

static bool possible(const json_t *job, const char *verb)
{
    json_t *verbs = json_object_get(job, "verbs");

    for (size_t i = 0; i < json_array_size(verbs); i++)
        if (strcmp(json_string_value(json_array_get(verbs, i)), verb) == 0)
            return true;
    return false;
}

/* One that came to its end meanwhile is none of ours any more. */
static bool is_no_failure(int r)
{
    return r == -EPERM || r == -ENOENT || r == -EBUSY;
}

static int all(const struct cli_common *common, const char *verb, struct error **err)
{
    _cleanup_json_ json_t *answer = NULL, *done = json_array();
    json_t *job;
    size_t i;
    int r = client_call(common->socket, "GET", "/v1/migrations", NULL, &answer, err);

    json_array_foreach(json_object_get(answer, "migrations"), i, job) {
        const char *name = field_string(job, "name", "");
        _cleanup_error_ struct error *why = NULL;

        if (!possible(job, verb))
            continue;
        r = one(common, verb, name, NULL, &why);
        if (r == 0)
            json_array_append_new(done, json_string(name));
        else if (!is_no_failure(r))
            return error_move(err, &why);
        r = 0;
        if (!common->json)
            printf("%s: %s\n", name, why ? error_text(why) : verb);
    }
    if (r == 0 && common->json)
        common_print(done);
    return r;
}

static int run(int argc, char **argv, const struct cli_verb *verb)
{
    _cleanup_json_ json_t *job = NULL;
    struct cli_common common;
    struct error *err = NULL;
    bool wants_all = false;
    int r = common_parse(&common, verb, argc, argv, take, &wants_all);

    if (r >= 0)
        return r;
    if (wants_all != (argc == optind))
        return common_usage(&common, "give the name of a migration, or --all");
    r = wants_all ? all(&common, verb->name, &err)
                  : one(&common, verb->name, argv[optind], &job, &err);
    if (r < 0)
        return common_fail(&common, err);
    if (job && common.json && !common_follows(&common))
        common_print(job);
    else if (job && !common_follows(&common))
        printf("%s: %s\n", argv[optind],
               verb == &verb_pause ? "is being paused" : "goes on");
    return wants_all ? EXIT_CODE_OK : common_follow(&common, argv[optind]);
}

static int run_pause(int argc, char **argv)
{
    return run(argc, argv, &verb_pause);
}

static int run_resume(int argc, char **argv)
{
    return run(argc, argv, &verb_resume);
}

const struct cli_verb verb_pause = {
    "pause", "NAME", 0, 1, "stop a sync, begin nothing; what is here stays", run_pause,
    pause_options, CLI_FOLLOWS, "@migration"};

const struct cli_verb verb_resume = {
    "resume", "NAME", 0, 1, "go on where it was paused", run_resume, pause_options, CLI_FOLLOWS,
    "@migration"};
