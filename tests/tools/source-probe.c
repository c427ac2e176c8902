/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source-probe URI JOURNAL COMMAND…: a source provider on the command line, for scenario tests.
 *
 *   facts | list | describe VM | power VM | start VM | shutdown VM SECONDS wait|force|fail
 *   begin VM STATE [--since ID] [--resume] [--die]   STATE: file that keeps the snapshot's private
 *   end VM STATE committed|dropped
 *   cleanup                                          everything that is in the journal
 *
 * The journal is a JSON file {"next": N, "things": {KEY: thing}}, replaced with every change.
 * Results are JSON on standard output; a failure is one sentence on standard error and an exit
 * code as of all our programs.  --die ends the program without a word right after the snapshot was
 * begun, before its private is stored; SOURCE_PROBE_DIE=N ends it after the Nth change of the
 * journal, with exit code 99 both.
 */
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/source/source.h"

struct probe {
    const struct source_ops *ops;
    struct source *source;
    const char *journal_path;
    int argc;
    char **argv;
};

static json_t *journal_load(const char *path)
{
    json_t *journal = json_load_file(path, 0, NULL);

    return journal ? journal : json_pack("{si s{}}", "next", 1, "things");
}

static int journal_store(const char *path, json_t *journal, struct error **err)
{
    static int changes;
    const char *die = getenv("SOURCE_PROBE_DIE");
    _cleanup_free_ char *text = json_dumps(journal, JSON_INDENT(1));
    int r = fdio_replace_file(path, text, strlen(text), 0600);

    json_decref(journal);
    if (die && ++changes == atoi(die))
        _exit(99);
    return r < 0 ? error_set_errno(err, -r, "cannot write journal %s", path) : 0;
}

static int journal_add(void *context, const json_t *thing, int64_t *ret_key, struct error **err)
{
    json_t *journal = journal_load(context);
    char name[32];

    *ret_key = json_integer_value(json_object_get(journal, "next"));
    snprintf(name, sizeof(name), "%lld", (long long)*ret_key);
    json_object_set_new(journal, "next", json_integer(*ret_key + 1));
    json_object_set(json_object_get(journal, "things"), name, (json_t *)thing);
    return journal_store(context, journal, err);
}

static int journal_remove(void *context, int64_t key, struct error **err)
{
    json_t *journal = journal_load(context);
    char name[32];

    snprintf(name, sizeof(name), "%lld", (long long)key);
    json_object_del(json_object_get(journal, "things"), name);
    return journal_store(context, journal, err);
}

static void print(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(1) | JSON_ENCODE_ANY);
    putchar('\n');
    json_decref(json);
}

static const char *option(const struct probe *p, const char *name)
{
    for (int i = 0; i + 1 < p->argc; i++)
        if (strcmp(p->argv[i], name) == 0)
            return p->argv[i + 1];
    return NULL;
}

static bool flag(const struct probe *p, const char *name)
{
    for (int i = 0; i < p->argc; i++)
        if (strcmp(p->argv[i], name) == 0)
            return true;
    return false;
}

static int do_list(struct probe *p, struct error **err)
{
    json_t *vms;
    int r = p->ops->list(p->source, &vms, err);

    if (r == 0)
        print(vms);
    return r;
}

static int do_describe(struct probe *p, struct error **err)
{
    json_t *description;
    int r = p->ops->describe(p->source, p->argv[1], &description, err);

    if (r == 0)
        print(description);
    return r;
}

static int do_facts(struct probe *p, struct error **err)
{
    json_t *facts;
    int r = p->ops->facts(p->source, &facts, err);

    if (r == 0)
        print(facts);
    return r;
}

static int do_power(struct probe *p, struct error **err)
{
    static const char *const names[] = {"off", "running", "paused"};
    enum source_power power;
    int r = p->ops->power(p->source, p->argv[1], &power, err);

    if (r == 0)
        print(json_string(names[power]));
    return r;
}

static int do_start(struct probe *p, struct error **err)
{
    return p->ops->start(p->source, p->argv[1], err);
}

