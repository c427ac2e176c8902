/* SPDX-License-Identifier: Apache-2.0 */
/* slipway diff: slipway engine diff of the store that slipwayd keeps for a VM. */
#include <string.h>

#include "base/str.h"
#include "orchestrator/cli/cli.h"
#include "orchestrator/cli/common.h"
#include "orchestrator/cli/engine.h"

#define STATE_DEFAULT "/var/lib/slipway" /* as slipwayd's */

enum { KEY_STATE = KEY_OWN, KEY_DISK, KEY_EXTENTS, KEY_FAST, KEY_FILES };

static const struct option options[] = {
    COMMON_OPTIONS,
    {"state", required_argument, NULL, KEY_STATE},
    {"disk", required_argument, NULL, KEY_DISK},
    {"extents", no_argument, NULL, KEY_EXTENTS},
    {"fast", no_argument, NULL, KEY_FAST},
    {"files", no_argument, NULL, KEY_FILES},
    {NULL},
};

static int take(struct cli_common *common, struct engine_args *a, const char **state, int key)
{
    switch (key) {
    case KEY_STATE:
        *state = optarg;
        return -1;
    case KEY_DISK:
        a->one_disk = optarg;
        return -1;
    case KEY_EXTENTS:
    case 'v':
        a->extents = true;
        return -1;
    case KEY_FAST:
        a->fast = true;
        return -1;
    case KEY_FILES:
        a->files = true;
        return -1;
    default:
        return common_take(common, key);
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

int cli_diff(int argc, char **argv)
{
    struct engine_args a = {.verb = "diff", .from = -1, .to = -1};
    const char *state = STATE_DEFAULT;
    struct cli_common common;
    struct error *err = NULL;
    int key, r = -1;

    common_init(&common, "diff");
    while (r < 0 && (key = getopt_long(argc, argv, "v", options, NULL)) != -1)
        r = take(&common, &a, &state, key);
    if (r < 0 && (argc - optind < 1 || argc - optind > 3))
        r = common_usage(&common, "expected: slipway diff NAME [A [B]]");
    if (r >= 0)
        return r;
    a.json = common.json;
    r = 0;
    for (int i = optind + 1; r == 0 && i < argc; i++)
        r = engine_diff_word(&a, argv[i], &err);
    if (r == 0)
        r = find_store(&a, state, argv[optind], &err);
    if (r == 0)
        r = engine_verb_diff(&a, &err);
    free(a.store);
    return r < 0 ? common_fail(&common, err) : EXIT_CODE_OK;
}
