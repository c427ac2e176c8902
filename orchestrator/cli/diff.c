/* SPDX-License-Identifier: Apache-2.0 */
/* slipway diff: slipway engine diff of the store that slipwayd keeps for a VM. */
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/engine.h"

#define STATE_DEFAULT "/var/lib/slipway" /* as slipwayd's */

enum { KEY_STATE = KEY_OWN, KEY_DISK, KEY_EXTENTS, KEY_FAST, KEY_FILES };

static const struct cli_option options[] = {
    {"state", "DIR", KEY_STATE, "slipwayd's --state (default " STATE_DEFAULT ")", "@folder", 0},
    {"disk", "NAME", KEY_DISK, "only this disk", NULL, 0},
    {"extents", NULL, KEY_EXTENTS, "where the changed bytes are", NULL, 'v'},
    {"fast", NULL, KEY_FAST, "what was written counts, read nothing", NULL, 0},
    {"files", NULL, KEY_FILES, "which files changed, too (with virt-diff)", NULL, 0},
    CLI_OPTIONS_END,
};

struct asked {
    struct engine_args args;
    const char *state;
};

static int take(struct cli_common *common, int key, void *context)
{
    struct asked *a = context;

    switch (key) {
    case KEY_STATE:
        a->state = optarg;
        return -1;
    case KEY_DISK:
        a->args.one_disk = optarg;
        return -1;
    case KEY_EXTENTS:
        a->args.extents = true;
        return -1;
    case KEY_FAST:
        a->args.fast = true;
        return -1;
    default: /* KEY_FILES */
        a->args.files = true;
        return -1;
    }
}

/* Where slipwayd has it: STATE/stores/NAME. */
static int find_store(struct engine_args *a, const char *state, const char *name,
                      struct error **err)
{
    _cleanup_free_ char *full = realpath(state, NULL);
    _cleanup_free_ char *vm_path = NULL;

    a->store = str_format("%s/stores/%s", full ? full : state, name);
    vm_path = str_format("%s/vm.json", a->store);
    errno = 0;
    if (!strchr(name, '/') && name[0] != '.' && access(vm_path, R_OK) == 0)
        return 0;
    if (errno == EACCES)
        return error_set(err, EPERM, "%s may only be read by root", a->store);
    return error_set(err, ENOENT, "there is no store of a VM '%s' in %s/stores; 'slipway status' "
                                  "has the names, --state names the folder of another slipwayd",
                     name, state);
}

static int run(int argc, char **argv)
{
    struct asked a = {.args = {.verb = "diff", .from = -1, .to = -1}, .state = STATE_DEFAULT};
    struct cli_common common;
    struct error *err = NULL;
    int r = common_parse(&common, &verb_diff, argc, argv, take, &a);

    if (r >= 0)
        return r;
    a.args.json = common.json;
    r = 0;
    for (int i = optind + 1; r == 0 && i < argc; i++)
        r = engine_diff_word(&a.args, argv[i], &err);
    if (r == 0)
        r = find_store(&a.args, a.state, argv[optind], &err);
    if (r == 0)
        r = engine_verb_diff(&a.args, &err);
    free(a.args.store);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}

const struct cli_verb verb_diff = {
    "diff", "NAME [A [B]]", 1, 3, "what changed between two generations", run, options, 0,
    "@migration"};
