/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node-probe URI|- EMBED-ROOT COMMAND…: the destination on the command line, for scenario tests.
 *
 *   uri | facts | define DESCRIPTION PLACEMENT (checks first) | start VM | stop VM [force] | undefine VM |
 *   state VM | wait VM TIMEOUT-SECONDS SETTLE-SECONDS | resume VM |
 *   reopen VM DISK PATH (the file instead of the NBD export, while it runs)
 *
 * Results are one line on standard output; a failure is one sentence on standard error and an exit
 * code as of all our programs.
 */
#include <string.h>

#include "base/clock.h"
#include "orchestrator/node/node.h"

static int do_uri(struct node *node, int argc, char **argv, struct error **err)
{
    puts(node_uri(node));
    return 0;
}

static int do_facts(struct node *node, int argc, char **argv, struct error **err)
{
    json_t *facts;
    int r = node_facts(node, &facts, err);

    if (r < 0)
        return r;
    json_dumpf(facts, stdout, JSON_COMPACT);
    json_decref(facts);
    puts("");
    return 0;
}

static json_t *load(const char *path, struct error **err)
{
    json_t *json = json_load_file(path, 0, NULL);

    if (!json)
        error_set(err, EINVAL, "%s is not JSON", path);
    return json;
}

static int do_define(struct node *node, int argc, char **argv, struct error **err)
{
    json_t *description = load(argv[1], err), *placement = load(argv[2], err);
    _cleanup_free_ char *xml = NULL;
    int r = description && placement ? 0 : -EINVAL;

    if (r == 0)
        r = node_check(node, description, placement, err);
    if (r == 0)
        r = node_domain_xml(description, placement, &xml, err);
    if (r == 0)
        r = node_define(node, xml, err);
    json_decref(description);
    json_decref(placement);
    return r;
}

static int do_start(struct node *node, int argc, char **argv, struct error **err)
{
    return node_start(node, argv[1], err);
}

static int do_stop(struct node *node, int argc, char **argv, struct error **err)
{
    return node_stop(node, argv[1], argc > 2, err);
}

static int do_undefine(struct node *node, int argc, char **argv, struct error **err)
{
    return node_undefine(node, argv[1], err);
}

static int do_state(struct node *node, int argc, char **argv, struct error **err)
{
    const char *state;
    int r = node_state(node, argv[1], &state, err);

    if (r == 0)
        puts(state);
    return r;
}

static int do_wait(struct node *node, int argc, char **argv, struct error **err)
{
    const char *how;
    int r = node_wait_up(node, argv[1], strtoull(argv[2], NULL, 10) * NS_PER_S,
                         strtoull(argv[3], NULL, 10) * NS_PER_S, NULL, NULL, &how, err);

    if (r == 0)
        puts(how);
    return r;
}

static int do_resume(struct node *node, int argc, char **argv, struct error **err)
{
    int r = node_resume(node, argv[1], err);

    if (r >= 0)
        puts(r > 0 ? "resumed" : "nothing to do");
    return r < 0 ? r : 0;
}

static int do_reopen(struct node *node, int argc, char **argv, struct error **err)
{
    json_t *places = json_pack("[{s:s, s:s}]", "name", argv[2], "path", argv[3]);
    int r = node_reopen_disks(node, argv[1], places, err);

    json_decref(places);
    return r;
}

static const struct {
    const char *name;
    int arguments;
    int (*run)(struct node *node, int argc, char **argv, struct error **err);
} commands[] = {
    {"uri", 0, do_uri},   {"define", 2, do_define},     {"start", 1, do_start},
    {"stop", 1, do_stop}, {"undefine", 1, do_undefine}, {"state", 1, do_state},
    {"wait", 3, do_wait}, {"resume", 1, do_resume},     {"reopen", 3, do_reopen},
    {"facts", 0, do_facts},
};

static int probe(int argc, char **argv, struct error **err)
{
    struct node *node;
    int r = node_open(strcmp(argv[1], "-") == 0 ? NULL : argv[1], argv[2], &node, err);

    if (r < 0)
        return r;
    r = error_set(NULL, EINVAL, "unknown command, or arguments are missing");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[3], commands[i].name) == 0 && argc - 3 > commands[i].arguments)
            r = commands[i].run(node, argc - 3, argv + 3, err);
    node_close(node);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    int r;

    if (argc < 4) {
        fputs("usage: node-probe URI|- EMBED-ROOT COMMAND...\n", stderr);
        return EXIT_CODE_USAGE;
    }
    r = probe(argc, argv, &err);
    if (r == 0)
        return EXIT_CODE_OK;
    fprintf(stderr, "node-probe: %s\n", error_text(err));
    return error_exit_code(-r);
}