static int do_shutdown(struct probe *p, struct error **err)
{
    static const char *const policies[] = {"wait", "force", "fail"};
    uint64_t timeout = strtoull(p->argv[2], NULL, 10) * NS_PER_S;

    for (int i = 0; i < 3; i++)
        if (strcmp(p->argv[3], policies[i]) == 0)
            return p->ops->shutdown(p->source, p->argv[1], timeout, (enum source_stop_policy)i,
                                    NULL, NULL, err);
    return error_set(err, EINVAL, "unknown policy \"%s\"", p->argv[3]);
}

static int do_begin(struct probe *p, struct error **err)
{
    const char *state = p->argv[2];
    json_t *resume = flag(p, "--resume") ? json_load_file(state, 0, NULL) : NULL;
    struct source_snapshot *snapshot;
    int r =
        p->ops->snapshot_begin(p->source, p->argv[1], option(p, "--since"), resume, &snapshot, err);

    json_decref(resume);
    if (r < 0)
        return r;
    if (flag(p, "--die"))
        _exit(99);
    if (json_dump_file(snapshot->private, state, JSON_INDENT(1)) < 0)
        r = error_set(err, EIO, "cannot write %s", state);
    print(json_incref(snapshot->private));
    source_snapshot_free(snapshot);
    return r;
}

static int do_end(struct probe *p, struct error **err)
{
    struct source_snapshot *snapshot = mem_new(1, sizeof(*snapshot));

    snapshot->private = json_load_file(p->argv[2], 0, NULL);
    return p->ops->snapshot_end(p->source, p->argv[1], snapshot,
                                strcmp(p->argv[3], "committed") == 0, err);
}

static int do_room(struct probe *p, struct error **err)
{
    json_t *private = json_load_file(p->argv[1], 0, NULL);
    uint64_t left, size;
    int r = p->ops->room(p->source, private, &left, &size, err);

    json_decref(private);
    if (r == 0)
        print(json_pack("{s:I, s:I}", "free", (json_int_t)left, "size", (json_int_t)size));
    return r;
}

static int do_cleanup(struct probe *p, struct error **err)
{
    json_t *journal = journal_load(p->journal_path), *thing;
    const char *key;
    int r = 0;

    json_object_foreach(json_object_get(journal, "things"), key, thing)
    {
        if (r == 0)
            r = p->ops->cleanup(p->source, thing, err);
        if (r == 0)
            r = journal_remove((void *)p->journal_path, strtoll(key, NULL, 10), err);
    }
    json_decref(journal);
    return r;
}

static const struct {
    const char *name;
    int arguments;
    int (*run)(struct probe *p, struct error **err);
} commands[] = {
    {"list", 0, do_list},   {"describe", 1, do_describe}, {"power", 1, do_power},
    {"start", 1, do_start}, {"shutdown", 3, do_shutdown}, {"begin", 2, do_begin},
    {"end", 3, do_end},     {"cleanup", 0, do_cleanup},   {"facts", 0, do_facts},
    {"room", 1, do_room},
};

static int dispatch(struct probe *p, struct error **err)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(p->argv[0], commands[i].name) == 0 && p->argc > commands[i].arguments)
            return commands[i].run(p, err);
    return error_set(err, EINVAL, "unknown command, or arguments are missing");
}

static int probe(struct probe *p, const char *uri, struct error **err)
{
    struct source_journal journal = {journal_add, journal_remove, (void *)p->journal_path};
    int r;

    p->ops = source_ops_for(uri, err);
    if (!p->ops)
        return -EINVAL;
    r = p->ops->open(uri, NULL, &journal, &p->source, err);
    if (r < 0)
        return r;
    r = dispatch(p, err);
    p->ops->close(p->source);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct probe p = {
        .journal_path = argc > 2 ? argv[2] : NULL, .argc = argc - 3, .argv = argv + 3};

    if (argc < 4) {
        fputs("usage: source-probe URI JOURNAL COMMAND...\n", stderr);
        return EXIT_CODE_USAGE;
    }
    if (probe(&p, argv[1], &err) == 0)
        return EXIT_CODE_OK;
    fprintf(stderr, "source-probe: %s\n", error_text(err));
    return error_exit_code(error_code(err));
}
